package driver

import (
	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/seal"
)

// report is the body of a report errand.
type report struct {
	Item
	card      *waypostv1.Applicant // or
	check     waypost.TicketID     // with reference, or
	reference []byte
	handle    waypost.Handle // with statement
	statement []byte
	hops      uint32
}

// maxHops is how often a report is passed on: a driver does not move faster than
// that, and what goes in circles comes to an end.
const maxHops = 5

// Limits on a report, in bytes.
const (
	maxReport    = 48 << 10
	maxStatement = 32 << 10
)

// encode is the body as it travels.
func (r report) encode() ([]byte, error) {
	m := &waypostv1.Report{Item: r.Proto(), Statement: r.statement, Hops: r.hops}
	switch {
	case r.card != nil:
		m.Driver = &waypostv1.Report_Card{Card: &waypostv1.Card{Holder: r.card}}
	case r.reference != nil:
		m.Driver = &waypostv1.Report_Cited{Cited: &waypostv1.Cited{Check: r.check[:], Reference: r.reference}}
	default:
		m.Driver = &waypostv1.Report_Handle{Handle: r.handle[:]}
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

// parseReport reads a body strictly: InvalidArgument where it is not well formed.
func parseReport(body []byte) (report, error) {
	bad := waypost.Errorf(waypost.InvalidArgument, "the report is not well formed")
	var m waypostv1.Report
	if len(body) > maxReport || proto.Unmarshal(body, &m) != nil || unknown(m.ProtoReflect()) ||
		len(m.Statement) > maxStatement || m.Hops > maxHops {
		return report{}, bad
	}
	item, err := FromProto(m.Item)
	if err != nil {
		return report{}, err
	}
	r := report{Item: item, statement: m.Statement, hops: m.Hops}
	switch d := m.Driver.(type) {
	case *waypostv1.Report_Card:
		r.card = d.Card.GetHolder()
		if _, err := personOf(r.card); err != nil || r.card.GetCardNumber() == "" {
			return report{}, bad
		}
	case *waypostv1.Report_Cited:
		if len(d.Cited.GetCheck()) != len(r.check) || len(d.Cited.GetReference()) != len(waypost.Reference{}) {
			return report{}, bad
		}
		r.check, r.reference = waypost.TicketID(d.Cited.Check), d.Cited.Reference
	case *waypostv1.Report_Handle:
		if len(d.Handle) != len(r.handle) {
			return report{}, bad
		}
		r.handle = waypost.Handle(d.Handle)
	default:
		return report{}, bad
	}
	// Between states of record a report names the pointer, and nobody else does.
	if (r.handle != waypost.Handle{}) != (r.hops > 0) {
		return report{}, bad
	}
	return r, nil
}

// maxCardNumber is more than the AAMVA standard prints (25 characters).
const maxCardNumber = 40

// personOf reads a person in clear, who has no SSN in this form.
func personOf(a *waypostv1.Applicant) (waypost.Person, error) {
	born, err := waypost.ParseDate(a.GetBorn())
	if err != nil {
		return waypost.Person{}, err
	}
	sex, err := waypost.ParseSex(a.GetSex())
	if err != nil {
		return waypost.Person{}, err
	}
	p := waypost.Person{Family: a.GetFamily(), Given: a.GetGiven(), Middle: a.GetMiddle(), Suffix: a.GetSuffix(), Born: born, Sex: sex}
	for _, text := range []string{p.Family, p.Given, p.Middle, p.Suffix, a.GetCardNumber()} {
		if !showable(text) {
			return waypost.Person{}, waypost.Errorf(waypost.InvalidArgument, "a name or the card number holds something else than printable text")
		}
	}
	if len(a.GetCardNumber()) > maxCardNumber {
		return waypost.Person{}, waypost.Errorf(waypost.InvalidArgument, "the card number is longer than %d bytes", maxCardNumber)
	}
	return p, p.Validate()
}

// signed checks that a statement is a report of exactly this item, signed by its
// reporter.
func (d *Desk) signed(statement []byte, i Item) error {
	bad := waypost.Errorf(waypost.PermissionDenied, "the report that was passed on is not the one that %s has signed", i.Reporter)
	st, err := seal.ParseStatement(statement)
	if err != nil {
		return bad
	}
	if st.Sender != string(i.Reporter) || st.Type != waypost.MessageRequest {
		return bad
	}
	key, err := d.Keys.StateKey(st.RosterVersion, i.Reporter)
	if err != nil {
		return err
	}
	if err := st.Verify(key); err != nil {
		return err
	}
	var request waypostv1.Request
	var e waypostv1.Errand
	if proto.Unmarshal(st.Body, &request) != nil || proto.Unmarshal(request.Request, &e) != nil {
		return bad
	}
	ticket, err := waypost.ParseTicket(request.Ticket)
	if err != nil || ticket.Kind != waypost.KindReport || ticket.SOI != i.Reporter {
		return bad
	}
	original, err := parseReport(e.Body)
	if err != nil || original.Item != i {
		return bad
	}
	return nil
}

// reply is the body of a reply to a report.
type reply struct {
	Problems []Problem
	State    waypost.Jurisdiction
}

// Limits on what a reply says.
const (
	maxProblems     = 16
	maxProblemWords = 120
	maxReply        = 3 << 10
)

func (r reply) encode() ([]byte, error) {
	m := &waypostv1.ReportReply{Problems: problemsToProto(r.Problems[:min(len(r.Problems), maxProblems)]), State: string(r.State)}
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

// parseReply reads what another state replied. What it says in words is made fit
// for a clerk's screen; a body that is not well formed says nothing.
func parseReply(body []byte) (r reply) {
	var m waypostv1.ReportReply
	if len(body) > maxReply || proto.Unmarshal(body, &m) != nil || len(m.Problems) > maxProblems {
		return reply{}
	}
	for _, p := range m.Problems {
		r.Problems = append(r.Problems, Problem{readable(p.Field, 32), readable(p.Code, 32), readable(p.Words, maxProblemWords)})
	}
	if state, err := waypost.ParseJurisdiction(m.State); err == nil {
		r.State = state
	}
	return r
}

// readable makes a text of another state fit for a clerk's screen.
func readable(text string, limit int) string {
	clean := make([]rune, 0, min(len(text), limit))
	for _, c := range text {
		if len(clean) == limit {
			break
		}
		if !showable(string(c)) {
			c = ' '
		}
		clean = append(clean, c)
	}
	return string(clean)
}
