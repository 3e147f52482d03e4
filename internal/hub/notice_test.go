package hub_test

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// forget takes a state's key out of the directory, as if it had never
// announced one.
func (r *rig) forget(s waypost.Jurisdiction) {
	r.t.Helper()
	must(r.t, r.db.Write(context.Background(), func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM encryption_key WHERE member = $1`, s)
		return err
	}))
	r.restart() // and out of its cache
}

// rotate makes a new key of the state, without announcing it.
func (r *rig) rotate(s waypost.Jurisdiction) {
	r.t.Helper()
	_, err := r.ring[s].Rotate(r.Party(string(s)).Identity, r.Now())
	must(r.t, err)
}

func (r *rig) owed() int { return r.count("SELECT count(*) FROM owed") }

// An owner that has announced no key stops nobody's check. Its notices wait,
// and are in its box before anybody can get its key.
func TestOwedNotices(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var records []*waypostv1.PublishedRecord
	for i := range 20 {
		records = append(records, person(i, token(0)))
	}
	r.publish("CA", records...)
	r.publish("NV", person(50, token(1)))
	r.forget("CA")

	references := make(map[waypost.Reference]bool)
	for range 4 { // 80 notices, more than one step
		p := r.check("AZ")
		list := r.first(p, token(0), token(1))
		if len(list.List) != 20 || !list.TooMany {
			t.Fatalf("%d candidates", len(list.List))
		}
		for _, c := range list.List {
			if c.Owner == "CA" {
				references[c.Reference] = true
			}
		}
	}
	if r.owed() != len(references) || len(references) < 76 || r.kinds()["deliver"] != 80 {
		t.Errorf("%d notices are owed for %d candidates, %d deliveries", r.owed(), len(references), r.kinds()["deliver"])
	}
	_, err := r.client["AZ"].GetKey(t.Context(), &waypostv1.GetKeyRequest{Member: "CA"})
	refused(t, "the key", err, waypost.NotFound, "CA has announced no encryption key yet")
	r.restart() // what is owed is owed by the next process too

	watch := store.Fault(func(point string) error {
		if key := r.count("SELECT count(*) FROM encryption_key WHERE member = 'CA'"); point == "committed" && key > 0 && r.owed() > 0 {
			t.Error("the key can be had before the notices are in the box")
		}
		return nil
	})
	r.fault.Store(&watch)
	r.announce("CA")
	r.fault.Store(nil)
	if r.owed() != 0 {
		t.Errorf("%d notices are owed though the key is there", r.owed())
	}
	got := make(map[waypost.Reference]bool)
	for _, n := range r.notices("CA") {
		if got[waypost.Reference(n.Reference)] || n.StateOfInquiry != "AZ" || n.Generation != 0 || len(n.Handle) != 16 {
			t.Errorf("notice %v", n)
		}
		got[waypost.Reference(n.Reference)] = true
	}
	for reference := range references {
		if !got[reference] {
			t.Error("a candidate was returned and its owner never told")
		}
	}
	if len(got) != len(references) {
		t.Errorf("%d notices for %d candidates", len(got), len(references))
	}
	r.first(r.check("AZ"), token(0))
	if r.owed() != 0 || len(r.notices("CA")) != 20 {
		t.Error("with the key there, notices are not sealed at once")
	}
}

// A key that comes while a search is being committed: the notice is in the box
// when the asker hears of the candidate.
func TestKeyComesDuringSearch(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)))
	r.forget("CA")
	p := r.check("AZ")
	tokens := padded(waypost.NameElements, token(1))

	// Hold the writer, and let first the key and then the search wait for it.
	release, held := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		if err := r.db.Write(context.Background(), func(*store.Tx) error { close(held); <-release; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-held
	queued := func(n int) {
		for begin := time.Now(); r.db.Stats().Queued < n; time.Sleep(time.Millisecond) {
			if time.Since(begin) > time.Minute {
				close(release)
				t.Fatalf("%d writes wait, want %d", r.db.Stats().Queued, n)
			}
		}
	}
	all.Go(func() {
		if _, err := r.client["CA"].PutKey(context.Background(), &waypostv1.PutKeyRequest{Key: r.ring["CA"].Current().Encode()}); err != nil {
			t.Error(err)
		}
	})
	queued(1)
	all.Go(func() {
		if _, err := r.search(p, 1, tokens); err != nil {
			t.Error(err)
		}
		if n := r.owed(); n != 0 {
			t.Errorf("%d notices are owed when the asker hears of the candidate", n)
		}
	})
	queued(2)
	close(release)
	all.Wait()
	if n := len(r.notices("CA")); n != 1 {
		t.Errorf("%d notices", n)
	}
}

// A key has an end. The hub that has it in its cache notices.
func TestExpiredKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)))
	r.first(r.check("AZ"), token(1))
	if n := len(r.notices("CA")); n != 1 {
		t.Fatalf("%d notices", n)
	}
	r.Advance(6 * 24 * time.Hour)
	r.Update(func(*roster.Roster) {})
	r.Advance(6 * 24 * time.Hour)
	r.Update(func(*roster.Roster) {})
	r.Advance(3 * 24 * time.Hour) // fifteen days after it was made
	if got := r.first(r.check("AZ"), token(1)); len(got.List) != 1 || r.owed() != 1 {
		t.Errorf("%d candidates, %d notices owed", len(got.List), r.owed())
	}
	r.rotate("CA")
	r.announce("CA")
	if n := len(r.notices("CA")); n != 1 || r.owed() != 0 {
		t.Errorf("%d notices, %d owed after the new key", n, r.owed())
	}
}

// A member with a new identity key must announce its encryption key again: the
// hub does not seal to one that the old identity signed.
func TestIdentityChanged(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)))
	r.first(r.check("AZ"), token(1))
	renewed, _, err := ed25519.GenerateKey(nil)
	must(t, err)
	r.Update(func(n *roster.Roster) {
		n.Announced = []roster.Announcement{{From: n.NotBefore.Add(roster.Delay), Keys: []roster.KeyChange{{Member: "CA", Identity: renewed}}}}
	})
	r.Advance(roster.Delay + time.Second)
	r.Update(func(n *roster.Roster) {
		for i := range n.Members {
			if n.Members[i].Name == "CA" {
				n.Members[i].Identity = renewed
			}
		}
	})
	r.first(r.check("AZ"), token(1))
	if r.owed() != 1 {
		t.Errorf("%d notices are owed, want the one after the change", r.owed())
	}
}

// What nobody can ever be told is forgotten with the questions about it.
func TestOwedNoticesExpire(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)))
	r.forget("CA")
	r.first(r.check("AZ"), token(1))
	r.Advance(waypost.MessageLife - 24*time.Hour)
	r.Update(func(*roster.Roster) {})
	must(t, hub.Clean(t.Context(), r.deps()))
	if r.owed() != 1 {
		t.Errorf("%d notices are owed after six days", r.owed())
	}
	r.Advance(25 * time.Hour)
	must(t, hub.Clean(t.Context(), r.deps()))
	if r.owed() != 0 {
		t.Errorf("%d notices are owed after a week", r.owed())
	}
}

// A process that ended between a key's coming and the delivery of what was owed
// is made up for by the next.
func TestOwedNoticesAfterCrash(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(7, token(1)))
	body, err := proto.Marshal(&waypostv1.Notice{Reference: padded(1)[:16], Handle: handle(7), StateOfInquiry: "AZ", Tau: padded(1)})
	must(t, err)
	must(t, r.db.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO owed (owner, number, type, ticket, body, expires) VALUES ('CA', 1, 'notice', $1, $2, $3)`,
			[32]byte{1}, body, r.Now().Add(time.Hour).Unix())
		return err
	}))
	r.restart()
	notices := r.notices("CA")
	if len(notices) != 1 || hex.EncodeToString(notices[0].Handle) != hex.EncodeToString(handle(7)) || r.owed() != 0 {
		t.Errorf("notices %v, %d owed", notices, r.owed())
	}
}

// The pointers of a state that has left are not found, and do not stand in the
// way of others'.
func TestDepartedOwner(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var records []*waypostv1.PublishedRecord
	for i := range 25 {
		records = append(records, person(i, token(0), token(1)))
	}
	r.publish("NV", records...)
	r.publish("CA", person(100, token(0)))
	r.Remove("NV")
	got := r.first(r.check("AZ"), token(0), token(1))
	if len(got.List) != 1 || got.List[0].Owner != "CA" || got.TooMany {
		t.Errorf("candidates %v, too many: %v", got.List, got.TooMany)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := func(s waypost.Jurisdiction) []byte { return r.ring[s].Current().Encode() }
	put := func(s waypost.Jurisdiction, raw []byte) error {
		_, err := r.client[s].PutKey(t.Context(), &waypostv1.PutKeyRequest{Key: raw})
		return err
	}
	altered := key("CA")
	altered[len(altered)-ed25519.SignatureSize-1] ^= 1 // of the X25519 half: any 32 bytes are a key
	forged, err := seal.NewKeyring("CA", r.Party("NV").Identity, r.Now())
	must(t, err)
	old, err := seal.NewKeyring("CA", r.Party("CA").Identity, r.Now().Add(-15*24*time.Hour))
	must(t, err)
	refused(t, "another's key", put("CA", key("NV")), waypost.InvalidArgument, "belongs to NV, not to CA")
	refused(t, "altered", put("CA", altered), waypost.PermissionDenied, "not signed by CA")
	refused(t, "signed by another", put("CA", forged.Current().Encode()), waypost.PermissionDenied, "not signed by CA")
	refused(t, "too old", put("CA", old.Current().Encode()), waypost.Expired, "not valid now")
	refused(t, "nothing", put("CA", nil), waypost.InvalidArgument, "")
	get := func(member string) ([]byte, error) {
		res, err := r.client["AZ"].GetKey(t.Context(), &waypostv1.GetKeyRequest{Member: member})
		return res.GetKey(), err
	}
	got, err := get("CA")
	must(t, err)
	sameBytes(t, "the key", got, key("CA"))
	_, err = get("Ines Okonkwo")
	refused(t, "nobody's key", err, waypost.NotFound, "no member of that name")
	r.Advance(time.Hour)
	r.rotate("CA") // not due: nothing changes
	r.Advance(6 * 24 * time.Hour)
	r.Update(func(*roster.Roster) {})
	r.Advance(2 * 24 * time.Hour)
	r.rotate("CA")
	must(t, put("CA", key("CA")))
	got, err = get("CA")
	must(t, err)
	sameBytes(t, "the new key", got, key("CA"))
	_, err = get("hub")
	refused(t, "a member without one", err, waypost.NotFound, "hub has announced no encryption key yet")
}
