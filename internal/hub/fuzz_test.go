package hub_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/hub"
)

// Whatever an owner sends is refused with a code that says what is wrong, or has
// one encoding only.
func FuzzMaintenance(f *testing.F) {
	for _, m := range []*waypostv1.Maintenance{
		withdrawal(1, 2), activation(3, 4, true), departure(), comparison(&waypostv1.Comparison{Bits: 8, From: 3, Count: 4}),
		comparison(&waypostv1.Comparison{Count: 1, Held: []*waypostv1.Held{{Handle: handle(1), Digest: make([]byte, 16)}}}),
		{What: &waypostv1.Maintenance_Change{Change: &waypostv1.ChangeOfRecord{Release: []byte("no")}}},
	} {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	kinds := []waypost.Kind{waypost.KindWithdraw, waypost.KindActivate, waypost.KindCompare, waypost.KindLeave, waypost.KindChangeSOR}
	f.Fuzz(func(t *testing.T, raw []byte) {
		accepted := 0
		for _, kind := range kinds {
			err := hub.CheckMaintenance(raw, kind)
			if err == nil {
				accepted++
			} else if waypost.CodeOf(err) != waypost.InvalidArgument {
				t.Errorf("%s: %v", kind, err)
			}
		}
		if accepted > 1 {
			t.Errorf("a request is of %d kinds", accepted)
		}
	})
}
