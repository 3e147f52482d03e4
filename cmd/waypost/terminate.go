package main

import (
	"fmt"
	"io"

	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
)

// terminateCommand is about cards to be ended, in this state or another.
type terminateCommand struct {
	Ask     terminateAskCommand     `cmd:"" help:"Ask another state to end a card, or note that the resident keeps it."`
	List    terminateListCommand    `cmd:"" help:"What this state has asked for, and what it was asked."`
	Letters terminateLettersCommand `cmd:"" help:"Letters to residents that are to be mailed; or note that one was."`
	Object  terminateObjectCommand  `cmd:"" help:"Note that a resident objects: the card stays until a person has decided."`
	Decide  terminateDecideCommand  `cmd:"" help:"Decide about an objection: end, keep or decline."`
}

type terminateAskCommand struct {
	movesDoor
	citedFlags
	consentFlags
	Record      string `help:"This state's own record, where there is one."`
	Keep        string `help:"Which card the resident chose to keep: new (this state's) or old." enum:"new,old" required:""`
	Surrendered bool   `help:"The resident has signed the surrender here: the other state need not wait for an objection."`
}

// Help shows an example.
func (terminateAskCommand) Help() string {
	return `Example:
  waypost terminate ask --dir D --state AZ --check 5f0c... --reference 81aa... --keep new \
    --told "You may hold one card only. We ask California to end yours there." --language en
The other state tells the resident and waits; issue no card before it says that its own has ended.`
}

// Run asks.
func (c terminateAskCommand) Run(s *session) error {
	return movesCall(s, c.movesDoor, func(d waypostv1connect.MovesClient) (*waypostv1.Termination, error) {
		return d.Terminate(s.ctx, &waypostv1.TerminateRequest{
			Check: c.Check, Reference: c.Reference, Record: c.Record, Keep: c.Keep, Surrendered: c.Surrendered, Consent: c.proto()})
	}, showTermination)
}

func showTermination(out io.Writer, t *waypostv1.Termination) {
	whose := "card of " + t.Other
	if t.Ours {
		whose = "our card, record " + t.Record + ", asked for by " + t.Other
	}
	fmt.Fprintf(out, "%s  %s  %s, since %s: %s", t.Id, t.State, whose, dayOf(t.Begun), t.Words)
	if t.Ends != 0 {
		fmt.Fprintf(out, " until %s", dayOf(t.Ends))
	}
	fmt.Fprintln(out)
}

type terminateListCommand struct {
	movesDoor
	All   bool   `help:"Also those that are over."`
	Limit uint32 `help:"How many of each side." default:"100"`
}

// Help shows an example.
func (terminateListCommand) Help() string {
	return "Example: waypost terminate list --dir D --state CA"
}

// Run lists them.
func (c terminateListCommand) Run(s *session) error {
	return movesCall(s, c.movesDoor, func(d waypostv1connect.MovesClient) (*waypostv1.TerminationsResponse, error) {
		return d.Terminations(s.ctx, &waypostv1.TerminationsRequest{All: c.All, Limit: c.Limit})
	}, func(out io.Writer, res *waypostv1.TerminationsResponse) {
		for _, t := range res.Terminations {
			showTermination(out, t)
		}
		noneOrMore(out, len(res.Terminations), res.More)
	})
}

type terminateLettersCommand struct {
	movesDoor
	Mailed []string `help:"Ids of letters that were mailed today: the time to object begins."`
}

// Help shows an example.
func (terminateLettersCommand) Help() string {
	return `Example:
  waypost terminate letters --dir D --state CA
  waypost terminate letters --dir D --state CA --mailed d96430a0022e5bdc676a21c546bf0ee4
Prints the letters that are still to be mailed. The address is the state's own to find, by the record.`
}

// Run notes what was mailed, and prints the rest.
func (c terminateLettersCommand) Run(s *session) error {
	return movesCall(s, c.movesDoor, func(d waypostv1connect.MovesClient) (*waypostv1.LettersResponse, error) {
		return d.Letters(s.ctx, &waypostv1.LettersRequest{Mailed: c.Mailed})
	}, func(out io.Writer, res *waypostv1.LettersResponse) {
		for _, l := range res.Letters {
			fmt.Fprintf(out, "---- letter %s, to the holder of record %s, written %s\n\n%s\n%s\n", l.Id, l.Record, dayOf(l.Made), l.English, l.Spanish)
		}
		noneOrMore(out, len(res.Letters), false)
	})
}

// numberArgument names an ending of this state's card.
type numberArgument struct {
	Number string `arg:"" help:"The number on the letter, like D964-30A0, or the id."`
}

type terminateObjectCommand struct {
	movesDoor
	numberArgument
	Words string `help:"What the resident says." required:""`
}

// Help shows an example.
func (terminateObjectCommand) Help() string {
	return `Example: waypost terminate object --dir D --state CA D964-30A0 --words "I have not been to Arizona."`
}

// Run notes the objection.
func (c terminateObjectCommand) Run(s *session) error {
	return movesCall(s, c.movesDoor, func(d waypostv1connect.MovesClient) (*waypostv1.Termination, error) {
		return d.Object(s.ctx, &waypostv1.ObjectRequest{Id: c.Number, Words: c.Words})
	}, showTermination)
}

type terminateDecideCommand struct {
	movesDoor
	numberArgument
	Decision string `arg:"" help:"end (when the time is over), keep (the resident keeps it) or decline." enum:"end,keep,decline"`
	Reason   string `help:"Of decline: objection, dispute, court_order or law."`
}

// Help shows an example.
func (terminateDecideCommand) Help() string {
	return "Example: waypost terminate decide --dir D --state CA D964-30A0 decline --reason court_order"
}

// Run decides.
func (c terminateDecideCommand) Run(s *session) error {
	return movesCall(s, c.movesDoor, func(d waypostv1connect.MovesClient) (*waypostv1.Termination, error) {
		return d.Decide(s.ctx, &waypostv1.DecideTerminationRequest{Id: c.Number, Decision: c.Decision, Reason: c.Reason})
	}, showTermination)
}
