package audit

import (
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// follow is a script of a ticket without elements by a state, which may cite a
// check.
func (s *sim) follow(kind waypost.Kind, soi waypost.Jurisdiction, cites waypost.TicketID) *script {
	s.serial++
	t := waypost.Ticket{
		Kind: kind, RosterVersion: 1, Epoch: 1, Environment: waypost.Test, SOI: soi, Class: waypost.Attended, Purpose: waypost.IssueLicence,
		IssuedAt: time.Unix(s.now, 0), Operator: [32]byte{1}, Nonce: [16]byte{2, byte(s.serial)}, Tau: [32]byte{3, byte(s.serial)}, Cites: cites,
		Probes: [32]byte{4, byte(s.serial)},
	}
	if kind.Upkeep() {
		t.Class, t.Purpose = waypost.Loader, waypost.MaintainPointer
	}
	signed, err := t.Sign(genKey(string(soi) + " identity"))
	must(s.t, err)
	return &script{sim: s, check: &check{genTicket: &genTicket{signed, make(map[[2]string]uint64)}, soi: soi}}
}

func (p *script) places() string { return strings.Join(sorted(p.evals), " ") }

func (p *script) began() {
	p.enter(string(p.soi), "ask")
	p.evaluate(1, 2, 3)
}

func (p *script) replied(owner, word, final string, more ...string) {
	p.enter(owner, "replied", append([]string{"number", "1", "word", word, "final", final, "evaluations", p.places()}, more...)...)
}

// concluded is the asker's last word, with a reply that the signer signed.
func (p *script) concluded(signer, word string) {
	statement := p.statement(waypost.Jurisdiction(signer), p.ID, waypost.MessageReply, &waypostv1.Reply{Number: 1, Word: word, Final: true})
	p.enter(string(p.soi), "concluded", "word", word, "evaluations", p.places(), "reply", b64(statement))
}

func (p *script) published(records string, places ...string) {
	p.enter(string(p.soi), "published", "records", records, "evaluations", p.places(), "publications", strings.Join(places, " "))
}

// What follows a check, honest and not, and what is found of it.
var errands = map[string]struct {
	play  func(s *sim, check *script)
	days  int
	found []string
	whole bool // found by an audit of everything only
}{
	"honest errand": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindHistory, "AZ", c.ID)
		p.began()
		p.replied("CA", "released", "yes")
		p.concluded("CA", "released")
	}},
	"a reply that refuses": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindHistory, "AZ", c.ID)
		p.began()
		p.replied("NV", "refused", "yes") // it never heard of the check
		p.concluded("NV", "refused")
	}},
	"a disclosure after no check": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindHistory, "AZ", waypost.TicketID{})
		p.began()
		p.replied("CA", "told", "yes")
		p.concluded("CA", "told")
	}, found: []string{DisclosureWithoutSearch + " CA or"}},
	"a refusal after no check": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindPortrait, "AZ", waypost.TicketID{})
		p.began()
		p.replied("CA", "refused", "yes")
		p.concluded("CA", "refused")
	}},
	"a card that is shown": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindVerifyCard, "AZ", waypost.TicketID{})
		p.began()
		p.replied("CA", "match", "yes")
		p.concluded("CA", "match")
	}},
	"a report about a card": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindReport, "AZ", waypost.TicketID{})
		p.began()
		p.replied("CA", "accepted", "yes")
		p.concluded("CA", "accepted")
	}},
	"a report about a check that found nobody there": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindReport, "AZ", c.ID)
		p.began()
		p.replied("NV", "driver_not_found", "yes")
		p.concluded("NV", "driver_not_found")
	}},
	"a report that was taken without a search": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindReport, "AZ", c.ID)
		p.began()
		p.replied("NV", "accepted", "yes")
		p.concluded("NV", "accepted")
	}, found: []string{DisclosureWithoutSearch + " NV or"}},
	"an errand about a protected person": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindChangeSOR, "AZ", c.ID)
		p.began()
		p.enter("CA", "withheld")
		p.replied("CA", "released", "yes")
		p.concluded("CA", "released")
	}},
	"a second leg of an errand, which has none": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindHistory, "AZ", c.ID)
		p.began()
		p.enter("CA", "disclose", "leg", "2", "outcome", "match")
		p.concluded("CA", "released")
	}, found: []string{DisclosureWithoutSearch + " CA or", UnloggedDisclosure + " CA or"}},
	"an errand of the other side of a case": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindCase, "CA", c.ID)
		p.began()
		p.replied("AZ", "noted", "yes")
		p.concluded("AZ", "noted")
	}},
	"a reply on two key holders": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindStatus, "AZ", c.ID)
		p.began()
		p.evals = p.evals[:2]
		p.replied("CA", "valid", "yes")
		p.concluded("CA", "valid")
	}, found: []string{SearchWithoutQuorum + " CA or"}},
	"a reply off the record": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindHistory, "AZ", c.ID)
		p.began()
		p.concluded("CA", "told")
	}, found: []string{UnloggedDisclosure + " CA or"}},
	"a reply that was made up": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindHistory, "AZ", c.ID)
		other := s.follow(waypost.KindHistory, "AZ", c.ID)
		p.began()
		p.enter("AZ", "concluded", "word", "told", "evaluations", p.places(),
			"reply", b64(p.statement("CA", other.ID, waypost.MessageReply, &waypostv1.Reply{Number: 1, Word: "told", Final: true})))
	}, found: []string{UnloggedDisclosure + " AZ or"}},
	"a reply that says something else": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindVerifyCard, "AZ", waypost.TicketID{})
		p.began()
		p.enter("AZ", "concluded", "word", "match", "evaluations", p.places(),
			"reply", b64(p.statement("CA", p.ID, waypost.MessageReply, &waypostv1.Reply{Number: 1, Word: "no_match", Final: true})))
	}, found: []string{UnloggedDisclosure + " AZ or"}},
	"a disclosure to a friend": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindHistory, "AZ", c.ID)
		p.began()
		p.replied("NV", "told", "yes")
		p.concluded("NV", "told")
	}, found: []string{DisclosureWithoutSearch + " NV or"}},
	"a check that nobody has heard of": {play: func(s *sim, _ *script) {
		p := s.follow(waypost.KindHistory, "AZ", waypost.TicketID{7})
		p.began()
		p.replied("CA", "told", "yes")
		p.concluded("CA", "told")
	}, found: []string{DisclosureWithoutSearch + " CA or"}, whole: true},
	"an errand without an end": {play: func(s *sim, c *script) {
		s.follow(waypost.KindPortrait, "AZ", c.ID).began()
	}, days: 92, found: []string{Unfinished + " AZ or"}},
	"an errand that may still end": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindTerminate, "AZ", c.ID)
		p.began()
		p.replied("CA", "acknowledged", "no")
	}, days: 40},
	"a late second reply": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindTerminate, "AZ", c.ID)
		p.began()
		p.replied("CA", "acknowledged", "no")
		s.pass(20)
		p.enter("CA", "replied", "number", "2", "word", "done", "final", "yes")
		p.concluded("CA", "done")
	}},
	"pointers passed": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindChangeSOR, "AZ", c.ID)
		p.began()
		at := p.enter("hub", "change_state_of_record", "from", "CA", "records", "1", "evaluations", p.places())
		p.published("1", at)
		p.enter("CA", "moved", "to", "AZ", "subject", "00")
	}, days: 20},
	"pointers passed in secret": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindChangeSOR, "AZ", c.ID)
		p.began()
		at := p.enter("hub", "change_state_of_record", "from", "CA", "records", "1", "evaluations", p.places())
		p.published("1", at)
	}, days: 20, found: []string{NeverNotified + " hub or CA"}},
	"pointers passed off the record": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindChangeSOR, "AZ", c.ID)
		p.began()
		p.enter("AZ", "abandoned")
		p.enter("CA", "moved", "to", "AZ", "subject", "00")
	}, found: []string{PublicationMismatch + " hub or CA"}},
	"upkeep": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindWithdraw, "CA", waypost.TicketID{})
		p.began()
		p.published("3", p.enter("hub", "withdraw", "records", "3", "evaluations", p.places()))
	}},
	"upkeep twice under one ticket": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindWithdraw, "CA", waypost.TicketID{})
		p.began()
		p.enter("hub", "withdraw", "records", "3", "evaluations", p.places())
		p.published("3", p.enter("hub", "withdraw", "records", "3", "evaluations", p.places()))
	}, found: []string{SearchWithoutQuorum + " hub or"}},
	"upkeep without a quorum": {play: func(s *sim, c *script) {
		p := s.follow(waypost.KindLeave, "CA", waypost.TicketID{})
		p.began()
		p.evals = p.evals[:1]
		p.published("3", p.enter("hub", "leave", "records", "3", "evaluations", p.places()))
	}, found: []string{SearchWithoutQuorum + " hub or"}},
	"a card issued under its check": {play: func(s *sim, c *script) {
		at := c.enter("hub", "publish", "records", "1", "evaluations", c.places())
		c.enter("AZ", "published", "records", "1", "evaluations", c.places(), "publications", at)
	}},
	"two cards issued under one check": {play: func(s *sim, c *script) {
		at := c.enter("hub", "publish", "records", "2", "evaluations", c.places())
		c.enter("AZ", "published", "records", "2", "evaluations", c.places(), "publications", at)
	}, found: []string{PublicationMismatch + " hub or", PublicationMismatch + " AZ or"}},
}

// TestErrands: what follows a check is judged like the check: the one who did
// wrong is found, and nobody else.
func TestErrands(t *testing.T) {
	for name, e := range errands {
		t.Run(name, func(t *testing.T) {
			s := newSim(newExchange(t, "", genQuota), 3)
			s.calm = true
			check := s.script()
			check.whole()
			e.play(s, check)
			s.pass(max(e.days, 1))
			if !e.whole {
				findsOnly(t, s, nil, e.found...)
				return
			}
			rep, err := Reconcile(ctx, s.options(s.now))
			must(t, err)
			if len(rep.Findings) != 1 || rep.Findings[0].Kind+" "+rep.Findings[0].Member+" or" != e.found[0] {
				t.Errorf("found %+v, want %v", rep.Findings, e.found)
			}
		})
	}
}
