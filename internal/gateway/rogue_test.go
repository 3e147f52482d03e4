package gateway_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/gateway"
)

// candidate is a record of California that Arizona's gateway, in the hands of
// this test, has found and not yet asked about.
type candidate struct {
	*gateway.Rogue
	person    waypost.Person
	reference waypost.Reference
}

func found(t *testing.T) candidate {
	t.Helper()
	c := candidate{person: someone()}
	load(t, "CA", c.person)
	c.Rogue = search(t, "AZ", c.person)
	list, err := c.Search(t.Context())
	if err != nil || len(list.List) != 1 {
		t.Fatalf("the search found %d candidates (%v), want 1", len(list.List), err)
	}
	c.reference = list.List[0].Reference
	return c
}

func search(t *testing.T, state waypost.Jurisdiction, p waypost.Person) *gateway.Rogue {
	t.Helper()
	r, err := exchange.Gateway(state).Begin(t.Context(), gateway.Applicant{Person: p}, clerk)
	if err == nil {
		err = r.Evaluate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// say sends a message to California and waits for its ledger to say something
// more about the ticket; it returns what.
func (c candidate) say(t *testing.T, from waypost.Jurisdiction, messageType string, body proto.Message) string {
	t.Helper()
	eventually(t, "the hub's notice", func() bool { return len(entries(t, "CA", c.ID())) > 0 })
	before := len(entries(t, "CA", c.ID()))
	if _, err := exchange.Gateway(from).Say(t.Context(), "CA", messageType, c.ID(), body); err != nil {
		t.Fatal(err)
	}
	var now []string
	eventually(t, "an entry in California's ledger", func() bool {
		now = entries(t, "CA", c.ID())
		return len(now) > before
	})
	return now[before]
}

func TestFirstLegAttacks(t *testing.T) {
	other := found(t)
	for name, attack := range map[string]func(c candidate, leg *waypostv1.FirstLeg){
		"31 tags":                    func(_ candidate, leg *waypostv1.FirstLeg) { leg.Tags = leg.Tags[:31*16] },
		"33 tags":                    func(_ candidate, leg *waypostv1.FirstLeg) { leg.Tags = append(leg.Tags, make([]byte, 16)...) },
		"no tags":                    func(_ candidate, leg *waypostv1.FirstLeg) { leg.Tags = nil },
		"a reference never given":    func(_ candidate, leg *waypostv1.FirstLeg) { leg.Reference = make([]byte, 16) },
		"another ticket's reference": func(_ candidate, leg *waypostv1.FirstLeg) { leg.Reference = other.reference[:] },
		"two receipts":               func(_ candidate, leg *waypostv1.FirstLeg) { leg.Receipts = leg.Receipts[:2] },
		"one receipt three times": func(_ candidate, leg *waypostv1.FirstLeg) {
			leg.Receipts[1], leg.Receipts[2] = leg.Receipts[0], leg.Receipts[0]
		},
		"another ticket's receipts":   func(_ candidate, leg *waypostv1.FirstLeg) { leg.Receipts = other.FirstLeg(other.reference).Receipts },
		"another ticket":              func(_ candidate, leg *waypostv1.FirstLeg) { leg.Ticket = other.FirstLeg(other.reference).Ticket },
		"a ticket with a bit changed": func(_ candidate, leg *waypostv1.FirstLeg) { leg.Ticket[40] ^= 1 },
	} {
		t.Run(name, func(t *testing.T) {
			c := found(t)
			leg := c.FirstLeg(c.reference)
			attack(c, leg)
			if got := c.say(t, "AZ", waypost.MessageFirstLeg, leg); got != "refuse" {
				t.Errorf("California's ledger says %q, want refuse", got)
			}
		})
	}
	t.Run("another state brings it", func(t *testing.T) {
		c := found(t)
		if got := c.say(t, "NY", waypost.MessageFirstLeg, c.FirstLeg(c.reference)); got != "refuse" {
			t.Errorf("California's ledger says %q, want refuse", got)
		}
	})
	t.Run("tags of tokens that the record does not have", func(t *testing.T) {
		c := found(t)
		leg := c.FirstLeg(c.reference)
		for i := range leg.Tags {
			leg.Tags[i] ^= 0x55
		}
		if got := c.say(t, "AZ", waypost.MessageFirstLeg, leg); got != "decline" {
			t.Errorf("California's ledger says %q, want decline", got)
		}
		// Once is all: the right tags come too late.
		if got := c.say(t, "AZ", waypost.MessageFirstLeg, c.FirstLeg(c.reference)); got != "refuse" {
			t.Errorf("a second first leg: %q, want refuse", got)
		}
	})
}

func TestSecondLegAttacks(t *testing.T) {
	named := func(p waypost.Person) gateway.Applicant { return gateway.Applicant{Person: p} }
	t.Run("before continue", func(t *testing.T) {
		c := found(t)
		if got := c.say(t, "AZ", waypost.MessageSecondLeg, c.SecondLeg(c.reference, named(c.person))); got != "refuse" {
			t.Errorf("California's ledger says %q, want refuse", got)
		}
	})
	for name, attack := range map[string]struct {
		change func(c candidate, leg *waypostv1.SecondLeg)
		want   string
	}{
		"for another person": {func(c candidate, leg *waypostv1.SecondLeg) {
			*leg = *c.SecondLeg(c.reference, named(someone()))
		}, "misuse"},
		"other probes": {func(c candidate, leg *waypostv1.SecondLeg) { leg.Elements[3] ^= 1 }, "misuse"},
		"a blind of another ticket": {func(c candidate, leg *waypostv1.SecondLeg) {
			copy(leg.Blinds[:32], c.SecondLeg(c.reference, named(c.person)).Blinds[32:64])
		}, "misuse"},
		"19 blinds":          {func(c candidate, leg *waypostv1.SecondLeg) { leg.Blinds = leg.Blinds[:19*32] }, "refuse"},
		"the same key twice": {func(c candidate, leg *waypostv1.SecondLeg) { leg.Order[1] = leg.Order[0] }, "refuse"},
		"a key of part two":  {func(c candidate, leg *waypostv1.SecondLeg) { leg.Order[1] = 20 }, "refuse"},
		"a blind of zero":    {func(c candidate, leg *waypostv1.SecondLeg) { clear(leg.Blinds[:32]) }, "refuse"},
		"a blind too large":  {func(c candidate, leg *waypostv1.SecondLeg) { copy(leg.Blinds[:32], strings.Repeat("\xff", 32)) }, "refuse"},
		"nobody":             {func(c candidate, leg *waypostv1.SecondLeg) { leg.Applicant = nil }, "refuse"},
	} {
		t.Run(name, func(t *testing.T) {
			c := found(t)
			if got := c.say(t, "AZ", waypost.MessageFirstLeg, c.FirstLeg(c.reference)); got != "continue" {
				t.Fatalf("California's ledger says %q, want continue", got)
			}
			leg := c.SecondLeg(c.reference, named(c.person))
			attack.change(c, leg)
			if got := c.say(t, "AZ", waypost.MessageSecondLeg, leg); got != attack.want {
				t.Errorf("California's ledger says %q, want %q", got, attack.want)
			}
			if count(entries(t, "CA", c.ID()), "disclose") != 0 {
				t.Error("California disclosed")
			}
		})
	}
	t.Run("from another state, and twice", func(t *testing.T) {
		c := found(t)
		c.say(t, "AZ", waypost.MessageFirstLeg, c.FirstLeg(c.reference))
		leg := c.SecondLeg(c.reference, named(c.person))
		if got := c.say(t, "NY", waypost.MessageSecondLeg, leg); got != "refuse" {
			t.Errorf("from New York: %q, want refuse", got)
		}
		if got := c.say(t, "AZ", waypost.MessageSecondLeg, leg); got != "disclose" {
			t.Errorf("from Arizona: %q, want disclose", got)
		}
		if got := c.say(t, "AZ", waypost.MessageSecondLeg, leg); got != "refuse" {
			t.Errorf("once more: %q, want refuse", got)
		}
	})
	if !strings.Contains(logged.String(), "misuse: a ticket was for another person") {
		t.Error("misuse was not logged")
	}
}

// TestRedelivery: a message delivered again has no second effect, whatever its
// kind.
func TestRedelivery(t *testing.T) {
	c := found(t)
	c.say(t, "AZ", waypost.MessageFirstLeg, c.FirstLeg(c.reference))
	leg, err := exchange.Gateway("AZ").Say(t.Context(), "CA", waypost.MessageSecondLeg, c.ID(), c.SecondLeg(c.reference, gateway.Applicant{Person: c.person}))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the disclosure", func() bool { return count(entries(t, "CA", c.ID()), "disclose") == 1 })
	before := len(entries(t, "CA", c.ID()))
	for range 2 {
		if done := exchange.Gateway("CA").Handle(t.Context(), leg); !done[0] {
			t.Error("the message is not done with")
		}
	}
	if after := len(entries(t, "CA", c.ID())); after != before {
		t.Errorf("a message delivered again left %d entries", after-before)
	}
	eventually(t, "the outbox is empty", func() bool {
		n, err := exchange.Gateway("CA").Count(t.Context(), `SELECT count(*) FROM outbox`)
		return n == 0 && err == nil
	})
}

// TestOnlyTheHubNotifies: a member cannot make up a question.
func TestOnlyTheHubNotifies(t *testing.T) {
	c := found(t)
	sealed, err := exchange.Gateway("NY").Say(t.Context(), "CA", waypost.MessageNotice, c.ID(),
		&waypostv1.Notice{Reference: make([]byte, 16), Handle: make([]byte, 16), StateOfInquiry: "NY"})
	if err != nil {
		t.Fatal(err)
	}
	exchange.Gateway("CA").Handle(t.Context(), sealed)
	if n, err := exchange.Gateway("CA").Count(t.Context(), `SELECT count(*) FROM notice WHERE ticket = $1 AND asking = 'NY'`, c.ticketID()); n != 0 || err != nil {
		t.Errorf("%d notices of New York's own (%v)", n, err)
	}
}

func (c candidate) ticketID() []byte {
	id := c.ID()
	return id[:]
}

// TestAnswersOfARogueState: what a state says about the applicant is a word of
// the vocabulary or nothing, comes once, and cannot hurt who reads it.
func TestAnswersOfARogueState(t *testing.T) {
	p := someone()
	load(t, "NV", p)
	az, nv := exchange.Gateway("AZ"), exchange.Gateway("NV")
	stop(t, "NV") // its honest part; its keys are in the hands of this test
	r := search(t, "AZ", p)
	if err := r.SearchAndAsk(t.Context()); err != nil {
		t.Fatal(err)
	}
	reference := r.Reference(t)
	answer := func(messageType string, body proto.Message) gateway.AskRow {
		t.Helper()
		// It does not go through the mailbox: Arizona would handle it once more, at any time.
		sealed, err := nv.Seal(t.Context(), "AZ", messageType, r.ID(), body)
		if err != nil {
			t.Fatal(err)
		}
		if done := az.Handle(t.Context(), sealed); !done[0] {
			t.Errorf("the message is kept: it would come again and again")
		}
		return r.Ask(t)
	}
	second := func(s *waypostv1.SecondAnswer) gateway.AskRow {
		s.Reference = reference
		return answer(waypost.MessageSecondAnswer, s)
	}
	if got := second(&waypostv1.SecondAnswer{Outcome: "match"}); got.Outcome != waypost.Pending || got.Named {
		t.Errorf("a disclosure before continue: %+v", got)
	}
	if got := answer(waypost.MessageFirstAnswer, &waypostv1.FirstAnswer{Reference: reference, Continue: true}); !got.Named {
		t.Errorf("after continue: %+v", got)
	}
	if got := answer(waypost.MessageFirstAnswer, &waypostv1.FirstAnswer{Reference: reference}); got.Outcome != waypost.Pending {
		t.Errorf("no after continue: %+v", got)
	}
	for _, s := range []*waypostv1.SecondAnswer{
		{Outcome: "pending"}, {Outcome: ""}, {Outcome: "match", Status: "valid\x00"}, {Outcome: "no_match", Status: "valid"},
	} {
		if got := second(s); got.Outcome != waypost.Pending || got.Status != "" {
			t.Errorf("%v was taken: %+v", s, got)
		}
	}
	if got := second(&waypostv1.SecondAnswer{Refused: "\x1b[2J\x00 no\n"}); got.Refused != " [2J  no " || got.Outcome != waypost.Pending {
		t.Errorf("a refusal is shown as %+v", got)
	}
	if got := second(&waypostv1.SecondAnswer{Outcome: "match", Status: "valid"}); got.Outcome != waypost.Pending {
		t.Errorf("an answer after the answer was taken: %+v", got)
	}
}

func TestVocabulary(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                    "plain",
		"\x1b[2Jcleared\x00":       " [2Jcleared ",
		"a\nb":                     "a b",
		strings.Repeat("é", 1000):  strings.Repeat("é", 200),
		"\xff\xfe" + "not UTF-8 ✓": "\ufffd\ufffdnot UTF-8 ✓",
	} {
		if got := gateway.Readable(text); got != want || !gateway.Printable(got) {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	for _, d := range []waypost.Disclosure{
		{}, {Outcome: "pending"}, {Outcome: "maybe"}, {Outcome: waypost.NoMatch, Status: waypost.Valid},
		{Outcome: waypost.Match, Status: "wanted by the police"}, {Outcome: waypost.Match, CardKind: "gold\x00"},
		{Outcome: waypost.NoMatch, TerminationRequired: true},
	} {
		if gateway.InVocabulary(d) {
			t.Errorf("%+v passes for a disclosure", d)
		}
	}
	for _, d := range []waypost.Disclosure{
		{Outcome: waypost.NoMatch}, {Outcome: waypost.Possible},
		{Outcome: waypost.Match, Status: waypost.Revoked, CardKind: waypost.Commercial, TerminationRequired: true},
	} {
		if !gateway.InVocabulary(d) {
			t.Errorf("%+v does not pass for a disclosure", d)
		}
	}
}

// TestFirstAnswersLookAlike: yes, no and refusals in words have one size.
func TestFirstAnswersLookAlike(t *testing.T) {
	sizes := make(map[int]bool)
	for _, answer := range []*waypostv1.FirstAnswer{
		{Reference: make([]byte, 16)}, {Reference: make([]byte, 16), Continue: true},
		{Reference: make([]byte, 16), Refused: "this question has been answered, or was announced for another state"},
		{Reference: make([]byte, 16), Refused: strings.Repeat("x", 1000)},
	} {
		sealed, err := exchange.Gateway("NY").Say(t.Context(), "NV", waypost.MessageFirstAnswer, waypost.TicketID{}, answer)
		if err != nil {
			t.Fatal(err)
		}
		sizes[len(sealed)] = true
	}
	if len(sizes) != 1 {
		t.Errorf("first answers have the sizes %v", sizes)
	}
}
