package hub_test

import (
	"context"
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/store"
)

// servers are the servers of labels as a test has them: one is lost, and back
// whenever it is asked for again.
type servers struct {
	db    *store.DB
	asked int    // for whether all answer
	found func() // called after each lookup
}

func (s *servers) Whole() bool           { s.asked++; return s.asked%2 == 0 }
func (s *servers) Watch(context.Context) {}

func (s *servers) Find(ctx context.Context, label []byte) (pointer int64, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT pointer FROM label WHERE label = $1`, label).Scan(&pointer)
	})
	if s.found != nil {
		s.found()
	}
	return pointer, err
}

// A server of labels that comes back while a search is made: all is looked up, and
// no list says so that was made without looking.
func TestBackWhileSearching(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)))
	list, unreached, err := hub.LookUp(t.Context(), r.deps(), &servers{db: r.db}, "AZ", token(1))
	if err != nil || unreached != 0 || len(list) != 1 {
		t.Errorf("%d found, %d tokens not looked up, %v: one person is there", len(list), unreached, err)
	}
	gone := r.deps()
	gone.DB, err = store.Open(t.Context(), "sqlite:"+t.TempDir()+"/hub.db", "hub")
	must(t, err)
	must(t, gone.DB.Close())
	if list, unreached, err := hub.LookUp(t.Context(), gone, &servers{db: gone.DB}, "AZ", token(1)); err == nil {
		t.Errorf("%d found, %d tokens not looked up, and nothing was looked at", len(list), unreached)
	}
}

// A record that is superseded while a search is made with a server lost: it is found,
// as it was or as it is, where all tokens were looked up.
func TestSupersededWhileSearching(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)))
	lookups := 0
	s := &servers{db: r.db, found: func() {
		if lookups++; lookups == 2 { // both labels of the token have been asked for
			_, err := r.tryPublish(r.changing(1), inPlaceOf(1, person(11, token(1))))
			must(t, err)
		}
	}}
	list, unreached, err := hub.LookUp(t.Context(), r.deps(), s, "AZ", token(1))
	must(t, err)
	if lookups < 2 || unreached != 0 || len(list) != 1 || list[0] != waypost.Handle(handle(11)) {
		t.Errorf("%d lookups; %d found, %d tokens not looked up: the record has been there all the time", lookups, len(list), unreached)
	}
}
