package records_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/records"
)

// FuzzFromProto: what the door takes for a record is the same after it was stored
// and read, as a change that waits for the state system is.
func FuzzFromProto(f *testing.F) {
	whole, err := proto.Marshal(records.ToProto(licence("CA-1", ludmila)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var message waypostv1.Record
		if proto.Unmarshal(raw, &message) != nil {
			return
		}
		r, err := records.FromProto(&message)
		if err != nil {
			return
		}
		again, err := records.FromProto(records.ToProto(r))
		if err != nil || again != r {
			t.Fatalf("%v became %v, %v", r, again, err)
		}
	})
}
