//go:build planted

package move_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/planted"
	"github.com/waypost/waypost/internal/store"
)

// Each bug that the simulation must find does here what its name says.
func TestPlantedBugsBite(t *testing.T) {
	for bug, bites := range map[string]func(t *testing.T) bool{
		"swap-before-history": func(t *testing.T) bool {
			w, az, _, m := moving(t)
			w.settle()
			return az.get(m).State == "done" && len(az.history("AZ-7")) == 0
		},
		"cancel-after-swap": func(t *testing.T) bool {
			w, az, _, m := moving(t)
			w.hub.mute = true
			w.settle()
			return az.cancel(m) == nil && w.hub.swaps == 1 && az.get(m).State == "cancelled"
		},
		"moved-not-checked": func(t *testing.T) bool {
			w, az, ca, _ := moving(t)
			w.hub.down = true
			w.settle()
			var release, ticket []byte
			ca.read(func(tx *store.Tx) error { return tx.Row(`SELECT signed FROM moving`).Scan(&release) })
			az.read(func(tx *store.Tx) error { return tx.Row(`SELECT signed FROM errand_ticket`).Scan(&ticket) })
			body, err := proto.Marshal(&waypostv1.Moved{Release: release, Ticket: ticket})
			must(t, err)
			message := w.hub.message("CA", body)
			return ca.moves.OnMoved(t.Context(), message) == nil && w.hub.swaps == 0
		},
		"forward-lost": func(t *testing.T) bool {
			w, az, ca, m := moving(t)
			w.hub.down = true
			w.settle()
			ca.item("CA-1", 1)
			w.hub.down = false
			w.pass(2 * time.Hour)
			w.settle()
			return az.get(m).State == "done" && len(az.history("AZ-7")) == 1
		},
	} {
		t.Run(bug, func(t *testing.T) {
			if bites(t) {
				t.Error("it bites before it is planted")
			}
			planted.Plant(bug)
			defer planted.Plant("")
			if !bites(t) {
				t.Error("it does no harm")
			}
		})
	}
}
