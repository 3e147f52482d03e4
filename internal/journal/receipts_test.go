package journal

import (
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

func signedTicket(t testing.TB, nonce byte) waypost.SignedTicket {
	t.Helper()
	ticket, err := waypost.Ticket{
		Kind: waypost.KindCheck, RosterVersion: 1, Epoch: 1, Environment: waypost.Test, SOI: "CA", Class: waypost.Attended,
		Purpose: waypost.IssueRealID, IssuedAt: now, Elements: waypost.CheckElements, Nonce: [16]byte{nonce}, Tau: [32]byte{nonce, 1}, Operator: [32]byte{1},
	}.Sign(ed25519.NewKeyFromSeed(make([]byte, 32)))
	must(t, err)
	return ticket
}

func signedReceipt(t testing.TB, ticket waypost.SignedTicket, sequence uint64, deadline time.Time) []byte {
	t.Helper()
	r, err := waypost.Receipt{
		Action: waypost.ActionEvaluate, Signer: "keyholder-1", Ticket: ticket.ID, Epoch: 1, Origin: "waypost.test/keyholder-1/1",
		Sequence: sequence, Deadline: deadline,
	}.Sign(ed25519.NewKeyFromSeed(make([]byte, 32)))
	must(t, err)
	return r.Bytes()
}

func TestReceipts(t *testing.T) {
	const base = 1 << receiptBits // of the receipts that process 1 keeps
	dir := t.TempDir()
	db := openDB(t, dir)
	j := openJournal(t, db)
	keep := func(ticket waypost.SignedTicket, undo error, receipts ...[]byte) error {
		return db.Write(ctx, func(tx *store.Tx) error {
			if err := j.KeepReceipts(tx, ticket, receipts); err != nil {
				return err
			}
			return undo
		})
	}
	due := func(at time.Time, after int64, limit int) []DueReceipts {
		t.Helper()
		page, err := j.DueReceipts(ctx, at, after, limit)
		must(t, err)
		return page
	}
	a, b := signedTicket(t, 1), signedTicket(t, 2)
	first, second, third := signedReceipt(t, a, 7, now.Add(time.Minute)), signedReceipt(t, a, 8, now.Add(2*time.Minute)), signedReceipt(t, b, 9, now.Add(time.Minute))
	must(t, keep(a, nil, first, second))
	if err := keep(a, errUndo, second); err != errUndo {
		t.Fatal(err)
	}
	must(t, keep(b, nil, third))
	must(t, keep(b, nil))
	if err := keep(b, nil, third[:10]); err == nil {
		t.Error("what is no receipt was kept")
	}
	if err := keep(b, nil, make([][]byte, maxReceipts+1)...); err == nil {
		t.Error("too many receipts were kept")
	}
	if got := due(now.Add(59*time.Second), 0, 10); len(got) != 0 {
		t.Errorf("due before the deadline: %v", got)
	}
	wantA := DueReceipts{ID: base + 1, Deadline: now.Add(2 * time.Minute), Ticket: a.Bytes(), Receipts: [][]byte{first, second}}
	wantB := DueReceipts{ID: base + 3, Deadline: now.Add(time.Minute), Ticket: b.Bytes(), Receipts: [][]byte{third}}
	for _, c := range []struct {
		at    time.Duration
		after int64
		limit int
		want  []DueReceipts
	}{
		{time.Minute, 0, 10, []DueReceipts{wantB}},
		{2 * time.Minute, 0, 10, []DueReceipts{wantA, wantB}},
		{2 * time.Minute, 0, 1, []DueReceipts{wantA}},
		{2 * time.Minute, base + 1, 10, []DueReceipts{wantB}},
		{2 * time.Minute, base + 3, 10, nil},
	} {
		if d := cmp.Diff(c.want, due(now.Add(c.at), c.after, c.limit)); d != "" {
			t.Errorf("%+v: %s", c, d)
		}
	}
	must(t, j.ForgetReceipts(ctx, []int64{base + 1}))
	must(t, j.ForgetReceipts(ctx, []int64{base + 1, 99}))
	must(t, db.Close())
	db = openDB(t, dir)
	j = openJournal(t, db)
	must(t, j.ForgetReceipts(ctx, nil))
	must(t, keep(a, nil, first))
	wantA.ID, wantA.Deadline, wantA.Receipts = base+4, now.Add(time.Minute), [][]byte{first}
	if d := cmp.Diff([]DueReceipts{wantB, wantA}, due(now.Add(time.Hour), 0, 10)); d != "" {
		t.Error(d)
	}
}

func BenchmarkKeepReceipts(b *testing.B) {
	db := openDB(b, b.TempDir())
	j := openJournal(b, db)
	ticket := signedTicket(b, 1)
	var receipts [][]byte
	for i := range 3 {
		receipts = append(receipts, signedReceipt(b, ticket, uint64(i), now))
	}
	b.ReportAllocs()
	must(b, db.Write(ctx, func(tx *store.Tx) error {
		for range b.N {
			if err := j.KeepReceipts(tx, ticket, receipts); err != nil {
				return err
			}
		}
		return nil
	}))
}
