package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
)

// caseCommand is work on duplicates: records that may be one person's.
type caseCommand struct {
	Worklist  worklistCommand      `cmd:"" help:"All that waits for a person at this state today."`
	List      caseListCommand      `cmd:"" help:"Duplicate cases: those not closed, or others."`
	Show      caseShowCommand      `cmd:"" help:"One case with all that was said in it."`
	Open      caseOpenCommand      `cmd:"" help:"Open a case about a check's candidate, or about two of the state's own records."`
	Note      caseNoteCommand      `cmd:"" help:"Write a note that both states read."`
	Decide    caseDecideCommand    `cmd:"" help:"Say what this state finds: same, different, fraud, undecided, or left to the other state."`
	Clear     caseClearCommand     `cmd:"" help:"Correct a wrong match: the person found is somebody else."`
	Portraits casePortraitsCommand `cmd:"" help:"Write the two portraits of a case into files, to be compared."`
	Merge     caseMergeCommand     `cmd:"" help:"End the card that is not kept, after notice to the resident, once both states found one person."`
	Campaign  caseCampaignCommand  `cmd:"" help:"Look for duplicates of all records of the state, slowly and by tags only."`
	Frequent  caseFrequentCommand  `cmd:"" help:"Records that other states asked about unusually often."`
}

// caseDoor says at which counter the clerk sits.
type caseDoor struct {
	Dir   string `help:"Folder of a running demo." required:"" type:"existingdir"`
	State string `help:"The state whose clerk this is." required:""`
	Unit  bool   `help:"As the special unit of the state, which sees cases about protected persons too."`
	JSON  bool   `help:"Print the result as JSON."`
}

// caseCall makes one call at the door to cases, and prints what it returns: with
// show, or as JSON.
func caseCall[Req, Res proto.Message](s *session, d caseDoor, call func(waypostv1connect.CasesClient, context.Context, Req) (Res, error), req Req, show func(io.Writer, Res)) error {
	state, err := waypost.ParseJurisdiction(d.State)
	if err != nil {
		return err
	}
	dial := cluster.Door
	if d.Unit {
		dial = cluster.Unit
	}
	door, url, err := dial(d.Dir, state)
	if err != nil {
		return err
	}
	res, err := call(waypostv1connect.NewCasesClient(door), s.ctx, req)
	if err != nil {
		return unanswered(err, url, d.Dir)
	}
	if !d.JSON {
		show(s.out, res)
		return nil
	}
	raw, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(res)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, string(raw))
	return err
}

type caseListCommand struct {
	caseDoor
	Only  string `help:"Only those that are open, decided or closed." enum:",open,decided,closed" default:""`
	With  string `help:"Only those with this state."`
	Limit uint32 `help:"At most so many, up to 500." default:"100"`
	After string `help:"Go on after the case with this id."`
}

// Help shows an example.
func (caseListCommand) Help() string {
	return "Example:\n  waypost case list --dir D --state CA --with AZ"
}

// Run lists cases, the oldest first.
func (c caseListCommand) Run(s *session) error {
	req := &waypostv1.ListCasesRequest{State: c.Only, Other: strings.ToUpper(c.With), Limit: c.Limit, After: c.After}
	return caseCall(s, c.caseDoor, waypostv1connect.CasesClient.List, req, func(out io.Writer, res *waypostv1.ListCasesResponse) {
		for _, k := range res.Cases {
			fmt.Fprintln(out, caseLine(k))
		}
		if len(res.Cases) == 0 {
			fmt.Fprintln(out, "no cases")
		}
		if res.Next != "" {
			fmt.Fprintln(out, "there are more: --after", res.Next)
		}
	})
}

type caseShowCommand struct {
	caseDoor
	ID string `arg:"" help:"The case: its id, or as many of its first digits as tell it apart."`
}

// Help shows an example.
func (caseShowCommand) Help() string {
	return "Example:\n  waypost case show --dir D --state CA 4f21"
}

// Run shows one case.
func (c caseShowCommand) Run(s *session) error {
	return caseCall(s, c.caseDoor, waypostv1connect.CasesClient.Show, &waypostv1.ShowCaseRequest{Id: c.ID}, printCase)
}

type caseOpenCommand struct {
	caseDoor
	Check     string   `help:"The check, as its answer names it." xor:"about"`
	Reference string   `help:"The candidate of that check, as the answer names it."`
	Record    []string `help:"One of two records of this state: give it twice." sep:"none" xor:"about"`
	Text      string   `help:"What makes you doubt."`
}

// Help shows an example.
func (caseOpenCommand) Help() string {
	return `Examples:
  waypost case open --dir D --state AZ --check 7c.. --reference 19.. --text "same face on both cards?"
  waypost case open --dir D --state AZ --record AZ-000001 --record AZ-000204`
}

// Run opens a case.
func (c caseOpenCommand) Run(s *session) error {
	if len(c.Record) == 0 && (c.Check == "" || c.Reference == "") {
		return errors.New("a case is about --check and --reference, or about two records: --record twice")
	}
	req := &waypostv1.OpenCaseRequest{Check: c.Check, Reference: c.Reference, Records: c.Record, Text: c.Text}
	return caseCall(s, c.caseDoor, waypostv1connect.CasesClient.Open, req, printCase)
}

type caseNoteCommand struct {
	caseDoor
	ID    string `arg:"" help:"The case."`
	Text  string `help:"What to write. The other state reads it: no more about the person than it needs." required:""`
	Close bool   `help:"Nothing is left to do in this case, which is decided."`
}

// Help shows an example.
func (caseNoteCommand) Help() string {
	return `Example:
  waypost case note --dir D --state CA 4f21 --text "our record is from 1994; asked the archive for the application"`
}

// Run writes a note.
func (c caseNoteCommand) Run(s *session) error {
	req := &waypostv1.NoteCaseRequest{Id: c.ID, Text: c.Text, Closes: c.Close}
	return caseCall(s, c.caseDoor, waypostv1connect.CasesClient.Note, req, printCase)
}

type caseDecideCommand struct {
	caseDoor
	ID      string `arg:"" help:"The case."`
	Outcome string `arg:"" help:"same, different, fraud, undecided, or left: to the other state." enum:"same,different,fraud,undecided,left"`
	Text    string `help:"Why. Needed with fraud and left, and where the other state sees it differently."`
	Issued  string `help:"With same: when this state's card was issued, YYYY-MM-DD. The newest card is proposed to be kept."`
}

// Help shows an example.
func (caseDecideCommand) Help() string {
	return `A case is decided when both states agree, or one has left it to the other. Until then either may change its mind.
Example:
  waypost case decide --dir D --state CA 4f21 same --issued 2019-05-02`
}

// Run says what this state finds.
func (c caseDecideCommand) Run(s *session) error {
	req := &waypostv1.DecideCaseRequest{Id: c.ID, Outcome: c.Outcome, Text: c.Text, Issued: c.Issued}
	return caseCall(s, c.caseDoor, waypostv1connect.CasesClient.Decide, req, printCase)
}

type caseClearCommand struct {
	caseDoor
	ID        string `arg:"" optional:"" help:"A case that is there."`
	Check     string `help:"Or the check that found the wrong person."`
	Reference string `help:"And its candidate."`
	Text      string `help:"Why this is somebody else. A person in the other state reads it." required:""`
}

// Help shows an example.
func (caseClearCommand) Help() string {
	return `The match is cleared here at once, and the other state is asked to confirm. Then the pair is not raised again until its record changes.
Example:
  waypost case clear --dir D --state AZ --check 7c.. --reference 19.. --text "other parents, other place of birth; papers seen"`
}

// Run clears a wrong match.
func (c caseClearCommand) Run(s *session) error {
	if c.ID == "" && (c.Check == "" || c.Reference == "") {
		return errors.New("say which: a case, or --check and --reference")
	}
	req := &waypostv1.ClearCaseRequest{Id: c.ID, Check: c.Check, Reference: c.Reference, Text: c.Text}
	return caseCall(s, c.caseDoor, waypostv1connect.CasesClient.Clear, req, printCase)
}

// caseLine is a case on one line.
func caseLine(k *waypostv1.DuplicateCase) string {
	with := k.Other
	if with == "" {
		with = "own"
	}
	how := k.State
	if k.Outcome != "" {
		how += " " + k.Outcome
	}
	if k.Escalated {
		how += ", escalated"
	}
	if k.Fraud {
		how += ", FRAUD"
	}
	return fmt.Sprintf("%s  %-3s  %-10s  %3d days  %s  %s", k.Id[:8], with, k.Origin, k.AgeDays, how, k.Next)
}

// printCase shows all of a case.
func printCase(out io.Writer, k *waypostv1.DuplicateCase) {
	fmt.Fprintf(out, "case %s\n%s\n", k.Id, caseLine(k))
	for _, f := range []struct{ name, value string }{
		{"record", strings.TrimSpace(k.Record + " " + k.RecordToo)}, {"check", k.Check}, {"candidate", k.Reference}, {"the check said", k.Told},
		{"this state", k.Ours}, {"other state", k.Theirs}, {"why escalated", k.WhyEscalated}, {"card to be kept", k.Keep},
	} {
		if f.value != "" {
			fmt.Fprintf(out, "  %-15s  %s\n", f.name, f.value)
		}
	}
	if a := k.Applicant; a != nil {
		fmt.Fprintf(out, "  %-15s  %s\n", "applicant", strings.Join(strings.Fields(strings.Join([]string{a.Given, a.Middle, a.Family, a.Suffix, a.Born, a.Sex}, " ")), " "))
	}
	for _, n := range k.Notes {
		who := n.Author
		if n.Operator != "" {
			who += " " + n.Operator
		}
		if n.Outcome != "" {
			who += ": " + n.Outcome
		}
		fmt.Fprintf(out, "  %s  %s", time.Unix(n.Written, 0).UTC().Format("2006-01-02 15:04"), who)
		if n.Delivery != "" && n.Delivery != "delivered" {
			fmt.Fprintf(out, "  (%s)", n.Delivery)
		}
		fmt.Fprintln(out)
		for line := range strings.SplitSeq(n.Text, "\n") {
			if line != "" {
				fmt.Fprintf(out, "      %s\n", line)
			}
		}
	}
}
