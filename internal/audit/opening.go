package audit

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/roster"
)

// Openings is what a state shows its own auditor about the tickets of a sample.
// It names people in clear, and rests and travels encrypted only.
type Openings struct {
	Type     string            `json:"type"`
	State    string            `json:"state"`
	Sample   string            `json:"sample"` // [Sample.ID]
	Openings []json.RawMessage `json:"openings"`
}

const (
	openingsType = "waypost openings v1"
	// MaxOpenings is the largest file of openings, in bytes.
	MaxOpenings = 256 << 20
)

// NewOpenings begins what a state shows about a sample.
func NewOpenings(state string, s *Sample) *Openings {
	return &Openings{Type: openingsType, State: state, Sample: s.ID(), Openings: []json.RawMessage{}}
}

// Add adds what the gateway shows of one ticket.
func (o *Openings) Add(one *waypostv1.Opening) error {
	raw, err := protojson.Marshal(one)
	if err == nil {
		o.Openings = append(o.Openings, raw)
	}
	return err
}

// ParseOpenings decodes openings strictly. Errors repeat nothing of them.
func ParseOpenings(raw []byte) (*Openings, error) {
	bad := waypost.Errorf(waypost.InvalidArgument, "these are not openings as waypost audit open writes them")
	var o Openings
	if len(raw) > MaxOpenings {
		return nil, bad
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil || o.Type != openingsType || d.More() {
		return nil, bad
	}
	return &o, nil
}

// What an opening shows.
const (
	ForThePerson = "for_the_person"     // all 20 name probes are this applicant's
	OtherPerson  = "not_for_the_person" // name probes are of somebody else, or of several people
	WrongCase    = "other_case"         // the case reference is not the one that was committed to
	WrongTicket  = "not_the_ticket"     // what was opened is not the ticket that was drawn
	NotOpened    = "not_opened"
)

// Verdict is what one drawn ticket turned out to be.
type Verdict struct {
	Ticket    string `json:"ticket"`
	State     string `json:"state"`
	Result    string `json:"result"`
	Words     string `json:"words"`
	Purpose   string `json:"purpose,omitempty"`
	Case      string `json:"case,omitempty"`     // to be compared with the state's own files
	Operator  string `json:"operator,omitempty"` // likewise; the state's word
	Applicant string `json:"applicant,omitempty"`
}

// Check recomputes every ticket that the sample drew of the state from what the
// state shows, and returns a verdict on each. With names, a verdict says who the
// applicant was. Rosters are those under which the tickets were signed.
func (o *Openings) Check(rosters []*roster.Roster, s *Sample, names bool) ([]Verdict, error) {
	if o.Sample != s.ID() {
		return nil, waypost.Errorf(waypost.InvalidArgument, "the openings are for another sample")
	}
	if err := s.Verify(rosters); err != nil {
		return nil, err
	}
	shown := make(map[string]*waypostv1.Opening)
	for _, raw := range o.Openings {
		var one waypostv1.Opening
		if protojson.Unmarshal(raw, &one) != nil {
			return nil, waypost.Errorf(waypost.InvalidArgument, "an opening is not well formed")
		}
		if t, err := waypost.ParseTicket(one.Ticket); err == nil {
			shown[hex.EncodeToString(t.ID[:])] = &one
		}
	}
	verdicts := []Verdict{}
	for _, ticket := range s.Drawn[o.State] {
		v := Verdict{Ticket: ticket, State: o.State, Result: NotOpened, Words: "the state shows nothing about this ticket"}
		if one := shown[ticket]; one != nil {
			v.judge(rosters, one, names)
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, nil
}

// judge holds an opening against its ticket.
func (v *Verdict) judge(rosters []*roster.Roster, o *waypostv1.Opening, names bool) {
	t, err := verifyTicket(rosters, v.State, o.Ticket)
	if err != nil {
		v.sayf(WrongTicket, "%v", err)
		return
	}
	v.Purpose, v.Case, v.Operator = string(t.Purpose), o.CaseReference, o.Operator
	who, err := gateway.CheckOpening(t.Ticket, o)
	if names {
		v.Applicant = fmt.Sprintf("%s, %s %s, born %s", who.Family, who.Given, who.Middle, who.Born)
	}
	switch {
	case t.CoversProbes(o.Elements) != nil:
		v.sayf(WrongTicket, "the probes shown are not the ones that the ticket was signed over")
	case waypost.CodeOf(err) == waypost.Misuse:
		v.sayf(OtherPerson, "%v", err)
	case err != nil || len(o.CaseSalt) != 32:
		v.sayf(NotOpened, "what the state shows is not complete")
	case waypost.CommitCase([32]byte(o.CaseSalt), o.CaseReference) != t.Case:
		v.sayf(WrongCase, "its name probes are those of the applicant named, and the case is another than the one named")
	default:
		v.sayf(ForThePerson, "its name probes are those of the applicant named")
	}
}

func (v *Verdict) sayf(result, format string, args ...any) {
	v.Result, v.Words = result, fmt.Sprintf(format, args...)
}

// verifyTicket checks that the state signed a ticket for a check, under the
// roster that the ticket names.
func verifyTicket(rosters []*roster.Roster, state string, raw []byte) (waypost.SignedTicket, error) {
	t, err := waypost.ParseTicket(raw)
	if err != nil {
		return t, err
	}
	i := slices.IndexFunc(rosters, func(r *roster.Roster) bool { return r.Version == t.RosterVersion })
	if i < 0 {
		return t, waypost.Errorf(waypost.NotFound, "the ticket names roster version %d, which was not given", t.RosterVersion)
	}
	m, ok := rosters[i].Member(state)
	if !ok || string(t.SOI) != state || t.Kind != waypost.KindCheck {
		return t, waypost.Errorf(waypost.InvalidArgument, "the ticket is not a check of %s", state)
	}
	return t, t.Verify(m.Identity)
}

// SortVerdicts puts what is wrong first.
func SortVerdicts(all []Verdict) {
	good := func(v Verdict) int {
		if v.Result == ForThePerson {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(all, func(a, b Verdict) int { return cmp.Compare(good(a), good(b)) })
}
