package rpc_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/rpc"
)

// calls is what an observer was told.
type calls struct {
	mu  sync.Mutex
	all []rpc.Call
}

func (c *calls) observe(call rpc.Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, call)
}

// await returns the next call of which the observer is told: the caller may
// have its answer before.
func (c *calls) await(t *testing.T) rpc.Call {
	t.Helper()
	for range 12_000 { // a minute
		c.mu.Lock()
		if len(c.all) > 0 {
			call := c.all[0]
			c.all = slices.Delete(c.all, 0, 1)
			c.mu.Unlock()
			return call
		}
		c.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the observer was told of no call")
	return rpc.Call{}
}

// When to try again crosses the wire in whole seconds, beside the words.
func TestRetryAfterCrosses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	at := time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct{ sent, want time.Time }{
		"a time":             {at, at},
		"a broken second":    {at.Add(time.Millisecond), at.Add(time.Second)},
		"another time zone":  {at.In(time.FixedZone("", -7*3600)), at},
		"no time":            {},
		"before all time":    {time.Unix(-1, 0), time.Time{}},
		"after all calendar": {time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}},
	} {
		refusal := waypost.Errorf(waypost.QuotaExceeded, "later")
		if !c.sent.IsZero() {
			refusal = refusal.WithRetryAfter(c.sent)
		}
		r.holder.fails(refusal.WithCause(errors.New("a cause does not lose it")))
		err := r.call(t.Context())
		if got := waypost.RetryAfterOf(err); waypost.CodeOf(err) != waypost.QuotaExceeded || got != c.want {
			t.Errorf("%s: %v, %v", name, err, got)
		}
	}
	if got := waypost.RetryAfterOf(errors.New("no")); !got.IsZero() {
		t.Errorf("any other error: %v", got)
	}
}

// The observer is told who called what, how it ended and how long it took.
func TestObserver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	entered := make(chan struct{}, 1)
	for _, c := range []struct {
		name string
		does func(context.Context, *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error)
		want waypost.Code
	}{
		{"success", func(context.Context, *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
			time.Sleep(10 * time.Millisecond)
			return &waypostv1.EvaluateResponse{}, nil
		}, ""},
		{"refusal", func(context.Context, *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
			return nil, waypost.Errorf(waypost.QuotaExceeded, "later")
		}, waypost.QuotaExceeded},
		{"fault", func(context.Context, *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
			return nil, errors.New("disk 7 is full")
		}, waypost.Internal},
		{"panic", func(context.Context, *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) { panic("x") }, waypost.Internal},
		{"left", func(ctx context.Context, _ *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
			entered <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}, rpc.Cancelled},
	} {
		r.holder.set(c.does)
		ctx, cancel := context.WithCancel(t.Context())
		if c.want == rpc.Cancelled {
			go func() { <-entered; cancel() }()
		}
		err := r.call(ctx)
		cancel()
		if (err == nil) != (c.want == "") {
			t.Errorf("%s: %v", c.name, err)
		}
		got := r.await(t)
		if got.Procedure != "/waypost.v1.KeyHolder/Evaluate" || got.Member != "CA" || got.Code != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
		if c.want == "" && (got.Took < 10*time.Millisecond || got.Took > time.Minute) {
			t.Errorf("%s took %v", c.name, got.Took)
		}
	}
	r.Remove("CA")
	_ = r.call(t.Context()) // refused by TLS or, on the open connection, by the roster
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, refused := range r.all {
		if refused.Member != "" || refused.Code != waypost.Unauthenticated {
			t.Errorf("of one who is let in no more: %+v", refused)
		}
	}
}
