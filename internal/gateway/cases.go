package gateway

import (
	"context"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/driver"
	"github.com/waypost/waypost/internal/duplicate"
	"github.com/waypost/waypost/internal/move"
	"github.com/waypost/waypost/internal/rpc"
)

// terminator ends cards for duplicate cases.
type terminator struct{ *move.Moves }

// Terminate implements duplicate.Terminator.
func (t terminator) Terminate(ctx context.Context, req *waypostv1.TerminateRequest) error {
	_, err := t.Door().Terminate(ctx, req)
	return err
}

// EndOwn implements duplicate.Terminator.
func (t terminator) EndOwn(ctx context.Context, record string, kept waypost.Jurisdiction, consent *waypostv1.Consent) error {
	_, err := t.Moves.EndOwn(ctx, record, kept, consent.Told, consent.Language)
	return err
}

// sources are what other rooms have for people to do. Each is one item, however
// many there are: the room's own command lists them.
func (s *Server) sources() []duplicate.Source {
	return []duplicate.Source{
		duplicate.SourceFunc(s.withheldItem), duplicate.SourceFunc(s.suspenseItem), duplicate.SourceFunc(s.terminationItems), duplicate.SourceFunc(s.reportItem),
	}
}

// several is one item that stands for some.
type several struct{ duplicate.Item }

func (t *several) add(since time.Time, late bool) {
	if t.Count == 0 || since.Before(t.Since) {
		t.Since = since.UTC()
	}
	t.Count++
	t.Late = t.Late || late
}

func (t *several) items() []duplicate.Item {
	if t.Count == 0 {
		return nil
	}
	return []duplicate.Item{t.Item}
}

// withheldItem are questions about protected persons: for the special unit alone.
func (s *Server) withheldItem(ctx context.Context) ([]duplicate.Item, error) {
	if !rpc.OfUnit(ctx) {
		return nil, nil
	}
	t := several{duplicate.Item{Type: "withheld", ID: "withheld", Next: "questions about protected persons wait for an answer: waypost records withheld"}}
	waiting, err := s.file.Withheld(ctx)
	for _, w := range waiting {
		t.add(w.Since, s.Now().Sub(w.Since) > 2*24*time.Hour)
	}
	return t.items(), err
}

// suspenseItem is what is unfinished for long.
func (s *Server) suspenseItem(ctx context.Context) ([]duplicate.Item, error) {
	t := several{duplicate.Item{Type: "suspense", ID: "suspense", Next: "what is unfinished for long waits to be resumed or cancelled: waypost suspense"}}
	res, err := s.rooms.moves.Door().Suspense(ctx, &waypostv1.SuspenseRequest{})
	for _, i := range res.GetItems() {
		t.add(time.Unix(i.Since, 0), i.Alarm)
	}
	return t.items(), err
}

// terminationItems are objections of residents, and letters that must be mailed
// before their time to object begins.
func (s *Server) terminationItems(ctx context.Context) ([]duplicate.Item, error) {
	objections := several{duplicate.Item{Type: "termination", ID: "objections", Next: "residents object to the end of their card: a person decides, waypost terminate list"}}
	letters := several{duplicate.Item{Type: "letter", ID: "letters", Next: "letters to residents are to be mailed: waypost terminate letters"}}
	door := s.rooms.moves.Door()
	ends, err := door.Terminations(ctx, &waypostv1.TerminationsRequest{Limit: 1000})
	if err != nil {
		return nil, err
	}
	for _, e := range ends.Terminations {
		if e.Ours && e.State == "objected" {
			objections.add(time.Unix(e.Changed, 0), false)
		}
	}
	mail, err := door.Letters(ctx, &waypostv1.LettersRequest{})
	for _, l := range mail.GetLetters() {
		made := time.Unix(l.Made, 0)
		letters.add(made, s.Now().Sub(made) > 2*24*time.Hour)
	}
	return append(objections.items(), letters.items()...), err
}

// reportItem are reports of driver history that nobody else can decide.
func (s *Server) reportItem(ctx context.Context) ([]duplicate.Item, error) {
	t := several{duplicate.Item{Type: "report", ID: "reports", Next: "reports to other states wait for a decision: waypost driver reports"}}
	res, err := driver.Door{Desk: s.rooms.desk}.Reports(ctx, &waypostv1.ReportsRequest{Open: true, Limit: 1000})
	for _, r := range res.GetReports() {
		if r.State == "deciding" {
			t.add(time.Unix(r.Changed, 0), false)
		}
	}
	return t.items(), err
}
