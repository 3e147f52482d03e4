package shards

import (
	"log/slog"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
)

// testReach: a server that is lost comes back when it answers itself, not when the one
// that has the label by now does; and one without partitions is not waited for.
func testReach(t *testing.T, r *rig) {
	ctx := t.Context()
	db := r.open()
	defer db.Close()
	must(t, r.do(func(x *Table) error { return x.Init(ctx, r.servers, 4) }))
	onA := make([]byte, 0)
	for n := 0; len(onA) == 0; n++ {
		must(t, db.Read(ctx, func(tx *store.Tx) error {
			server, err := serverOf(tx, labelOf(n))
			if server == "a" {
				onA = labelOf(n)
			}
			return err
		}))
	}
	reach := &Reach{DB: db, Log: slog.New(slog.DiscardHandler)}
	r.clusters[2].Kill()
	reach.lose("b", onA) // which lay there before its partition was moved
	for range 3 {
		reach.Probe(ctx)
		if !reach.isLost("b") {
			t.Fatal("b is back because a answers")
		}
	}
	r.clusters[2].Begin()
	for begun := time.Now(); reach.isLost("b"); time.Sleep(50 * time.Millisecond) {
		if reach.Probe(ctx); time.Since(begun) > 2*time.Minute {
			t.Fatalf("b answers, and is lost: %v", reach.probe(ctx, reach.lostNow()[0]))
		}
	}
	reach.lose("c", onA)
	if reach.Probe(ctx); !reach.Whole() {
		t.Error("a server without a partition is waited for")
	}
}
