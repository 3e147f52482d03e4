package main

import (
	"errors"
	"testing"

	"github.com/waypost/waypost"
)

// TestPrinted: what a peer says does not move the cursor, neither as an error nor as its
// cause, which says more than the error where it was cleaned.
func TestPrinted(t *testing.T) {
	err := waypost.Errorf(waypost.PermissionDenied, "refused").WithCause(errors.New("permission_denied: \x1b[2J\x1b]0;ok\aall\u202e is well\nwaypost: done"))
	if got, want := explain(err), "refused (permission_denied: ?[2J?]0;ok?all? is well waypost: done)"; got != want {
		t.Errorf("%q", got)
	}
	if got, want := explain(errors.New("two\n\tlines \x1b[1A")), "two\n\tlines ?[1A"; got != want {
		t.Errorf("%q", got)
	}
	if got := printed("ñandú, 3 of 5"); got != "ñandú, 3 of 5" {
		t.Errorf("%q", got)
	}
}
