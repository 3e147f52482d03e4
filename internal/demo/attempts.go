package demo

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/drill/rogue"
	"github.com/waypost/waypost/internal/population"
	"github.com/waypost/waypost/toprf"
)

// holder is the key holder that the attempts are made on.
const holder = "keyholder-1"

// attempts plays a state that does not keep the rules. Its honest gateway is
// stopped meanwhile, because both would read one mailbox.
func (d *Demo) attempts(ctx context.Context) ([]result, error) {
	scene := d.sceneWithRecord()
	name := string(scene.Ask)
	folder := d.exchange.Role(name).Folder
	if err := d.exchange.Stop(name); err != nil {
		return nil, err
	}
	r, err := rogue.New(ctx, folder, d.exchange.Clock.Now)
	if err != nil {
		return nil, err
	}
	var results []result
	for _, play := range []func(context.Context, *rogue.Gateway, population.Scenario) ([]result, error){d.replays, d.spoiled, d.otherPerson} {
		some, err := play(ctx, r, scene)
		if err != nil {
			return nil, err
		}
		results = append(results, some...)
	}
	return results, d.exchange.Start(ctx, name)
}

// sceneWithRecord is a scenario whose applicant another state knows by name.
func (d *Demo) sceneWithRecord() population.Scenario {
	for _, s := range d.people.Scenarios() {
		if s.Name == "one_card" {
			return s
		}
	}
	return d.people.Scenarios()[0]
}

// replays sends one ticket again inside its window and after it.
func (d *Demo) replays(ctx context.Context, r *rogue.Gateway, s population.Scenario) ([]result, error) {
	l, err := r.Look(rogue.Keys(s.Applicant), r.Folder.Identity, func(*waypost.Ticket) {})
	if err != nil {
		return nil, err
	}
	first, err := r.Evaluate(ctx, holder, l.Ticket.Bytes(), l.Elements)
	if err != nil {
		return nil, err
	}
	// The key holder forgets nothing over a restart.
	if err := d.restart(ctx, holder); err != nil {
		return nil, err
	}
	again, err := r.Evaluate(ctx, holder, l.Ticket.Bytes(), l.Elements)
	if err != nil {
		return nil, err
	}
	counted, err := d.entriesOf(ctx, holder, string(waypost.ActionEvaluate), l.Ticket.ID)
	if err != nil {
		return nil, err
	}
	same := bytes.Equal(first.Elements, again.Elements) && bytes.Equal(first.Proof, again.Proof) && bytes.Equal(first.Receipt, again.Receipt)
	inside := result{name: "replayed inside its window", asked: holder, outcome: fmt.Sprintf("same bytes, counted %d", counted), ok: same && counted == 1}
	if !same {
		inside.outcome, inside.note = "other bytes", "the answer changed"
	}
	d.report(inside.name, "the stored answer, byte for byte; it stands in the ledger once", inside.ok)

	d.exchange.Clock.Advance(waypost.TicketWindow + time.Second)
	_, err = r.Evaluate(ctx, holder, l.Ticket.Bytes(), l.Elements)
	return []result{inside, d.refused("replayed after its window", err, waypost.Expired, "older than")}, nil
}

func (d *Demo) restart(ctx context.Context, name string) error {
	if err := d.exchange.Stop(name); err != nil {
		return err
	}
	return d.exchange.Start(ctx, name)
}

// spoiled sends tickets that were never right.
func (d *Demo) spoiled(ctx context.Context, r *rogue.Gateway, s population.Scenario) ([]result, error) {
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	honest := func(*waypost.Ticket) {}
	asOther := func(t *waypost.Ticket) { t.SOI = s.Holder }
	tooOld := func(t *waypost.Ticket) { t.IssuedAt = t.IssuedAt.Add(-2 * waypost.TicketWindow) }
	bulk := func(t *waypost.Ticket) { t.Elements = 33 }
	alter := func(l *rogue.Look) ([]byte, []byte) {
		// Inside the signed payload, well past the domain string.
		ticket := l.Ticket.Bytes()
		ticket[len(ticket)-ed25519.SignatureSize-1] ^= 1
		return ticket, l.Elements
	}
	swap := func(l *rogue.Look) ([]byte, []byte) {
		elements := bytes.Clone(l.Elements)
		copy(elements, l.Elements[toprf.ElementSize:2*toprf.ElementSize])
		return l.Ticket.Bytes(), elements
	}
	asIs := func(l *rogue.Look) ([]byte, []byte) { return l.Ticket.Bytes(), l.Elements }
	one33 := func(l *rogue.Look) ([]byte, []byte) {
		return l.Ticket.Bytes(), append(bytes.Clone(l.Elements), l.Elements[:toprf.ElementSize]...)
	}
	var results []result
	for _, a := range []struct {
		name   string
		key    ed25519.PrivateKey
		change func(*waypost.Ticket)
		send   func(*rogue.Look) (ticket, elements []byte)
		code   waypost.Code
		words  string
	}{
		{"altered", r.Folder.Identity, honest, alter, waypost.PermissionDenied, "not signed by"},
		{"with other elements", r.Folder.Identity, honest, swap, waypost.PermissionDenied, "other elements"},
		{"expired", r.Folder.Identity, tooOld, asIs, waypost.Expired, "older than"},
		{"forged", stranger, honest, asIs, waypost.PermissionDenied, "not signed by"},
		{"in another state's name", r.Folder.Identity, asOther, asIs, waypost.PermissionDenied, "brought a ticket of"},
		{"with 33 elements", r.Folder.Identity, bulk, one33, waypost.InvalidArgument, "cannot carry 33 elements"},
	} {
		l, err := r.Look(rogue.Keys(s.Applicant), a.key, a.change)
		if err != nil {
			return nil, err
		}
		ticket, elements := a.send(l)
		_, err = r.Evaluate(ctx, holder, ticket, elements)
		results = append(results, d.refused(a.name, err, a.code, a.words))
	}
	return results, nil
}

// otherPerson gets a go-ahead for one person by the rules, and then names
// another.
func (d *Demo) otherPerson(ctx context.Context, r *rogue.Gateway, s population.Scenario) ([]result, error) {
	l, err := r.Look(rogue.Keys(s.Applicant), r.Folder.Identity, func(*waypost.Ticket) {})
	if err != nil {
		return nil, err
	}
	if err := r.Evaluated(ctx, l); err != nil {
		return nil, err
	}
	found, err := r.Search(ctx, l, 1)
	if err != nil {
		return nil, err
	}
	for _, c := range found.List {
		if c.Owner != s.Holder {
			continue
		}
		first, err := r.FirstLeg(ctx, l, c)
		if err != nil {
			return nil, err
		}
		if !first.Continue {
			continue
		}
		second, err := r.SecondLeg(ctx, l, c, &waypostv1.Applicant{Family: "SOMEBODY", Given: "ELSE", Born: "1980-01-02"})
		if err != nil {
			return nil, err
		}
		logged, err := d.entriesOf(ctx, string(c.Owner), "misuse", l.Ticket.ID)
		if err != nil {
			return nil, err
		}
		res := d.refused("for another person", waypost.Errorf(waypost.Misuse, "%s", second.Refused), waypost.Misuse, "another person")
		res.asked = string(c.Owner)
		if logged != 1 {
			res.ok, res.note = false, fmt.Sprintf("%d misuse entries in the ledger of %s", logged, c.Owner)
		}
		return []result{res}, nil
	}
	return []result{{name: "for another person", note: "no state said continue, so nothing could be tried"}}, nil
}

// refused judges an attempt by the code and the words of its refusal.
func (d *Demo) refused(name string, err error, code waypost.Code, words string) result {
	r := result{name: name, asked: holder}
	if err == nil {
		r.outcome, r.note = "ACCEPTED", "it must be refused"
	} else {
		r.outcome = "refused: " + string(waypost.CodeOf(err))
		r.ok = waypost.CodeOf(err) == code && strings.Contains(err.Error(), words)
		if !r.ok {
			r.note = "refused with other words: " + err.Error()
		}
	}
	text := "accepted"
	if err != nil {
		text = "refused: " + err.Error()
	}
	d.report(name, text, r.ok)
	return r
}

func (d *Demo) report(name, text string, ok bool) {
	mark := ""
	if !ok {
		mark = "  <-- NOT AS IT SHOULD BE"
	}
	fmt.Fprintf(d.options.Out, "    A ticket, %s: %s%s\n", name, text, mark)
}
