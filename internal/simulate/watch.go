package simulate

import (
	"bytes"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/seal"
)

// watch looks into every message on its way: it has everybody's keys.
type watch struct {
	w         *world
	saved     map[string][]byte                     // keyrings, as last saved
	rings     map[string]*seal.Keyring              // the same, once they were needed
	continued map[question]bool                     // who may be told who the applicant is
	checks    map[question]bool                     // the same, without a reference
	cited     map[waypost.TicketID]waypost.TicketID // by the ticket of a request, the check that it follows
	seen      map[[16]byte]bool                     // ids of messages that were looked at
}

// question is one candidate of one check.
type question struct {
	asking, owner string
	ticket        waypost.TicketID
	reference     string
}

func newWatch(w *world) *watch {
	return &watch{w: w, saved: make(map[string][]byte), rings: make(map[string]*seal.Keyring), continued: make(map[question]bool),
		checks: make(map[question]bool), cited: make(map[waypost.TicketID]waypost.TicketID), seen: make(map[[16]byte]bool)}
}

// save takes a keyring as a gateway has stored it.
func (v *watch) save(name string, raw []byte) {
	v.saved[name] = raw
	delete(v.rings, name)
}

// ring is a gateway's keyring, or nil where nobody of that name has one.
func (v *watch) ring(name string) *seal.Keyring {
	if v.rings[name] == nil && v.saved[name] != nil {
		ring, err := seal.ParseKeyring(v.saved[name], name)
		if err != nil {
			v.w.failf("the keyring of %s: %v", name, err)
			return nil
		}
		v.rings[name] = ring
	}
	return v.rings[name]
}

// open opens a message, once.
func (v *watch) open(sealed []byte) (m seal.Message, ok bool) {
	env, err := seal.PeekEnvelope(sealed)
	if err != nil || v.seen[env.ID] {
		return m, false
	}
	ring := v.ring(env.Recipient)
	if ring == nil {
		return m, false
	}
	v.seen[env.ID] = true
	m, err = seal.Open(sealed, ring, v.w.roster.SenderKey, v.w.Now())
	return m, err == nil // one that is too old is for nobody
}

// sent looks at a message that leaves a gateway.
func (v *watch) sent(from string, sealed []byte) {
	m, ok := v.open(sealed)
	if !ok {
		return
	}
	v.w.trace.note("message", from, m.Recipient, m.Type, m.Ticket, m.ID)
	if m.Sender != from {
		v.w.failf("%s has sent a message of %s", from, m.Sender)
	}
	switch m.Type {
	case waypost.MessageFirstAnswer:
		v.firstAnswer(m)
	case waypost.MessageSecondLeg:
		v.secondLeg(m)
	case waypost.MessageSecondAnswer:
		v.entered(m, "disclose", "decline", "misuse", "refuse")
	case waypost.MessageRequest:
		v.request(m)
	case waypost.MessageReply:
		v.reply(m)
	}
}

// entered insists that what a message says stands in the sender's ledger by now.
func (v *watch) entered(m seal.Message, kinds ...string) {
	l := v.w.role[m.Sender].ledger
	if !l.has(m.Ticket, kinds...) && !l.has(waypost.TicketID{}, "refuse") {
		v.w.failf("%s has sent a %s under ticket %s, and none of %v is in its ledger", m.Sender, m.Type, waypost.TicketID(m.Ticket), kinds)
	}
}

func (v *watch) firstAnswer(m seal.Message) {
	var answer waypostv1.FirstAnswer
	if err := proto.Unmarshal(m.Body, &answer); err != nil {
		v.w.failf("a first answer of %s: %v", m.Sender, err)
		return
	}
	switch {
	case answer.Refused != "":
		v.entered(m, "refuse")
	case answer.Continue:
		v.entered(m, "continue")
		v.continued[question{m.Recipient, m.Sender, m.Ticket, string(answer.Reference)}] = true
		v.checks[question{asking: m.Recipient, owner: m.Sender, ticket: m.Ticket}] = true
	default:
		v.entered(m, "decline")
	}
}

// secondLeg names somebody: to nobody who has not said continue.
func (v *watch) secondLeg(m seal.Message) {
	var leg waypostv1.SecondLeg
	if err := proto.Unmarshal(m.Body, &leg); err != nil {
		v.w.failf("a second leg of %s: %v", m.Sender, err)
		return
	}
	if !v.continued[question{m.Sender, m.Recipient, m.Ticket, string(leg.Reference)}] {
		v.w.failf("%s has named an applicant to %s, which has not said continue", m.Sender, m.Recipient)
	}
}

// request is about a person whom the two have agreed on by a check, or whose card
// of the recipient's was shown.
func (v *watch) request(m seal.Message) {
	var req waypostv1.Request
	if err := proto.Unmarshal(m.Body, &req); err != nil {
		v.w.failf("a request of %s: %v", m.Sender, err)
		return
	}
	t, err := waypost.ParseTicket(req.Ticket)
	if err != nil {
		v.w.failf("a request of %s: %v", m.Sender, err)
		return
	}
	v.cited[t.ID] = t.Cites
	shown := t.Kind == waypost.KindVerifyCard || t.Kind == waypost.KindReport
	if v.names(req.Request) && !shown && !v.agreed(m.Sender, m.Recipient, t.Cites) {
		v.w.failf("%s has named somebody to %s in a %s, which has not said continue", m.Sender, m.Recipient, t.Kind)
	}
}

// reply answers a request that stands in the ledger.
func (v *watch) reply(m seal.Message) {
	v.entered(m, "replied", "refuse")
	if v.names(m.Body) && !v.agreed(m.Recipient, m.Sender, v.cited[m.Ticket]) {
		v.w.failf("%s has named somebody to %s, and has not said continue", m.Sender, m.Recipient)
	}
}

// names reports whether somebody's name is in there.
func (v *watch) names(body []byte) bool {
	for _, p := range v.w.people {
		if bytes.Contains(body, []byte(p.Family)) {
			return true
		}
	}
	return false
}

// agreed reports whether the owner has said continue to a check.
func (v *watch) agreed(asking, owner string, check waypost.TicketID) bool {
	return v.checks[question{asking: asking, owner: owner, ticket: check}]
}

// received looks at the hub's own messages, which no gateway sends.
func (v *watch) received(by string, sealed []byte) {
	m, ok := v.open(sealed)
	if !ok {
		return
	}
	v.w.trace.note("message", m.Sender, by, m.Type, m.Ticket, m.ID)
	switch m.Type {
	case waypost.MessageNotice:
		v.entered(m, "deliver")
	case waypost.MessageMoved:
		v.entered(m, "change_state_of_record")
	}
}
