package hub

import (
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/pgtest"
)

// TestDeletingGoesOn: the server of the database restarts while what two members are
// done with is being deleted. Nothing counts as deleted that was not, and the next
// deletion is made.
func TestDeletingGoesOn(t *testing.T) {
	url := pgtest.Start(t, 1)[0].URL()
	open := func(process int) *store.DB {
		db, err := store.Open(t.Context(), url, "hub", store.AsProcess(process))
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db, other := open(1), open(2)
	defer db.Close()
	defer other.Close()
	s := &Server{Deps: Deps{DB: db}, boxes: newBoxes()}
	members := []string{"CA", "NY"}
	for _, m := range members {
		s.boxes.acknowledge(m, 20)
	}
	// The writer is held until all have come, so that they ride together.
	held, release := make(chan struct{}), make(chan struct{})
	var holding sync.WaitGroup
	defer holding.Wait()
	holding.Go(func() {
		_ = db.Write(t.Context(), func(*store.Tx) error { // is lost with them
			close(held)
			<-release
			return nil
		})
	})
	<-held
	lost := make(chan error, 1)
	db.LaterThen(func(tx *store.Tx) error { // rides with them, and meets the restart
		var pid int64
		if err := tx.Row(`SELECT pg_backend_pid()`).Scan(&pid); err != nil {
			return err
		}
		_ = other.Read(t.Context(), func(tx *store.Tx) error {
			return tx.Row(`SELECT pg_terminate_backend(CAST($1 AS INTEGER), 5000)`, pid).Scan(new(bool))
		})
		return tx.Row(`SELECT 1`).Scan(new(int64))
	}, func(err error) { lost <- err })
	state := func(m string) (deleted uint64, going bool) {
		s.boxes.mu.Lock()
		defer s.boxes.mu.Unlock()
		return s.boxes.of[m].deleted, s.boxes.of[m].going
	}
	for _, m := range members {
		s.deleteRead(m, 1)
		if _, going := state(m); !going {
			t.Errorf("%s: no deletion was begun", m)
		}
	}
	close(release)
	if err := <-lost; err == nil {
		t.Fatal("the transaction was not lost")
	}
	for _, m := range members {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			deleted, going := state(m)
			if deleted == 20 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: deleted to %d of 20; a deletion is under way: %v", m, deleted, going)
			}
			s.deleteRead(m, 1)
		}
	}
}
