package hub

import (
	"context"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/pgtest"
)

// TestSharedBoxes: who waits for mail at one process of the hub is woken by what
// another has committed, within 200 ms where the machine is idle.
func TestSharedBoxes(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t, 1)[0].URL()
	var servers [2]*Server
	for i := range servers {
		db, err := store.Open(t.Context(), url, "hub", store.AsProcess(i+1))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		servers[i] = &Server{Deps: Deps{DB: db}, boxes: newBoxes(), boxLimit: boxLimit}
	}
	here, there := servers[0], servers[1]
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		here.watchBoxes(ctx)
	}()
	for n := range 5 {
		if list, err := here.waiting(ctx, "CA", maxReceive); err != nil || len(list) != n {
			t.Fatalf("%d messages wait, not %d: %v", len(list), n, err)
		}
		rung := here.boxes.listen("CA")
		m := mail{recipient: "CA", id: [16]byte{byte(n + 1)}, sealed: []byte{1}, expires: time.Now().Add(time.Hour)}
		if err := there.DB.Write(ctx, func(tx *store.Tx) error { return putMail(tx, &m, boxLimit) }); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		select {
		case <-rung:
		case <-time.After(time.Minute):
			t.Fatal("nobody is woken")
		}
		if took := time.Since(began); took > 200*time.Millisecond {
			t.Logf("woken after %v", took)
		}
		if list, err := here.waiting(ctx, "CA", maxReceive); err != nil || len(list) != n+1 || list[n].Sequence != uint64(n+1) {
			t.Fatalf("after that %d messages wait: %v", len(list), err)
		}
	}
	stop()
	<-watching
}
