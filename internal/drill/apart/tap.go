package apart

import (
	"context"
	"sync"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/gateway"
)

// tap is all that a running hub is shown by its members, in the order of its
// coming: a hub that logs everything has the same.
type tap struct {
	mu       sync.Mutex
	searches map[waypost.TicketID]*search
	pointers map[waypost.Handle]*pointer
	order    []*pointer
}

// search is both parts of a check.
type search struct {
	state waypost.Jurisdiction
	parts [2]struct {
		tokens     map[waypost.Token]bool
		candidates int
	}
}

// pointer is one as it was published.
type pointer struct {
	state      waypost.Jurisdiction
	handle     waypost.Handle
	ticket     waypost.TicketID
	tokens     []waypost.Token
	supersedes bool
}

func newTap() *tap {
	return &tap{searches: make(map[waypost.TicketID]*search), pointers: make(map[waypost.Handle]*pointer)}
}

// into puts the tap between a gateway and the hub.
func (t *tap) into(state waypost.Jurisdiction, deps *gateway.Deps) {
	deps.Hub = tapped{deps.Hub, t, state}
}

type tapped struct {
	gateway.Hub
	tap   *tap
	state waypost.Jurisdiction
}

func (h tapped) Search(ctx context.Context, req *waypostv1.SearchRequest) (*waypostv1.SearchResponse, error) {
	res, err := h.Hub.Search(ctx, req)
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
	h.tap.mu.Lock()
	defer h.tap.mu.Unlock()
	s := h.tap.searches[ticket.ID]
	if s == nil {
		s = &search{state: h.state}
		h.tap.searches[ticket.ID] = s
	}
	part := &s.parts[req.Part-1]
	part.tokens, part.candidates = make(map[waypost.Token]bool), len(found.List)
	for _, token := range tokensIn(req.Tokens) {
		part.tokens[token] = true
	}
	return res, nil
}

func (h tapped) Publish(ctx context.Context, req *waypostv1.PublishRequest) (*waypostv1.PublishResponse, error) {
	res, err := h.Hub.Publish(ctx, req)
	if err != nil {
		return nil, err
	}
	ticket, err := waypost.ParseTicket(req.Ticket)
	if err != nil {
		return nil, err
	}
	h.tap.mu.Lock()
	defer h.tap.mu.Unlock()
	for _, r := range req.Records {
		handle := waypost.Handle(r.Handle)
		if h.tap.pointers[handle] != nil {
			continue // the call was repeated
		}
		p := &pointer{state: h.state, handle: handle, ticket: ticket.ID, tokens: tokensIn(r.Tokens), supersedes: len(r.Supersedes) > 0}
		h.tap.pointers[handle], h.tap.order = p, append(h.tap.order, p)
	}
	return res, nil
}

func tokensIn(raw []byte) (tokens []waypost.Token) {
	for ; len(raw) >= len(waypost.Token{}); raw = raw[len(waypost.Token{}):] {
		tokens = append(tokens, waypost.Token(raw))
	}
	return tokens
}

func setOf(tokens []waypost.Token) map[waypost.Token]bool {
	set := make(map[waypost.Token]bool, len(tokens))
	for _, t := range tokens {
		set[t] = true
	}
	return set
}
