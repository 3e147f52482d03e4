package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/driver"
)

// driverCommands are driver history at a state's counter.
type driverCommands struct {
	Report     driverReportCommand     `cmd:"" help:"Report an item about a driver of another state to the driver's state of record."`
	List       driverListCommand       `cmd:"" help:"The reports of this state, newest first."`
	Decide     driverDecideCommand     `cmd:"" help:"Say whose record a report is about, where a check could not, or give the report up."`
	Add        driverAddCommand        `cmd:"" help:"Add an item of this state itself to one of its records."`
	Show       driverShowCommand       `cmd:"" help:"The history of one record: the newest 50 convictions and 25 withdrawals, or all."`
	Print      driverPrintCommand      `cmd:"" help:"A driver's whole history as text for the driver."`
	Timeliness driverTimelinessCommand `cmd:"" help:"How soon each state has reported, and why items were rejected."`
	Codes      driverCodesCommand      `cmd:"" help:"The codes of convictions and withdrawals, and what each demands."`
	Purge      driverPurgeCommand      `cmd:"" help:"What has been kept for its time; with --yes, remove it."`
}

// driversDoor says at which state's counter.
type driversDoor struct {
	Dir   string `help:"Folder of a running demo." required:"" type:"existingdir"`
	State string `help:"The state at whose counter this is." required:""`
	JSON  bool   `help:"Print the result as JSON."`
}

// open returns a client of the Drivers service, and what to do about an error that
// a call meets.
func (d driversDoor) open() (waypostv1connect.DriversClient, func(error) error, error) {
	state, err := waypost.ParseJurisdiction(d.State)
	if err != nil {
		return nil, nil, err
	}
	door, url, err := cluster.Door(d.Dir, state)
	if err != nil {
		return nil, nil, err
	}
	return waypostv1connect.NewDriversClient(door), func(err error) error { return unanswered(err, url, d.Dir) }, nil
}

// itemFlags are an item of driver history.
type itemFlags struct {
	Item       string `help:"JSON file with the item, in the names of the Item message. Flags come before what it says." type:"existingfile" group:"Item"`
	Type       string `help:"conviction, withdrawal, clearance, accident, permit, endorsement, restriction, linkage or negate." group:"Item"`
	Ref        string `name:"ref" help:"This state's own name for the item: a docket or case number." group:"Item"`
	Code       string `help:"Code of a conviction or withdrawal: see waypost driver codes." group:"Item"`
	Detail     string `help:"What the code asks for; an endorsement; a restriction; the reason of a negate." group:"Item"`
	Occurred   string `help:"Date of the violation or crash, YYYY-MM-DD." group:"Item"`
	Convicted  string `help:"Date of the conviction." group:"Item"`
	Effective  string `help:"Date from which a withdrawal, clearance, permit, endorsement or restriction holds." group:"Item"`
	Eligible   string `help:"Date from which the licence may be had back, or until which the others hold." group:"Item"`
	Speed      uint32 `help:"mph." group:"Item"`
	Limit      uint32 `help:"mph." group:"Item"`
	BAC        uint32 `name:"bac" help:"Blood alcohol in thousandths of a percent: .083 is 83." group:"Item"`
	Commercial bool   `help:"With a commercial vehicle." group:"Item"`
	Hazmat     bool   `help:"With hazardous material." group:"Item"`
	Cdl        bool   `name:"cdl" help:"The driver held a commercial licence." group:"Item"`
	Basis      string `help:"Of a withdrawal: conviction, administrative, medical, court, points or other." group:"Item"`
	Extent     string `help:"Of a withdrawal: all, commercial or partial." group:"Item"`
	Severity   string `help:"Of a crash: fatal, injury or property." group:"Item"`
	Of         string `help:"The item that it ends, cancels or belongs to: TYPE/REF, as this state reported it." group:"Item"`
	LinkState  string `help:"Of a linkage: the state of the other record." group:"Item"`
	LinkNumber string `help:"Of a linkage: the card number of the other record." group:"Item"`
}

// proto is the item; the gateway fills in who reports it.
func (f itemFlags) proto(state string) (*waypostv1.Item, error) {
	m := &waypostv1.Item{}
	if f.Item != "" {
		text, err := os.ReadFile(f.Item)
		if err != nil {
			return nil, err
		}
		if protojson.Unmarshal(text, m) != nil {
			return nil, fmt.Errorf("%s is not an item in JSON", f.Item) // the cause could quote it
		}
	}
	proto.Merge(m, &waypostv1.Item{
		Type: f.Type, Reference: f.Ref, Code: strings.ToUpper(f.Code), Detail: f.Detail, Occurred: f.Occurred, Convicted: f.Convicted,
		Effective: f.Effective, Eligible: f.Eligible, Speed: f.Speed, Limit: f.Limit, Bac: f.BAC, CommercialVehicle: f.Commercial,
		HazardousMaterial: f.Hazmat, CommercialHolder: f.Cdl, Basis: f.Basis, Extent: f.Extent, Severity: f.Severity,
		LinkedState: f.LinkState, LinkedNumber: f.LinkNumber,
	})
	if f.Of != "" {
		kind, ref, ok := strings.Cut(f.Of, "/")
		j, err := waypost.ParseJurisdiction(state)
		if !ok || err != nil {
			return nil, errors.New("--of is TYPE/REF, like conviction/2026-0042")
		}
		id := driver.IDOf(driver.Type(kind), j, ref)
		m.Linked = id[:]
	}
	return m, nil
}

type driverReportCommand struct {
	driversDoor
	itemFlags

	Family    string `help:"Family name." group:"Driver"`
	Given     string `help:"Given name." group:"Driver"`
	Middle    string `help:"Middle name." group:"Driver"`
	Suffix    string `help:"Suffix, like JR." group:"Driver"`
	Dob       string `help:"Date of birth, YYYY-MM-DD." group:"Driver"`
	Sex       string `help:"M, F or X." group:"Driver"`
	Ssn5      string `name:"ssn5" help:"Last five digits of the SSN, if known; only for a search." group:"Driver"`
	Card      string `help:"Number of the driver's card." group:"Driver"`
	CardState string `help:"The state that has issued it." group:"Driver"`
	Check     string `help:"Instead of the driver: a check with the purpose post_conviction, 64 hex digits," group:"Driver"`
	Reference string `help:"and the reference of its candidate, 32 hex digits." group:"Driver"`
	Case      string `help:"This state's own reference of the case. Default: the item's." group:"Driver"`
}

// Help shows an example.
func (driverReportCommand) Help() string {
	return `Example:
  waypost driver report --dir D --state NV --type conviction --ref LV-2026-0042 --code S92 --speed 88 --limit 65 \
      --occurred 2026-10-01 --convicted 2026-11-02 --family ACHTERBERG --given DESMOND --dob 1984-03-17 \
      --card D1234567 --card-state CA
Without a card, all states are asked for the driver. The same report again says how it stands.
Exit status: 0 taken or under way, 1 rejected, refused or not found.`
}

// Run reports.
func (c driverReportCommand) Run(s *session) error {
	drivers, explain, err := c.open()
	if err != nil {
		return err
	}
	item, err := c.proto(c.State)
	if err != nil {
		return err
	}
	req := &waypostv1.ReportRequest{Item: item, Ssn5: c.Ssn5, Check: c.Check, Reference: c.Reference, CaseReference: c.Case}
	if c.Check == "" {
		req.Driver = &waypostv1.Applicant{Family: c.Family, Given: c.Given, Middle: c.Middle, Suffix: c.Suffix, Born: c.Dob, Sex: c.Sex,
			CardNumber: c.Card, CardState: strings.ToUpper(c.CardState)}
	}
	res, err := drivers.Report(s.ctx, req)
	if err != nil {
		return explain(err)
	}
	return c.printReport(s.out, res)
}

// reportView is a report as JSON.
type reportView struct {
	Item      string           `json:"item"`
	Type      string           `json:"type"`
	Reference string           `json:"reference"`
	Code      string           `json:"code,omitempty"`
	State     string           `json:"state"`
	Word      string           `json:"word,omitempty"`
	To        string           `json:"to,omitempty"`
	Record    string           `json:"record,omitempty"`
	Check     string           `json:"check,omitempty"`
	Problems  []driver.Problem `json:"problems,omitempty"`
	Choices   []choiceView     `json:"choices,omitempty"`
	Reported  string           `json:"reported,omitempty"`
	Words     string           `json:"words"`
}

type choiceView struct {
	State     string `json:"state"`
	Reference string `json:"reference,omitempty"`
	Record    string `json:"record,omitempty"`
	Outcome   string `json:"outcome"`
}

func viewReport(m *waypostv1.ReportState) reportView {
	v := reportView{
		Item: hex.EncodeToString(m.Item), Type: m.Type, Reference: m.Reference, Code: m.Code, State: m.State, Word: m.Word, To: m.To,
		Record: m.Record, Check: m.Check, Problems: viewProblems(m.Problems), Words: m.Words,
	}
	if m.Reported != 0 {
		v.Reported = time.Unix(m.Reported, 0).UTC().Format(time.RFC3339)
	}
	for _, c := range m.Choices {
		v.Choices = append(v.Choices, choiceView{c.State, c.Reference, c.Record, c.Outcome})
	}
	return v
}

func viewProblems(all []*waypostv1.Problem) (views []driver.Problem) {
	for _, p := range all {
		views = append(views, driver.Problem{Field: p.Field, Code: p.Code, Words: p.Words})
	}
	return views
}

// printReport says how a report stands. What was not taken is an error.
func (d driversDoor) printReport(out io.Writer, m *waypostv1.ReportState) error {
	v := viewReport(m)
	if d.JSON {
		if err := printJSON(out, v); err != nil {
			return err
		}
	} else {
		v.print(out)
	}
	switch m.Word {
	case driver.Rejected, driver.DriverNotFound, driver.Undelivered, "refused", "unanswered":
		return fmt.Errorf("the item was not taken: %s", m.Word)
	}
	return nil
}

func (v reportView) print(out io.Writer) {
	fmt.Fprintln(out, v.Words)
	printProblems(out, v.Problems)
	for _, c := range v.Choices {
		if c.Record != "" {
			fmt.Fprintf(out, "  this state's own record %s (%s): --record %s\n", c.Record, c.Outcome, c.Record)
			continue
		}
		fmt.Fprintf(out, "  %s (%s): --reference %s\n", c.State, c.Outcome, c.Reference)
	}
}

func printProblems(out io.Writer, problems []driver.Problem) {
	for _, p := range problems {
		if p.Field == "" {
			fmt.Fprintf(out, "  %s\n", p.Words)
			continue
		}
		fmt.Fprintf(out, "  %s (%s): %s\n", p.Field, p.Code, p.Words)
	}
}

type driverListCommand struct {
	driversDoor
	Open  bool   `help:"Only those without a final word."`
	Limit uint32 `help:"How many, 1000 at most." default:"100"`
}

// Help shows an example.
func (driverListCommand) Help() string {
	return `Example:
  waypost driver list --dir D --state NV --open`
}

// Run lists reports.
func (c driverListCommand) Run(s *session) error {
	drivers, explain, err := c.open()
	if err != nil {
		return err
	}
	res, err := drivers.Reports(s.ctx, &waypostv1.ReportsRequest{Open: c.Open, Limit: c.Limit})
	if err != nil {
		return explain(err)
	}
	views := make([]reportView, len(res.Reports))
	for n, m := range res.Reports {
		views[n] = viewReport(m)
	}
	if c.JSON {
		return printJSON(s.out, map[string]any{"reports": views, "more": res.More})
	}
	for _, v := range views {
		fmt.Fprintf(s.out, "%s  ", v.Item)
		v.print(s.out)
	}
	if res.More {
		fmt.Fprintln(s.out, "There are more: use --limit or --open.")
	}
	return nil
}

type driverDecideCommand struct {
	driversDoor
	ID         string `arg:"" name:"item" help:"Which report: the 32 hex digits that waypost driver list prints."`
	Reference  string `help:"It is the record of this candidate." xor:"what"`
	Record     string `help:"It is this record of this state." xor:"what"`
	Unlicensed bool   `help:"No state has a record of the driver: make one here." xor:"what"`
	Cancel     bool   `help:"Give the report up." xor:"what"`
}

// Help shows an example.
func (driverDecideCommand) Help() string {
	return `Example:
  waypost driver decide --dir D --state NV 8c7f...e1 --reference 03ab...77`
}

// Run decides.
func (c driverDecideCommand) Run(s *session) error {
	id, err := hex.DecodeString(c.ID)
	if err != nil {
		return errors.New("a report is named by 32 hex digits: see waypost driver list")
	}
	drivers, explain, err := c.open()
	if err != nil {
		return err
	}
	res, err := drivers.Decide(s.ctx, &waypostv1.DecideRequest{Item: id, Reference: c.Reference, Record: c.Record, Unlicensed: c.Unlicensed, Cancel: c.Cancel})
	if err != nil {
		return explain(err)
	}
	return c.printReport(s.out, res)
}
