package store

import (
	"fmt"
	"math"
	"testing"

	"github.com/waypost/waypost"
)

// TestOutsideArguments: what no database takes is refused as what somebody sent, not
// reported as a fault of the program, and is not quoted.
func TestOutsideArguments(t *testing.T) {
	for _, arg := range []any{"nul \x00 inside", "caf\xe9", uint64(math.MaxUint64)} {
		_, err := bind(nil, []any{arg})
		if waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%q: %v", fmt.Sprint(arg), err)
		}
	}
	if _, err := bind(nil, []any{"café", uint64(math.MaxInt64)}); err != nil {
		t.Error(err)
	}
}
