package gateway

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// TestCanaryIsLikeARealCheck: who looks for a canary takes operator, class and purpose
// from a real check of the last minutes, whichever process of the gateway made it, and
// never from a look for another canary or from a campaign, however busy that is.
func TestCanaryIsLikeARealCheck(t *testing.T) {
	db, err := store.Open(t.Context(), "sqlite:"+t.TempDir()+"/gateway.db", "gateway")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	s := &Server{Deps: Deps{DB: db, Now: func() time.Time { return now }}}
	add := func(operator, reason string, class waypost.OperatorClass, purpose waypost.Purpose, at time.Time) {
		t.Helper()
		asked := waypost.Ticket{Kind: waypost.KindCheck, RosterVersion: 1, Epoch: 1, Environment: "test", SOI: "CA", Class: class, Purpose: purpose,
			IssuedAt: at, Elements: 16}
		for _, random := range [][]byte{asked.Nonce[:], asked.Tau[:], asked.Operator[:], asked.Case[:], asked.Probes[:]} {
			_, _ = rand.Read(random)
		}
		ticket, err := asked.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO inquiry (ticket, signed, receipts, hub_receipts, elements, tags, seed, applicant, digits,
				case_reference, case_salt, operator, state, too_many, own, coverage, tries, due, created)
				VALUES ($1, $2, $3, $3, $3, $3, $3, $3, '', $4, $3, $5, 2, 0, $3, $3, 0, NULL, $6)`,
				ticket.ID[:], ticket.Bytes(), []byte{}, reason, operator, at.Unix())
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	none := func(when string) {
		t.Helper()
		if why, ok, err := s.like(t.Context()); ok || err != nil {
			t.Errorf("%s it is like %+v (%v)", when, why, err)
		}
	}
	none("without checks")
	add("old", "A-1", waypost.Attended, waypost.IssueLicence, now.Add(-2*canaryBusy))
	add("canary", canaryCase, waypost.Attended, waypost.IssueLicence, now)
	add("campaign", "A-2", waypost.Unattended, waypost.DuplicateResolution, now)
	none("without a real check of the last minutes")
	add("clerk", "A-3", waypost.Attended, waypost.IssueLicence, now.Add(-time.Minute))
	for range 2 * canaryLike {
		add("campaign", "A-2", waypost.Unattended, waypost.DuplicateResolution, now)
	}
	for range 20 {
		why, ok, err := s.like(t.Context())
		if err != nil || !ok || why.Operator != "clerk" || why.Class != waypost.Attended || why.Purpose != waypost.IssueLicence || why.Case != canaryCase {
			t.Fatalf("it is like %+v (%v, %v)", why, ok, err)
		}
	}
}

// TestPurgeInSteps: what is too old goes in small transactions, however much it is, and
// what is not stays.
func TestPurgeInSteps(t *testing.T) {
	db, err := store.Open(t.Context(), "sqlite:"+t.TempDir()+"/gateway.db", "gateway")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now := time.Unix(1_800_000_000, 0)
	s := &Server{Deps: Deps{DB: db, Now: func() time.Time { return now }}}
	const old = 2*purgeAtOnce + 1
	if err := db.Write(t.Context(), func(tx *store.Tx) error {
		for i := range old + 3 {
			at := now.Add(-2 * noticeLife)
			if i >= old {
				at = now
			}
			id := []byte{byte(i >> 8), byte(i)}
			_, first := tx.Exec(`INSERT INTO inbox (id, at) VALUES ($1, $2)`, id, at.Unix())
			_, second := tx.Exec(`INSERT INTO outbox (id, sealed, at) VALUES ($1, $1, $2)`, id, at.Unix())
			_, third := tx.Exec(`INSERT INTO notice (ticket, reference, handle, asking, state, agreed, signed, question, told, applicant, tau, statement, at)
				VALUES ($1, $1, $1, 'AZ', 0, 0, $1, $1, '', $1, $1, $1, $2)`, id, at.Unix())
			if err := errors.Join(first, second, third); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	before := db.Stats().Groups
	if err := s.purge(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if groups := db.Stats().Groups - before; groups != 3*(old/purgeAtOnce+1) {
		t.Errorf("it was done in %d transactions", groups)
	}
	for _, count := range []string{"SELECT count(*) FROM inbox", "SELECT count(*) FROM outbox", "SELECT count(*) FROM notice"} {
		var n int
		if err := db.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(count).Scan(&n) }); err != nil || n != 3 {
			t.Errorf("%s: %d are left (%v)", count, n, err)
		}
	}
}
