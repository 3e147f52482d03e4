package fairness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/drill"
)

// asked is what became of a check at a real counter.
type asked struct {
	pair
	outcome waypost.Outcome // of the state that has the record
	late    bool            // the clerk was told to wait for an answer
	open    bool            // and it never came: it is for a person to give
	err     error
}

// clerks is how many checks are made at a time.
const clerks = 3

// atCounters makes the checks of pairs of a real exchange, with every role and every
// message, and says how each came out.
func atCounters(ctx context.Context, s *drill.Stage) (all []asked, err error) {
	x, err := s.Open(ctx, "exchange", s.Size.Pick(150, 500, 3000), cluster.Config{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	pairs, err := pairsOf(ctx, x.People, s.Size.Pick(10, 40, 400), rand.New(rand.NewPCG(s.Seed, 21)))
	if err != nil {
		return nil, err
	}
	// Somebody who is written in another way has no record that is written so.
	pairs = slices.DeleteFunc(pairs, func(p pair) bool { return p.in[transliterated] })
	for _, state := range drill.States {
		if _, err := x.Counter(state); err != nil {
			return nil, err
		}
	}
	all = make([]asked, len(pairs))
	work := make(chan int)
	var group sync.WaitGroup
	for range clerks {
		group.Go(func() {
			for i := range work {
				all[i] = ask(ctx, x, pairs[i], i)
			}
		})
	}
	for i := range pairs {
		s.Progress("checks at real counters", i+1, len(pairs))
		work <- i
	}
	close(work)
	group.Wait()
	for _, a := range all {
		err = errors.Join(err, a.err)
	}
	return all, err
}

func ask(ctx context.Context, x *drill.Exchange, p pair, i int) asked {
	answer, err := x.Check(ctx, p.asks, p.applicant, waypost.IssueLicence, fmt.Sprintf("FAIR-%d", i))
	a := asked{pair: p, outcome: waypost.NoMatch, late: !answer.Complete, err: err}
	if err == nil {
		answer, a.err = x.Last(ctx, p.asks, answer)
		a.open = !answer.Complete
	}
	for _, c := range answer.Candidates {
		switch {
		case c.State != p.holds:
		case c.Outcome == waypost.Match, c.Outcome == waypost.Possible && a.outcome == waypost.NoMatch:
			a.outcome = c.Outcome
		}
	}
	return a
}
