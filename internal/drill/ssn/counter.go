package ssn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/duplicate"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/store"
)

// atTheCounter asks through an honest gateway: a check and the questions that follow
// one, a card that is shown, a campaign for duplicates, and records that the state
// loads of the same people.
func (p *play) atTheCounter(ctx context.Context) error {
	door, _, err := cluster.Door(p.x.Dir, asking)
	if err != nil {
		return err
	}
	questions := waypostv1connect.NewQuestionsClient(door)
	for _, of := range []waypost.Jurisdiction{honest, telling} {
		ways := []func(context.Context, waypost.Jurisdiction, *subject, int) error{p.campaign, p.publish}
		if of == telling { // what its licensing system says is in no answer of these
			ways = nil
		}
		for i, s := range p.people[of] {
			err := p.question(ctx, questions, of, s, i)
			for n := 0; n < len(ways) && err == nil; n++ {
				err = ways[n](ctx, of, s, i)
			}
			if err != nil {
				return fmt.Errorf("person %d of %s: %w", i, of, err)
			}
			p.Progress("at the counter, about "+string(of), i+1, len(p.people[of]))
		}
	}
	stranger := &subject{record: waypost.Record{Person: nobody}, words: make(map[string][]string), full: make(map[string]bool)}
	if err := p.campaign(ctx, honest, stranger, 0); err != nil {
		return err
	}
	if stranger.full["campaign"] {
		return errors.New("a campaign finds somebody who is in no index")
	}
	for _, w := range []struct{ what, name string }{
		{"a check at the counter with the card shown, then status, history and portrait of what it found", "questions"},
		{"verify_card with the card's number", "card"},
		{"a campaign for duplicates that compares tags", "campaign"},
		{"loading a record of the same person, without an SSN and with a wrong one", "load"},
	} {
		p.byWords(w.what, w.name, honest)
		if w.name == "questions" || w.name == "card" {
			p.byWords("the same", w.name, telling)
		}
	}
	return nil
}

func (p *play) question(ctx context.Context, questions waypostv1connect.QuestionsClient, of waypost.Jurisdiction, s *subject, n int) error {
	who := s.record.Person
	who.SSN5 = ""
	counter, err := p.x.Counter(asking)
	if err != nil {
		return err
	}
	// Of whoever shows the card the state is told a match, and may ask on.
	shown := gateway.Applicant{Person: who, CardNumber: s.record.CardNumber, CardState: of}
	raw, err := counter.Check(ctx, gateway.CheckToProto(shown, waypost.IssueRealID, fmt.Sprintf("CASE-%s-%d", of, n)))
	if err != nil {
		return err
	}
	checked, err := p.x.Last(ctx, asking, gateway.AnswerFromProto(raw))
	if err != nil {
		return err
	}
	var words []string
	full := 0
	for _, c := range checked.Candidates {
		if c.State != of {
			continue
		}
		words = append(words, "outcome "+string(c.Outcome), "status "+string(c.Status), "kind "+string(c.CardKind), fmt.Sprint("termination ", c.TerminationRequired))
		about := &waypostv1.RecordRequest{Check: checked.TicketHex, Reference: fmt.Sprintf("%x", c.Reference), CaseReference: "CASE"}
		for _, ask := range []func(context.Context, *waypostv1.RecordRequest) (*waypostv1.QuestionAnswer, error){
			func(ctx context.Context, r *waypostv1.RecordRequest) (*waypostv1.QuestionAnswer, error) {
				return questions.Status(ctx, r)
			},
			func(ctx context.Context, r *waypostv1.RecordRequest) (*waypostv1.QuestionAnswer, error) {
				r.Purpose = string(waypost.ChangeSOR)
				return questions.History(ctx, r)
			},
			func(ctx context.Context, r *waypostv1.RecordRequest) (*waypostv1.QuestionAnswer, error) {
				r.Purpose = string(waypost.DuplicateResolution)
				return questions.Portrait(ctx, r)
			},
		} {
			word, ok := said(settled(ctx, questions)(ask(ctx, about)))
			if words = append(words, word); ok {
				full++
			}
		}
	}
	s.words["questions"], s.full["questions"] = words, full == 3
	card, ok := said(settled(ctx, questions)(questions.VerifyCard(ctx, &waypostv1.VerifyCardRequest{CaseReference: "CASE",
		Card: &waypostv1.Applicant{Family: who.Family, Given: who.Given, Born: who.Born.String(), CardNumber: s.record.CardNumber, CardState: string(of)}})))
	s.words["card"], s.full["card"] = []string{card}, ok
	return nil
}

// settled waits for the answer to a question that has not come at once, as on a busy
// machine.
func settled(ctx context.Context, questions waypostv1connect.QuestionsClient) func(*waypostv1.QuestionAnswer, error) (*waypostv1.QuestionAnswer, error) {
	return func(a *waypostv1.QuestionAnswer, err error) (*waypostv1.QuestionAnswer, error) {
		for deadline := time.Now().Add(time.Minute); err == nil && a.Word == string(waypost.Pending) && ctx.Err() == nil && time.Now().Before(deadline); {
			time.Sleep(20 * time.Millisecond)
			a, err = questions.Get(ctx, &waypostv1.GetQuestionRequest{Id: a.Id})
		}
		return a, err
	}
}

// said is all that an answer says, or the code of its refusal; and whether it is an
// answer and no refusal.
func said(a *waypostv1.QuestionAnswer, err error) (string, bool) {
	if err != nil {
		return string(waypost.CodeOf(err)), false
	}
	return fmt.Sprintf("%s %s %q %d %d", a.Kind, a.Word, a.Why, len(a.Portrait), proto.Size(a.History)), a.Word != "declined" && a.Word != ""
}

func (p *play) campaign(ctx context.Context, of waypost.Jurisdiction, s *subject, _ int) error {
	who, az := s.record.Person, p.x.Gateway(asking)
	who.SSN5 = ""
	var id waypost.TicketID
	err := az.TagSearch(ctx, who, duplicate.Search{Operator: "clerk", Case: "campaign", Began: func(_ *store.Tx, search waypost.TicketID) error {
		id = search
		return nil
	}})
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(2 * time.Minute); ; {
		found, err := az.Found(ctx, id)
		if err != nil {
			return err
		}
		if found.Over || time.Now().After(deadline) {
			agree := 0
			for _, a := range found.Agreeing {
				if a.Owner == of {
					agree++
				}
			}
			s.full["campaign"] = found.Over && agree > 0
			s.words["campaign"] = []string{fmt.Sprintf("%d agree, over %v", agree, found.Over)}
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// publish loads the same person as the state's own, once without an SSN and once with
// one that is not theirs.
func (p *play) publish(ctx context.Context, of waypost.Jurisdiction, s *subject, n int) error {
	counter, err := p.x.Counter(asking)
	if err != nil {
		return err
	}
	var words []string
	published := 0
	for i, ssn := range []string{"", "24680"} {
		mine := applicant(s.record.Person)
		mine.CardNumber = fmt.Sprintf("SYNMINE%s%d-%d", of, n, i)
		res, err := counter.Load(ctx, &waypostv1.LoadRequest{Records: []*waypostv1.Record{{
			Id: fmt.Sprintf("MINE-%s-%d-%d", of, n, i), Ssn5: ssn, CardKind: string(s.record.Kind), Status: string(waypost.Valid),
			Person: mine,
		}}})
		if err != nil {
			words = append(words, string(waypost.CodeOf(err)))
			continue
		}
		published += int(res.Published)
		words = append(words, fmt.Sprintf("%d: %d published, %d rejected", i, res.Published, len(res.Rejected)))
	}
	s.words["load"], s.full["load"] = words, published == 2
	return nil
}
