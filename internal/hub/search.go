package hub

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// The two parts of a search. Part one never depends on having an SSN.
var parts = map[uint32]struct {
	action waypost.Action
	tokens int
}{
	1: {waypost.ActionSearchFirst, waypost.NameElements},
	2: {waypost.ActionSearchSecond, waypost.SSNElements},
}

// Search looks up one part of a check. Whatever it found is committed together
// with the ledger entry and the notices to the owners before anything is
// returned. Within the window the same request gets the same bytes.
func (s *Server) Search(ctx context.Context, req *waypostv1.SearchRequest) (*waypostv1.SearchResponse, error) {
	part, ok := parts[req.Part]
	if !ok {
		return nil, waypost.Errorf(waypost.InvalidArgument, "a search has parts 1 and 2")
	}
	tokens, err := splitTokens(req.Tokens, part.tokens)
	if err != nil {
		return nil, err
	}
	ticket, before, err := s.authoriseSearch(ctx, req)
	if err != nil {
		return nil, err
	}
	inputs := waypost.HashTokens(req.Tokens)
	if done, ok := before[req.Part]; ok {
		return s.answerSearch(ticket, part.action, inputs, done)
	}
	hits, err := s.lookUp(ctx, tokens, ticket.SOI)
	if err != nil {
		return nil, err
	}
	plan, err := s.plan(ctx, ticket, hits)
	if err != nil {
		return nil, err
	}
	var done searched
	err = s.DB.Write(ctx, func(tx *store.Tx) (err error) {
		done, err = s.commitSearch(tx, ticket, req.Part, part.action, inputs, plan)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, one := range plan.found {
		s.bell.ring(one.notice.recipient)
	}
	return s.answerSearch(ticket, part.action, inputs, done)
}

// searched is a committed part.
type searched struct {
	inputs     [32]byte
	candidates []byte
	receiptPlace
}

// authoriseSearch verifies the chain of a part one. A part two, or a replay,
// rests on the part one that the same ticket has committed.
func (s *Server) authoriseSearch(ctx context.Context, req *waypostv1.SearchRequest) (waypost.SignedTicket, map[uint32]searched, error) {
	ticket, err := waypost.ParseTicket(req.Ticket)
	if err != nil {
		return ticket, nil, err
	}
	if err := s.peerMay(ctx, ticket, waypost.KindCheck, roster.Search); err != nil {
		return ticket, nil, err
	}
	before, err := s.searchesOf(ctx, ticket.ID)
	if err != nil {
		return ticket, nil, err
	}
	if _, first := before[1]; first {
		return ticket, before, nil
	}
	if req.Part != 1 {
		return ticket, nil, waypost.Errorf(waypost.InvalidArgument, "part one of the search comes first")
	}
	ticket, err = s.authorise(ctx, req.Ticket, req.Receipts, waypost.KindCheck, roster.Search)
	return ticket, before, err
}

func (s *Server) searchesOf(ctx context.Context, id waypost.TicketID) (map[uint32]searched, error) {
	var all map[uint32]searched
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		all = make(map[uint32]searched)
		return tx.Query(`SELECT part, inputs, candidates, sequence, deadline FROM search WHERE ticket = $1`, []any{id[:]},
			func(scan func(dest ...any) error) error {
				var part uint32
				var one searched
				var deadline int64
				if err := scan(&part, &one.inputs, &one.candidates, &one.sequence, &deadline); err != nil {
					return err
				}
				one.deadline = time.Unix(deadline, 0)
				all[part] = one
				return nil
			})
	})
	return all, err
}

// plan is what a search will commit: everything but the ledger position.
type plan struct {
	candidates []byte // canonical
	found      []planned
}

// planned is one candidate.
type planned struct {
	pointer   int64
	candidate waypost.Candidate
	notice    mail
}

// plan gives every new pointer a reference of this ticket and seals a notice to
// its owner. Pointers that an earlier part returned are not returned again.
func (s *Server) plan(ctx context.Context, t waypost.SignedTicket, hits []found) (plan, error) {
	var p plan
	known, err := s.referencesOf(ctx, t.ID)
	if err != nil {
		return p, err
	}
	tooMany := false
	for _, f := range hits {
		if known[f.pointer] {
			continue
		}
		if len(p.found) == waypost.MaxCandidates {
			tooMany = true
			break
		}
		one := planned{pointer: f.pointer, candidate: waypost.Candidate{Owner: f.owner}}
		_, _ = rand.Read(one.candidate.Reference[:]) // never fails (Go 1.24)
		if one.notice, err = s.notice(ctx, t, f, one.candidate.Reference); err != nil {
			return p, err
		}
		p.found = append(p.found, one)
	}
	// The order of the hits would tell who has most of them.
	slices.SortFunc(p.found, func(a, b planned) int {
		return bytes.Compare(a.candidate.Reference[:], b.candidate.Reference[:])
	})
	list := waypost.Candidates{Ticket: t.ID, TooMany: tooMany}
	for _, one := range p.found {
		list.List = append(list.List, one.candidate)
	}
	p.candidates = list.Bytes()
	return p, nil
}

func (s *Server) referencesOf(ctx context.Context, id waypost.TicketID) (map[int64]bool, error) {
	known := make(map[int64]bool)
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Query(`SELECT pointer FROM reference WHERE ticket = $1`, []any{id[:]}, func(scan func(dest ...any) error) error {
			var pointer int64
			err := scan(&pointer)
			known[pointer] = true
			return err
		})
	})
	return known, err
}

// notice tells the owner which of its records the reference means.
func (s *Server) notice(ctx context.Context, t waypost.SignedTicket, f found, reference waypost.Reference) (mail, error) {
	body, err := proto.Marshal(&waypostv1.Notice{
		Reference: reference[:], Handle: f.handle, Generation: f.generation, StateOfInquiry: string(t.SOI),
	})
	if err != nil {
		return mail{}, err
	}
	return s.sealTo(ctx, string(f.owner), waypost.MessageNotice, t.ID, body)
}

// commitSearch writes the entries, the references, the notices and the answer,
// unless another call with the same ticket has done so.
func (s *Server) commitSearch(tx *store.Tx, t waypost.SignedTicket, part uint32, action waypost.Action, inputs [32]byte, p plan) (searched, error) {
	var done searched
	var deadline int64
	err := tx.Row(`SELECT inputs, candidates, sequence, deadline FROM search WHERE ticket = $1 AND part = $2`, t.ID[:], part).
		Scan(&done.inputs, &done.candidates, &done.sequence, &deadline)
	if err == nil {
		done.deadline = time.Unix(deadline, 0)
		return done, nil
	}
	if !errors.Is(err, store.ErrNoRows) {
		return done, err
	}
	now := s.Now()
	if part == 1 {
		if err := s.charge(tx, t, now); err != nil {
			return done, err
		}
	}
	done = searched{inputs: inputs, candidates: p.candidates}
	if done.receiptPlace, err = s.log(tx, t, string(action), now, journal.Field{Name: "candidates", Value: decimal(len(p.found))}); err != nil {
		return done, err
	}
	for _, one := range p.found {
		if err := s.deliver(tx, t, one, now); err != nil {
			return done, err
		}
	}
	_, err = tx.Exec(`INSERT INTO search (ticket, part, inputs, candidates, sequence, deadline, expires) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		t.ID[:], part, inputs[:], done.candidates, done.sequence, done.deadline.Unix(), t.IssuedAt.Add(2*window).Unix())
	return done, err
}

// deliver commits one candidate: its reference, the notice in its owner's box,
// and the entry that says so.
func (s *Server) deliver(tx *store.Tx, t waypost.SignedTicket, one planned, now time.Time) error {
	if _, err := tx.Exec(`INSERT INTO reference (ticket, pointer, reference) VALUES ($1, $2, $3)`, t.ID[:], one.pointer, one.candidate.Reference[:]); err != nil {
		return err
	}
	if _, err := s.log(tx, t, "deliver", now, journal.Field{Name: "owner", Value: string(one.candidate.Owner)}); err != nil {
		return err
	}
	return putMail(tx, one.notice)
}

// answerSearch signs the receipt over a committed part.
func (s *Server) answerSearch(t waypost.SignedTicket, action waypost.Action, inputs [32]byte, done searched) (*waypostv1.SearchResponse, error) {
	if done.inputs != inputs {
		return nil, waypost.Errorf(waypost.Misuse, "the ticket has searched other tokens before")
	}
	receipt, err := s.receipt(action, t, inputs, done.candidates, done.receiptPlace)
	if err != nil {
		return nil, err
	}
	return &waypostv1.SearchResponse{Candidates: done.candidates, Receipt: receipt}, nil
}

// log appends an entry about a ticket to the journal.
func (s *Server) log(tx *store.Tx, t waypost.SignedTicket, kind string, now time.Time, more ...journal.Field) (receiptPlace, error) {
	body, err := journal.Body(append(journal.TicketFields(t.Ticket), more...)...)
	if err != nil {
		return receiptPlace{}, err
	}
	sequence, err := s.Journal.Append(tx, journal.Entry{Kind: kind, Ticket: t.ID, Tau: t.Tau, At: now, Body: body})
	return receiptPlace{sequence, s.Journal.Deadline(now)}, err
}

func (s *Server) receipt(action waypost.Action, t waypost.SignedTicket, inputs [32]byte, returned []byte, place receiptPlace) ([]byte, error) {
	r, err := waypost.Receipt{
		Action: action, Signer: s.config.Name, Ticket: t.ID, Epoch: t.Epoch, Inputs: inputs,
		Outputs: waypost.HashOutputs(action, returned), Origin: s.Journal.Origin(), Sequence: place.sequence, Deadline: place.deadline,
	}.Sign(s.Identity)
	return r.Bytes(), err
}

// sealTo seals a message of the hub's own to a member.
func (s *Server) sealTo(ctx context.Context, recipient, messageType string, ticket waypost.TicketID, body []byte) (mail, error) {
	key, err := s.keyOf(ctx, recipient)
	if err != nil {
		return mail{}, err
	}
	m := seal.Message{
		Sender: s.config.Name, Recipient: recipient, Type: messageType, Ticket: ticket,
		RosterVersion: s.Roster.Current().Version, Expiry: s.Now().Add(waypost.MessageLife), Body: body,
	}
	_, _ = rand.Read(m.ID[:]) // never fails (Go 1.24)
	sealed, err := seal.Seal(m, s.Identity, key)
	return mail{recipient: recipient, id: m.ID, sealed: sealed, expires: m.Expiry}, err
}

func decimal(n int) string { return strconv.Itoa(n) }
