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
	"github.com/waypost/waypost/internal/drill"
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
}

// replaced is the state with the other program.
func (p *play) replaced(ctx context.Context) error {
	folder := p.x.Role(string(rogueState)).Folder
	if err := p.x.Stop(string(rogueState)); err != nil {
		return err
	}
	g, err := rogue.New(ctx, folder, p.x.Clock.Now)
	if err != nil {
		return err
	}
	for _, h := range []help{
		{party: "a state whose gateway was replaced"},
		{party: "the same, and one key holder", holders: 1},
		{party: "the same, and two key holders, one fewer than needed", holders: 2},
		{party: "the same, two key holders and the hub", holders: 2, hub: true},
		{party: "the same, three key holders and the hub, which is conceded", holders: 3, hub: true, planted: true},
	} {
		p.tomorrow()
		l, err := p.enumerate(ctx, g, h)
		if err != nil {
			return fmt.Errorf("%s: %w", h.party, err)
		}
		// The state lets its own gateway go on, so that its ledger looks alive.
		if err := p.x.Start(ctx, string(rogueState)); err != nil {
			return err
		}
		if h.holders > 0 {
			if err := p.settle(ctx); err != nil {
				return err
			}
		}
		p.x.Clock.Advance(unaskedAfter)
		line, err := p.judge(ctx, h, l)
		if err != nil {
			return err
		}
		p.Add(line)
		if err := p.x.Stop(string(rogueState)); err != nil {
			return err
		}
	}
	g.Friends = nil
	return p.ask(ctx, g)
}

// unaskedAfter is when owners look at who has searched and asked nothing.
const unaskedAfter = 65 * time.Minute

// looks is what an enumeration came to.
type looks struct {
	searched  int // tickets
	evaluated int // and those that key holders would still have evaluated
	refused   string
	shown     int // candidates
	certain   int // names of which it is sure whether they have a record elsewhere
	alarm     *noticed
	before    map[waypost.Jurisdiction]int // notified
}

// enumerate puts 32 people of the list into each ticket until it is refused.
func (p *play) enumerate(ctx context.Context, g *rogue.Gateway, h help) (l looks, err error) {
	order := p.choose(g, h)
	if l.before, err = p.entries(ctx, "notified"); err != nil {
		return l, err
	}
	w, err := p.watch(ctx)
	if err != nil {
		return l, err
	}
	enough := p.bound(h)
	if h.planted {
		enough += enough / 4
	}
	for ; l.searched < enough || !h.planted; l.searched++ {
		look, err := p.look(g, l.searched)
		if err != nil {
			return l, err
		}
		err = g.Evaluated(ctx, look, rotated(order, h.holders, l.searched)...)
		found := 0
		if err == nil {
			found, err = p.search(ctx, g, h, look)
		}
		if waypost.CodeOf(err) == waypost.QuotaExceeded {
			l.refused = err.Error()
			break
		}
		if err != nil {
			return l, err
		}
		l.shown += found
		if found == 0 || found == waypost.CheckElements {
			l.certain += waypost.CheckElements
		}
		if l.alarm == nil {
			if l.alarm, err = w.alarm(ctx, l.searched+1); err != nil {
				return l, err
			}
		}
		p.Progress(h.party, l.searched+1, enough)
	}
	l.evaluated, err = p.evaluations(ctx, g, h, order, l.searched)
	return l, err
}

// bound is how many tickets can be searched at most: what the hub grants in a day; and
// where it does not count, what the honest key holders grant, each all of a day's
// quota, divided by how many of them a ticket needs.
func (p *play) bound(h help) int {
	r := p.x.Roster()
	if !h.hub {
		return p.quota.TicketsPerDay
	}
	friends := min(h.holders, r.Threshold-1) // with a quorum of friends there is no bound: what one fewer reach is that to compare with
	return r.HolderShare(p.quota.TicketsPerDay) * (len(r.Holders()) - friends) / (r.Threshold - friends)
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

// look is a ticket for the next 32 people of the list. The program makes up operators,
// fewer than raise the alarm that more are at work than the state has.
func (p *play) look(g *rogue.Gateway, n int) (*rogue.Look, error) {
	keys := make([][]byte, waypost.CheckElements)
	for i := range keys {
		keys[i] = keyOf(p.list[(n*waypost.CheckElements+i)%len(p.list)].Person)
	}
	return g.Look(keys, g.Folder.Identity, func(t *waypost.Ticket) {
		clear(t.Operator[:])
		binary.BigEndian.PutUint32(t.Operator[:], uint32(1+n%(p.quota.Operators*3/4)))
	})
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

// search sends both parts, and returns how many candidates were shown.
func (p *play) search(ctx context.Context, g *rogue.Gateway, h help, look *rogue.Look) (found int, err error) {
	for part := uint32(1); part <= 2; part++ {
		candidates, err := g.Search(ctx, look, part)
		if h.hub && waypost.CodeOf(err) == waypost.QuotaExceeded {
			if err := p.forget(ctx); err != nil {
				return 0, err
			}
			candidates, err = g.Search(ctx, look, part)
		}
		if err != nil {
			return found, err
		}
		found += len(candidates.List)
	}
	return found, nil
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
	for n := searched; ; n++ {
		look, err := p.look(g, n)
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

// judge says what came of an enumeration, and who noticed it.
func (p *play) judge(ctx context.Context, h help, l looks) (drill.Line, error) {
	var line drill.Line
	told, err := p.told(ctx, l.before)
	if err != nil {
		return line, err
	}
	unasked := 0
	for _, owner := range owners {
		n, err := p.x.Gateway(owner).Unasked(ctx)
		if err != nil {
			return line, err
		}
		unasked += n[rogueState]
	}
	found, err := p.findings(ctx)
	if err != nil {
		return line, err
	}
	drawn, opened, err := p.sample(ctx)
	if err != nil {
		return line, err
	}
	names, bound := l.searched*waypost.CheckElements, p.bound(h)*waypost.CheckElements
	line = drill.Line{
		Party:     h.party,
		Attempted: fmt.Sprintf("puts one key each of %d people of a list into one ticket, until refused", waypost.CheckElements),
		Obtained: fmt.Sprintf("%d names in %d tickets: %d candidates shown, only how many in which states for the %d of a ticket together; of %d names alone it can tell. Key holders would have evaluated %d tickets",
			names, l.searched, l.shown, waypost.CheckElements, l.certain, l.evaluated),
		Noticed: fmt.Sprintf("%s; %s; %d searches without a question pointed at by their owners' metrics after an hour; the auditor, %v after: %s; of %d tickets so far that are drawn for opening (every second one here, of 200 in earnest) %d show an applicant",
			l.alarm.words("the first alarm of a quota at the hub"), told, unasked, unaskedAfter, inWords(found), drawn, opened),
		Baseline: p.inBaselines(),
		Target:   fmt.Sprintf("refused at %d names a day, every candidate told to its state, the state named by the auditor", bound),
		OK:       told.all() && unasked > 0 && len(found[string(rogueState)]) > 0 && drawn > 0 && opened == 0 && p.onlyGuilty(h, found),
		Figure:   p.figure(h, names, bound),
		Planted:  h.planted,
	}
	if h.planted {
		line.Target = fmt.Sprintf("conceded: with a quorum and the hub nothing is refused, also beyond %d names", bound)
		line.OK = names > bound && l.refused == ""
	}
	line.NoticedSeconds = l.alarm.seconds()
	return line, nil
}

func (p *play) figure(h help, names, bound int) *drill.Figure {
	all := float64(len(p.list))
	return &drill.Figure{Name: "names a day", Value: float64(names), Low: float64(names), High: float64(names), Bound: float64(bound), AtMost: !h.planted,
		Others: []drill.Other{{Name: "plain index", Value: all}, {Name: "unkeyed index", Value: all}}}
}

// onlyGuilty reports whether nobody is named who kept the rules.
func (p *play) onlyGuilty(h help, found map[string]map[string]int) bool {
	guilty := []string{string(rogueState)}
	for _, member := range p.x.Roster().Holders()[:h.holders] {
		guilty = append(guilty, member.Name)
	}
	if h.hub {
		guilty = append(guilty, "hub")
	}
	for member := range found {
		if !slices.Contains(guilty, member) {
			return false
		}
	}
	return true
}
