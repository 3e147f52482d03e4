package hub_test

import (
	"testing"
	"time"

	"github.com/waypost/waypost"
)

// TestFence: a hub whose database came back from a backup serves no ticket that it may have
// served before, and all that were issued later.
func TestFence(t *testing.T) {
	r := newRig(t)
	old, load := r.check("AZ"), r.permit("CA", waypost.KindPublish, waypost.RecordElements)
	r.fence = r.Now().Add(30 * time.Second)
	r.restart()
	_, err := r.search(old, 1, padded(waypost.NameElements))
	refused(t, "a search", err, waypost.Expired, "was restored from a backup")
	_, err = r.tryPublish(load, person(1, token(1)))
	refused(t, "a publication", err, waypost.Expired, "was restored from a backup")
	if n := len(r.kinds()); n != 0 {
		t.Errorf("%d kinds of entries about tickets of before", n)
	}
	r.Advance(31 * time.Second)
	r.first(r.check("AZ"))
}
