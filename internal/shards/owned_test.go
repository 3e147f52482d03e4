package shards

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// testUnasked: a server that was down when the hub began is written to, and looked into,
// only once it has said that its labels are the hub's. Where it says that they are not,
// the process is told to end, and has written nothing.
func testUnasked(t *testing.T, r *rig) {
	ctx := t.Context()
	defer func(usual time.Duration) { lookTime = usual }(lookTime)
	lookTime = time.Minute
	must(t, r.do(func(x *Table) error { return x.Init(ctx, r.servers, 4) }))
	copied := *r
	copied.url = r.standIn(t)
	db := r.open()
	defer db.Close()
	on := labelsOn(t, db, "a", "b")

	all, err := Own(ctx, r.url)
	must(t, err)
	if !all.Whole() || mayWrite(db, all, on["a"], on["b"]) != nil {
		t.Errorf("all servers answer: %v", all.troubles())
	}
	r.clusters[2].Kill()
	some, err := Own(ctx, r.url)
	must(t, err)
	if some.Whole() || len(some.troubles()) != 1 || !some.waits("b") {
		t.Errorf("b is down: %v", some.troubles())
	}
	must(t, mayWrite(db, some, on["a"]))
	if err := mayWrite(db, some, on["a"], on["b"]); waypost.CodeOf(err) != waypost.Unavailable || !errors.Is(err, errUnasked) {
		t.Errorf("a label is written to a server that was not asked: %v", err)
	}
	if _, err := Own(ctx, copied.url); err == nil || !strings.Contains(err.Error(), "another hub's") {
		t.Errorf("a copy begins: %v", err) // a says so
	}
	r.clusters[1].Kill()
	late, err := Own(ctx, copied.url)
	must(t, err)
	r.clusters[1].Begin()
	r.clusters[2].Begin()
	for _, label := range on {
		eventually(t, func() bool {
			_, err := (&Reach{DB: db, Log: slog.New(slog.DiscardHandler)}).Find(ctx, label)
			return !Unreachable(err)
		})
	}

	// It answers by now, and was not asked.
	reach := &Reach{DB: db, Log: slog.New(slog.DiscardHandler), Owned: some}
	if _, err := reach.Find(ctx, on["b"]); reach.Whole() || !Unreachable(err) {
		t.Errorf("a server that was not asked is looked into: %v", err)
	}
	if _, err := reach.Find(ctx, on["a"]); err != nil && !errors.Is(err, store.ErrNoRows) {
		t.Error(err)
	}
	watched, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	must(t, some.Watch(watched, slog.New(slog.DiscardHandler)))
	_, err = reach.Find(ctx, on["b"])
	if !reach.Whole() || err != nil && !errors.Is(err, store.ErrNoRows) || mayWrite(db, some, on["b"]) != nil {
		t.Errorf("after it was asked: %v", errors.Join(append(some.troubles(), err)...))
	}

	for _, label := range on {
		if err := mayWrite(db, late, label); waypost.CodeOf(err) != waypost.Unavailable {
			t.Errorf("a copy writes: %v", err)
		}
	}
	if err := late.Watch(watched, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "another hub's") || watched.Err() != nil {
		t.Errorf("a copy goes on: %v", err)
	}
	if late.Whole() {
		t.Error("a copy may write in the end")
	}
	var none *Owned
	if !none.Whole() || none.Watch(ctx, nil) != nil || none.MayWrite(nil, on["b"]) != nil {
		t.Error("a hub without servers of labels waits for one")
	}
}

// standIn is a copy of the hub's database that takes itself for the hub's, as one does that
// was made with its files.
func (r *rig) standIn(t *testing.T) string {
	t.Helper()
	copied := *r
	copied.url = r.copyOf(t, "before")
	must(t, copied.do(func(x *Table) error {
		var me string
		must(t, x.hub.QueryRow(t.Context(), whose).Scan(&me))
		return run(t.Context(), x.hub, `UPDATE `+x.schema+`.owner SET hub = '`+me+`'`)
	}))
	return copied.url
}

// labelsOn finds a label that lies on each of the servers, or would.
func labelsOn(t *testing.T, db *store.DB, servers ...string) map[string][]byte {
	t.Helper()
	on := make(map[string][]byte)
	for n := 1000; len(on) < len(servers); n++ {
		must(t, db.Read(t.Context(), func(tx *store.Tx) error {
			server, err := serverOf(tx, labelOf(n))
			on[server] = labelOf(n)
			return err
		}))
	}
	return on
}

func mayWrite(db *store.DB, o *Owned, labels ...[]byte) error {
	return db.Write(context.Background(), func(tx *store.Tx) error { return o.MayWrite(tx, labels...) })
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for begun := time.Now(); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Since(begun) > 2*time.Minute {
			t.Fatal("this did not happen in two minutes")
		}
	}
}
