package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

const (
	hedgeAfter   = 20 * time.Millisecond // then one more holder is asked
	evaluateWait = 5 * time.Second       // for the quorum
)

// vote is one holder's verified answer, or why there is none.
type vote struct {
	holder  roster.Member
	answer  toprf.Verified
	receipt waypost.SignedReceipt
	err     error
}

// evaluate has t key holders raise the elements and returns the tokens, in the
// order of the elements, with the receipts. Fewer than t good answers are
// Unavailable; a refusal that every holder would give is returned as it is.
func (s *Server) evaluate(ctx context.Context, ticket waypost.SignedTicket, blinding *toprf.Blinding, opts ...toprf.Option) ([]waypost.Token, []waypost.SignedReceipt, error) {
	ctx, cancel := context.WithTimeout(ctx, evaluateWait)
	defer cancel()
	good, err := s.quorum(ctx, ticket, blinding.Elements())
	if err != nil {
		return nil, nil, err
	}
	answers := make([]toprf.Verified, len(good))
	receipts := make([]waypost.SignedReceipt, len(good))
	for i, v := range good {
		answers[i], receipts[i] = v.answer, v.receipt
	}
	combined, err := s.keys.Combine(answers, opts...)
	if err != nil {
		return nil, nil, err
	}
	outputs, err := blinding.Finalize(combined, opts...)
	if err != nil {
		return nil, nil, err
	}
	tokens := make([]waypost.Token, len(outputs))
	for i, output := range outputs {
		tokens[i] = waypost.NewToken(ticket.Epoch, output)
	}
	return tokens, receipts, nil
}

// quorum asks t holders at once, another for each that fails, and another when
// the slowest takes long.
func (s *Server) quorum(ctx context.Context, ticket waypost.SignedTicket, elements []toprf.Element) ([]vote, error) {
	need := s.keys.Threshold()
	holders := rotate(s.Roster.Current().Holders(), int(ticket.Nonce[0]))
	req := &waypostv1.EvaluateRequest{Ticket: ticket.Bytes(), Elements: toprf.EncodeElements(elements)}

	ctx, cancel := context.WithCancel(ctx)
	votes := make(chan vote, len(holders))
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel() // before waiting: a slow holder is not waited for
	asked, open := 0, 0
	askNext := func() bool {
		if asked == len(holders) {
			return false
		}
		h := holders[asked]
		asked, open = asked+1, open+1
		asking.Go(func() { votes <- s.ask(ctx, h, ticket, elements, req) })
		return true
	}
	for range need {
		askNext()
	}
	s.hedge.earn()
	hedge := time.NewTimer(hedgeAfter)
	defer hedge.Stop()

	var good []vote
	var refusal error
	for open > 0 {
		select {
		case v := <-votes:
			open--
			if v.err == nil {
				if good = append(good, v); len(good) == need {
					return good, nil
				}
				continue
			}
			refusal = s.judgeFailure(v, refusal)
			askNext()
		case <-hedge.C:
			if s.hedge.spend() {
				askNext()
			}
		}
	}
	if refusal != nil {
		return nil, refusal
	}
	return nil, waypost.Errorf(waypost.Unavailable, "%d of %d key holders have answered, %d are needed: the check is owed", len(good), len(holders), need)
}

// judgeFailure keeps a refusal that does not depend on the holder, and names
// the maker of a bad proof in the log.
func (s *Server) judgeFailure(v vote, refusal error) error {
	var bad *toprf.BadEvaluationError
	if errors.As(v.err, &bad) {
		s.Log.Error("a key holder's answer is not proved", "holder", v.holder.Name, "reason", bad.Reason)
		return refusal
	}
	switch waypost.CodeOf(v.err) {
	case waypost.InvalidArgument, waypost.PermissionDenied, waypost.Expired, waypost.QuotaExceeded:
		return v.err
	case waypost.Unavailable:
	default:
		if !errors.Is(v.err, context.Canceled) && !errors.Is(v.err, context.DeadlineExceeded) {
			s.Log.Warn("a key holder gave no answer", "holder", v.holder.Name, "cause", v.err)
		}
	}
	return refusal
}

// ask gets one holder's answer and checks proof and receipt.
func (s *Server) ask(ctx context.Context, h roster.Member, ticket waypost.SignedTicket, elements []toprf.Element, req *waypostv1.EvaluateRequest) vote {
	v := vote{holder: h}
	res, err := s.Holders.Evaluate(ctx, h.Name, req)
	if err != nil {
		v.err = err
		return v
	}
	evaluation := toprf.Evaluation{Elements: res.Elements}
	if copy(evaluation.Proof[:], res.Proof) != toprf.ProofSize || len(res.Proof) != toprf.ProofSize {
		v.err = &toprf.BadEvaluationError{Index: h.Index, Reason: "bad proof"}
		return v
	}
	if v.answer, v.err = s.keys.Verify(h.Index, elements, evaluation); v.err != nil {
		return v
	}
	if v.receipt, v.err = waypost.ParseReceipt(res.Receipt); v.err != nil {
		return v
	}
	v.err = checkReceipt(v.receipt, h, ticket, res)
	return v
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
