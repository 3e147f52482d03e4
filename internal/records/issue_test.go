package records_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/compare"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
)

// checked leaves a check of a person as the gateway leaves one that is complete.
func (r *rig) checked(who waypost.Person, asked ...waypost.Disclosure) waypost.TicketID {
	r.t.Helper()
	return r.checkedAgain(who, waypost.TicketID{}, asked...)
}

// checkedAgain is checked for a check that takes the place of another.
func (r *rig) checkedAgain(who waypost.Person, cites waypost.TicketID, asked ...waypost.Disclosure) waypost.TicketID {
	r.t.Helper()
	ticket, err := r.ticket(waypost.KindCheck, waypost.CheckElements, [32]byte{1})
	if err != nil {
		r.t.Fatal(err)
	}
	applicant, err := proto.Marshal(&waypostv1.CheckRequest{Ssn5: who.SSN5, Applicant: &waypostv1.Applicant{
		Family: who.Family, Given: who.Given, Middle: who.Middle, Suffix: who.Suffix, Born: who.Born.String(), Sex: string(who.Sex)}})
	if err != nil {
		r.t.Fatal(err)
	}
	digits := r.digits(who, cites)
	standing := who
	if who.SSN5 == "" {
		standing.SSN5 = digits
	}
	var sets []records.Set
	for _, k := range r.x.View.Settled().KeysFor(waypost.KindCheck) {
		set := records.Set{Epoch: k.Epoch}
		for _, s := range matchkey.Index(standing, records.DecoySecret(r.secret)) {
			set.Tokens = append(set.Tokens, r.tokenOf(k.Epoch, s.Key))
		}
		sets = append(sets, set)
	}
	err = r.db.Write(r.t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO inquiry (ticket, signed, receipts, hub_receipts, elements, tags, seed, applicant, digits, case_reference, case_salt, operator,
			state, too_many, own, coverage, tries, created) VALUES ($1, $2, $3, $3, $3, $3, $3, $4, $5, 'C', $3, 'clerk', 2, 0, $3, $3, 0, 1)`,
			ticket.ID[:], ticket.Bytes(), []byte{}, applicant, digits)
		for i, a := range asked {
			if err == nil {
				_, err = tx.Exec(`INSERT INTO ask (ticket, reference, owner, state, outcome, status, card_kind, termination_required, refused, statement)
					VALUES ($1, $2, 'AZ', 3, $3, '', '', $4, '', $5)`, ticket.ID[:], []byte{byte(i)}, a.Outcome, a.TerminationRequired, []byte{})
			}
		}
		if err != nil {
			return err
		}
		return r.file.KeepTokens(tx, ticket.ID, sets)
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return ticket.ID
}

// takeIn gives the state a record whose pointer comes from Arizona.
func (r *rig) takeIn(id string, who waypost.Person, ssn5 string) {
	r.t.Helper()
	release := waypost.Release{Change: [16]byte{7}, From: "AZ", To: "CA", Passings: []waypost.Passing{{Old: waypost.Handle{1}, New: waypost.Handle{2}}}}
	name := records.PassedName{Handle: waypost.Handle{2}, Version: 1, Epoch: 1, Reached: 1, Name: who}
	name.Name.SSN5 = ""
	there := stands{shown: shown{handle: waypost.Handle{2}, tokens: map[waypost.Token]bool{}}, live: true, epoch: 1, version: 2, receipt: waypost.PassedUnder(release.Change)}
	who.SSN5 = ssn5
	check := r.checked(who)
	for i, s := range matchkey.Index(who, make([]byte, 32)) { // Arizona's decoys
		token := r.token(s.Key)
		there.tokens[token] = true
		if i < matchkey.NameSlots {
			name.Tokens = append(name.Tokens, token[:])
		}
	}
	if err := r.people.Put(r.t.Context(), []waypost.Record{licence(id, who)}); err != nil {
		r.t.Fatal(err)
	}
	if err := r.db.Write(r.t.Context(), func(tx *store.Tx) error {
		return r.file.MoveIn(tx, id, release, []records.PassedName{name}, check)
	}); err != nil {
		r.t.Fatal(err)
	}
	r.hub.pointers[there.handle], r.hub.shown = &there, append(r.hub.shown, there.shown)
}

func TestIssue(t *testing.T) {
	who := waypost.Person{Family: "Ferrante", Given: "Ludmila", Sex: "F", Born: waypost.Date{Year: 1961, Month: 4, Day: 17}, SSN5: "48213"}
	match := waypost.Disclosure{Outcome: waypost.Match, TerminationRequired: true}
	for name, c := range map[string]struct {
		asked    []waypost.Disclosure
		override string
		record   func(*waypost.Record)
		inquiry  string // how the check stands
		says     string // of the refusal; empty where there is none
	}{
		"nobody else":         {},
		"no licence there":    {asked: []waypost.Disclosure{{Outcome: waypost.Match}}},
		"a licence there":     {asked: []waypost.Disclosure{match}, says: "AZ has a card of this person that must be ended first"},
		"all the same":        {asked: []waypost.Disclosure{match}, override: "AZ confirmed by letter that it is void"},
		"a possible match":    {asked: []waypost.Disclosure{{Outcome: waypost.Possible}}, says: "resolve the possible match first"},
		"an answer missing":   {asked: []waypost.Disclosure{{Outcome: waypost.Pending}}, says: "AZ has not answered"},
		"still owed":          {inquiry: `state = 3`, says: "the check is owed"},
		"not complete":        {inquiry: `state = 1`, says: "not complete"},
		"made again":          {inquiry: `successor = ticket`, says: "another check has taken the place"},
		"another name":        {record: func(r *waypost.Record) { r.Family = "Moretti" }, says: "the check was made for another name"},
		"another SSN":         {record: func(r *waypost.Record) { r.SSN5 = "99123" }, override: "x", says: "the check was made for another name"},
		"no such card":        {record: func(r *waypost.Record) { r.Kind = "passport" }, says: "the kind of card"},
		"spaces for a reason": {asked: []waypost.Disclosure{match}, override: "   ", says: "must be ended first"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			check := r.checked(who, c.asked...)
			if c.inquiry != "" {
				r.exec(`UPDATE inquiry SET ` + c.inquiry)
			}
			i := records.Issuing{Ticket: check, Record: licence("CA-1", who), Override: c.override}
			if c.record != nil {
				c.record(&i.Record)
			}
			published, err := r.file.Issue(t.Context(), "clerk", i)
			if c.says == "" {
				if err != nil || !published || len(r.hub.shown) != 1 || r.hub.shown[0].kind != waypost.KindCheck {
					t.Fatalf("%v, %v; the hub was shown %v", published, err, r.hub.shown)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it is refused with %v, want %q", err, c.says)
			}
			if _, err := r.file.Record(t.Context(), "CA-1"); waypost.CodeOf(err) != waypost.NotFound || len(r.pointers("CA-1"))+len(r.hub.shown) > 0 {
				t.Error("something came of what was refused")
			}
		})
	}
}

func (r *rig) exec(statement string, args ...any) {
	r.t.Helper()
	if err := r.db.Write(r.t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(statement, args...)
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
}

// TestIssueLater: after a day, or where the hub refuses the check's ticket, a
// record is published like any other; where the hub is down it waits, and the
// same tokens find it.
func TestIssueLater(t *testing.T) {
	who := waypost.Person{Family: "Ferrante", Given: "Ludmila", Sex: "F", Born: waypost.Date{Year: 1961, Month: 4, Day: 17}}
	for name, c := range map[string]struct {
		before, after func(r *rig)
		kind          waypost.Kind
		at            bool // once
	}{
		"a day later": {before: func(r *rig) { r.now = r.now.Add(25 * time.Hour) }, kind: waypost.KindPublish, at: true},
		"the hub is down": {before: func(r *rig) { r.hub.down = waypost.Errorf(waypost.Unavailable, "down") },
			after: func(r *rig) { r.hub.down = nil }, kind: waypost.KindCheck},
		"the hub is down for days": {before: func(r *rig) { r.hub.down = waypost.Errorf(waypost.Unavailable, "down") },
			after: func(r *rig) { r.hub.down, r.now = nil, r.now.Add(48*time.Hour) }, kind: waypost.KindPublish},
		"cut off": {before: func(r *rig) { r.hub.cut = waypost.Errorf(waypost.Unavailable, "cut off") },
			after: func(r *rig) { r.hub.cut = nil }, kind: waypost.KindCheck},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			check := r.checked(who)
			c.before(r)
			published, err := r.file.Issue(t.Context(), "clerk", records.Issuing{Ticket: check, Record: licence("CA-1", who)})
			if err != nil || published != c.at {
				t.Fatal(published, err)
			}
			if c.after != nil {
				c.after(r)
				r.restart()
				r.settle()
			}
			last := r.hub.shown[len(r.hub.shown)-1]
			if last.kind != c.kind || r.hub.live(func(*stands) bool { return true }) != 1 {
				t.Errorf("the hub was shown %d pointers, the last with a ticket to %s", len(r.hub.shown), last.kind)
			}
			for _, s := range matchkey.Index(who, records.DecoySecret(r.secret)) {
				if !last.tokens[r.token(s.Key)] {
					t.Errorf("it has no token of kind %s", s.Kind)
				}
			}
			if p := r.pointers("CA-1"); len(p) != 1 || p[0].State != records.Live {
				t.Errorf("the file says %v", p)
			}
		})
	}
}

// digits is what stands in for an SSN in a check of this state.
func (r *rig) digits(who waypost.Person, cites waypost.TicketID) string {
	r.t.Helper()
	digits, err := r.file.Digits(r.t.Context(), who, "", cites, func(own records.Found) (waypost.Outcome, error) {
		best := waypost.NoMatch
		for _, name := range own.Names {
			if o := compare.Compare(compare.Candidate{Person: who}, compare.Candidate{Person: name}, nil); o == waypost.Match || best == waypost.NoMatch {
				best = o
			}
		}
		return best, nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return digits
}
