package gateway_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/records"
)

// troubles is what the gateways of the exchange meet while a test wants it.
type troubles struct {
	mu      sync.Mutex
	conduct map[string]conduct            // of key holders, towards Arizona
	asked   int                           // key holders, by Arizona
	down    map[waypost.Jurisdiction]bool // the state's own licensing system
	noKeys  map[waypost.Jurisdiction]bool // for whom the directory has no keys
}

// conduct is how a key holder behaves in place of its honest self.
type conduct func(ctx context.Context, honest func() (*waypostv1.EvaluateResponse, error)) (*waypostv1.EvaluateResponse, error)

// make changes the troubles until the end of the test.
func (tr *troubles) make(t *testing.T, change func(*troubles)) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	change(tr)
	t.Cleanup(tr.end)
}

func (tr *troubles) end() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.conduct, tr.asked, tr.down, tr.noKeys = nil, 0, nil, nil
}

func (tr *troubles) of(look func(*troubles) bool) bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return look(tr)
}

// with has the named key holders behave in a way of their own towards Arizona.
func with(t *testing.T, how conduct, names ...string) {
	trouble.make(t, func(tr *troubles) {
		tr.conduct, tr.asked = make(map[string]conduct), 0
		for _, name := range names {
			tr.conduct[name] = how
		}
	})
}

type holders struct {
	state waypost.Jurisdiction
	gateway.Holders
}

func (h holders) Evaluate(ctx context.Context, holder string, req *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
	honest := func() (*waypostv1.EvaluateResponse, error) { return h.Holders.Evaluate(ctx, holder, req) }
	if h.state != "AZ" {
		return honest()
	}
	trouble.mu.Lock()
	trouble.asked++
	rogue := trouble.conduct[holder]
	trouble.mu.Unlock()
	if rogue != nil {
		return rogue(ctx, honest)
	}
	return honest()
}

// people are the records of a state, which may be down; each look is counted.
type people struct {
	state waypost.Jurisdiction
	records.System
}

// looks are how often each record was read.
var looks sync.Map // id -> *atomic.Int64

func looksAt(id string) int64 {
	n, ok := looks.Load(id)
	if !ok {
		return 0
	}
	return n.(*atomic.Int64).Load()
}

func (p people) Record(ctx context.Context, id string) (waypost.Record, error) {
	if trouble.of(func(tr *troubles) bool { return tr.down[p.state] }) {
		return waypost.Record{}, errors.New("the licensing system is down")
	}
	n, _ := looks.LoadOrStore(id, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
	return p.System.Record(ctx, id)
}

type mailbox struct {
	state waypost.Jurisdiction
	gateway.Mailbox
}

func (m mailbox) GetKey(ctx context.Context, req *waypostv1.GetKeyRequest) (*waypostv1.GetKeyResponse, error) {
	if trouble.of(func(tr *troubles) bool { return tr.noKeys[m.state] }) {
		return nil, waypost.Errorf(waypost.NotFound, "%q has announced no encryption key yet", req.Member)
	}
	return m.Mailbox.GetKey(ctx, req)
}
