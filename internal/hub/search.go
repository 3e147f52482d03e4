package hub

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/planted"
	"github.com/waypost/waypost/internal/quota"
	"github.com/waypost/waypost/internal/roster"
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
	ticket, receipts, done, err := s.authoriseSearch(ctx, req)
	if err != nil {
		return nil, err
	}
	inputs := waypost.HashTokens(req.Tokens)
	if done == nil {
		if done, err = s.searchPart(ctx, ticket, receipts, req.Part, tokens, inputs); err != nil {
			return nil, err
		}
	} else if planted.Bug("replay-recounted") {
		_ = s.DB.Write(ctx, func(tx *store.Tx) error { _, err := s.charge(tx, ticket, s.Now()); return err })
	}
	if done.inputs != s.keyed(inputs) {
		return nil, s.misused(ctx, ticket, "the ticket has searched other tokens before")
	}
	receipt, err := s.receipt(part.action, ticket, inputs, done.candidates, done.receiptPlace)
	if err != nil {
		return nil, err
	}
	return &waypostv1.SearchResponse{Candidates: done.candidates, Receipt: receipt}, nil
}

// searchTries bounds how often a search that the index has changed under is made
// again. A pointer changes a few times in its life.
const searchTries = 5

// searchPart looks the tokens up and commits what was found.
func (s *Server) searchPart(ctx context.Context, t waypost.SignedTicket, receipts []waypost.SignedReceipt, part uint32, tokens []waypost.Token, inputs [32]byte) (*searched, error) {
	for range searchTries {
		hits, unreached, err := s.lookUp(ctx, t.Ticket, t.ID, tokens)
		if err != nil {
			return nil, err
		}
		done, err := s.commit(ctx, t, receipts, part, parts[part].action, inputs, hits, unreached)
		if !errors.Is(err, errStale) {
			return done, err
		}
	}
	return nil, waypost.Errorf(waypost.Unavailable, "the pointers that were found are changing: ask again")
}

// searched is a committed part.
type searched struct {
	inputs     [32]byte // keyed
	candidates []byte
	receiptPlace
	alarms quota.Alarms // raised by this very commit
}

// authoriseSearch returns the ticket, and the part if it was searched before.
// A part two and a replay rest on the chain that was verified for part one; the
// receipts are those of part one's chain.
func (s *Server) authoriseSearch(ctx context.Context, req *waypostv1.SearchRequest) (waypost.SignedTicket, []waypost.SignedReceipt, *searched, error) {
	ticket, receipts, err := waypost.ParseChain(req.Ticket, req.Receipts)
	if err != nil {
		return ticket, nil, nil, err
	}
	if err := s.peerMay(ctx, ticket, waypost.KindCheck, roster.Search); err != nil {
		return ticket, nil, nil, err
	}
	if err := s.inWindow(ticket.Ticket, window); err != nil {
		return ticket, nil, nil, err
	}
	before, err := s.searchesOf(ctx, ticket)
	if err != nil {
		return ticket, nil, nil, err
	}
	if before[1] != nil {
		return ticket, nil, before[req.Part], s.signed(ticket)
	}
	if req.Part != 1 {
		return ticket, nil, nil, waypost.Errorf(waypost.InvalidArgument, "part one of the search comes first")
	}
	return ticket, receipts, nil, waypost.VerifyChain(ticket, receipts, s.Authority)
}

func (s *Server) searchesOf(ctx context.Context, t waypost.SignedTicket) (map[uint32]*searched, error) {
	var all map[uint32]*searched
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		all = make(map[uint32]*searched)
		return tx.Query(`SELECT part, inputs, candidates, sequence, deadline FROM search WHERE expires = $1 AND ticket = $2`, []any{forgetAfter(t.Ticket, window), t.ID[:]},
			func(scan func(dest ...any) error) error {
				var part uint32
				var one searched
				var deadline int64
				if err := scan(&part, &one.inputs, &one.candidates, &one.sequence, &deadline); err != nil {
					return err
				}
				one.deadline = time.Unix(deadline, 0)
				all[part] = &one
				return nil
			})
	})
	return all, err
}

// plan is what a search will commit: everything but the ledger position.
type plan struct {
	entry      []byte // body of the search's entry
	candidates []byte // canonical list
	found      []planned
	receipts   [][]byte // of the key holders, with part one
}

// planned is one candidate.
type planned struct {
	found
	candidate waypost.Candidate
	entry     []byte // body of the delivery's entry
	notice    word
}

// plan gives every pointer a reference of this ticket and seals a notice to its
// owner.
func (s *Server) plan(ctx context.Context, t waypost.SignedTicket, receipts []waypost.SignedReceipt, hits []found, unreached int) (plan, error) {
	list := waypost.Candidates{Ticket: t.ID, TooMany: len(hits) > waypost.MaxCandidates, Unreached: unreached}
	hits = hits[:min(len(hits), waypost.MaxCandidates)]
	var p plan
	var err error
	entry := []journal.Field{{Name: "candidates", Value: decimal(len(hits))}}
	if receipts != nil {
		entry = append(entry, journal.Field{Name: "evaluations", Value: waypost.Places(receipts...)})
		p.receipts = receiptBytes(receipts)
	}
	if p.entry, err = entryBody(t, entry...); err != nil {
		return p, err
	}
	for _, f := range hits {
		one := planned{found: f, candidate: waypost.Candidate{Owner: f.owner}}
		_, _ = rand.Read(one.candidate.Reference[:]) // never fails (Go 1.24)
		if one.entry, err = entryBody(t, journal.Field{Name: "owner", Value: string(f.owner)}); err != nil {
			return p, err
		}
		if one.notice, err = s.notice(ctx, t, f, one.candidate.Reference); err != nil {
			return p, err
		}
		p.found = append(p.found, one)
	}
	// The order of the hits would tell who has most of them.
	slices.SortFunc(p.found, func(a, b planned) int {
		return bytes.Compare(a.candidate.Reference[:], b.candidate.Reference[:])
	})
	for _, one := range p.found {
		list.List = append(list.List, one.candidate)
	}
	p.candidates = list.Bytes()
	return p, nil
}

// commit makes what was found the answer of this part for good, unless another
// call with the same ticket has done so, and wakes the owners.
func (s *Server) commit(ctx context.Context, t waypost.SignedTicket, receipts []waypost.SignedReceipt, part uint32, action waypost.Action, inputs [32]byte, hits []found, unreached int) (*searched, error) {
	p, err := s.plan(ctx, t, receipts, hits, unreached)
	if err != nil {
		return nil, err
	}
	var done searched
	err = s.DB.Write(ctx, func(tx *store.Tx) (err error) {
		done, err = s.commitSearch(tx, t, part, action, inputs, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	done.alarms.Warn(s.Log)
	for _, one := range p.found {
		s.wake(ctx, one.notice)
	}
	return &done, nil
}

func (s *Server) commitSearch(tx *store.Tx, t waypost.SignedTicket, part uint32, action waypost.Action, inputs [32]byte, p plan) (searched, error) {
	var done searched
	var deadline int64
	err := tx.Row(`SELECT inputs, candidates, sequence, deadline FROM search WHERE expires = $1 AND ticket = $2 AND part = $3`,
		forgetAfter(t.Ticket, window), t.ID[:], part).
		Scan(&done.inputs, &done.candidates, &done.sequence, &deadline)
	if err == nil {
		done.deadline = time.Unix(deadline, 0)
		return done, nil
	}
	if !errors.Is(err, store.ErrNoRows) {
		return done, err
	}
	if err := checkFound(tx, p.found, t.Epoch); err != nil {
		return done, err
	}
	now := s.Now()
	keyed := s.keyed(inputs)
	done = searched{inputs: keyed, candidates: p.candidates}
	if part == 1 {
		if done.alarms, err = s.charge(tx, t, now); err != nil {
			return done, err
		}
		if err := s.Journal.KeepReceipts(tx, t, p.receipts); err != nil {
			return done, err
		}
		if _, err := tx.Exec(`INSERT INTO searched (expires, ticket) VALUES ($1, $2)`, forgetAfter(t.Ticket, publishWindow), t.ID[:]); err != nil {
			return done, err
		}
	}
	if done.receiptPlace, err = s.log(tx, t, string(action), p.entry, now); err != nil {
		return done, err
	}
	for _, one := range p.found {
		if err := s.deliver(tx, t, one, now); err != nil {
			return done, err
		}
	}
	_, err = tx.Exec(`INSERT INTO search (expires, ticket, part, inputs, candidates, sequence, deadline) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		forgetAfter(t.Ticket, window), t.ID[:], part, keyed[:], done.candidates, done.sequence, done.deadline.Unix())
	return done, err
}

// deliver commits one candidate: its reference, the notice in its owner's box,
// and the entry that says so.
func (s *Server) deliver(tx *store.Tx, t waypost.SignedTicket, one planned, now time.Time) error {
	if _, err := tx.Exec(`INSERT INTO reference (expires, ticket, pointer, owner, reference) VALUES ($1, $2, $3, $4, $5)`,
		forgetAfter(t.Ticket, window), t.ID[:], one.pointer, one.owner, one.candidate.Reference[:]); err != nil {
		return err
	}
	if _, err := s.log(tx, t, "deliver", one.entry, now); err != nil {
		return err
	}
	return s.tell(tx, one.notice)
}
