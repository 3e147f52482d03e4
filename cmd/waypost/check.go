package main

import (
	"encoding/json"
	"fmt"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/gateway"
)

type checkCommand struct {
	Dir   string `help:"Folder of a running demo." required:"" type:"existingdir"`
	State string `help:"The state that asks, like AZ." required:""`

	Family string `help:"Family name." group:"Applicant"`
	Given  string `help:"Given name." group:"Applicant"`
	Middle string `help:"Middle name." group:"Applicant"`
	Suffix string `help:"Suffix, like JR." group:"Applicant"`
	Dob    string `help:"Date of birth, YYYY-MM-DD." group:"Applicant"`
	Sex    string `help:"M, F or X." group:"Applicant"`
	Ssn5   string `name:"ssn5" help:"Last five digits of the SSN, if there is one." group:"Applicant"`
	Card   string `help:"Number of a card from another state, if one is shown." group:"Applicant"`

	Purpose string `help:"Why: ${purposes}." default:"issue_real_id"`
	Case    string `help:"The state's own reference of this application."`
	Ticket  string `help:"Instead of asking again: what is known now of the check with this ticket."`
	JSON    bool   `help:"Print the answer as JSON."`
}

// Help shows an example.
func (checkCommand) Help() string {
	return `Example:
  waypost check --dir D --state AZ --family ACHTERBERG --given DESMOND --dob 1984-03-17 \
      --purpose issue_real_id --case AZ-2026-0042
Exit status: 0 answered, also if a state's answer is still to come; 1 not answered.`
}

// Run asks and prints plain words, and always the coverage.
func (c checkCommand) Run(s *session) error {
	state, err := waypost.ParseJurisdiction(c.State)
	if err != nil {
		return err
	}
	counter, url, err := cluster.Counter(c.Dir, state)
	if err != nil {
		return err
	}
	var raw *waypostv1.CheckAnswer
	if c.Ticket != "" {
		raw, err = counter.GetCheck(s.ctx, &waypostv1.GetCheckRequest{Ticket: c.Ticket})
	} else {
		var who gateway.Applicant
		if who, err = c.applicant(); err != nil {
			return err
		}
		raw, err = counter.Check(s.ctx, gateway.CheckToProto(who, waypost.Purpose(c.Purpose), c.Case))
	}
	if waypost.CodeOf(err) == waypost.Unavailable {
		return fmt.Errorf("%w: is the demo running? (%s; start it with: waypost demo --dir %s)", err, url, c.Dir)
	}
	if err != nil {
		return err
	}
	answer := gateway.AnswerFromProto(raw)
	if c.JSON {
		e := json.NewEncoder(s.out)
		e.SetIndent("", "  ")
		return e.Encode(answer)
	}
	fmt.Fprint(s.out, answer.Words())
	return nil
}

func (c checkCommand) applicant() (gateway.Applicant, error) {
	born, err := waypost.ParseDate(c.Dob)
	if err != nil {
		return gateway.Applicant{}, fmt.Errorf("--dob: %w", err)
	}
	sex, err := waypost.ParseSex(c.Sex)
	if err != nil {
		return gateway.Applicant{}, fmt.Errorf("--sex: %w", err)
	}
	if c.Case == "" {
		return gateway.Applicant{}, fmt.Errorf("--case is needed: every look belongs to an application")
	}
	who := gateway.Applicant{CardNumber: c.Card, Person: waypost.Person{
		Family: c.Family, Given: c.Given, Middle: c.Middle, Suffix: c.Suffix, Born: born, Sex: sex, SSN5: c.Ssn5,
	}}
	return who, who.Validate()
}
