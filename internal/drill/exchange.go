package drill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/population"
	"github.com/waypost/waypost/internal/statefile"
)

// States are those of a drill's exchange.
var States = []waypost.Jurisdiction{"CA", "AZ", "NV", "NY"}

// Exchange is a running exchange whose states have loaded their people, and the
// truth about them, which no adversary has.
type Exchange struct {
	*cluster.Cluster
	Dir string
	// Records are what each state has loaded, by their place in the population.
	Records map[waypost.Jurisdiction][]waypost.Record
	// People draws them, and knows who has two records.
	People   *population.Population
	counters map[waypost.Jurisdiction]waypostv1connect.CounterClient
}

// Open starts an exchange with that many people in each of States, in a folder of
// the drill. c says what is unusual about it, as hooks that make a member
// misbehave; its Dir, States and Log are filled in. The caller closes it.
func (s *Stage) Open(ctx context.Context, name string, perState int, c cluster.Config) (_ *Exchange, err error) {
	if c.Dir, err = s.Dir(name); err != nil {
		return nil, err
	}
	c.States, c.Log = States, s.Log
	x := &Exchange{Dir: c.Dir, Records: make(map[waypost.Jurisdiction][]waypost.Record), counters: make(map[waypost.Jurisdiction]waypostv1connect.CounterClient)}
	if x.People, err = population.Generate(population.Config{States: States, PerState: perState, Seed: s.Seed}); err != nil {
		return nil, err
	}
	for _, state := range States {
		err := x.People.Each(state, func(r waypost.Record) error {
			x.Records[state] = append(x.Records[state], r)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if x.Cluster, err = cluster.Open(ctx, c); err != nil {
		return nil, err
	}
	if err := x.load(ctx, s); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

func (x *Exchange) load(ctx context.Context, s *Stage) error {
	total, done := 0, 0
	for _, state := range States {
		total += len(x.Records[state])
	}
	for _, state := range States {
		counter, err := x.Counter(state)
		if err != nil {
			return err
		}
		loader := cluster.NewLoader(counter, 0, func(rows int) { s.Progress("loading", done+rows, total) })
		for i, r := range x.Records[state] {
			if err := loader.Add(ctx, statefile.Row{Line: i + 1, Record: r}); err != nil {
				return err
			}
		}
		loaded, err := loader.Finish(ctx)
		if err != nil {
			return err
		}
		if loaded.Published != len(x.Records[state]) {
			return fmt.Errorf("%d of %d records of %s were published", loaded.Published, len(x.Records[state]), state)
		}
		done += loaded.Published
	}
	return nil
}

// Counter is a client of a state's counter door.
func (x *Exchange) Counter(state waypost.Jurisdiction) (waypostv1connect.CounterClient, error) {
	if c := x.counters[state]; c != nil {
		return c, nil
	}
	c, _, err := cluster.Counter(x.Dir, state)
	if err == nil {
		x.counters[state] = c
	}
	return c, err
}

// Check asks about a person at a state's counter, as a clerk does. It may not be
// called by several goroutines before each state's first call.
func (x *Exchange) Check(ctx context.Context, state waypost.Jurisdiction, p waypost.Person, purpose waypost.Purpose, reference string) (waypost.Answer, error) {
	counter, err := x.Counter(state)
	if err != nil {
		return waypost.Answer{}, err
	}
	raw, err := counter.Check(ctx, gateway.CheckToProto(gateway.Applicant{Person: p}, purpose, reference))
	if err != nil {
		return waypost.Answer{}, err
	}
	return gateway.AnswerFromProto(raw), nil
}

// How long Made and Whole wait. A check for which a busy machine finds no quorum of the key
// holders in five seconds is owed, and made again after half a minute; an answer later than
// a second comes by the mailbox; and about a protected person none comes by itself.
const (
	owedWait    = 3 * time.Minute
	pendingWait = time.Minute
)

// Made asks as Check does, and waits where the check is owed until it has been made.
func (x *Exchange) Made(ctx context.Context, state waypost.Jurisdiction, p waypost.Person, purpose waypost.Purpose, reference string) (waypost.Answer, error) {
	a, err := x.Check(ctx, state, p, purpose, reference)
	if err != nil {
		return a, err
	}
	return x.later(ctx, state, a, owedWait, func(a waypost.Answer) bool { return !a.Owed })
}

// Whole asks as Check does, and waits for the last answer.
func (x *Exchange) Whole(ctx context.Context, state waypost.Jurisdiction, p waypost.Person, purpose waypost.Purpose, reference string) (waypost.Answer, error) {
	a, err := x.Check(ctx, state, p, purpose, reference)
	if err != nil {
		return a, err
	}
	return x.Last(ctx, state, a)
}

// Last waits until a check is made and all states have answered. What has not come even
// then is missing, as at a counter.
func (x *Exchange) Last(ctx context.Context, state waypost.Jurisdiction, a waypost.Answer) (waypost.Answer, error) {
	a, err := x.later(ctx, state, a, owedWait, func(a waypost.Answer) bool { return !a.Owed })
	if err != nil || a.Owed {
		return a, err
	}
	return x.later(ctx, state, a, pendingWait, func(a waypost.Answer) bool { return a.Complete })
}

// later asks for the answer to a check again until it is enough, or the wait is over.
func (x *Exchange) later(ctx context.Context, state waypost.Jurisdiction, a waypost.Answer, wait time.Duration, enough func(waypost.Answer) bool) (waypost.Answer, error) {
	counter, err := x.Counter(state)
	for deadline := time.Now().Add(wait); err == nil && !enough(a) && time.Now().Before(deadline); {
		select {
		case <-ctx.Done():
			return a, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		var raw *waypostv1.CheckAnswer
		if raw, err = counter.GetCheck(ctx, &waypostv1.GetCheckRequest{Ticket: a.TicketHex}); err == nil {
			a = gateway.AnswerFromProto(raw)
		}
	}
	return a, err
}
