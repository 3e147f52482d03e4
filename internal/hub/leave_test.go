package hub_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/store"
)

// Who leaves is found by nobody from the first moment on, and all of it is
// withdrawn, step by step, wherever that is cut short.
func TestLeave(t *testing.T) {
	t.Parallel()
	for cut := 1; ; cut++ {
		r := newRig(t)
		r.publish("CA", person(0, token(0)), person(1, token(3)), person(2, token(599)))
		r.publish("CA", in(1, person(3, token(900)))...)
		r.crowd("CA", 597) // more than two steps
		r.publish("NV", person(1, token(0)))
		var commits atomic.Int64
		point := []string{"commit", "committed"}[cut%2]
		fail := store.Fault(func(at string) error {
			if at == point && commits.Add(1) == int64(cut+1)/2 {
				return errors.New("power cut")
			}
			return nil
		})
		u := r.ask("CA", departure())
		r.fault.Store(&fail)
		_, err := r.tryMaintain(u)
		r.fault.Store(nil)
		whole := err == nil
		left := r.count(`SELECT count(*) FROM departure`) == 1
		if n := len(r.first(r.check("AZ"), token(0), token(3), token(599)).List); left && n != 1 || !left && n != 4 {
			t.Errorf("cut %d: %d are found, and it has begun to leave: %v", cut, n, left)
		}
		if !left {
			r.restart()
		}
		for range 2 {
			if m := r.maintained(u); m.Withdrawn != 601 {
				t.Errorf("cut %d: %d pointers were withdrawn, want 601", cut, m.Withdrawn)
			}
		}
		r.countersAgree()
		if n := r.count(`SELECT count(*) FROM pointer WHERE owner = 'CA' AND state != 3`); n != 0 || r.kinds()["leave"] != 1 {
			t.Errorf("cut %d: %d pointers are not withdrawn; %v", cut, n, r.kinds())
		}
		if whole {
			if commits.Load() < 5 {
				t.Errorf("a departure has %d commits, want 5", commits.Load())
			}
			return
		}
	}
}

// crowd gives the owner as many live pointers more, of whom nobody knows a token.
func (r *rig) crowd(owner waypost.Jurisdiction, n int) {
	r.t.Helper()
	must(r.t, r.db.Write(r.t.Context(), func(tx *store.Tx) error {
		for i := range n {
			if _, err := tx.Exec(`INSERT INTO pointer (id, owner, handle, state, generation, version, epoch, receipt, changed) VALUES ($1, $2, $3, 1, 0, 1, 1, $4, 1)`,
				i+1, owner, spread(1, i), [16]byte{1}); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`UPDATE generation SET pointers = pointers + $1 WHERE owner = $2 AND number = 0`, n, owner)
		return err
	}))
}

// While it goes on a state publishes nothing, and nothing from before comes after
// its end. Housekeeping goes on with it. Then the state may come back.
func TestLeaveAndComeBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", people(0, 10)...)
	r.crowd("CA", 590)
	open, early := r.permit("CA", waypost.KindPublish, 10), r.permit("CA", waypost.KindPublish, 10)
	searched := r.check("CA")
	r.first(searched)
	record := person(700, token(700))
	_, err := r.cutShort(open, record)
	refused(t, "cut short", err, waypost.Internal, "")

	u := r.ask("CA", departure())
	begin := store.Fault(func(at string) error { // the departure, and one step
		if at == "begin" && r.count(`SELECT count(*) FROM departure WHERE withdrawn > 0`) == 1 {
			return errors.New("power cut")
		}
		return nil
	})
	r.fault.Store(&begin)
	_, err = r.tryMaintain(u)
	refused(t, "cut short", err, waypost.Internal, "")
	r.fault.Store(nil)
	for name, p := range map[string]permit{"open": open, "early": early, "a check's": searched} {
		_, err := r.tryPublish(p, record)
		refused(t, name, err, waypost.PermissionDenied, "CA is leaving")
	}
	r.publish("NV", person(800, token(800)))
	_, err = r.tryMaintain(r.releasing("NV", "CA", 800))
	refused(t, "a pointer passed to it", err, waypost.PermissionDenied, "CA is leaving")
	r.finds("Nevada keeps it", "AZ", 1, token(800))

	must(t, hub.Clean(t.Context(), r.deps()))
	if n := r.count(`SELECT count(*) FROM pointer WHERE owner = 'CA' AND state IN (0, 1)`); n != 0 {
		t.Errorf("%d pointers are left after housekeeping", n)
	}
	if m := r.maintained(r.ask("CA", departure())); m.Withdrawn != 0 {
		t.Errorf("a second departure withdrew %d", m.Withdrawn)
	}
	if m := r.maintained(u); m.Withdrawn != 0 { // the hub knows the newest departure
		t.Errorf("the first says %d", m.Withdrawn)
	}
	for name, p := range map[string]permit{"open": open, "early": early, "a check's": searched} {
		_, err := r.tryPublish(p, record)
		refused(t, name+", when it is over", err, waypost.Expired, "from before CA had left")
	}
	r.Advance(2 * time.Second)
	_, err = r.tryPublish(r.permit("CA", waypost.KindPublish, 10), person(5, token(5)))
	refused(t, "an old handle", err, waypost.AlreadyExists, "draw a new one")
	r.publish("CA", person(1000, token(5)))
	r.finds("back", "AZ", 1, token(5))
	r.Advance(25 * time.Hour)
	must(t, hub.Clean(t.Context(), r.deps()))
	if n := r.count(`SELECT count(*) FROM departure`); n != 0 {
		t.Errorf("%d departures are remembered", n)
	}
	r.countersAgree()
}

// cutShort publishes and fails before the last step.
func (r *rig) cutShort(p permit, records ...*waypostv1.PublishedRecord) (*waypostv1.PublishResponse, error) {
	r.t.Helper()
	var commits atomic.Int64
	fail := store.Fault(func(at string) error {
		if at == "commit" && commits.Add(1) == 3 {
			return errors.New("power cut")
		}
		return nil
	})
	r.fault.Store(&fail)
	defer r.fault.Store(nil)
	return r.tryPublish(p, records...)
}
