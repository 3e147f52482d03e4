package gateway

import (
	"context"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/compare"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/records"
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

// errInPart ends a check for which not every token could be looked up: one that has
// found nobody would look like a "no".
var errInPart = waypost.Errorf(waypost.Unavailable, "a part of the hub's index does not answer: the check could be searched in part only")

// searchWait bounds a call to the hub; its answer takes milliseconds. Only tests change it.
var searchWait = 5 * time.Second

// search sends one part's tokens to the hub and asks the candidates that come
// back. The hub has told their owners before it answers.
func (s *Server) search(ctx context.Context, q *inquiry, p part) error {
	if err := s.hubUsable(); err != nil {
		return err
	}
	tokens := records.JoinTokens(q.tokens[p.from:p.to])
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
	q.unreached += candidates.Unreached
	return s.askAll(ctx, q, candidates)
}

// searchRest searches the second part. Not where a record of this state that is
// the applicant's, by name and date, was passed here: the four SSN slots of its
// pointer are another state's. This state's tokens meet them where both know the
// same SSN, and what stands in for one never does, so the hub, which sees what meets what, could
// tell movers who have none. The pointers of others are then found by their names
// only, for everybody.
func (s *Server) searchRest(ctx context.Context, q *inquiry) error {
	err := s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		q.namesOnly, err = s.file.PassedUnder(tx, q.maybe, q.ticket.Epoch)
		return err
	})
	if err != nil || q.namesOnly {
		return err
	}
	return s.search(ctx, q, secondPart)
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

// searchOwn looks the tokens up among the state's own records, which the hub
// leaves out, and compares in clear.
func (s *Server) searchOwn(ctx context.Context, q *inquiry) ([]waypost.OwnRecord, error) {
	hits, err := s.file.Own(ctx, q.ticket.Epoch, q.who.Person, q.tokens)
	if err != nil {
		return nil, err
	}
	own := []waypost.OwnRecord{}
	for _, hit := range hits {
		outcome, err := s.compare(ctx, s.config.State, q.who, hit)
		if err != nil {
			return nil, err
		}
		if outcome != waypost.NoMatch {
			own = append(own, waypost.OwnRecord{ID: hit.Record.ID, Outcome: outcome})
		}
	}
	return own, nil
}

// indexTokens are those of the tokens of a check that a record of the applicant
// would be published with, in slot order, under each key.
func (s *Server) indexTokens(q *inquiry) []records.Set {
	at := make([]int, waypost.CheckElements) // position of each key
	for position, key := range probeOrder(q.seed) {
		at[key] = position
	}
	index := matchkey.NewQuery(q.standing(), s.decoySecret).Index
	sets := make([]records.Set, len(q.sets))
	for i, set := range q.sets {
		sets[i] = records.Set{Epoch: set.Epoch, Tokens: make([]waypost.Token, 0, matchkey.Slots)}
		for _, key := range index {
			sets[i].Tokens = append(sets[i].Tokens, set.Tokens[at[key]])
		}
	}
	return sets
}

// compare weighs the applicant of a state against one record of this state, in
// clear, by whichever of its names is the most like. Equal numbers of two states'
// cards mean nothing. A pair that clerks have found to be two people is not raised
// again; that is looked up for every pair, so that it does not show in the time of
// an answer.
func (s *Server) compare(ctx context.Context, asking waypost.Jurisdiction, who Applicant, found records.Found) (waypost.Outcome, error) {
	applicant := who.candidate()
	best := waypost.NoMatch
	for _, name := range found.Names {
		outcome := compare.Compare(applicant,
			compare.Candidate{Person: name, CardNumber: found.Record.CardNumber, CardState: s.config.State}, records.Kinds(found.Agreed))
		if outcome == waypost.Match || outcome == waypost.Possible && best == waypost.NoMatch {
			best = outcome
		}
	}
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		cleared, err := s.rooms.cases.Cleared(tx, asking, who.Person, who.CardNumber, found.Record)
		// Whatever the SSN: otherwise the answer would say whether one is on file.
		if cleared {
			best = waypost.NoMatch
		}
		return err
	})
	return best, err
}
