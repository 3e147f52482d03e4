package audit

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
	"github.com/waypost/waypost/toprf"
)

// sample: every check is drawn. The honest ones open; of a state whose program
// was replaced, the tickets for several people and for nobody are named.
func (r live) sample() {
	t := r.t
	r.load("CA", desmond)
	o, err := FromDir(r.dir)
	must(t, err)
	start, err := Draw(ctx, o, "1", nil)
	must(t, err)
	r.check("NV", desmond)
	first := r.check("AZ", desmond)
	second := r.check("AZ", ottilie)
	r.publish()
	before, err := Draw(ctx, o, "1", start)
	must(t, err)
	if len(before.Drawn["AZ"]) != 2 || len(before.Drawn["NV"]) != 1 || before.Evaluations < 6 || len(before.Beacon) != 3 {
		t.Fatalf("%+v", before)
	}
	for _, v := range r.open("AZ", before, o) {
		if v.Result != ForThePerson || v.Case != "CASE-1" || v.Operator != "clerk-1" || v.Purpose != "issue_real_id" ||
			(v.Ticket == first.TicketHex) != strings.HasPrefix(v.Applicant, "Achterberg, Desmond") {
			t.Errorf("%+v", v)
		}
	}

	// 32 people, each with one key, under one ticket; the gateway's database says
	// that it was for one of them.
	several := r.rogue("AZ", true)
	nobody := r.rogue("AZ", false)
	must(t, r.Role("AZ").DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO inquiry SELECT $1, $2, receipts, hub_receipts, $3, tags, $4, applicant, digits, case_reference, case_salt, operator, state,
			too_many, own, coverage, tries, due, successor, created FROM inquiry WHERE ticket = $5`,
			several.ticket.ID[:], several.ticket.Bytes(), several.elements, several.seed[:], second.Ticket[:])
		return err
	}))
	r.publish()
	next, err := Draw(ctx, o, "1", before)
	must(t, err)
	want := []string{hex.EncodeToString(several.ticket.ID[:]), hex.EncodeToString(nobody.ticket.ID[:])}
	slices.Sort(want)
	if !slices.Equal(next.Drawn["AZ"], want) || len(next.Drawn) != 1 {
		t.Fatalf("since the sample before: %v, want %v", next.Drawn, want)
	}
	for _, v := range r.open("AZ", next, o) {
		if kind := map[string]string{want[0]: NotOpened, want[1]: NotOpened, hex.EncodeToString(several.ticket.ID[:]): OtherPerson}[v.Ticket]; v.Result != kind {
			t.Errorf("%+v, want %s", v, kind)
		}
	}
	r.redraw(o, next)
	r.lies(o, before, first, second)
}

// redraw: anybody draws the same by the same checkpoints; a sample that was
// altered is refused.
func (r live) redraw(o Options, s *Sample) {
	t := r.t
	r.check("AZ", barnaby)
	r.publish()
	must(t, s.Redraw(ctx, o))
	raw, err := json.Marshal(s)
	must(t, err)
	again, err := ParseSample(raw)
	must(t, err)
	must(t, again.Verify(o.Rosters))
	for what, change := range map[string]func(*Sample){
		"a ticket left out":    func(s *Sample) { s.Drawn = map[string][]string{} },
		"a rate":               func(s *Sample) { s.Rate = "0.00001" },
		"a key holder missing": func(s *Sample) { s.Beacon = s.Beacon[1:] },
		"one twice":            func(s *Sample) { s.Beacon = append(s.Beacon[:2:2], s.Beacon[0], s.Beacon[2]) },
		"a checkpoint": func(s *Sample) {
			s.Beacon = append([]string{strings.Replace(s.Beacon[0], "\n", "\n1", 1)}, s.Beacon[1:]...)
		},
		"all since ever": func(s *Sample) { s.Since = nil },
	} {
		altered := *again
		change(&altered)
		if err := altered.Redraw(ctx, o); err == nil {
			t.Errorf("%s: the sample holds", what)
		}
	}
	less := *again
	less.Rate = "0.000000001"
	if err := less.Verify(o.Rosters); err == nil {
		t.Error("tickets that the checkpoints did not draw are believed")
	}
}

// lies: an opening that differs from what was done in anything is found out.
func (r live) lies(o Options, s *Sample, first, second waypost.Answer) {
	t := r.t
	for what, c := range map[string]struct {
		change func(*waypostv1.Opening)
		want   string
	}{
		"another name":  {func(o *waypostv1.Opening) { o.Applicant.Family = "Smith" }, OtherPerson},
		"another birth": {func(o *waypostv1.Opening) { o.Applicant.Born = "1984-03-18" }, OtherPerson},
		"another order": {func(o *waypostv1.Opening) { o.Order[0], o.Order[1] = o.Order[1], o.Order[0] }, OtherPerson},
		"other blinds":  {func(o *waypostv1.Opening) { copy(o.Blinds[:32], o.Blinds[32:64]) }, OtherPerson},
		"other probes":  {func(o *waypostv1.Opening) { o.Elements[0] ^= 1 }, WrongTicket},
		"another case":  {func(o *waypostv1.Opening) { o.CaseReference = "CASE-2" }, WrongCase},
		"another salt":  {func(o *waypostv1.Opening) { o.CaseSalt[0] ^= 1 }, WrongCase},
		"no blinds":     {func(o *waypostv1.Opening) { o.Blinds = nil }, NotOpened},
		"no applicant":  {func(o *waypostv1.Opening) { o.Applicant = nil }, NotOpened},
		"no signature":  {func(o *waypostv1.Opening) { o.Ticket[len(o.Ticket)-1] ^= 1 }, WrongTicket},
	} {
		one, err := r.auditor("AZ").OpenTicket(ctx, &waypostv1.OpenTicketRequest{Ticket: first.TicketHex})
		must(t, err)
		c.change(one)
		openings := NewOpenings("AZ", s)
		must(t, openings.Add(one))
		verdicts, err := openings.Check(o.Rosters, s, false)
		must(t, err)
		for _, v := range verdicts {
			if v.Applicant != "" {
				t.Error("a name is told unasked")
			}
			if v.Ticket == second.TicketHex && v.Result != NotOpened || v.Ticket == first.TicketHex && v.Result != c.want {
				t.Errorf("%s: %+v, want %s", what, v, c.want)
			}
		}
	}
	if _, err := NewOpenings("AZ", &Sample{Rate: "1"}).Check(o.Rosters, s, false); err == nil {
		t.Error("openings for another sample are taken")
	}
}

// open has a state open what was drawn of it, as waypost audit open does.
func (r live) open(state string, s *Sample, o Options) []Verdict {
	openings := NewOpenings(state, s)
	for _, ticket := range s.Drawn[state] {
		one, err := r.auditor(waypost.Jurisdiction(state)).OpenTicket(ctx, &waypostv1.OpenTicketRequest{Ticket: ticket})
		if waypost.CodeOf(err) == waypost.NotFound {
			continue
		}
		must(r.t, err)
		must(r.t, openings.Add(one))
	}
	raw, err := json.Marshal(openings)
	must(r.t, err)
	read, err := ParseOpenings(raw)
	must(r.t, err)
	verdicts, err := read.Check(o.Rosters, s, true)
	must(r.t, err)
	if len(verdicts) != len(s.Drawn[state]) {
		r.t.Errorf("%d verdicts on %d tickets", len(verdicts), len(s.Drawn[state]))
	}
	return verdicts
}

// made is a ticket of a program that does not keep the rules.
type made struct {
	ticket   waypost.SignedTicket
	seed     [32]byte
	elements []byte
}

// rogue has a key holder evaluate 32 elements under a ticket of the state: of
// one key each of 32 people, or of nobody.
func (r live) rogue(state waypost.Jurisdiction, people bool) (m made) {
	_, _ = rand.Read(m.seed[:])
	keys := make([][]byte, waypost.CheckElements)
	for i := range keys {
		keys[i] = []byte{byte(i)}
		if p := ottilie; people {
			p.Born.Year = 1950 + i
			names := matchkey.NameKeys(p)
			keys[i] = names[0]
		}
	}
	blinding, err := toprf.BlindAll(keys, m.seed)
	must(r.t, err)
	m.elements = toprf.EncodeElements(blinding.Elements())
	folder := r.Role(string(state)).Folder
	current := folder.Roster.Current()
	ticket := waypost.Ticket{Kind: waypost.KindCheck, RosterVersion: current.Version, Epoch: current.Epoch, Environment: current.Environment,
		SOI: state, Class: waypost.Attended, Purpose: waypost.Renew, IssuedAt: time.Now(), Elements: len(keys), Probes: waypost.HashProbes(m.elements)}
	for _, b := range [][]byte{ticket.Nonce[:], ticket.Tau[:], ticket.Operator[:], ticket.Case[:]} {
		_, _ = rand.Read(b)
	}
	m.ticket, err = ticket.Sign(folder.Identity)
	must(r.t, err)
	_, err = gateway.DialHolders(folder.Cert, folder.Roster).Evaluate(ctx, "keyholder-1", &waypostv1.EvaluateRequest{Ticket: m.ticket.Bytes(), Elements: m.elements})
	must(r.t, err)
	return m
}

// TestOpeningHasNoSSN: an opening has a place for what a second leg shows and
// for the case, and for nothing from which an SSN, or that there is none, could
// be told.
func TestOpeningHasNoSSN(t *testing.T) {
	var fields []string
	for d, i := (&waypostv1.Opening{}).ProtoReflect().Descriptor().Fields(), 0; i < d.Len(); i++ {
		fields = append(fields, string(d.Get(i).Name()))
	}
	want := []string{"ticket", "elements", "order", "blinds", "applicant", "case_reference", "case_salt", "operator"}
	if !slices.Equal(fields, want) {
		t.Errorf("an opening has %q, want %q", fields, want)
	}
}

// TestRate: at a rate of p about p of the tickets are drawn, and a ticket is not
// drawn by other checkpoints because it is by these.
func TestRate(t *testing.T) {
	x := newExchange(t, "", genQuota)
	x.publishAll(x.start + 60)
	o := x.options(x.start + 60)
	s, err := Draw(ctx, o, "0.05", nil)
	must(t, err)
	x.note(x.start+90, "keyholder-2", "stopped", map[string]string{"version": "test"})
	x.publishAll(x.start + 120)
	next, err := Draw(ctx, o, "0.05", s)
	must(t, err)
	var lots [2]lottery
	for i, one := range []*Sample{s, next} {
		heads, err := beaconOf(o.Rosters, one.Beacon)
		must(t, err)
		lots[i], err = newLottery(heads, one.Rate)
		must(t, err)
	}
	const n = 20000
	drawn, both := 0, 0
	for i := range n {
		id := [32]byte{byte(i), byte(i >> 8)}
		if lots[0].falls(id) {
			drawn++
			if lots[1].falls(id) {
				both++
			}
		}
	}
	// Five standard deviations.
	if drawn < 1000-155 || drawn > 1000+155 || both < 50-35 || both > 50+35 {
		t.Errorf("%d of %d are drawn, %d of them twice", drawn, n, both)
	}
	for _, rate := range []string{"", "0", "0.0", "1.1", "2", "-1", "1e9", ".5", "0.1234567890", "1/2"} {
		if _, err := Draw(ctx, o, rate, nil); err == nil {
			t.Errorf("the rate %q is taken", rate)
		}
	}
}

// FuzzOpenings: a sample and openings of strangers are refused or judged, and
// nothing worse.
func FuzzOpenings(f *testing.F) {
	f.Add([]byte(`{"type":"waypost sample v1","rate":"0.005","since":[],"beacon":["a"],"evaluations":0,"drawn":{"AZ":["00"]}}`),
		[]byte(`{"type":"waypost openings v1","state":"AZ","sample":"","openings":[{"ticket":"AA=="}]}`), []byte{})
	raw, err := proto.Marshal(&waypostv1.Opening{Order: make([]byte, 20), Blinds: make([]byte, 640), CaseSalt: make([]byte, 32),
		Applicant: &waypostv1.Applicant{Family: "A", Born: "1980-01-01"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{}`), []byte(`{}`), raw)
	rosters := []*roster.Roster{newExchange(f, "", genQuota).roster}
	f.Fuzz(func(t *testing.T, sample, openings, one []byte) {
		if s, err := ParseSample(sample); err == nil {
			if again, err := json.Marshal(s); err != nil || len(again) == 0 {
				t.Fatal(err)
			}
			if s.Verify(rosters) == nil {
				t.Fatal("checkpoints of nobody are believed")
			}
		}
		if o, err := ParseOpenings(openings); err == nil {
			for _, raw := range o.Openings {
				_ = protojson.Unmarshal(raw, &waypostv1.Opening{})
			}
		}
		var o waypostv1.Opening
		if proto.Unmarshal(one, &o) == nil {
			v := Verdict{State: "AZ"}
			if v.judge(rosters, &o, true); v.Result == ForThePerson {
				t.Fatal("a stranger's ticket holds")
			}
		}
	})
}
