package ssn

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/duplicate"
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
	for i, s := range p.people[honest] {
		if err := p.question(ctx, questions, s, i); err != nil {
			return fmt.Errorf("person %d: %w", i, err)
		}
		if err := p.campaign(ctx, s); err != nil {
			return fmt.Errorf("person %d, campaign: %w", i, err)
		}
		if err := p.publish(ctx, s, i); err != nil {
			return fmt.Errorf("person %d, publishing: %w", i, err)
		}
		p.Progress("at the counter", i+1, len(p.people[honest]))
	}
	for _, w := range []struct{ what, name string }{
		{"a check at the counter, then status, history and portrait of what it found", "questions"},
		{"verify_card with the card's number", "card"},
		{"a campaign for duplicates that compares tags", "campaign"},
		{"loading a record of the same person, without an SSN and with a wrong one", "load"},
	} {
		p.line(w.what, honest, len(p.people[honest]), p.byWord(honest, w.name))
	}
	return nil
}

func (p *play) question(ctx context.Context, questions waypostv1connect.QuestionsClient, s *subject, n int) error {
	who := s.record.Person
	who.SSN5 = ""
	checked, err := p.x.Check(ctx, asking, who, waypost.IssueRealID, fmt.Sprintf("CASE-%d", n))
	if err != nil {
		return err
	}
	var words []string
	for _, c := range checked.Candidates {
		if c.State != honest {
			continue
		}
		words = append(words, "outcome "+string(c.Outcome), "status "+string(c.Status), "kind "+string(c.CardKind), fmt.Sprint("termination ", c.TerminationRequired))
		about := &waypostv1.RecordRequest{Check: checked.TicketHex, Reference: fmt.Sprintf("%x", c.Reference), CaseReference: "CASE"}
		for _, ask := range []func(context.Context, *waypostv1.RecordRequest) (*waypostv1.QuestionAnswer, error){
			func(ctx context.Context, r *waypostv1.RecordRequest) (*waypostv1.QuestionAnswer, error) {
				return questions.Status(ctx, r)
			},
			func(ctx context.Context, r *waypostv1.RecordRequest) (*waypostv1.QuestionAnswer, error) {
				return questions.History(ctx, r)
			},
			func(ctx context.Context, r *waypostv1.RecordRequest) (*waypostv1.QuestionAnswer, error) {
				r.Purpose = string(waypost.DuplicateResolution)
				return questions.Portrait(ctx, r)
			},
		} {
			words = append(words, said(ask(ctx, about)))
		}
	}
	s.words["questions"] = words
	s.words["card"] = []string{said(questions.VerifyCard(ctx, &waypostv1.VerifyCardRequest{CaseReference: "CASE",
		Card: &waypostv1.Applicant{Family: who.Family, Given: who.Given, Born: who.Born.String(), CardNumber: s.record.CardNumber, CardState: string(honest)}}))}
	return nil
}

// said is all that an answer says, or the code of its refusal.
func said(a *waypostv1.QuestionAnswer, err error) string {
	if err != nil {
		return string(waypost.CodeOf(err))
	}
	return fmt.Sprintf("%s %s %q %d %d", a.Kind, a.Word, a.Why, len(a.Portrait), proto.Size(a.History))
}

func (p *play) campaign(ctx context.Context, s *subject) error {
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
	for deadline := time.Now().Add(20 * time.Second); ; {
		found, err := az.Found(ctx, id)
		if err != nil {
			return err
		}
		if found.Over || time.Now().After(deadline) {
			agree := 0
			for _, a := range found.Agreeing {
				if a.Owner == honest {
					agree++
				}
			}
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
func (p *play) publish(ctx context.Context, s *subject, n int) error {
	counter, err := p.x.Counter(asking)
	if err != nil {
		return err
	}
	var words []string
	for i, ssn := range []string{"", "24680"} {
		mine := applicant(s.record.Person)
		mine.CardNumber = fmt.Sprintf("SYNMINE%d-%d", n, i)
		res, err := counter.Load(ctx, &waypostv1.LoadRequest{Records: []*waypostv1.Record{{
			Id: fmt.Sprintf("MINE-%d-%d", n, i), Ssn5: ssn, CardKind: string(s.record.Kind), Status: string(waypost.Valid),
			Person: mine,
		}}})
		if err != nil {
			words = append(words, string(waypost.CodeOf(err)))
			continue
		}
		words = append(words, fmt.Sprintf("%d: %d published, %d rejected", i, res.Published, len(res.Rejected)))
	}
	s.words["load"] = words
	return nil
}
