package livehub

import (
	"context"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/drill/attack"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/seal"
)

// watch is the hub's program with one change: it writes down all that it sees. What it
// answers is what the honest hub answers.
type watch struct {
	waypostv1connect.HubHandler
	mu       sync.Mutex
	searches []*search
	byTicket map[waypost.TicketID]*search
	records  map[string]*record // by owner and handle, also those that were passed
	order    []*record          // as they were published
	passings []passing
	letters  []letter
}

// search is what the hub sees of a check.
type search struct {
	ticket waypost.Ticket
	id     waypost.TicketID
	tokens map[waypost.Token]bool
	part2  bool
	owners []waypost.Jurisdiction // of the candidates, with repeats
}

// record is a pointer as it was published.
type record struct {
	owner  waypost.Jurisdiction
	handle waypost.Handle
	tokens []waypost.Token
}

// passing is a pointer that went from one state to another.
type passing struct {
	from, to waypost.Jurisdiction
	old      waypost.Handle
	after    int // searches so far
}

// letter is a sealed message on its way.
type letter struct {
	from, to waypost.Jurisdiction
	after    int // searches so far
}

func newWatch() *watch {
	return &watch{byTicket: make(map[waypost.TicketID]*search), records: make(map[string]*record)}
}

func tokensIn(raw []byte) (tokens []waypost.Token) {
	for at := 0; at+32 <= len(raw); at += 32 {
		tokens = append(tokens, waypost.Token(raw[at:][:32]))
	}
	return tokens
}

// Search notes who searches, why, under which tokens, and what is found.
func (w *watch) Search(ctx context.Context, req *waypostv1.SearchRequest) (*waypostv1.SearchResponse, error) {
	res, err := w.HubHandler.Search(ctx, req)
	if err != nil {
		return nil, err
	}
	ticket, err := waypost.ParseTicket(req.Ticket)
	if err != nil {
		return nil, err
	}
	found, err := waypost.ParseCandidates(res.Candidates)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.byTicket[ticket.ID]
	if one == nil {
		one = &search{ticket: ticket.Ticket, id: ticket.ID, tokens: make(map[waypost.Token]bool)}
		w.searches, w.byTicket[ticket.ID] = append(w.searches, one), one
	}
	one.part2 = one.part2 || req.Part == 2
	for _, t := range tokensIn(req.Tokens) {
		one.tokens[t] = true
	}
	for _, c := range found.List {
		one.owners = append(one.owners, c.Owner)
	}
	return res, nil
}

// Publish notes what is published under which tokens.
func (w *watch) Publish(ctx context.Context, req *waypostv1.PublishRequest) (*waypostv1.PublishResponse, error) {
	res, err := w.HubHandler.Publish(ctx, req)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	owner := rpc.Peer(ctx).Jurisdiction
	for _, r := range req.Records {
		one := &record{owner: owner, handle: waypost.Handle(r.Handle), tokens: tokensIn(r.Tokens)}
		w.records[string(owner)+string(r.Handle)] = one
		w.order = append(w.order, one)
	}
	return res, nil
}

// Maintain notes which pointers pass from whom to whom.
func (w *watch) Maintain(ctx context.Context, req *waypostv1.MaintainRequest) (*waypostv1.MaintainResponse, error) {
	res, err := w.HubHandler.Maintain(ctx, req)
	if err != nil {
		return nil, err
	}
	var what waypostv1.Maintenance
	if err := proto.Unmarshal(req.Request, &what); err != nil {
		return nil, err
	}
	change := what.GetChange()
	if change == nil {
		return res, nil
	}
	release, err := waypost.ParseRelease(change.Release)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range release.Passings {
		w.passings = append(w.passings, passing{release.From, release.To, p.Old, len(w.searches)})
		if r := w.records[string(release.From)+string(p.Old[:])]; r != nil {
			w.records[string(release.To)+string(p.New[:])] = &record{release.To, p.New, r.tokens}
		}
	}
	return res, nil
}

// Send notes who writes to whom.
func (w *watch) Send(ctx context.Context, req *waypostv1.SendRequest) (*waypostv1.SendResponse, error) {
	w.mu.Lock()
	for _, sealed := range req.Sealed {
		if envelope, err := seal.PeekEnvelope(sealed); err == nil {
			w.letters = append(w.letters, letter{rpc.Peer(ctx).Jurisdiction, waypost.Jurisdiction(envelope.Recipient), len(w.searches)})
		}
	}
	w.mu.Unlock()
	return w.HubHandler.Send(ctx, req)
}

// repeats are the pairs of searches that have at least half of their tokens in common,
// the later one first: somebody was asked about twice.
func (w *watch) repeats() map[[2]int]bool {
	pairs := make(map[[2]int]bool)
	for i, later := range w.searches {
		for j, earlier := range w.searches[:i] {
			if common(later.tokens, earlier.tokens) >= waypost.NameElements/2 {
				pairs[[2]int{i, j}] = true
			}
		}
	}
	return pairs
}

func common(a, b map[waypost.Token]bool) (n int) {
	for t := range a {
		if b[t] {
			n++
		}
	}
	return n
}

// shared is how many tokens two published records have in common, by pairs of records of
// two states that have any.
func (w *watch) shared() map[[2]*record]int {
	by := make(map[waypost.Token][]*record)
	for _, r := range w.order {
		for _, t := range r.tokens {
			by[t] = append(by[t], r)
		}
	}
	pairs := make(map[[2]*record]int)
	for _, all := range by {
		for _, a := range all {
			for _, b := range all {
				if a.owner < b.owner {
					pairs[[2]*record{a, b}]++
				}
			}
		}
	}
	return pairs
}

// secondLegs are the owners to whom the state that has searched wrote more than once
// before anybody searched again: the first leg, and another.
func (w *watch) secondLegs(i int) map[waypost.Jurisdiction]bool {
	letters, more := make(map[waypost.Jurisdiction]int), make(map[waypost.Jurisdiction]bool)
	for _, l := range w.letters {
		if l.after == i+1 && l.from == w.searches[i].ticket.SOI {
			letters[l.to]++
			more[l.to] = letters[l.to] > 1
		}
	}
	return more
}

// lookBefore is the last of a state's searches, of the first so many, that carries at
// least three tokens of a record; or nil.
func (w *watch) lookBefore(r *record, state waypost.Jurisdiction, before int) *search {
	for _, s := range slices.Backward(w.searches[:before]) {
		n := 0
		for _, t := range r.tokens {
			if s.tokens[t] {
				n++
			}
		}
		if n >= 3 && s.ticket.SOI == state {
			return s
		}
	}
	return nil
}

// seen are all tokens that have passed the hub, with the places where.
func (w *watch) seen() map[waypost.Token]bool {
	all := make(map[waypost.Token]bool)
	for _, s := range w.searches {
		for t := range s.tokens {
			all[t] = true
		}
	}
	for _, r := range w.order {
		for _, t := range r.tokens {
			all[t] = true
		}
	}
	return all
}

// named tells who of a list is known by a token that has passed, by the exact name and
// date, to somebody who takes a number for the key.
func named(key attack.Key, seen map[waypost.Token]bool, people []waypost.Person) (who map[int]bool, err error) {
	tokens, err := key.Tokens(attack.NameKeys(people))
	who = make(map[int]bool)
	for i, t := range tokens {
		if seen[t] {
			who[i] = true
		}
	}
	return who, err
}
