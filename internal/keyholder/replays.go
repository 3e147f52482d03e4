package keyholder

import (
	"sync"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// replays remembers the latest answers, so that a flood of replays costs a
// lookup each and not a thousand multiplications. It is a cache: what it does
// not have is computed again to the same bytes.
type replays struct {
	mu      sync.Mutex
	answers map[waypost.TicketID]*waypostv1.EvaluateResponse
	ring    []waypost.TicketID
	next    int
}

const replaysKept = 1024

func newReplays() *replays {
	return &replays{answers: make(map[waypost.TicketID]*waypostv1.EvaluateResponse, replaysKept), ring: make([]waypost.TicketID, replaysKept)}
}

func (r *replays) get(id waypost.TicketID) (*waypostv1.EvaluateResponse, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	answer, ok := r.answers[id]
	return answer, ok
}

func (r *replays) put(id waypost.TicketID, answer *waypostv1.EvaluateResponse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.answers[id]; known {
		return
	}
	delete(r.answers, r.ring[r.next])
	r.answers[id], r.ring[r.next] = answer, id
	r.next = (r.next + 1) % len(r.ring)
}
