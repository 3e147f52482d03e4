package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/driver"
)

type driverAddCommand struct {
	driversDoor
	itemFlags
	Record string `arg:"" help:"The state's own record."`
}

// Help shows an example.
func (driverAddCommand) Help() string {
	return `Example:
  waypost driver add --dir D --state CA CA-000001 --type withdrawal --ref W-77 --code D53 --effective 2026-11-20 \
      --basis court --extent all`
}

// Run adds one item.
func (c driverAddCommand) Run(s *session) error {
	drivers, explain, err := c.open()
	if err != nil {
		return err
	}
	item, err := c.proto(c.State)
	if err != nil {
		return err
	}
	res, err := drivers.AddOwn(s.ctx, &waypostv1.AddOwnRequest{Record: c.Record, Items: []*waypostv1.Item{item}})
	if err != nil {
		return explain(err)
	}
	var problems []driver.Problem
	for _, r := range res.Rejected {
		problems = append(problems, viewProblems(r.Problems)...)
	}
	switch {
	case c.JSON:
		if err := printJSON(s.out, map[string]any{"record": c.Record, "added": res.Added, "problems": problems, "proposed_status": res.ProposedStatus}); err != nil {
			return err
		}
	case len(problems) > 0:
		printProblems(s.out, problems)
	default:
		fmt.Fprintf(s.out, "Added to record %s.\n", c.Record)
		proposed(s.out, res.ProposedStatus)
	}
	if len(problems) > 0 {
		return errors.New("the item was not added")
	}
	return nil
}

// proposed says what the withdrawals in a history come to.
func proposed(out io.Writer, status string) {
	if status != "" {
		fmt.Fprintf(out, "By its withdrawals the record is %s; the state's own system decides: waypost records status.\n", status)
	}
}

// entryView is an item of a history as JSON.
type entryView struct {
	ID        string       `json:"id"`
	Type      string       `json:"type"`
	Reporter  string       `json:"reporter"`
	Reference string       `json:"reference"`
	Code      string       `json:"code,omitempty"`
	Words     string       `json:"words,omitempty"`
	Occurred  string       `json:"occurred,omitempty"`
	Convicted string       `json:"convicted,omitempty"`
	Effective string       `json:"effective,omitempty"`
	Eligible  string       `json:"eligible,omitempty"`
	Linked    string       `json:"linked,omitempty"`
	From      string       `json:"from"`
	Arrived   string       `json:"arrived"`
	NegatedBy string       `json:"negated_by,omitempty"`
	EndedBy   string       `json:"ended_by,omitempty"`
	Disputed  string       `json:"disputed,omitempty"`
	Speed     uint32       `json:"speed,omitempty"`
	Limit     uint32       `json:"limit,omitempty"`
	BAC       uint32       `json:"bac,omitempty"`
	Basis     string       `json:"basis,omitempty"`
	Extent    string       `json:"extent,omitempty"`
	Severity  string       `json:"severity,omitempty"`
	Flags     []string     `json:"flags,omitempty"`
	Link      *linkageView `json:"linkage,omitempty"`
}

type linkageView struct {
	State  string `json:"state"`
	Number string `json:"number"`
}

func viewHistory(h *waypostv1.DriverHistory) map[string]any {
	entries := make([]entryView, len(h.GetEntries()))
	for n, e := range h.GetEntries() {
		entries[n] = viewEntry(e)
	}
	return map[string]any{"record": h.GetRecord(), "entries": entries, "more": h.GetMore(), "proposed_status": h.GetProposedStatus()}
}

func viewEntry(e *waypostv1.DriverEntry) entryView {
	i := e.Item
	v := entryView{
		ID: hex.EncodeToString(i.GetId()), Type: i.GetType(), Reporter: i.GetReporter(), Reference: i.GetReference(), Code: i.GetCode(),
		Words: e.Words, Occurred: i.GetOccurred(), Convicted: i.GetConvicted(), Effective: i.GetEffective(), Eligible: i.GetEligible(),
		Linked: hex.EncodeToString(i.GetLinked()), From: e.From, Arrived: time.Unix(e.Arrived, 0).UTC().Format(time.RFC3339),
		NegatedBy: hex.EncodeToString(e.NegatedBy), EndedBy: hex.EncodeToString(e.EndedBy), Disputed: e.Disputed,
		Speed: i.GetSpeed(), Limit: i.GetLimit(), BAC: i.GetBac(), Basis: i.GetBasis(), Extent: i.GetExtent(), Severity: i.GetSeverity(),
	}
	for _, f := range []struct {
		set  bool
		name string
	}{{i.GetCommercialVehicle(), "commercial_vehicle"}, {i.GetHazardousMaterial(), "hazardous_material"}, {i.GetCommercialHolder(), "commercial_holder"}} {
		if f.set {
			v.Flags = append(v.Flags, f.name)
		}
	}
	if i.GetLinkedNumber() != "" {
		v.Link = &linkageView{i.GetLinkedState(), i.GetLinkedNumber()}
	}
	return v
}

type driverShowCommand struct {
	driversDoor
	Record string `arg:"" help:"The state's own record."`
	All    bool   `help:"Everything."`
}

// Help shows an example.
func (driverShowCommand) Help() string {
	return `Example:
  waypost driver show --dir D --state AZ AZ-000001`
}

// Run shows a history as a table.
func (c driverShowCommand) Run(s *session) error {
	drivers, explain, err := c.open()
	if err != nil {
		return err
	}
	h, err := drivers.Get(s.ctx, &waypostv1.GetHistoryRequest{Record: c.Record, All: c.All})
	if err != nil {
		return explain(err)
	}
	if c.JSON {
		return printJSON(s.out, viewHistory(h))
	}
	if len(h.Entries) == 0 {
		fmt.Fprintf(s.out, "The history of record %s is empty.\n", c.Record)
	}
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, e := range h.Entries {
		v := viewEntry(e)
		mark := ""
		if v.NegatedBy != "" {
			mark = "CANCELLED "
		} else if v.EndedBy != "" {
			mark = "ENDED "
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s%s\n", firstOf(v.Occurred, v.Convicted, v.Effective, v.Arrived[:10]), v.Type, v.Reporter, v.Reference, mark, v.Words)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if h.More {
		fmt.Fprintln(s.out, "There are older ones: use --all.")
	}
	proposed(s.out, h.ProposedStatus)
	return nil
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

type driverPrintCommand struct {
	driversDoor
	Record string `arg:"" help:"The state's own record."`
}

// Help shows an example.
func (driverPrintCommand) Help() string {
	return `Example:
  waypost driver print --dir D --state AZ AZ-000001 > history.txt
Everything that is kept about the driver, whichever state has reported it: personal data, for the driver.`
}

// Run prints a whole history.
func (c driverPrintCommand) Run(s *session) error {
	drivers, explain, err := c.open()
	if err != nil {
		return err
	}
	res, err := drivers.Print(s.ctx, &waypostv1.PrintHistoryRequest{Record: c.Record})
	if err != nil {
		return explain(err)
	}
	if c.JSON {
		return printJSON(s.out, viewHistory(res.History))
	}
	_, err = io.WriteString(s.out, res.Text)
	return err
}

type driverTimelinessCommand struct {
	driversDoor
	From string `help:"First month, YYYY-MM. Default: eleven months ago."`
	To   string `help:"Last month, YYYY-MM. Default: this one."`
}

// Help shows an example.
func (driverTimelinessCommand) Help() string {
	return `Example:
  waypost driver timeliness --dir D --state CA --from 2026-01
Days count from the conviction, or from when a withdrawal took effect, to when this state took the item. 10 days are
what 49 CFR 384.209 allows for commercial drivers, 31 what 23 CFR 1327.5 allows for the National Driver Register.`
}

// Run prints counts by state, type and month.
func (c driverTimelinessCommand) Run(s *session) error {
	drivers, explain, err := c.open()
	if err != nil {
		return err
	}
	res, err := drivers.Timeliness(s.ctx, &waypostv1.TimelinessRequest{From: c.From, To: c.To})
	if err != nil {
		return explain(err)
	}
	rows := make([]driver.Punctuality, len(res.Rows))
	for n, r := range res.Rows {
		rows[n] = driver.Punctuality{Reporter: waypost.Jurisdiction(r.Reporter), Type: driver.Type(r.Type), Month: r.Month, Items: int(r.Items),
			Within10: int(r.Within_10), Within31: int(r.Within_31), Median: r.Median, Worst: int(r.Worst)}
	}
	rejected := make([]driver.Rejection, len(res.Rejected))
	for n, r := range res.Rejected {
		rejected[n] = driver.Rejection{Reporter: waypost.Jurisdiction(r.Reporter), Month: r.Month, Field: r.Field, Code: r.Code, Times: int(r.Times)}
	}
	if c.JSON {
		return printJSON(s.out, map[string]any{"items": rows, "rejected": rejected})
	}
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "STATE\tTYPE\tMONTH\tITEMS\tIN 10 DAYS\tIN 31 DAYS\tMEDIAN\tWORST")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%s\t%d days\n", r.Reporter, r.Type, r.Month, r.Items, r.Within10, r.Within31, r.Median, r.Worst)
	}
	if len(rejected) > 0 {
		fmt.Fprintln(table, "\nREJECTED\tFIELD\tMONTH\tTIMES\tWHY")
	}
	for _, r := range rejected {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", r.Reporter, r.Field, r.Month, r.Times, r.Code)
	}
	return table.Flush()
}

type driverCodesCommand struct {
	Code string `arg:"" optional:"" help:"Only this code, or those that begin like it."`
	JSON bool   `help:"Print the result as JSON."`
}

// Help shows an example.
func (driverCodesCommand) Help() string {
	return `Example:
  waypost driver codes A
Marked with * are the codes of the abridged list in 23 CFR part 1327, Appendix A; the others stand in the AAMVA code
dictionary only.`
}

// Run prints the table of codes.
func (c driverCodesCommand) Run(s *session) error {
	var picked []driver.Code
	for _, code := range driver.Codes() {
		if strings.HasPrefix(code.Code, strings.ToUpper(c.Code)) {
			picked = append(picked, code)
		}
	}
	if c.JSON {
		return printJSON(s.out, picked)
	}
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, code := range picked {
		star := ""
		if code.Appendix {
			star = "*"
		}
		uses := "conviction, withdrawal"
		if !code.Conviction {
			uses = "withdrawal"
		}
		fmt.Fprintf(table, "%s%s\t%s\t%s\t%s\n", code.Code, star, code.Class, uses, code.Words)
	}
	return table.Flush()
}

type driverPurgeCommand struct {
	driversDoor
	Yes bool `help:"Remove it. Without this, it is only counted."`
}

// Help shows an example.
func (driverPurgeCommand) Help() string {
	return `Example:
  waypost driver purge --dir D --state CA`
}

// Run counts what may go, or removes it.
func (c driverPurgeCommand) Run(s *session) error {
	drivers, explain, err := c.open()
	if err != nil {
		return err
	}
	res, err := drivers.Purge(s.ctx, &waypostv1.PurgeHistoryRequest{Preview: !c.Yes})
	if err != nil {
		return explain(err)
	}
	rows := []driver.Purged{}
	for _, r := range res.Rows {
		rows = append(rows, driver.Purged{Type: driver.Type(r.Type), Rule: r.Rule, Items: int(r.Items)})
	}
	if c.JSON {
		return printJSON(s.out, map[string]any{"removed": c.Yes, "items": rows})
	}
	if len(rows) == 0 {
		fmt.Fprintln(s.out, "Nothing has been kept for longer than its time.")
	}
	for _, r := range rows {
		fmt.Fprintf(s.out, "%6d  %s (%s)\n", r.Items, r.Type, r.Rule)
	}
	if len(rows) > 0 && !c.Yes {
		fmt.Fprintln(s.out, "Nothing was removed: --yes removes them.")
	}
	return nil
}
