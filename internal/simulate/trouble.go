package simulate

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// crashSomebody has a process die while it does nothing in particular.
func (s *script) crashSomebody() {
	if l := s.someRole().up(); l != nil {
		l.crash("anywhere")
	}
}

// partSomebody keeps two from reaching each other for a while.
func (s *script) partSomebody() {
	a, b := s.role["hub"].name, string(s.someState())
	if s.rng.IntN(3) == 0 {
		a = s.roles[1+s.rng.IntN(holders)].name
	}
	s.trace.note("parted", a, b)
	s.faults.part(a, b)
	s.in(s.faults.upTo(s.faults.someTime()), "join", func() { s.faults.join(a, b) })
}

// load has a state load somebody whom nobody knows into a generation of its own,
// look whether others find them too early, and then activate it or roll it back.
func (s *script) load(state waypost.Jurisdiction) {
	s.generation++
	number := s.generation
	p := &person{Person: waypost.Person{Family: "QUARTERMAINE", Given: fmt.Sprintf("%c", 'A'+number%26) + "DALBERT", Born: waypost.Date{Year: 1950 + int(number), Month: 5, Day: 17}, Sex: "M", SSN5: fmt.Sprintf("%05d", 40000+number)}}
	s.people = append(s.people, p)
	c := s.newCard(state, p)
	c.first, c.dark, c.out = true, true, true
	rollBack := s.rng.IntN(3) == 0
	other := States[s.rng.IntN(len(States))]
	s.act("load "+c.id, func(ctx context.Context) {
		s.retry(state, func(l *life) error {
			_, _, err := l.gateway.File().Load(ctx, "loader", number, []waypost.Record{c.record()})
			s.trace.note("loaded", c.id, number, waypost.CodeOf(err))
			return err
		})
		s.check(other, p, nil)
		s.sleep(10 * time.Second)
		c.dark = false
		done := s.retry(state, func(l *life) error {
			_, err := l.gateway.File().Activate(ctx, "loader", number, rollBack)
			s.trace.note("activated", c.id, number, rollBack, waypost.CodeOf(err))
			return err
		})
		switch {
		case !done || c.acts > 0:
			c.fate = unsure
		case rollBack:
			c.fate = gone
		default:
			c.fate = there
		}
	})
}

// retry has somebody do something until it is done, for a day, and reports whether
// it was.
func (s *script) retry(state waypost.Jurisdiction, do func(l *life) error) bool {
	for _, later := range []time.Duration{0, 10 * time.Second, 2 * time.Minute, time.Hour, 20 * time.Hour} {
		s.sleep(later)
		if l := s.role[string(state)].up(); l != nil {
			if err := do(l); err == nil && !l.dead {
				return true
			}
		}
	}
	return false
}

// tooEarly looks for somebody of a dark generation in an answer.
func (s *script) tooEarly(who *person, answer waypost.Answer) {
	for _, a := range answer.Candidates {
		c := s.cardOf(who, a.State)
		if c != nil && c.dark && (a.Outcome == waypost.Match || a.Outcome == waypost.Possible) {
			s.failf("%s was found before its generation was activated", c.id)
		}
	}
}

// lie has somebody with the hub's key tell a state that a release it has given was
// used, under a ticket of the new state that is for something else.
func (s *script) lie() {
	for _, st := range States {
		l := s.role[string(st)].up()
		if l == nil {
			continue
		}
		var release []byte
		_ = l.db.Read(context.Background(), func(tx *store.Tx) error {
			return tx.Row(`SELECT signed FROM moving WHERE state = 0 LIMIT 1`).Scan(&release)
		})
		given, err := waypost.ParseRelease(release)
		if err != nil {
			continue
		}
		if receiver := s.role[string(given.To)].up(); receiver != nil {
			s.lieTo(l, receiver, release)
		}
	}
}

func (s *script) lieTo(to, receiver *life, release []byte) {
	var ticket []byte
	_ = receiver.db.Read(context.Background(), func(tx *store.Tx) error {
		return tx.Row(`SELECT signed FROM inquiry ORDER BY ticket LIMIT 1`).Scan(&ticket)
	})
	hub := s.role["hub"].up()
	ring, err := seal.ParseKeyring(to.keyring, to.name)
	if hub == nil || err != nil || len(ticket) == 0 {
		return
	}
	body, err := proto.Marshal(&waypostv1.Moved{Release: release, Ticket: ticket, Salt: make([]byte, 32)})
	if err != nil {
		return
	}
	t, err := waypost.ParseTicket(ticket)
	if err != nil {
		return
	}
	m := seal.Message{
		Sender: "hub", Recipient: to.name, Type: waypost.MessageMoved, Ticket: t.ID, RosterVersion: s.roster.Current().Version,
		Expiry: s.now.Add(waypost.MessageLife), Body: body,
	}
	_, _ = rand.Read(m.ID[:]) // never fails (Go 1.24)
	s.watch.seen[m.ID] = true // nothing that the hub itself has said
	sealed, err := seal.Seal(m, s.cast.identity["hub"], ring.Current())
	if err != nil {
		return
	}
	me, _ := s.roster.Member(receiver.name)
	_, err = hub.hub.Send(rpc.WithPeer(context.Background(), me), &waypostv1.SendRequest{Sealed: [][]byte{sealed}})
	s.trace.note("lie", to.name, waypost.CodeOf(err))
	s.role[to.name].work(collect)
}
