package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/statefile"
)

// recordsCommands are what a state does with its own records.
type recordsCommands struct {
	Show     recordsShowCommand     `cmd:"" help:"How a record and its pointers stand."`
	Issue    recordsIssueCommand    `cmd:"" help:"Store and publish the record of a card that was issued on a check."`
	Change   recordsChangeCommand   `cmd:"" help:"Store records with another name, date of birth, SSN or anything else."`
	Withdraw recordsWithdrawCommand `cmd:"" help:"Take a record out of the index."`
	Status   recordsStatusCommand   `cmd:"" help:"Change how a record stands."`
	Protect  recordsProtectCommand  `cmd:"" help:"Leave questions about a record to the special unit, or no more."`
	Portrait recordsPortraitCommand `cmd:"" help:"Store the portrait of a record."`
	Purge    recordsPurgeCommand    `cmd:"" help:"Take the records out of the index whose time is over; --preview only says which."`
	Compare  recordsCompareCommand  `cmd:"" help:"Compare the state's pointers with the hub's now, and mend."`
	Withheld recordsWithheldCommand `cmd:"" help:"Questions about protected persons that wait: list, release or decline them."`
}

// reply prints an answer of the gateway, as JSON or by text.
func (s *session) reply(asJSON bool, answer any, text func(w io.Writer)) error {
	if asJSON {
		return json.NewEncoder(s.out).Encode(answer)
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	text(w)
	return w.Flush()
}

type recordsShowCommand struct {
	recordsDoor
	ID   string `arg:"" help:"The state's own id of the record."`
	JSON bool   `help:"Print the result as JSON."`
}

// Help shows an example.
func (recordsShowCommand) Help() string {
	return `Example:
  waypost records show --dir D --state CA CA-000001`
}

// Run shows a record.
func (c recordsShowCommand) Run(s *session) error {
	door, explain, err := c.open()
	if err != nil {
		return err
	}
	res, err := door.Show(s.ctx, &waypostv1.ShowRecordRequest{Record: c.ID})
	if err != nil {
		return explain(err)
	}
	return s.reply(c.JSON, res, func(w io.Writer) {
		since := ""
		if res.Since != "" {
			since = " since " + res.Since
		}
		fmt.Fprintf(w, "%s, %s%s\n", res.CardKind, res.Status, since)
		for _, p := range res.Pointers {
			name, more := "name", ""
			if p.Alias {
				name = "former name"
			}
			if p.Generation > 0 {
				more += fmt.Sprintf(", generation %d", p.Generation)
			}
			if p.MovedTo != "" {
				more += ", to " + p.MovedTo
			}
			if p.Tries > 0 {
				more += fmt.Sprintf(", tried %d times", p.Tries)
			}
			fmt.Fprintf(w, "%s\t%s%s\n", name, p.State, more)
		}
		for _, reason := range res.Overrides {
			fmt.Fprintf(w, "issued all the same: %s\n", reason)
		}
	})
}

// recordFile is a file of records as `waypost load` reads it.
type recordFile struct {
	File string `arg:"" help:"CSV file with a header line, as waypost load reads it." type:"existingfile"`
}

// records reads the file, all of it or nothing.
func (f recordFile) records(most int) (all []waypost.Record, err error) {
	file, err := os.Open(f.File)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	err = statefile.Read(file, nil, func(row statefile.Row) error {
		switch {
		case row.Err != nil:
			return fmt.Errorf("line %d: %w", row.Line, row.Err)
		case len(all) == most:
			return fmt.Errorf("the file has more than %d records", most)
		}
		all = append(all, row.Record)
		return nil
	})
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%s has no records", f.File)
	}
	return all, err
}

type recordsIssueCommand struct {
	recordsDoor
	recordFile
	Ticket   string   `help:"Ticket of the check, 64 hex digits." required:""`
	Former   []string `help:"A former family name to be found by as well; may be repeated." name:"former-family"`
	Override string   `help:"Why the card was issued although the check found one that must be ended, or is not complete. It is kept."`
	JSON     bool     `help:"Print the result as JSON."`
}

// Help shows an example.
func (recordsIssueCommand) Help() string {
	return `Example:
  waypost records issue --dir D --state AZ --ticket 6b1f... record.csv
The file has one record, for exactly the person of the check. It is published under the check's own ticket.`
}

// Run stores and publishes the record.
func (c recordsIssueCommand) Run(s *session) error {
	all, err := c.records(1)
	if err != nil {
		return err
	}
	door, explain, err := c.open()
	if err != nil {
		return err
	}
	req := &waypostv1.IssueRequest{Ticket: c.Ticket, Record: records.ToProto(all[0]), Override: c.Override}
	for _, family := range c.Former {
		former := records.ToProto(all[0]).Person
		former.Family, former.CardNumber = family, ""
		req.Former = append(req.Former, former)
	}
	res, err := door.Issue(s.ctx, req)
	if err != nil {
		return explain(err)
	}
	return s.reply(c.JSON, map[string]any{"published": res.Published}, func(w io.Writer) {
		if res.Published {
			fmt.Fprintln(w, "the record is stored, and other states find it")
			return
		}
		fmt.Fprintln(w, "the record is stored; it is published as soon as the exchange can be reached")
	})
}

type recordsChangeCommand struct {
	recordsDoor
	recordFile
	KeepFormer bool `help:"The name as it was is a former name, to be found by as well. Otherwise it was an error."`
	JSON       bool `help:"Print the result as JSON."`
}

// Help shows an example.
func (recordsChangeCommand) Help() string {
	return `Example:
  waypost records change --dir D --state AZ --keep-former married.csv
The file has up to 1000 records, whole, as they are now.`
}

// Run changes the records, one after another.
func (c recordsChangeCommand) Run(s *session) error {
	all, err := c.records(1000)
	if err != nil {
		return err
	}
	door, explain, err := c.open()
	if err != nil {
		return err
	}
	var index, waiting int
	for i, r := range all {
		res, err := door.Change(s.ctx, &waypostv1.ChangeRecordRequest{Record: records.ToProto(r), KeepFormer: c.KeepFormer})
		if err != nil {
			return fmt.Errorf("record %d of the file, after %d were changed: %w", i+1, i, explain(err))
		}
		if res.IndexChanged {
			index++
		}
		if !res.Published {
			waiting++
		}
	}
	return s.reply(c.JSON, map[string]any{"changed": len(all), "index": index, "waiting": waiting}, func(w io.Writer) {
		fmt.Fprintf(w, "%d records changed, %d of them in the index", len(all), index)
		if waiting > 0 {
			fmt.Fprintf(w, "; %d are published as soon as the exchange can be reached", waiting)
		}
		fmt.Fprintln(w)
	})
}

type recordsWithdrawCommand struct {
	recordsDoor
	ID     string `arg:"" help:"The state's own id of the record."`
	Reason string `help:"Why." required:""`
	JSON   bool   `help:"Print the result as JSON."`
}

// Help shows an example.
func (recordsWithdrawCommand) Help() string {
	return `Example:
  waypost records withdraw --dir D --state AZ --reason "loaded by mistake" AZ-000017`
}

// Run withdraws the record.
func (c recordsWithdrawCommand) Run(s *session) error {
	door, explain, err := c.open()
	if err != nil {
		return err
	}
	res, err := door.Withdraw(s.ctx, &waypostv1.WithdrawRequest{Record: c.ID, Reason: c.Reason})
	if err != nil {
		return explain(err)
	}
	return s.reply(c.JSON, map[string]any{"pointers": res.Pointers}, func(w io.Writer) {
		fmt.Fprintf(w, "%d pointers are withdrawn as soon as the hub can be reached\n", res.Pointers)
	})
}

type recordsStatusCommand struct {
	recordsDoor
	ID     string `arg:"" help:"The state's own id of the record."`
	Status string `arg:"" help:"valid, expired, surrendered, suspended, revoked, disqualified or closed."`
	Since  string `help:"YYYY-MM-DD. Default: today."`
}

// Help shows an example.
func (recordsStatusCommand) Help() string {
	return `Example:
  waypost records status --dir D --state AZ AZ-000017 closed --since 2026-02-28`
}

// Run changes the status.
func (c recordsStatusCommand) Run(s *session) error {
	door, explain, err := c.open()
	if err != nil {
		return err
	}
	if _, err := door.SetStatus(s.ctx, &waypostv1.SetStatusRequest{Record: c.ID, Status: c.Status, Since: c.Since}); err != nil {
		return explain(err)
	}
	fmt.Fprintf(s.out, "%s is %s\n", c.ID, c.Status)
	return nil
}

type recordsProtectCommand struct {
	recordsDoor
	ID  string `arg:"" help:"The state's own id of the record."`
	Off bool   `help:"No more."`
}

// Help shows an example.
func (recordsProtectCommand) Help() string {
	return `Example:
  waypost records protect --dir D --state AZ AZ-000017
Questions of other states about the record wait for the special unit from then on; to them it looks slow.`
}

// Run sets or unsets the flag.
func (c recordsProtectCommand) Run(s *session) error {
	door, explain, err := c.open()
	if err != nil {
		return err
	}
	if _, err := door.SetProtected(s.ctx, &waypostv1.SetProtectedRequest{Record: c.ID, Protected: !c.Off}); err != nil {
		return explain(err)
	}
	fmt.Fprintln(s.out, strings.TrimSpace(c.ID)+map[bool]string{true: " is answered as any other", false: " is protected"}[c.Off])
	return nil
}

type recordsPortraitCommand struct {
	recordsDoor
	ID   string `arg:"" help:"The state's own id of the record."`
	JPEG string `arg:"" help:"JPEG file of at most 48 KiB." type:"existingfile"`
}

// Help shows an example.
func (recordsPortraitCommand) Help() string {
	return `Example:
  waypost records portrait --dir D --state AZ AZ-000017 face.jpg`
}

// Run stores the portrait.
func (c recordsPortraitCommand) Run(s *session) error {
	jpeg, err := os.ReadFile(c.JPEG)
	if err != nil {
		return err
	}
	door, explain, err := c.open()
	if err != nil {
		return err
	}
	if _, err := door.SetPortrait(s.ctx, &waypostv1.SetPortraitRequest{Record: c.ID, Jpeg: jpeg}); err != nil {
		return explain(err)
	}
	fmt.Fprintf(s.out, "the portrait of %s is stored\n", c.ID)
	return nil
}
