package questions

import (
	"context"
	"encoding/hex"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
)

// answerWait is how long a clerk waits for the other state.
const answerWait = 5 * time.Second

// Door serves the Questions calls to the state's own operators.
type Door struct{ *Questions }

// VerifyCard asks the state of a card.
func (d Door) VerifyCard(ctx context.Context, req *waypostv1.VerifyCardRequest) (*waypostv1.QuestionAnswer, error) {
	card := req.GetCard()
	to, err := waypost.ParseJurisdiction(card.GetCardState())
	if err != nil {
		return nil, waypost.Errorf(waypost.InvalidArgument, "say which state has issued the card")
	}
	if to == d.State {
		return nil, waypost.Errorf(waypost.InvalidArgument, "the card is of %s itself: look it up in its own system", to)
	}
	body, err := proto.Marshal(&waypostv1.PresentedCard{Number: card.CardNumber, Family: card.Family, Given: card.Given, Born: card.Born})
	if err != nil {
		return nil, err
	}
	if _, _, err := presented(body); err != nil {
		return nil, err
	}
	return d.ask(ctx, errand.Errand{
		ID: errand.NewID(), Kind: waypost.KindVerifyCard, Purpose: waypost.AcceptAsID, To: to,
		Operator: rpc.Operator(ctx), Class: waypost.Attended, Case: req.CaseReference, Body: body,
	})
}

// Status asks how the record stands that a check has found.
func (d Door) Status(ctx context.Context, req *waypostv1.RecordRequest) (*waypostv1.QuestionAnswer, error) {
	return d.follow(ctx, waypost.KindStatus, req)
}

// History asks for its driver history.
func (d Door) History(ctx context.Context, req *waypostv1.RecordRequest) (*waypostv1.QuestionAnswer, error) {
	return d.follow(ctx, waypost.KindHistory, req)
}

// Portrait asks for its portrait.
func (d Door) Portrait(ctx context.Context, req *waypostv1.RecordRequest) (*waypostv1.QuestionAnswer, error) {
	return d.follow(ctx, waypost.KindPortrait, req)
}

// Get returns what is known now of an earlier question.
func (d Door) Get(ctx context.Context, req *waypostv1.GetQuestionRequest) (*waypostv1.QuestionAnswer, error) {
	raw, err := hex.DecodeString(req.Id)
	if err != nil || len(raw) != len(errand.ID{}) {
		return nil, waypost.Errorf(waypost.InvalidArgument, "a question is named by 32 hex digits")
	}
	p, err := d.Errands.Get(ctx, errand.ID(raw))
	if err != nil {
		return nil, err
	}
	return show(p)
}

func (d Door) follow(ctx context.Context, kind waypost.Kind, req *waypostv1.RecordRequest) (*waypostv1.QuestionAnswer, error) {
	check, err := hex.DecodeString(req.Check)
	if err != nil || len(check) != len(waypost.TicketID{}) {
		return nil, waypost.Errorf(waypost.InvalidArgument, "a check is named by 64 hex digits")
	}
	var reference waypost.Reference
	if err := reference.UnmarshalText([]byte(req.Reference)); err != nil {
		return nil, err
	}
	w := Wish{Kind: kind, Check: waypost.TicketID(check), Reference: reference, Purpose: waypost.Purpose(req.Purpose),
		Operator: rpc.Operator(ctx), Case: req.CaseReference}
	mine, err := d.wish(ctx, errand.NewID(), w)
	if err != nil {
		return nil, err
	}
	return d.ask(ctx, mine)
}

// Wish is a question about the record that an own check has found.
type Wish struct {
	Kind      waypost.Kind // status, history or portrait
	Check     waypost.TicketID
	Reference waypost.Reference
	Purpose   waypost.Purpose // where empty, that of the check
	Operator  string
	Case      string // where empty, that of the check
}

// wish makes the errand, and refuses what the other state would.
func (q *Questions) wish(ctx context.Context, id errand.ID, w Wish) (mine errand.Errand, err error) {
	err = q.DB.Read(ctx, func(tx *store.Tx) error {
		asked, err := q.File.Asked(tx, w.Check, w.Reference)
		if err != nil {
			return err
		}
		mine = errand.Errand{ID: id, Kind: w.Kind, Purpose: w.Purpose, To: asked.Owner, Cites: w.Check, Operator: w.Operator, Class: waypost.Attended, Case: w.Case}
		if w.Purpose == "" {
			mine.Purpose = asked.Purpose
		}
		if w.Case == "" {
			mine.Case = asked.Case
		}
		if !goes(w.Kind, asked.Outcome) {
			return waypost.Errorf(waypost.InvalidArgument, "the answer of %s to that check does not allow this question: it was %s", asked.Owner, asked.Outcome)
		}
		if !w.Kind.Allows(mine.Purpose) {
			return waypost.Errorf(waypost.InvalidArgument, "the purpose %s does not allow this question: name another", mine.Purpose)
		}
		return nil
	})
	if err == nil {
		mine.Body, err = proto.Marshal(&waypostv1.FoundRecord{Reference: w.Reference[:]})
	}
	return mine, err
}

// begin commits to a question and waits for the answer.
func (q *Questions) begin(ctx context.Context, mine errand.Errand) (errand.Progress, error) {
	if err := q.DB.Write(ctx, func(tx *store.Tx) error { return q.Errands.Begin(tx, mine) }); err != nil {
		return errand.Progress{}, err
	}
	return q.Errands.Wait(ctx, mine.ID, answerWait)
}

func (d Door) ask(ctx context.Context, mine errand.Errand) (*waypostv1.QuestionAnswer, error) {
	p, err := d.begin(ctx, mine)
	if err != nil {
		return nil, err
	}
	return show(p)
}

// Portrait asks for one portrait under an id, and with the same id goes on waiting.
// It returns the JPEG, or nil where the other state declines; ok is false while
// nothing has come.
func (q *Questions) Portrait(ctx context.Context, id errand.ID, w Wish) (jpeg []byte, ok bool, err error) {
	w.Kind = waypost.KindPortrait
	mine, err := q.wish(ctx, id, w)
	if err != nil {
		return nil, false, err
	}
	p, err := q.begin(ctx, mine)
	if err != nil || p.State != errand.Concluded {
		return nil, false, err
	}
	if last := p.Replies[len(p.Replies)-1]; last.Word == portrait {
		return last.Body, true, nil
	}
	return nil, true, nil
}

// show is a question as a clerk sees it.
func show(p errand.Progress) (*waypostv1.QuestionAnswer, error) {
	switch p.Kind {
	case waypost.KindVerifyCard, waypost.KindStatus, waypost.KindHistory, waypost.KindPortrait:
	default:
		return nil, waypost.Errorf(waypost.NotFound, "there is no such question")
	}
	a := &waypostv1.QuestionAnswer{Id: hex.EncodeToString(p.ID[:]), Kind: string(p.Kind), State: string(p.To), Word: string(waypost.Pending), Why: p.Reason}
	switch p.State {
	case errand.Cancelled:
		a.Word = errand.Refused
	case errand.Concluded:
		r := p.Replies[len(p.Replies)-1]
		a.Word, a.Why = r.Word, r.Refused
		switch r.Word {
		case portrait:
			a.Portrait = r.Body
		case history:
			a.History = &waypostv1.History{}
			if err := proto.Unmarshal(r.Body, a.History); err != nil {
				return nil, waypost.Errorf(waypost.Internal, "the history of %s is not well formed", p.To).WithCause(err)
			}
		}
	}
	return a, nil
}
