package questions_test

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/questions"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/seal"
)

func shown(p waypost.Record, alter func(*waypostv1.PresentedCard)) *waypostv1.PresentedCard {
	c := &waypostv1.PresentedCard{Number: p.CardNumber, Family: p.Family, Given: p.Given, Born: p.Born.String()}
	if alter != nil {
		alter(c)
	}
	return c
}

// A card is a match if it is good as identification and this person's, and otherwise
// not: nothing says why.
func TestVerifyCard(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := r.person("1", nil)
	bare := r.person("9", func(p *waypost.Record) { p.SSN5 = "" })
	for name, q := range map[string]struct {
		card *waypostv1.PresentedCard
		want string
	}{
		"the holder's":              {shown(good, nil), "match"},
		"of one without an SSN":     {shown(bare, nil), "match"},
		"in other letters":          {shown(good, func(c *waypostv1.PresentedCard) { c.Family, c.Given = "Okonkwo", "Inés" }), "match"},
		"another number":            {shown(good, func(c *waypostv1.PresentedCard) { c.Number = "D77" }), "no_match"},
		"another given name":        {shown(good, func(c *waypostv1.PresentedCard) { c.Given = "MARY" }), "no_match"},
		"nearly the given name":     {shown(good, func(c *waypostv1.PresentedCard) { c.Given = "INEZ" }), "no_match"},
		"another family name":       {shown(good, func(c *waypostv1.PresentedCard) { c.Family = "SMITH" }), "no_match"},
		"names exchanged":           {shown(good, func(c *waypostv1.PresentedCard) { c.Family, c.Given = c.Given, c.Family }), "no_match"},
		"another day":               {shown(good, func(c *waypostv1.PresentedCard) { c.Born = "1988-04-10" }), "no_match"},
		"day and month exchanged":   {shown(good, func(c *waypostv1.PresentedCard) { c.Born = "1988-09-04" }), "no_match"},
		"nobody's":                  {&waypostv1.PresentedCard{Number: "X0000000", Family: "NOBODY", Given: "AT ALL", Born: "1900-01-01"}, "no_match"},
		"no number":                 {shown(good, func(c *waypostv1.PresentedCard) { c.Number = "" }), "invalid_argument"},
		"a number that is too long": {shown(good, func(c *waypostv1.PresentedCard) { c.Number = strings.Repeat("1", 41) }), "invalid_argument"},
		"no date":                   {shown(good, func(c *waypostv1.PresentedCard) { c.Born = "yesterday" }), "invalid_argument"},
	} {
		if got := r.word("AZ", waypost.KindVerifyCard, waypost.AcceptAsID, waypost.TicketID{}, q.card); got != q.want {
			t.Errorf("%s: %s, want %s", name, got, q.want)
		}
	}
	for status, want := range map[waypost.Status]string{
		waypost.Valid: "match", waypost.Suspended: "match", waypost.Disqualified: "match",
		waypost.ExpiredCard: "no_match", waypost.Surrendered: "no_match", waypost.Revoked: "no_match", waypost.Closed: "no_match",
	} {
		p := r.person("2", func(p *waypost.Record) { p.Status = status })
		if got := r.word("AZ", waypost.KindVerifyCard, waypost.AcceptAsID, waypost.TicketID{}, shown(p, nil)); got != want {
			t.Errorf("a card that is %s: %s, want %s", status, got, want)
		}
	}
	if got := r.word("AZ", waypost.KindVerifyCard, waypost.AcceptAsID, waypost.TicketID{1}, shown(good, nil)); got != "permission_denied" {
		t.Errorf("a card shown after some check: %s", got)
	}
	a, err := r.answer("AZ", waypost.KindVerifyCard, waypost.AcceptAsID, waypost.TicketID{}, shown(good, nil))
	if h := handleOf("1"); err != nil || len(a.Body) != 0 || string(a.Handle) != string(h[:]) {
		t.Errorf("%+v, %v", a, err)
	}
	r.down = true
	if got := r.word("AZ", waypost.KindVerifyCard, waypost.AcceptAsID, waypost.TicketID{}, shown(good, nil)); got != "unavailable" {
		t.Errorf("while the state system is down: %s", got)
	}
}

// What follows a check is told to whom that check has told of the record, for the
// purposes of the table, and as the record stands now.
func TestFollow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.person("1", func(p *waypost.Record) { p.Status = waypost.Suspended })
	r.person("2", nil)
	r.portraits["1"] = []byte("\xff\xd8\xff jpeg")
	match, possible, no := r.found("1", waypost.Match), r.found("1", waypost.Possible), r.found("1", waypost.NoMatch)
	bare := r.found("2", waypost.Match)
	for name, q := range map[string]struct {
		from    waypost.Jurisdiction
		kind    waypost.Kind
		purpose waypost.Purpose
		check   waypost.TicketID
		want    string
	}{
		"a status":                     {"AZ", waypost.KindStatus, waypost.Renew, match, "suspended"},
		"a status of a possible match": {"AZ", waypost.KindStatus, waypost.Renew, possible, "permission_denied"},
		"a status of no match":         {"AZ", waypost.KindStatus, waypost.Renew, no, "permission_denied"},
		"a status for another state":   {"NV", waypost.KindStatus, waypost.Renew, match, "permission_denied"},
		"a status without a check":     {"AZ", waypost.KindStatus, waypost.Renew, waypost.TicketID{7}, "permission_denied"},
		"a status for no purpose":      {"AZ", waypost.KindStatus, waypost.PostConviction, match, "declined"},
		"a history":                    {"AZ", waypost.KindHistory, waypost.ChangeSOR, match, "history of 1"},
		"a history of a possible":      {"AZ", waypost.KindHistory, waypost.ChangeSOR, possible, "permission_denied"},
		"a history for an ID card":     {"AZ", waypost.KindHistory, waypost.IssueID, match, "declined"},
		"a portrait":                   {"AZ", waypost.KindPortrait, waypost.DuplicateResolution, match, "portrait \xff\xd8\xff jpeg"},
		"a portrait of a possible":     {"AZ", waypost.KindPortrait, waypost.ResolvePossibleMatch, possible, "portrait \xff\xd8\xff jpeg"},
		"a portrait of no match":       {"AZ", waypost.KindPortrait, waypost.ResolvePossibleMatch, no, "permission_denied"},
		"no portrait":                  {"AZ", waypost.KindPortrait, waypost.DuplicateResolution, bare, "declined"},
		"a portrait to issue":          {"AZ", waypost.KindPortrait, waypost.IssueLicence, match, "declined"},
	} {
		if got := r.word(q.from, q.kind, q.purpose, q.check, ref); got != q.want {
			t.Errorf("%s: %q, want %q", name, got, q.want)
		}
	}
	if got := r.word("AZ", waypost.KindStatus, waypost.Renew, match, &waypostv1.FoundRecord{Reference: []byte{1}}); got != "invalid_argument" {
		t.Errorf("a short reference: %s", got)
	}
	for state, want := range map[records.State]string{records.Moved: "moved moved declined", records.Withdrawn: "declined declined declined",
		records.Ending: "declined declined declined"} {
		r.pointers["1"] = state
		got := r.word("AZ", waypost.KindStatus, waypost.Renew, match, ref) + " " + r.word("AZ", waypost.KindHistory, waypost.ChangeSOR, match, ref) + " " +
			r.word("AZ", waypost.KindPortrait, waypost.DuplicateResolution, match, ref)
		if got != want {
			t.Errorf("of a pointer that is %v: %s, want %s", state, got, want)
		}
	}
	r.pointers["1"] = records.Live
	delete(r.people, "1")
	if got := r.word("AZ", waypost.KindStatus, waypost.Renew, match, ref); got != "declined" {
		t.Errorf("of a deleted record: %s", got)
	}
	if h := r.handlers[waypost.KindPortrait]; h.Least != seal.Size64K || r.handlers[waypost.KindHistory].Least != seal.Size256K {
		t.Error("the sizes of replies tell what is in them")
	}
}

// About a protected person nothing is said before the special unit has decided;
// what it declines is like what nobody has.
func TestProtected(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("1", func(p *waypost.Record) { p.Protected = true })
	check := r.found("1", waypost.Match)
	ask := func() {
		for kind, purpose := range map[waypost.Kind]waypost.Purpose{waypost.KindVerifyCard: waypost.AcceptAsID, waypost.KindStatus: waypost.Renew} {
			body, cites := proto.Message(ref), check
			if kind == waypost.KindVerifyCard {
				body, cites = shown(p, nil), waypost.TicketID{}
			}
			a, err := r.answer("AZ", kind, purpose, cites, body)
			if err != nil || a.Word != "" || a.Final || len(a.Body) > 0 || !a.Withheld || len(a.Handle) != 16 {
				t.Errorf("%s: %+v, %v", kind, a, err)
			}
		}
	}
	ask()
	if got := r.word("AZ", waypost.KindVerifyCard, waypost.AcceptAsID, waypost.TicketID{}, shown(p, func(c *waypostv1.PresentedCard) { c.Given = "MARY" })); got != "no_match" {
		t.Errorf("a card shown by somebody else: %q", got)
	}
	for _, round := range []struct {
		release bool
		words   map[waypost.Kind]string
	}{
		{false, map[waypost.Kind]string{waypost.KindVerifyCard: "no_match", waypost.KindStatus: "declined"}},
		{true, map[waypost.Kind]string{waypost.KindVerifyCard: "match", waypost.KindStatus: "valid"}},
	} {
		waiting, err := r.unit.Waiting(t.Context())
		if err != nil || len(waiting) != 2 {
			t.Fatalf("%+v, %v", waiting, err)
		}
		for _, w := range waiting {
			if w.Asking != "AZ" || w.Record != "1" || w.Since.IsZero() || w.Purpose == "" {
				t.Errorf("%+v", w)
			}
			must(t, r.unit.Answer(t.Context(), w.ID, round.release))
			if last := r.replies[len(r.replies)-1]; last.Word != round.words[w.Kind] || !last.Final {
				t.Errorf("%s, released %v: %+v", w.Kind, round.release, last)
			}
			if err := r.unit.Answer(t.Context(), w.ID, true); waypost.CodeOf(err) != waypost.NotFound {
				t.Errorf("again: %v", err)
			}
		}
		if !round.release {
			ask()
		}
	}
	if err := r.unit.Answer(t.Context(), "no id", true); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("no id: %v", err)
	}
}

// A clerk asks through the door, and reads what came or that it is to come.
func TestDoor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	door := questions.Door{Questions: r.room}
	ctx := rpc.WithOperator(t.Context(), "clerk-7")
	check := waypost.TicketID{1}
	r.asked[check] = records.Asked{Owner: "NV", Outcome: waypost.Match, Purpose: waypost.IssueLicence, Case: "A-1"}
	req := &waypostv1.RecordRequest{Check: hex.EncodeToString(check[:]), Reference: strings.Repeat("0", 32)}

	r.progress = errand.Progress{State: errand.Sent}
	a, err := door.Status(ctx, req)
	if err != nil || a.Word != "pending" || a.State != "NV" || a.Kind != "status" {
		t.Fatalf("%v, %v", a, err)
	}
	mine := r.begun[0]
	if mine.To != "NV" || mine.Cites != check || mine.Purpose != waypost.IssueLicence || mine.Case != "A-1" || mine.Operator != "clerk-7" || mine.Class != waypost.Attended {
		t.Errorf("%+v", mine)
	}
	r.progress = errand.Progress{State: errand.Concluded, Replies: []errand.Reply{{Word: "valid", Final: true}}}
	if a, err := door.Get(ctx, &waypostv1.GetQuestionRequest{Id: a.Id}); err != nil || a.Word != "valid" {
		t.Errorf("%v, %v", a, err)
	}
	r.progress.Replies[0] = errand.Reply{Word: "portrait", Body: []byte("jpeg")}
	if a, err := door.Portrait(ctx, &waypostv1.RecordRequest{Check: req.Check, Reference: req.Reference, Purpose: "resolve_possible_match"}); err != nil || string(a.Portrait) != "jpeg" {
		t.Errorf("%v, %v", a, err)
	}
	r.progress.Replies[0] = errand.Reply{Word: errand.Refused, Refused: "not for you"}
	if a, err := door.History(ctx, req); err != nil || a.Word != "refused" || a.Why != "not for you" {
		t.Errorf("%v, %v", a, err)
	}
	r.progress = errand.Progress{State: errand.Cancelled, Reason: "no quota"}
	card := &waypostv1.VerifyCardRequest{CaseReference: "B-2", Card: &waypostv1.Applicant{CardState: "NV", CardNumber: "N1", Family: "DOE", Given: "JO", Born: "1990-01-02"}}
	if a, err := door.VerifyCard(ctx, card); err != nil || a.Word != "refused" || a.Why != "no quota" {
		t.Errorf("%v, %v", a, err)
	}
	refusals(t, r, door, ctx, req, card)
}

func refusals(t *testing.T, r *rig, door questions.Door, ctx context.Context, req *waypostv1.RecordRequest, card *waypostv1.VerifyCardRequest) {
	t.Helper()
	possible := waypost.TicketID{2}
	r.asked[possible] = records.Asked{Owner: "NV", Outcome: waypost.Possible, Purpose: waypost.IssueLicence}
	asks := map[string]func() error{
		"a history for another purpose": func() error {
			_, err := door.History(ctx, &waypostv1.RecordRequest{Check: req.Check, Reference: req.Reference, Purpose: "renew"})
			return err
		},
		"a status of a possible match": func() error {
			_, err := door.Status(ctx, &waypostv1.RecordRequest{Check: hex.EncodeToString(possible[:]), Reference: req.Reference})
			return err
		},
		"a check that is none": func() error {
			_, err := door.Status(ctx, &waypostv1.RecordRequest{Check: "12", Reference: req.Reference})
			return err
		},
		"a reference that is none": func() error {
			_, err := door.Status(ctx, &waypostv1.RecordRequest{Check: req.Check, Reference: "12"})
			return err
		},
		"an own card": func() error {
			own, _ := proto.Clone(card).(*waypostv1.VerifyCardRequest)
			own.Card.CardState = "CA"
			_, err := door.VerifyCard(ctx, own)
			return err
		},
		"a card without a number": func() error {
			none, _ := proto.Clone(card).(*waypostv1.VerifyCardRequest)
			none.Card.CardNumber = ""
			_, err := door.VerifyCard(ctx, none)
			return err
		},
		"no id": func() error { _, err := door.Get(ctx, &waypostv1.GetQuestionRequest{Id: "x"}); return err },
	}
	for name, ask := range asks {
		if err := ask(); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What another state sends is what it says, or is not taken.
func TestJudge(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, c := range map[string]struct {
		kind waypost.Kind
		said errand.Reply
		good bool
	}{
		"a word":            {waypost.KindStatus, errand.Reply{Word: "valid"}, true},
		"a word and more":   {waypost.KindStatus, errand.Reply{Word: "valid", Body: []byte{1}}, false},
		"a portrait":        {waypost.KindPortrait, errand.Reply{Word: "portrait", Body: []byte("\xff\xd8\xff...")}, true},
		"no portrait":       {waypost.KindPortrait, errand.Reply{Word: "portrait", Body: []byte("<svg/>")}, false},
		"a huge portrait":   {waypost.KindPortrait, errand.Reply{Word: "portrait", Body: append([]byte("\xff\xd8\xff"), make([]byte, 48<<10)...)}, false},
		"an empty history":  {waypost.KindHistory, errand.Reply{Word: "history"}, true},
		"a garbled history": {waypost.KindHistory, errand.Reply{Word: "history", Body: []byte("garbled")}, false},
	} {
		if err := r.handlers[c.kind].Take(nil, errand.Errand{To: "NV"}, c.said); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzQuestion: whatever another state asks is answered or refused, without a panic.
func FuzzQuestion(f *testing.F) {
	r := newRig(f)
	p := r.person("1", nil)
	check := r.found("1", waypost.Match)
	raw, err := proto.Marshal(shown(p, nil))
	must(f, err)
	f.Add(raw)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		for kind, purpose := range map[waypost.Kind]waypost.Purpose{waypost.KindVerifyCard: waypost.AcceptAsID, waypost.KindStatus: waypost.Renew} {
			q := errand.Question{From: "AZ", Body: b, Ticket: waypost.SignedTicket{Ticket: waypost.Ticket{Purpose: purpose}}}
			if kind != waypost.KindVerifyCard {
				q.Ticket.Cites = check
			}
			a, err := r.handlers[kind].Answer(t.Context(), q)
			if err == nil && a.Word == "" || err != nil && waypost.CodeOf(err) == waypost.Internal {
				t.Fatalf("%s: %+v, %v", kind, a, err)
			}
		}
	})
}
