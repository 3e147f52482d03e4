package records_test

import (
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/records"
)

func TestRetentionValid(t *testing.T) {
	for _, good := range []records.Retention{nil, records.DefaultRetention(), {waypost.Revoked: 0}} {
		if err := good.Validate(); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
	for _, bad := range []records.Retention{{"deceased": 3}, {waypost.Closed: -1}} {
		if err := bad.Validate(); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
