package keyholder

import (
	"sync"

	"golang.org/x/sync/singleflight"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// replays remembers the latest answers and has each computed once at a time, so
// that a flood of one ticket costs a lookup each and not a thousand
// multiplications. It is a cache: what it does not have is computed again to
// the same bytes.
type replays struct {
	computing singleflight.Group

	mu      sync.Mutex
	answers map[waypost.TicketID]*waypostv1.EvaluateResponse
	ring    []waypost.TicketID // of those in answers, the oldest at next
	next    int
}

const replaysKept = 1024

func newReplays() *replays {
	return &replays{answers: make(map[waypost.TicketID]*waypostv1.EvaluateResponse, replaysKept), ring: make([]waypost.TicketID, replaysKept)}
}

// answer returns the ticket's answer, computed here and now if need be. An
// error is not remembered, but those who waited for it share it.
func (r *replays) answer(id waypost.TicketID, compute func() (*waypostv1.EvaluateResponse, error)) (*waypostv1.EvaluateResponse, error) {
	if known, ok := r.get(id); ok {
		return known, nil
	}
	answer, err, _ := r.computing.Do(string(id[:]), func() (any, error) {
		answer, err := compute()
		if err == nil {
			r.put(id, answer)
		}
		return answer, err
	})
	if err != nil {
		return nil, err
	}
	return answer.(*waypostv1.EvaluateResponse), nil
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
