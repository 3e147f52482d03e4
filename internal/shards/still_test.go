package shards

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// testStill: a command that stands still while it has the writers' lock, as one that
// was stopped or whose machine sleeps, is done without; it switches nothing.
func testStill(t *testing.T, r *rig) {
	db := r.open()
	defer db.Close()
	must(t, put(t.Context(), db, 0, 10))
	x := r.table()
	defer x.Close()
	held, wakes, ended := make(chan bool), make(chan bool), make(chan error, 1)
	go func() {
		ended <- x.locked(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
			close(held)
			<-wakes
			_, err := tx.Exec(context.WithoutCancel(ctx), `DELETE FROM label`)
			return err
		})
	}()
	<-held
	began := time.Now()
	must(t, put(t.Context(), db, 10, 20))
	if waited := time.Since(began); waited > 2*stillFor {
		t.Errorf("the hub's writers stood still for %v", waited)
	}
	close(wakes)
	if err := <-ended; err == nil {
		t.Error("what was done after the lock was lost counts")
	}
	r.whole(db, 20)
}

// testBusy: a reader that holds a partition up does not hold searches up behind the
// switch, which is tried again until the reader is done.
func testBusy(t *testing.T, r *rig) {
	ctx := t.Context()
	must(t, r.do(func(x *Table) error { return x.Init(ctx, r.servers[:1], 2) }))
	db := r.open()
	defer db.Close()
	must(t, put(ctx, db, 0, 40))
	reader, err := pgx.Connect(ctx, r.url)
	must(t, err)
	defer reader.Close(ctx)
	_, err = reader.Exec(ctx, `BEGIN; LOCK TABLE label IN ACCESS SHARE MODE`)
	must(t, err)
	moved := make(chan error, 1)
	go func() {
		moved <- r.do(func(x *Table) error { return x.Add(ctx, r.servers[1:]) })
		moved <- r.do(func(x *Table) error { return x.Move(ctx, "b", []int{0}) })
	}()
	must(t, <-moved)
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		began := time.Now()
		// A busy machine takes seconds; who waits for the reader waits for ever.
		if lacking, err := missing(ctx, db, 40); err != nil || lacking != 0 || time.Since(began) > 20*time.Second {
			t.Errorf("a search takes %v behind a switch that waits; %d labels are missing; %v", time.Since(began), lacking, err)
		}
	}
	_, err = reader.Exec(ctx, `COMMIT`)
	must(t, err)
	must(t, <-moved)
	r.whole(db, 40)
}
