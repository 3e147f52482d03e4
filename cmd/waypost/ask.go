package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
)

// askCommands ask another state one thing about a card or a record.
type askCommands struct {
	VerifyCard askCardCommand     `cmd:"" help:"Ask the state of a card that is shown whether it is valid and this person's."`
	Status     askStatusCommand   `cmd:"" help:"Ask how the record stands that a check has found."`
	History    askHistoryCommand  `cmd:"" help:"Ask for the driver history of the record that a check has found."`
	Portrait   askPortraitCommand `cmd:"" help:"Ask for the portrait of the record that a check has found."`
	Get        askGetCommand      `cmd:"" help:"What is known now of an earlier question."`
}

// questionsDoor says at which state's counter.
type questionsDoor struct {
	Dir   string `help:"Folder of a running demo." required:"" type:"existingdir"`
	State string `help:"The state that asks." required:""`
	JSON  bool   `help:"Print the answer as JSON."`
}

// ask makes one call and prints what comes.
func (d questionsDoor) ask(s *session, portraitFile string, call func(waypostv1connect.QuestionsClient) (*waypostv1.QuestionAnswer, error)) error {
	state, err := waypost.ParseJurisdiction(d.State)
	if err != nil {
		return err
	}
	door, url, err := cluster.Door(d.Dir, state)
	if err != nil {
		return err
	}
	a, err := call(waypostv1connect.NewQuestionsClient(door))
	if err != nil {
		return unanswered(err, url, d.Dir)
	}
	if portraitFile != "" && len(a.Portrait) > 0 {
		if err := os.WriteFile(portraitFile, a.Portrait, 0o600); err != nil {
			return err
		}
		a.Portrait = nil
	}
	if err := d.print(s.out, a, portraitFile); err != nil {
		return err
	}
	if a.Word == "refused" {
		return fmt.Errorf("%s has not answered: %s", a.State, a.Why)
	}
	return nil
}

func (d questionsDoor) print(out io.Writer, a *waypostv1.QuestionAnswer, file string) error {
	if d.JSON {
		view := map[string]any{"id": a.Id, "kind": a.Kind, "state": a.State, "word": a.Word, "why": a.Why}
		if a.Word == "history" {
			raw, err := protojson.Marshal(a.GetHistory())
			if err != nil {
				return err
			}
			view["history"] = json.RawMessage(raw)
		}
		if a.Word == "portrait" {
			view["portrait"], view["file"] = a.Portrait, file
		}
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(view)
	}
	_, err := fmt.Fprintln(out, answerWords(a, file))
	return err
}

// answerWords says the answer as a clerk reads it.
func answerWords(a *waypostv1.QuestionAnswer, file string) string {
	switch a.Word {
	case "pending":
		text := fmt.Sprintf("%s has not answered yet. It is asked by itself; look again with: waypost ask get %s", a.State, a.Id)
		if a.Why != "" {
			text += "\nIt waits here: " + a.Why
		}
		return text
	case "refused":
		return fmt.Sprintf("%s refuses: %s", a.State, a.Why)
	case "unanswered":
		return a.State + " has not answered for so long that it is not asked any more."
	case "match":
		return "MATCH: the card is a valid one of " + a.State + ", and this person's."
	case "no_match":
		return "NO MATCH: " + a.State + " does not confirm that the card is valid and this person's. Why is not told."
	case "moved":
		return "The record is another state's by now: make a new check."
	case "declined":
		return a.State + " declines. Why is not told."
	case "history":
		n, items := len(a.GetHistory().GetEntries()), "items"
		if n == 1 {
			items = "item"
		}
		lines := []string{fmt.Sprintf("The driver history at %s has %d %s.", a.State, n, items)}
		for _, e := range a.GetHistory().GetEntries() {
			i := e.GetItem()
			lines = append(lines, fmt.Sprintf("  %s %s of %s, reference %s, occurred %s", i.GetType(), i.GetCode(), i.GetReporter(), i.GetReference(), i.GetOccurred()))
		}
		return strings.Join(lines, "\n")
	case "portrait":
		return fmt.Sprintf("The portrait from %s is in %s. Compare it with the person at the counter.", a.State, file)
	}
	return fmt.Sprintf("The record at %s is %s.", a.State, a.Word)
}

type askCardCommand struct {
	questionsDoor
	Of     string `help:"The state that has issued the card." required:""`
	Card   string `help:"The card's number." required:""`
	Family string `help:"Family name on the card." required:""`
	Given  string `help:"Given name on the card." required:""`
	Dob    string `help:"Date of birth on the card, YYYY-MM-DD." required:""`
	Case   string `help:"The state's own reference of this application." required:""`
}

// Help shows an example.
func (askCardCommand) Help() string {
	return `The answer is one bit: a card that is expired, surrendered, revoked or closed is no match, like one that
does not exist or is somebody else's.

Example:
  waypost ask verify-card --dir D --state AZ --of CA --card D1234567 --family QUILLFEATHER --given JANE \
      --dob 1987-03-14 --case AZ-2026-0042
Exit status: 0 answered, also if the answer is still to come; 1 refused or not asked.`
}

// Run asks.
func (c askCardCommand) Run(s *session) error {
	return c.ask(s, "", func(q waypostv1connect.QuestionsClient) (*waypostv1.QuestionAnswer, error) {
		return q.VerifyCard(s.ctx, &waypostv1.VerifyCardRequest{CaseReference: c.Case, Card: &waypostv1.Applicant{
			CardState: c.Of, CardNumber: c.Card, Family: c.Family, Given: c.Given, Born: c.Dob}})
	})
}

// foundFlags name a record by the check that has found it.
type foundFlags struct {
	questionsDoor
	Check     string `help:"Ticket of the check, 64 hex digits." required:""`
	Reference string `help:"Reference of the candidate in its answer, 32 hex digits." required:""`
	Purpose   string `help:"Why; without it the purpose of the check, where that is one."`
	Case      string `help:"The state's own reference; without it that of the check."`
}

func (f foundFlags) request() *waypostv1.RecordRequest {
	return &waypostv1.RecordRequest{Check: f.Check, Reference: f.Reference, Purpose: f.Purpose, CaseReference: f.Case}
}

type askStatusCommand struct{ foundFlags }

// Help shows an example.
func (askStatusCommand) Help() string {
	return `Ticket and reference are in what waypost check --json prints. The check must have said match.

Example:
  waypost ask status --dir D --state AZ --check 4f0c... --reference 91ab...`
}

// Run asks.
func (c askStatusCommand) Run(s *session) error {
	return c.ask(s, "", func(q waypostv1connect.QuestionsClient) (*waypostv1.QuestionAnswer, error) {
		return q.Status(s.ctx, c.request())
	})
}

type askHistoryCommand struct{ foundFlags }

// Help shows an example.
func (askHistoryCommand) Help() string {
	return `The check must have said match, and the purpose be issue_licence or change_state_of_record.

Example:
  waypost ask history --dir D --state AZ --check 4f0c... --reference 91ab... --purpose issue_licence`
}

// Run asks.
func (c askHistoryCommand) Run(s *session) error {
	return c.ask(s, "", func(q waypostv1connect.QuestionsClient) (*waypostv1.QuestionAnswer, error) {
		return q.History(s.ctx, c.request())
	})
}

type askPortraitCommand struct {
	foundFlags
	Out string `help:"File to write the JPEG to." required:""`
}

// Help shows an example.
func (askPortraitCommand) Help() string {
	return `The check must have said match or possible. Without --purpose it is resolve_possible_match.

Example:
  waypost ask portrait --dir D --state AZ --check 4f0c... --reference 91ab... --out portrait.jpg`
}

// Run asks.
func (c askPortraitCommand) Run(s *session) error {
	if c.Purpose == "" {
		c.Purpose = string(waypost.ResolvePossibleMatch)
	}
	return c.ask(s, c.Out, func(q waypostv1connect.QuestionsClient) (*waypostv1.QuestionAnswer, error) {
		return q.Portrait(s.ctx, c.request())
	})
}

type askGetCommand struct {
	questionsDoor
	ID  string `arg:"" help:"Of the question, 32 hex digits."`
	Out string `help:"File to write a portrait to." default:"portrait.jpg"`
}

// Help shows an example.
func (askGetCommand) Help() string {
	return `Example:
  waypost ask get --dir D --state AZ 0d5e...`
}

// Run looks.
func (c askGetCommand) Run(s *session) error {
	return c.ask(s, c.Out, func(q waypostv1connect.QuestionsClient) (*waypostv1.QuestionAnswer, error) {
		return q.Get(s.ctx, &waypostv1.GetQuestionRequest{Id: c.ID})
	})
}
