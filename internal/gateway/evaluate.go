package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

// For one check; a batch to publish has more elements and gets more time.
const (
	hedgeAfter  = 20 * time.Millisecond  // then one more holder is asked, if the budget allows
	silentAfter = 300 * time.Millisecond // then another in any case: somebody is down without saying so
)

var evaluateWait = 5 * time.Second // for the quorum; only tests change it

// vote is one holder's verified answer, or why there is none.
type vote struct {
	holder  roster.Member
	answers []toprf.Verified // one under each key
	receipt waypost.SignedReceipt
	err     error
}

// evaluate has a quorum of key holders raise the elements and returns the tokens, in
// the order of the elements, with the receipts: under each key that the ticket's
// roster version serves for its kind, that of the ticket's own epoch first. Too few
// good answers are Unavailable; a refusal that every holder would give is returned as
// it is.
func (s *Server) evaluate(ctx context.Context, ticket waypost.SignedTicket, blinding *toprf.Blinding, opts ...toprf.Option) ([]records.Set, []waypost.SignedReceipt, error) {
	ctx, cancel := context.WithTimeout(ctx, forBatch(evaluateWait, ticket.Elements))
	defer cancel()
	keys, err := s.ring.of(s.Roster, ticket.Ticket)
	if err != nil {
		return nil, nil, err
	}
	good, err := s.quorum(ctx, ticket, keys, blinding.Elements())
	if err != nil {
		return nil, nil, err
	}
	receipts := make([]waypost.SignedReceipt, len(good))
	for i, v := range good {
		receipts[i] = v.receipt
	}
	sets := make([]records.Set, len(keys.public))
	for k, key := range keys.public {
		answers := make([]toprf.Verified, len(good))
		for i, v := range good {
			answers[i] = v.answers[k]
		}
		err := s.turns.Take(ticket.Elements, func(pauses ...toprf.Option) (err error) {
			sets[k], err = tokensUnder(keys.epochs[k], key, blinding, answers, append(pauses, opts...)...)
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return sets, receipts, nil
}

// makeTokens evaluates a check.
func (s *Server) makeTokens(ctx context.Context, q *inquiry) (err error) {
	if q.sets, q.receipts, err = s.evaluate(ctx, q.ticket, q.blinding); err == nil {
		q.tokens = q.sets[0].Tokens
	}
	return err
}

// tokensUnder makes the tokens of one key: of more answers than its threshold, from
// the first of them.
func tokensUnder(epoch uint32, key *toprf.PublicKeys, blinding *toprf.Blinding, answers []toprf.Verified, opts ...toprf.Option) (records.Set, error) {
	set := records.Set{Epoch: epoch}
	combined, err := key.Combine(answers[:key.Threshold()], opts...)
	if err != nil {
		return set, err
	}
	outputs, err := blinding.Finalize(combined, opts...)
	if err != nil {
		return set, err
	}
	set.Tokens = make([]waypost.Token, len(outputs))
	for i, output := range outputs {
		set.Tokens[i] = waypost.NewToken(epoch, output)
	}
	return set, nil
}

// forBatch stretches the time that one check is given to so many elements.
func forBatch(d time.Duration, elements int) time.Duration {
	return d * time.Duration(max(1, elements/waypost.CheckElements))
}

// quorum asks t holders at once, another for each that fails, and others when
// the slowest take long.
func (s *Server) quorum(ctx context.Context, ticket waypost.SignedTicket, keys ticketKeys, elements []toprf.Element) ([]vote, error) {
	need := keys.quorum
	all := s.holders(ticket.RosterVersion)
	usable, err := s.usableHolders(all)
	switch {
	case err != nil && len(usable) < need:
		return nil, err
	case len(usable) < need:
		return nil, waypost.Errorf(waypost.Unavailable, "%d key holders of roster version %d are members, %d are needed", len(usable), ticket.RosterVersion, need)
	}
	holders := rotate(usable, int(ticket.Nonce[0]))
	req := &waypostv1.EvaluateRequest{Ticket: ticket.Bytes(), Elements: toprf.EncodeElements(elements)}
	count := tally{need: need, all: len(all)}
	if s.Loop != nil {
		for _, h := range holders {
			if s.counts(&count, s.ask(ctx, h, ticket, keys, elements, req)) {
				return count.good, nil
			}
		}
		return nil, count.failure()
	}

	ctx, cancel := context.WithCancel(ctx)
	votes := make(chan vote, len(holders))
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()      // before waiting: a slow holder is not waited for
	asked, open := 0, 0 // open: asked, without an answer yet
	askNext := func() {
		if asked == len(holders) {
			return
		}
		h := holders[asked]
		asked, open = asked+1, open+1
		asking.Go(func() { votes <- s.ask(ctx, h, ticket, keys, elements, req) })
	}
	for range need {
		askNext()
	}
	s.hedge.earn()
	slow := time.NewTimer(forBatch(hedgeAfter, len(elements)))
	defer slow.Stop()
	early := true

	for open > 0 {
		select {
		case v := <-votes:
			open--
			if s.counts(&count, v) {
				return count.good, nil
			}
			if v.err != nil {
				askNext()
			}
		case <-slow.C:
			if !early || s.hedge.spend() {
				askNext()
			}
			early = false
			slow.Reset(forBatch(silentAfter, len(elements)))
		}
	}
	return nil, count.failure()
}

// tally is what the holders that were asked have come to so far.
type tally struct {
	need, all int
	good      []vote
	refusals  []error
}

// counts adds a vote, and reports whether there are enough good ones.
func (s *Server) counts(t *tally, v vote) (enough bool) {
	switch {
	case v.err == nil:
		t.good = append(t.good, v)
	case s.refuses(v):
		t.refusals = append(t.refusals, v.err)
	}
	return len(t.good) == t.need
}

// failure says why there is no quorum. A refusal counts if it alone makes the
// quorum impossible: one holder that says no does not decide for all.
func (t *tally) failure() error {
	if len(t.refusals) > t.all-t.need {
		return t.refusals[0]
	}
	return waypost.Errorf(waypost.Unavailable, "%d of %d key holders have answered, %d are needed", len(t.good), t.all, t.need)
}

// usableHolders leaves out the holders whose own ledger cannot be relied on,
// and says why the first of them is.
func (s *Server) usableHolders(all []roster.Member) (usable []roster.Member, why error) {
	for _, h := range all {
		if err := s.Ledgers.Usable(h.Name); err == nil {
			usable = append(usable, h)
		} else if why == nil {
			why = waypost.Errorf(waypost.Unavailable, "%v", err)
		}
	}
	return usable, why
}

// faultError is a holder's own fault, which the log names it for.
type faultError struct{ cause error }

func (f faultError) Error() string { return f.cause.Error() }

// refuses reports whether the holder refuses the ticket, as opposed to being
// down or at fault, and logs what somebody should look at.
func (s *Server) refuses(v vote) bool {
	if fault, ok := errors.AsType[faultError](v.err); ok {
		s.Log.Error("a key holder's answer is not proved, or its receipt is wrong", "holder", v.holder.Name, "cause", fault.cause)
		return false
	}
	switch waypost.CodeOf(v.err) {
	case waypost.InvalidArgument, waypost.PermissionDenied, waypost.Unauthenticated, waypost.Expired, waypost.QuotaExceeded:
		return true
	}
	if !errors.Is(v.err, context.Canceled) {
		s.Log.Warn("a key holder gave no answer", "holder", v.holder.Name, "cause", v.err)
	}
	return false
}

// ask gets one holder's answer and checks proof and receipt.
func (s *Server) ask(ctx context.Context, h roster.Member, ticket waypost.SignedTicket, keys ticketKeys, elements []toprf.Element, req *waypostv1.EvaluateRequest) vote {
	v := vote{holder: h}
	res, err := s.Holders.Evaluate(ctx, h.Name, req)
	if err != nil {
		v.err = err
		return v
	}
	if v.answers, v.receipt, err = s.checkEvaluation(h, ticket, keys, elements, res); err != nil {
		v.err = faultError{err}
	}
	return v
}

// checkEvaluation verifies the proof under each key and insists on a receipt for the
// whole answer.
func (s *Server) checkEvaluation(h roster.Member, ticket waypost.SignedTicket, keys ticketKeys, elements []toprf.Element, res *waypostv1.EvaluateResponse) ([]toprf.Verified, waypost.SignedReceipt, error) {
	receipt, err := waypost.ParseReceipt(res.Receipt)
	if err != nil {
		return nil, receipt, err
	}
	if err := checkReceipt(receipt, h, ticket, res); err != nil {
		return nil, receipt, err
	}
	if err := receipt.CheckPromise(s.Now(), journal.MergeDelay); err != nil {
		return nil, receipt, err
	}
	if len(elements) == 0 { // the receipt says it all, and that there is no output and no proof
		return nil, receipt, nil
	}
	n := len(keys.public)
	if len(res.Proof) != n*toprf.ProofSize || len(res.Elements) != n*len(elements)*toprf.ElementSize {
		return nil, receipt, &toprf.BadEvaluationError{Index: h.Index, Reason: fmt.Sprintf("there is not one answer under each of the keys of epochs %v", keys.epochs)}
	}
	answers := make([]toprf.Verified, n)
	for k, key := range keys.public {
		size := len(res.Elements) / n
		one := toprf.Evaluation{Elements: res.Elements[k*size:][:size], Proof: [toprf.ProofSize]byte(res.Proof[k*toprf.ProofSize:])}
		err := s.turns.Take(len(elements), func(opts ...toprf.Option) (err error) {
			answers[k], err = key.Verify(h.Index, elements, one, opts...)
			return err
		})
		if err != nil {
			return nil, receipt, err
		}
	}
	return answers, receipt, nil
}

// checkReceipt insists that the receipt commits to exactly this answer.
func checkReceipt(r waypost.SignedReceipt, h roster.Member, t waypost.SignedTicket, res *waypostv1.EvaluateResponse) error {
	if err := r.Verify(h.Identity); err != nil {
		return err
	}
	want := waypost.Receipt{
		Action: waypost.ActionEvaluate, Signer: h.Name, Ticket: t.ID, Epoch: t.Epoch, Inputs: t.Probes,
		Outputs: waypost.HashOutputs(waypost.ActionEvaluate, res.Elements), Proof: sha256.Sum256(res.Proof),
		Origin: r.Origin, Sequence: r.Sequence, Deadline: r.Deadline,
	}
	if t.Elements == 0 {
		want.Outputs, want.Proof = waypost.HashOutputs(waypost.ActionEvaluate, nil), [32]byte{}
	}
	if r.Receipt != want {
		return waypost.Errorf(waypost.PermissionDenied, "the receipt of %s is not for its answer", h.Name)
	}
	return nil
}

// rotate spreads the load: which holder is asked first is chance.
func rotate(holders []roster.Member, by int) []roster.Member {
	by %= len(holders)
	return append(append(make([]roster.Member, 0, len(holders)), holders[by:]...), holders[:by]...)
}

// hedgeBudget keeps hedging to about one check in ten, so that a machine that
// is merely busy is not given more to do. It starts full.
type hedgeBudget struct {
	mu     sync.Mutex
	credit float64
}

const (
	hedgeCap   = 10
	hedgeShare = 0.1
)

func newHedgeBudget() *hedgeBudget { return &hedgeBudget{credit: hedgeCap} }

func (b *hedgeBudget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.credit = min(hedgeCap, b.credit+hedgeShare)
}

func (b *hedgeBudget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.credit < 1 {
		return false
	}
	b.credit--
	return true
}
