package gateway

import (
	"sync"

	"github.com/waypost/waypost"
)

// recent is what was committed here a moment ago, so that the next message about
// it costs no look into the database. It may be outdated: who acts on it commits
// on the condition that the database agrees, and who finds nothing asks that.
type recent[K comparable, V any] struct {
	mu    sync.Mutex
	of    map[K]V
	order [keptRecent]K // in a ring: the oldest gives way
	next  int
}

// keptRecent is what a state meets in some seconds at the national peak.
const keptRecent = 512

func newRecent[K comparable, V any]() *recent[K, V] {
	return &recent[K, V]{of: make(map[K]V, keptRecent)}
}

func (r *recent[K, V]) put(key K, value V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.of[key]; !known {
		delete(r.of, r.order[r.next])
		r.order[r.next] = key
		r.next = (r.next + 1) % keptRecent
	}
	r.of[key] = value
}

// take returns a value once.
func (r *recent[K, V]) take(key K) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	value, ok := r.of[key]
	delete(r.of, key)
	return value, ok
}

// question is the name of one candidate's question.
type question struct {
	ticket    waypost.TicketID
	reference waypost.Reference
}
