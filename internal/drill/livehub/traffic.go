package livehub

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/store"
)

// visit is somebody at a counter, and the truth about it.
type visit struct {
	state   waypost.Jurisdiction
	who     int // in month.people
	purpose waypost.Purpose
	day     int
	ticket  waypost.TicketID
	held    waypost.Jurisdiction // where else the person has a record, or ""
	matched []waypost.Jurisdiction
	second  map[waypost.Jurisdiction]bool // to which states a second leg went
	move    string                        // id of a change of state of record that is under way
	moved   bool
	issued  bool
}

// month is a month of visits.
type month struct {
	x      *drill.Exchange
	stage  *drill.Stage
	dice   *rand.Rand
	people []waypost.Record // everybody with a record when it begins, then newcomers
	home   []waypost.Jurisdiction
	first  int // newcomers are from here on
	next   int // the next of them
	visits []*visit
	files  map[waypost.Jurisdiction]waypostv1connect.RecordsClient
	moves  map[waypost.Jurisdiction]waypostv1connect.MovesClient
}

// play has the visits of all days, each day with the clock set forward to it.
func (m *month) play(ctx context.Context, days, perDay int) error {
	for day := range days {
		for i := range perDay {
			m.stage.Progress("a month at the counters", day*perDay+i, days*perDay)
			if err := m.visit(ctx, day); err != nil {
				return err
			}
		}
		if err := m.settle(ctx); err != nil {
			return err
		}
		if day+1 == days {
			break
		}
		m.x.Clock.Advance(24 * time.Hour)
		if err := m.renew(); err != nil {
			return err
		}
		if day%3 == 2 { // their message keys are renewed: a running gateway does so by a real minute
			for _, state := range drill.States {
				if err := m.x.Stop(string(state)); err != nil {
					return err
				}
				if err := m.x.Start(ctx, string(state)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// renew renews the roster, if it is about to run out. That every role has caught up with
// the clock can take a busy machine several attempts.
func (m *month) renew() (err error) {
	for range 5 {
		if err = m.x.Renew(); err == nil {
			return nil
		}
	}
	return err
}

// visit draws who comes to which counter, and plays it: of a hundred 35 renew, 30 are
// new to cards, 20 come from another state, and 15 have been at a counter before.
func (m *month) visit(ctx context.Context, day int) error {
	v := &visit{day: day, state: drill.States[m.dice.IntN(len(drill.States))]}
	switch x := m.dice.IntN(100); {
	case x < 35:
		v.who, v.purpose = m.dice.IntN(m.next), waypost.Renew
		v.state = m.home[v.who]
	case x < 65 && m.next < len(m.people):
		v.who, v.purpose = m.next, waypost.IssueLicence
		m.next++
	case x < 85 || len(m.visits) == 0:
		v.who, v.purpose = m.dice.IntN(m.next), waypost.IssueRealID
		for v.state == m.home[v.who] {
			v.state = drill.States[m.dice.IntN(len(drill.States))]
		}
		v.held = m.home[v.who]
	default:
		before := m.visits[m.dice.IntN(len(m.visits))]
		v.who, v.state, v.purpose = before.who, before.state, waypost.IssuePermit
		if m.home[v.who] != v.state {
			v.held = m.home[v.who]
		}
	}
	answer, err := m.x.Whole(ctx, v.state, m.people[v.who].Person, v.purpose, fmt.Sprintf("MONTH-%d", len(m.visits)))
	if err != nil {
		return err
	}
	v.ticket = answer.Ticket
	m.visits = append(m.visits, v)
	if v.second, err = m.seconds(ctx, answer); err != nil {
		return err
	}
	return m.after(ctx, v, answer)
}

// seconds are the states that have answered a second leg of a check, by their own word.
func (m *month) seconds(ctx context.Context, answer waypost.Answer) (map[waypost.Jurisdiction]bool, error) {
	all := make(map[waypost.Jurisdiction]bool)
	for _, c := range answer.Candidates {
		err := m.x.Role(string(c.State)).DB.Read(ctx, func(tx *store.Tx) error {
			var n int
			err := tx.Row(`SELECT count(*) FROM notice WHERE ticket = $1 AND told <> ''`, answer.Ticket[:]).Scan(&n)
			if n > 0 {
				all[c.State] = true
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// after is what follows a check: a newcomer gets a card, and with it a home; who holds
// a card elsewhere changes the state of record.
func (m *month) after(ctx context.Context, v *visit, answer waypost.Answer) error {
	r := m.people[v.who]
	r.ID, r.CardNumber = fmt.Sprintf("%s-M%05d", v.state, len(m.visits)), fmt.Sprintf("SYN%sM%05d", v.state, len(m.visits))
	for _, c := range answer.Candidates {
		if c.Outcome == waypost.Match {
			v.matched = append(v.matched, c.State)
		}
		if c.Outcome != waypost.Match || c.State != v.held || v.purpose != waypost.IssueRealID || v.moved {
			continue
		}
		res, err := m.moves[v.state].Start(ctx, &waypostv1.StartMoveRequest{
			Check: hex.EncodeToString(answer.Ticket[:]), Reference: hex.EncodeToString(c.Reference[:]), Record: r.ID, CardNumber: r.CardNumber,
			CardKind: string(waypost.Licence), Consent: &waypostv1.Consent{Told: "The card of the other state ends.", Language: "en"},
		})
		if err != nil {
			return err
		}
		v.move, v.moved, m.home[v.who] = res.Id, true, v.state
	}
	if v.purpose != waypost.IssueLicence {
		return nil
	}
	_, err := m.files[v.state].Issue(ctx, &waypostv1.IssueRequest{Ticket: hex.EncodeToString(answer.Ticket[:]), Record: gateway.RecordToProto(r), Override: "checked by hand"})
	v.issued, m.home[v.who] = err == nil, v.state
	return err
}

// settle waits until no move of the day is under way: a day is over in a moment.
func (m *month) settle(ctx context.Context) error {
	deadline := time.Now().Add(3 * time.Minute)
	for _, v := range m.visits {
		for v.move != "" {
			res, err := m.moves[v.state].Get(ctx, &waypostv1.GetMoveRequest{Id: v.move})
			if err != nil {
				return err
			}
			switch res.State {
			case "done":
				v.move = ""
				continue
			case "cancelled", "ended":
				return fmt.Errorf("a move has ended: %s", res.Words)
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("a move is not done after minutes: %s", res.Words)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return ctx.Err()
}

// dial opens the doors of all states for issuing and moving.
func (m *month) dial() error {
	m.files, m.moves = make(map[waypost.Jurisdiction]waypostv1connect.RecordsClient), make(map[waypost.Jurisdiction]waypostv1connect.MovesClient)
	for _, state := range drill.States {
		door, _, err := cluster.Door(m.x.Dir, state)
		if err != nil {
			return err
		}
		m.files[state], m.moves[state] = waypostv1connect.NewRecordsClient(door), waypostv1connect.NewMovesClient(door)
	}
	return nil
}
