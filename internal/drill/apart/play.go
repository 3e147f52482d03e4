package apart

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/population"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/statefile"
	"github.com/waypost/waypost/internal/store"
)

// subject is somebody whom the adversary would like to tell apart.
type subject struct {
	state  waypost.Jurisdiction
	record waypost.Record // as it is now
	before waypost.Person // as it was first, where the name has changed
	twin   bool           // has a record in another state too
	check  waypost.TicketID
	again  waypost.TicketID     // a later check by the same state
	to     waypost.Jurisdiction // which other state somebody has moved to, or is checked by
	// written is how another state's counter writes somebody, and why that differs.
	written waypost.Person
	why     string
	// pointers are those of the record, in the order in which the hub was shown them,
	// and own what the state knows of them.
	pointers []*pointer
	own      []known
}

func (s *subject) ssn() bool { return s.record.SSN5 != "" }

// known is what the owner's file says of a pointer: its tokens in slot order, and
// which of them are random.
type known struct {
	alias  bool
	tokens []waypost.Token
	random uint32
}

// play is an exchange with its subjects, half of them without an SSN whatever their
// names: loaded ones, and ones that were issued a card on a check.
type play struct {
	*trial
	x       *drill.Exchange
	tap     *tap
	loaded  []*subject
	issued  []*subject
	changed []*subject // of the loaded ones
	moved   []*subject // others of them
	abroad  []*subject // others of them: asked about by another state, as its clerks write them
	altered []*subject // the same, with another surname or a misspelt name or date
}

// open plays everything that the classifiers are tried on.
func open(ctx context.Context, s *trial) (_ *play, err error) {
	p := &play{trial: s, tap: newTap()}
	if p.x, err = s.Open(ctx, "exchange", population.MinPerState, cluster.Config{Gateways: p.tap.into}); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{p.load, p.issue, p.change, p.move, p.elsewhere, p.look} {
		if err := step(ctx); err != nil {
			_ = p.x.Close()
			return nil, err
		}
	}
	return p, nil
}

// crowd draws people of whom half have an SSN. Some have a record in two states.
func (p *play) crowd(name string, states []waypost.Jurisdiction, each int, seed uint64) ([]*subject, error) {
	people, err := population.Generate(population.Config{States: states, PerState: max(each, population.MinPerState), Seed: seed, NoSSN: 0.5})
	if err != nil {
		return nil, err
	}
	byID, all := make(map[string]*subject), []*subject(nil)
	for _, state := range states {
		if err := people.Each(state, func(r waypost.Record) error {
			s := &subject{state: state, record: r, before: r.Person}
			s.record.ID, s.record.Protected = name+r.ID, false
			byID[r.ID], all = s, append(all, s)
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return all, people.EachTruth(func(t population.Truth) error {
		byID[t.A].twin, byID[t.B].twin = true, true
		return nil
	})
}

// load loads each state's people; some have a record in another state too.
func (p *play) load(ctx context.Context) error {
	all, err := p.crowd("L-", drill.States, p.Size.Pick(180, 1500, 12_000), p.Seed+1)
	if err != nil {
		return err
	}
	if err := p.drawAbroad(); err != nil {
		return err
	}
	all = slices.Concat(all, p.abroad, p.altered)
	for i, state := range drill.States {
		counter, err := p.x.Counter(state)
		if err != nil {
			return err
		}
		loader := cluster.NewLoader(counter, 0, func(rows int) {
			p.Progress("loading people of whom half have no SSN", i*len(all)/len(drill.States)+rows, len(all))
		})
		for line, s := range all {
			if s.state == state {
				if err := loader.Add(ctx, statefile.Row{Line: line + 1, Record: s.record}); err != nil {
					return err
				}
			}
		}
		if done, err := loader.Finish(ctx); err != nil || len(done.Rejected) > 0 {
			return fmt.Errorf("loading %s: %d rejected: %w", state, len(done.Rejected), err)
		}
	}
	p.loaded = all
	return nil
}

// issue has newcomers checked, issued a card, and checked again when they renew it.
// It is done at two counters, by several clerks.
func (p *play) issue(ctx context.Context) error {
	n := p.Size.Pick(60, 500, 4000)
	all, err := p.crowd("I-", drill.States[:2], n/2, p.Seed+2)
	if err != nil {
		return err
	}
	p.issued = all
	return p.each(ctx, "cards issued, and renewed", all, func(ctx context.Context, s *subject, door waypostv1connect.RecordsClient) error {
		for i, purpose := range []waypost.Purpose{waypost.IssueLicence, waypost.Renew} {
			answer, err := p.x.Made(ctx, s.state, s.record.Person, purpose, fmt.Sprintf("%s-%d", s.record.ID, i))
			if err != nil {
				return err
			}
			if i > 0 {
				s.again = answer.Ticket
				continue
			}
			s.check = answer.Ticket
			req := &waypostv1.IssueRequest{Ticket: fmt.Sprintf("%x", answer.Ticket[:]), Record: records.ToProto(s.record), Override: "a drill"}
			if _, err := door.Issue(ctx, req); err != nil {
				return err
			}
		}
		return nil
	})
}

// change has loaded people change their surname and keep the former one, as at a
// marriage.
func (p *play) change(ctx context.Context) error {
	r := rand.New(rand.NewPCG(p.Seed, 3))
	for _, i := range r.Perm(len(p.loaded)) {
		s, other := p.loaded[i], p.loaded[r.IntN(len(p.loaded))]
		if s.why != "" || len(p.changed) == p.Size.Pick(60, 500, 4000) {
			continue
		}
		if s.record.Family = other.before.Family; s.record.Family == s.before.Family {
			s.record.Family += "SON"
		}
		p.changed = append(p.changed, s)
	}
	return p.each(ctx, "names changed", p.changed, func(ctx context.Context, s *subject, door waypostv1connect.RecordsClient) error {
		_, err := door.Change(ctx, &waypostv1.ChangeRecordRequest{Record: records.ToProto(s.record), KeepFormer: true})
		return err
	})
}

// clerks is how many subjects are served at a time.
const clerks = 4

// each does something about every subject at its state's counter.
func (p *play) each(ctx context.Context, part string, all []*subject, do func(context.Context, *subject, waypostv1connect.RecordsClient) error) error {
	doors := make(map[waypost.Jurisdiction]waypostv1connect.RecordsClient)
	for _, state := range drill.States {
		door, _, err := cluster.Door(p.x.Dir, state)
		if err != nil {
			return err
		}
		doors[state] = waypostv1connect.NewRecordsClient(door)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work := make(chan *subject)
	var group sync.WaitGroup
	for range clerks {
		group.Go(func() {
			for s := range work {
				if err := do(ctx, s, doors[s.state]); err != nil {
					stop(err)
				}
			}
		})
	}
	for i, s := range all {
		select {
		case work <- s:
			p.Progress(part, i+1, len(all))
		case <-ctx.Done():
		}
	}
	close(work)
	group.Wait()
	return context.Cause(ctx)
}

// look finds out which pointer is whose: the truth, which no adversary has.
func (p *play) look(ctx context.Context) error {
	byRecord := make(map[string]*subject)
	for _, s := range slices.Concat(p.loaded, p.issued) {
		byRecord[s.record.ID] = s
	}
	rows, owner := make(map[waypost.Handle]known), make(map[waypost.Handle]*subject)
	for _, state := range drill.States {
		if err := p.x.Role(string(state)).DB.Read(ctx, func(tx *store.Tx) error {
			return tx.Query(`SELECT handle, record, alias, tokens, decoys FROM pointer`, nil, func(scan func(...any) error) error {
				var handle, tokens []byte
				var record string
				var k known
				if err := scan(&handle, &record, &k.alias, &tokens, &k.random); err != nil {
					return err
				}
				k.tokens = tokensIn(tokens)
				if s := byRecord[record]; s != nil {
					rows[waypost.Handle(handle)], owner[waypost.Handle(handle)] = k, s
				}
				return nil
			})
		}); err != nil {
			return err
		}
	}
	for _, at := range p.tap.order {
		if s := owner[at.handle]; s != nil {
			s.pointers, s.own = append(s.pointers, at), append(s.own, rows[at.handle])
		}
	}
	for id, s := range byRecord {
		if len(s.pointers) == 0 {
			return fmt.Errorf("the hub was shown no pointer of %s's record", strings.SplitN(id, "-", 2)[0])
		}
	}
	return ctx.Err()
}

// secret is what the state of a subject makes match keys under.
func (p *play) secret(s *subject) []byte {
	return records.DecoySecret(p.gateway(s.state).Secret)
}

func (p *play) gateway(state waypost.Jurisdiction) *gateway.Server { return p.x.Gateway(state) }
