package clerk

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/drill/rogue"
	"github.com/waypost/waypost/internal/keyholder"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
	"github.com/waypost/waypost/toprf"
)

// nameKey is the one of a person's keys that stands for it in a ticket for several
// people: nickname root, surname and date of birth.
const nameKey = matchkey.H

// help is who helps the state.
type help struct {
	party   string
	holders int  // that evaluate off the record, forget it, and know no quota
	hub     bool // the hub forgets what the state has used
	planted bool // as many as are needed: nobody refuses any more
	asker   *asker
}

// replaced is the state with the other program.
func (p *play) replaced(ctx context.Context) error {
	// Before others help: what an auditor finds of those goes on into the next day.
	if err := p.certainties(ctx); err != nil {
		return err
	}
	for _, h := range []help{
		{party: "a state whose gateway was replaced"},
		{party: "the same, and one key holder", holders: 1},
		{party: "the same, and two key holders, one fewer than needed", holders: 2},
		{party: "the same, two key holders and the hub", holders: 2, hub: true},
		{party: "the same, three key holders and the hub, which is conceded", holders: 3, hub: true, planted: true},
	} {
		h.asker = newAsker(p.list, 0)
		l, found, err := p.trial(ctx, h)
		if err != nil {
			return err
		}
		p.Add(p.judge(h, l, found))
	}
	return p.ask(ctx)
}

// nextDay begins a new day, on which all quotas are whole again, stops the state's gateway
// and puts the other program in its place. The drill has more days than a roster is valid
// for: on the last one all take up its successor.
func (p *play) nextDay(ctx context.Context) (*rogue.Gateway, error) {
	p.tomorrow()
	if p.x.Roster().NotAfter.Sub(p.x.Clock.Now()) <= 24*time.Hour {
		if err := p.renew(); err != nil {
			return nil, err
		}
	}
	folder := p.x.Role(string(rogueState)).Folder
	if err := p.x.Stop(string(rogueState)); err != nil {
		return nil, err
	}
	return rogue.New(ctx, folder, p.x.Clock.Now)
}

// renew renews the roster. That all have caught up with the clock can take a busy machine
// several attempts.
func (p *play) renew() (err error) {
	for range 5 {
		if err = p.x.Renew(); err == nil {
			return nil
		}
	}
	return err
}

// trial is a day of enumerating, and what others notice of it.
func (p *play) trial(ctx context.Context, h help) (l looks, found traces, err error) {
	g, err := p.nextDay(ctx)
	if err != nil {
		return l, found, err
	}
	if l, err = p.enumerate(ctx, g, h); err != nil {
		return l, found, fmt.Errorf("%s: %w", h.party, err)
	}
	// The state lets its own gateway go on, so that its ledger looks alive.
	if err := p.x.Start(ctx, string(rogueState)); err != nil {
		return l, found, err
	}
	if h.holders > 0 {
		if err := p.settle(ctx); err != nil {
			return l, found, err
		}
	}
	p.x.Clock.Advance(unaskedAfter)
	found, err = p.traces(ctx, h, l)
	return l, found, err
}

// unaskedAfter is when owners look at who has searched and asked nothing.
const unaskedAfter = 65 * time.Minute

// looks is what an enumeration came to.
type looks struct {
	searched  int    // tickets
	evaluated int    // and those that key holders would still have evaluated
	refused   string // by whom it was ended; empty where it was not
	shown     int    // candidates
	alarm     *noticed
	before    map[waypost.Jurisdiction]int // notified
}

// refused reports whether a quota ended the enumeration, and was announced before.
func (p *play) refused(l looks) bool { return l.refused != "" && l.alarm != nil }

// enumerate puts up to 32 people of the list into each ticket until it is refused. It gives
// up at twice the bound: then there is no quota.
func (p *play) enumerate(ctx context.Context, g *rogue.Gateway, h help) (l looks, err error) {
	order := p.choose(g, h)
	if l.before, err = p.entries(ctx, "notified"); err != nil {
		return l, err
	}
	w, err := p.watch(ctx)
	if err != nil {
		return l, err
	}
	bound := p.bound(h)
	most := 2 * bound
	if h.planted {
		most = bound + bound/4
	}
	for ; l.searched < most; l.searched++ {
		found, err := p.searchNext(ctx, g, h, rotated(order, h.holders, l.searched), l.searched)
		if waypost.CodeOf(err) == waypost.QuotaExceeded {
			l.refused = err.Error()
			break
		}
		if err != nil {
			return l, err
		}
		l.shown += found
		if l.alarm == nil {
			if l.alarm, err = w.alarm(ctx, l.searched+1); err != nil {
				return l, err
			}
		}
		p.Progress(h.party, l.searched+1, bound)
	}
	l.evaluated, err = p.evaluations(ctx, g, h, order, l.searched)
	return l, err
}

// searchNext asks about the next people in one ticket, and returns how many candidates were
// shown.
func (p *play) searchNext(ctx context.Context, g *rogue.Gateway, h help, order []string, n int) (found int, err error) {
	asked := []question{h.asker.ask(waypost.NameElements), h.asker.ask(waypost.SSNElements)}
	look, err := p.look(g, n, h.asker.list, asked[0].who, asked[1].who)
	if err != nil {
		return 0, err
	}
	if err := g.Evaluated(ctx, look, order...); err != nil {
		return 0, err
	}
	for i, q := range asked {
		shown, err := p.search(ctx, g, h, look, uint32(i+1))
		if err != nil {
			return found, err
		}
		h.asker.learn(q, shown)
		found += shown
	}
	return found, nil
}

// bound is how many tickets can be searched at most: what the hub grants in a day; and
// where it does not count, what the honest key holders grant, each all of a day's
// quota, divided by how many of them a ticket needs.
func (p *play) bound(h help) int {
	if !h.hub {
		return p.quota.TicketsPerDay
	}
	return p.evaluable(h)
}

// choose makes the first key holders friends, and returns all in the order in which
// they are asked.
func (p *play) choose(g *rogue.Gateway, h help) (order []string) {
	g.Friends = make(map[string]rogue.Friend)
	for i, member := range p.x.Roster().Holders() {
		if order = append(order, member.Name); i < h.holders {
			g.Friends[member.Name] = p.friend(member.Name, member.PublicShare)
		}
	}
	return order
}

// rotated spreads tickets over the honest key holders, whose quotas count.
func rotated(order []string, friends, by int) []string {
	honest := slices.Clone(order[friends:])
	by %= len(honest)
	return slices.Concat(order[:friends], honest[by:], honest[:by])
}

// evaluable is for how many tickets there can be a quorum in a day: the honest key holders
// each grant a day's quota, and a ticket needs so many of them.
func (p *play) evaluable(h help) int {
	r := p.x.Roster()
	friends := min(h.holders, r.Threshold-1) // with a quorum of friends there is no bound: what one fewer reach is that to compare with
	return r.HolderShare(p.quota.TicketsPerDay) * (len(r.Holders()) - friends) / (r.Threshold - friends)
}

// look is a ticket for people of the list, by their places: the first in part one, the
// second in part two. What is left of a part is filled with keys of nobody. The program
// makes up operators, fewer than raise the alarm that more are at work than the state has.
func (p *play) look(g *rogue.Gateway, n int, list []listed, first, second []int) (*rogue.Look, error) {
	keys := make([][]byte, waypost.CheckElements)
	for i := range keys {
		keys[i] = make([]byte, 32)
		_, _ = rand.Read(keys[i]) // never fails (Go 1.24)
	}
	for i, who := range first {
		keys[i] = keyOf(list[who].Person)
	}
	ssns := keys[waypost.NameElements:]
	for i, who := range second {
		ssns[i] = keyOf(list[who].Person)
	}
	return g.Look(keys, g.Folder.Identity, func(t *waypost.Ticket) {
		clear(t.Operator[:])
		binary.BigEndian.PutUint32(t.Operator[:], uint32(1+n%(p.quota.Operators*3/4)))
	})
}

// lookAt is the ticket of that number of the long list: each has the next 32 people.
func (p *play) lookAt(g *rogue.Gateway, n int) (*rogue.Look, error) {
	places := make([]int, waypost.CheckElements)
	for i := range places {
		places[i] = (n*waypost.CheckElements + i) % len(p.list)
	}
	return p.look(g, n, p.list, places[:waypost.NameElements], places[waypost.NameElements:])
}

// keyOf is the key that stands for a person in a ticket for several.
func keyOf(p waypost.Person) []byte {
	for _, slot := range matchkey.Index(p, make([]byte, 32)) {
		if slot.Kind == nameKey {
			return slot.Key
		}
	}
	return nil
}

// search sends one part, and returns how many candidates were shown.
func (p *play) search(ctx context.Context, g *rogue.Gateway, h help, look *rogue.Look, part uint32) (int, error) {
	candidates, err := g.Search(ctx, look, part)
	if h.hub && waypost.CodeOf(err) == waypost.QuotaExceeded {
		if err := p.forget(ctx); err != nil {
			return 0, err
		}
		candidates, err = g.Search(ctx, look, part)
	}
	return len(candidates.List), err
}

// forget has the hub's operator delete what it has counted of the state.
func (p *play) forget(ctx context.Context) error {
	return p.hub.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM quota WHERE member = $1`, string(rogueState))
		return err
	})
}

// evaluations goes on at the honest key holders alone, after the hub has refused, and
// returns for how many tickets there would have been a quorum in all.
func (p *play) evaluations(ctx context.Context, g *rogue.Gateway, h help, order []string, searched int) (int, error) {
	needed := p.x.Roster().Threshold - h.holders
	if needed <= 0 {
		return searched, nil // no limit
	}
	for n := searched; n < 2*p.evaluable(h); n++ {
		look, err := p.lookAt(g, n)
		if err != nil {
			return n, err
		}
		votes := 0
		for _, name := range rotated(order, h.holders, n)[h.holders:] {
			_, err := g.Evaluate(ctx, name, look.Ticket.Bytes(), look.Elements)
			if err != nil && waypost.CodeOf(err) != waypost.QuotaExceeded {
				return n, err
			}
			if err == nil {
				votes++
			}
			if votes == needed {
				break
			}
		}
		if votes < needed {
			return n, nil
		}
	}
	return 2 * p.evaluable(h), nil // nobody counts
}

// friend is a key holder that evaluates whatever the state brings, writes nothing down
// and counts nothing. Its receipt names the next place of its ledger.
func (p *play) friend(name string, public []byte) rogue.Friend {
	p.mu.Lock()
	deps := p.helpers[name]
	p.mu.Unlock()
	return func(ctx context.Context, ticket, elements []byte) (*waypostv1.EvaluateResponse, error) {
		t, err := waypost.ParseTicket(ticket)
		if err != nil {
			return nil, err
		}
		blinded, err := toprf.DecodeElements(elements, t.Elements)
		if err != nil {
			return nil, err
		}
		share, ok := deps.Shares.Share(public)
		if !ok {
			return nil, waypost.Errorf(waypost.NotFound, "%s has no share", name)
		}
		hedge := make([]byte, toprf.HedgeSize)
		_, _ = rand.Read(hedge)
		e, err := share.Evaluate(blinded, hedge)
		if err != nil {
			return nil, err
		}
		return signedBy(ctx, deps, name, t, e)
	}
}

func signedBy(ctx context.Context, deps keyholder.Deps, name string, t waypost.SignedTicket, e toprf.Evaluation) (*waypostv1.EvaluateResponse, error) {
	r := waypost.Receipt{
		Action: waypost.ActionEvaluate, Signer: name, Ticket: t.ID, Epoch: t.Epoch, Inputs: t.Probes,
		Outputs: waypost.HashOutputs(waypost.ActionEvaluate, e.Elements), Proof: sha256.Sum256(e.Proof[:]),
		Origin: deps.Journal.Origin(), Deadline: deps.Journal.Deadline(deps.Now()),
	}
	err := deps.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT coalesce(max(seq), -1) + 1 FROM journal`).Scan(&r.Sequence)
	})
	if err != nil {
		return nil, err
	}
	signed, err := r.Sign(deps.Identity)
	return &waypostv1.EvaluateResponse{Elements: e.Elements, Proof: e.Proof[:], Receipt: signed.Bytes()}, err
}
