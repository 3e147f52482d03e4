package gateway

import (
	"context"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/compare"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
)

// part is one of the two parts of a search.
type part struct {
	number   uint32
	action   waypost.Action
	from, to int // positions of its tokens
}

var (
	firstPart  = part{1, waypost.ActionSearchFirst, 0, waypost.NameElements}
	secondPart = part{2, waypost.ActionSearchSecond, waypost.NameElements, waypost.CheckElements}
)

// searchWait bounds a call to the hub; its answer takes milliseconds.
const searchWait = 5 * time.Second

// search sends one part's tokens to the hub and asks the candidates that come
// back. The hub has told their owners before it answers.
func (s *Server) search(ctx context.Context, q *inquiry, p part) error {
	if err := s.hubUsable(); err != nil {
		return err
	}
	tokens := joinTokens(q.tokens[p.from:p.to])
	req := &waypostv1.SearchRequest{Ticket: q.ticket.Bytes(), Part: p.number, Tokens: tokens}
	if p.number == firstPart.number {
		req.Receipts = receiptBytes(q.receipts)
	}
	wait, cancel := context.WithTimeout(ctx, searchWait)
	defer cancel()
	res, err := s.Hub.Search(wait, req)
	if err != nil {
		return err
	}
	candidates, err := s.checkCandidates(q.ticket, p.action, tokens, res)
	if err != nil {
		return err
	}
	q.hubReceipts = append(q.hubReceipts, res.Receipt)
	return s.askAll(ctx, q, candidates)
}

// hubUsable says in words why the hub must not be relied on now: what it did
// would leave no trace that anybody could check.
func (s *Server) hubUsable() error {
	if err := s.Ledgers.Usable(s.Roster.Current().Hub().Name); err != nil {
		return waypost.Errorf(waypost.Unavailable, "%v", err)
	}
	return nil
}

func receiptBytes(receipts []waypost.SignedReceipt) [][]byte {
	out := make([][]byte, len(receipts))
	for i, r := range receipts {
		out[i] = r.Bytes()
	}
	return out
}

// checkCandidates insists that the hub's receipt commits to exactly this
// ticket, these tokens and this list.
func (s *Server) checkCandidates(t waypost.SignedTicket, action waypost.Action, tokens []byte, res *waypostv1.SearchResponse) (waypost.Candidates, error) {
	hub := s.Roster.Current().Hub()
	receipt, err := waypost.ParseReceipt(res.Receipt)
	if err != nil {
		return waypost.Candidates{}, err
	}
	if err := receipt.Verify(hub.Identity); err != nil {
		return waypost.Candidates{}, err
	}
	want := waypost.Receipt{
		Action: action, Signer: hub.Name, Ticket: t.ID, Epoch: t.Epoch, Inputs: waypost.HashTokens(tokens),
		Outputs: waypost.HashOutputs(action, res.Candidates), Origin: receipt.Origin,
		Sequence: receipt.Sequence, Deadline: receipt.Deadline,
	}
	list, err := waypost.ParseCandidates(res.Candidates)
	if err != nil {
		return waypost.Candidates{}, err
	}
	if receipt.Receipt != want || list.Ticket != t.ID {
		return waypost.Candidates{}, waypost.Errorf(waypost.PermissionDenied, "the hub's receipt is not for its answer")
	}
	return list, receipt.CheckPromise(s.Now(), journal.MergeDelay)
}

func joinTokens(tokens []waypost.Token) []byte {
	joined := make([]byte, 0, len(tokens)*len(waypost.Token{}))
	for _, t := range tokens {
		joined = append(joined, t[:]...)
	}
	return joined
}

// ownTokenSize cuts the tokens of the state's own index: enough to tell its own
// records apart.
const ownTokenSize = 16

// searchOwn looks the tokens up among the state's own records, which the hub
// leaves out, and compares in clear.
func (s *Server) searchOwn(ctx context.Context, q *inquiry) ([]waypost.OwnRecord, error) {
	hits, err := s.ownHits(ctx, q.tokens)
	if err != nil {
		return nil, err
	}
	searched := make(map[waypost.Token]bool, len(q.tokens))
	for _, t := range q.tokens {
		searched[t] = true
	}
	own := []waypost.OwnRecord{}
	for id, stored := range hits {
		record, tokens, err := s.recordOf(ctx, &id, stored)
		if waypost.CodeOf(err) == waypost.NotFound {
			continue // deleted in the state system, not yet withdrawn from the index
		}
		if err != nil {
			return nil, err
		}
		var agreed []matchkey.Kind
		for i, slot := range matchkey.Index(record.Person, s.decoySecret) {
			if searched[tokens[i]] && !slot.Decoy {
				agreed = append(agreed, slot.Kind)
			}
		}
		if outcome := s.compare(q.who, record, agreed); outcome != waypost.NoMatch {
			own = append(own, waypost.OwnRecord{ID: record.ID, Outcome: outcome})
		}
	}
	sort.Slice(own, func(i, j int) bool { return own[i].ID < own[j].ID })
	return own, nil
}

// ownHits returns the state's own records that the tokens hit, each with its
// stored tokens.
func (s *Server) ownHits(ctx context.Context, tokens []waypost.Token) (map[string][]byte, error) {
	hits := make(map[string][]byte)
	args := make([]any, len(tokens))
	for i, t := range tokens {
		args[i] = t[:ownTokenSize]
	}
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		clear(hits)
		return tx.Query(ownHitsQuery, args, func(scan func(dest ...any) error) error {
			var id string
			var stored []byte
			err := scan(&id, &stored)
			hits[id] = stored
			return err
		})
	})
	return hits, err
}

// ownHitsQuery takes the tokens of one check.
var ownHitsQuery = func() string {
	places := make([]string, waypost.CheckElements)
	for i := range places {
		places[i] = "$" + strconv.Itoa(i+1)
	}
	return "SELECT r.id, r.tokens FROM own_token t JOIN record r ON r.handle = t.handle WHERE t.token IN (" + strings.Join(places, ", ") + ")"
}()

// compare weighs the applicant against one record of this state, in clear. Equal
// numbers of two states' cards mean nothing.
func (s *Server) compare(who Applicant, record waypost.Record, agreed []matchkey.Kind) waypost.Outcome {
	return compare.Compare(
		compare.Candidate{Person: who.Person, CardNumber: who.CardNumber, CardState: who.CardState},
		compare.Candidate{Person: record.Person, CardNumber: record.CardNumber, CardState: s.config.State}, agreed)
}
