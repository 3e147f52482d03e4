// Package move is what happens between two states about one record: its state of
// record changes, a card that was issued is announced, a card is to be ended. And
// it knows what of all that a state has left unfinished.
//
// # Change of state of record
//
// The new state asks, the former state releases, the hub passes:
//
//	new state     asked ── released ── stored ── passing ── passed ── done
//	                └──────────┴──────────┴─> cancelled, ended
//	former state           released ──────────────── moved ── settled
//	                          └─> lapsed
//
// The release travels with the history, so there is nothing to pass before the
// history is stored. From the first call to the hub on, nobody assumes what came of
// it: the new state asks the hub again until it knows. Whatever happens, the
// pointers are one state's or the other's, because the hub passes all of them or
// none in one transaction; two releases of the same record do no harm, since the
// second finds its pointers gone. See spec/move.md.
//
//	move.go       what the room works with, and what is due
//	message.go    what the states write to each other
//	start.go      change of state of record, begun and given up by a clerk
//	arrive.go     change of state of record, at the new state
//	pass.go       the call to the hub
//	leave.go      change of state of record, at the former state
//	settle.go     what is left to do there once the record is gone
//	announce.go   notice of issuance
//	terminate.go  request to terminate, at the state that asks
//	ending.go     request to terminate, at the state whose card it is
//	letter.go     what the resident is told
//	unit.go       questions about protected persons
//	suspense.go   what is unfinished for long
//	door.go       the counter door
package move

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/driver"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/metrics"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// Errands is what the room needs of the engine, see [errand.Engine].
type Errands interface {
	Handle(kind waypost.Kind, h errand.Handler)
	Begin(tx *store.Tx, mine errand.Errand) error
	Cancel(tx *store.Tx, id errand.ID) error
	Get(ctx context.Context, id errand.ID) (errand.Progress, error)
	Question(ctx context.Context, from waypost.Jurisdiction, id errand.ID) (errand.Question, error)
	Reply(ctx context.Context, id errand.ID, from waypost.Jurisdiction, r errand.Response) error
	Suspended(ctx context.Context, older time.Duration) ([]errand.Progress, error)
}

// Hub passes pointers.
type Hub interface {
	Maintain(ctx context.Context, req *waypostv1.MaintainRequest) (*waypostv1.MaintainResponse, error)
}

// Forwarder sends driver history after a record that has gone to another state.
type Forwarder interface {
	// ForwardRest sends every item that is not in the history that was exported, in
	// the transaction that notes the move; again it changes nothing. gone is the
	// record's main pointer, as moved.
	ForwardRest(tx *store.Tx, gone records.Pointer, exported []byte) error
}

// Config is what a state may set, in hours. Zero means the default.
type Config struct {
	ReleaseHours int `json:"release_hours,omitempty"` // how long a release holds: 240
	NoticeHours  int `json:"notice_hours,omitempty"`  // how long a resident may object: 360
	SuspendHours int `json:"suspend_hours,omitempty"` // from when what is unfinished is in suspense: 96
	AlarmHours   int `json:"alarm_hours,omitempty"`   // from when it is said aloud: 240
}

// periods are those of a Config.
type periods struct{ release, notice, suspend, alarm time.Duration }

func (c Config) periods() (periods, error) {
	var p periods
	for _, d := range []struct {
		to         *time.Duration
		set, usual int
	}{{&p.release, c.ReleaseHours, 240}, {&p.notice, c.NoticeHours, 360}, {&p.suspend, c.SuspendHours, 96}, {&p.alarm, c.AlarmHours, 240}} {
		hours := cmp.Or(d.set, d.usual)
		if hours < 1 || hours > 365*24 {
			return p, waypost.Errorf(waypost.InvalidArgument, "the periods of what moves are 1 to 8760 hours")
		}
		*d.to = time.Duration(hours) * time.Hour
	}
	return p, nil
}

// Deps is what the room works with.
type Deps struct {
	Config   Config
	State    waypost.Jurisdiction
	Roster   *roster.View
	DB       *store.DB // of the gateway
	Journal  errand.Journal
	Identity ed25519.PrivateKey // signs releases
	Errands  Errands
	Permits  errand.Permits
	Hub      Hub
	File     *records.File
	Book     driver.Book
	Driver   Forwarder
	// Agreed reports whether both states have found in a case that this candidate of
	// a check is the applicant. May be nil.
	Agreed  func(tx *store.Tx, check waypost.TicketID, reference []byte) (bool, error)
	Now     func() time.Time
	Log     *slog.Logger
	Metrics *metrics.Set // may be nil
}

// Moves is the room. It is safe for concurrent use.
type Moves struct {
	Deps
	periods
	// When it was last looked for what is unfinished for too long, and over for
	// long, in Unix seconds.
	raised, forgotten atomic.Int64
}

// New registers what the room answers and takes with the engine.
func New(deps Deps) (*Moves, error) {
	if len(deps.Identity) != ed25519.PrivateKeySize {
		return nil, waypost.Errorf(waypost.InvalidArgument, "a release is signed with the state's identity key")
	}
	p, err := deps.Config.periods()
	if err != nil {
		return nil, err
	}
	m := &Moves{Deps: deps, periods: p}
	m.Errands.Handle(waypost.KindChangeSOR, errand.Handler{
		Answer: m.answerChange, Take: m.takeRelease, Words: []string{wordReleased, wordBusy, wordMoved, wordDeclined}, Least: seal.Size256K,
	})
	m.Errands.Handle(waypost.KindIssued, errand.Handler{Answer: m.answerAnnouncement, Take: m.takeAcknowledged, Words: []string{wordAcknowledged}})
	m.Errands.Handle(waypost.KindTerminate, errand.Handler{
		Answer: m.answerTermination, Take: m.takeTermination, Words: []string{wordAcknowledged, wordDone, wordDeclined, wordKept},
	})
	m.File.Withhold("move", unit{m})
	m.File.HoldBack(m.away)
	m.measure()
	return m, nil
}

// The words of replies.
const (
	wordReleased     = "released"
	wordBusy         = "busy"     // the record is on its way to another state
	wordMoved        = "moved"    // the record is another state's by now
	wordDeclined     = "declined" // and why, where there is more to say
	wordAcknowledged = "acknowledged"
	wordDone         = "done"
	wordKept         = "kept" // the resident keeps the card
)

// Step does what is due now: what a crash or an unreachable party has left, and
// what time has brought.
func (m *Moves) Step(ctx context.Context) error {
	return errors.Join(
		m.each(ctx, `SELECT id FROM move WHERE due <= $1 ORDER BY due, id LIMIT 100`, m.advance),
		m.each(ctx, `SELECT change_id FROM moving WHERE due <= $1 ORDER BY due, change_id LIMIT 100`, m.settle),
		m.each(ctx, `SELECT id FROM ending WHERE due <= $1 ORDER BY due, id LIMIT 100`, m.end),
		m.each(ctx, `SELECT id FROM termination WHERE due <= $1 ORDER BY due, id LIMIT 100`, m.review),
		m.raise(ctx),
		m.forget(ctx),
	)
}

// keepFor is how long what is over is kept to be shown: as long as the ledger's
// entries about the hub's part of it. The ledger itself has the rest for longer.
const keepFor = 2 * 365 * 24 * time.Hour

// forget deletes, once a day, what is over for long.
func (m *Moves) forget(ctx context.Context) error {
	now := m.Now().Unix()
	if last := m.forgotten.Load(); last != 0 && now-last < 24*60*60 && now >= last {
		return nil
	}
	before := now - int64(keepFor/time.Second)
	err := m.DB.Write(ctx, func(tx *store.Tx) error {
		for _, over := range []struct {
			statement string
			args      []any
		}{
			// The history that went along is needed until the hub's word cannot come any more.
			{`UPDATE moving SET exported = $1 WHERE state = $2 AND begun < $3 AND exported <> $1`,
				[]any{[]byte{}, int(lapsed), now - int64(wordAwaited/time.Second)}},
			{`DELETE FROM move WHERE changed < $1 AND state >= $2`, []any{before, int(done)}},
			{`DELETE FROM moving WHERE changed < $1 AND state >= $2`, []any{before, int(settled)}},
			{`DELETE FROM letter WHERE made < $1 AND NOT EXISTS (SELECT 1 FROM ending e WHERE e.letter = letter.id AND e.state < $2)`, []any{before, int(closed)}},
			{`DELETE FROM ending WHERE changed < $1 AND state >= $2`, []any{before, int(closed)}},
			{`DELETE FROM termination WHERE changed < $1 AND state >= $2`, []any{before, int(finished)}},
			{`DELETE FROM announcement WHERE at < $1`, []any{before}},
			{`DELETE FROM alarm WHERE at < $1`, []any{before}},
		} {
			if _, err := tx.Exec(over.statement, over.args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		m.forgotten.Store(now)
	}
	return err
}

// each does something with whatever is due. What fails for one does not keep the
// others waiting.
func (m *Moves) each(ctx context.Context, due string, do func(context.Context, [16]byte) error) error {
	var ids [][16]byte
	err := m.DB.Read(ctx, func(tx *store.Tx) error {
		ids = nil
		return tx.Query(due, []any{m.Now().Unix()}, func(scan func(dest ...any) error) error {
			var id [16]byte
			err := scan(&id)
			ids = append(ids, id)
			return err
		})
	})
	for _, id := range ids {
		err = errors.Join(err, do(ctx, id))
	}
	return err
}

// backoff is how long to wait after so many tries in vain: two seconds after the
// first, so that a restart somewhere costs no more, and an hour at most.
func backoff(tries int) time.Duration {
	return min(time.Second<<min(tries, 12), time.Hour)
}

// cited reads the reference of the check that a ticket cites.
func (m *Moves) cited(tx *store.Tx, from waypost.Jurisdiction, check waypost.TicketID, reference []byte) (records.Answered, error) {
	if len(reference) != len(waypost.Reference{}) {
		return records.Answered{}, waypost.Errorf(waypost.InvalidArgument, "a reference has %d bytes", len(waypost.Reference{}))
	}
	a, err := m.File.Answered(tx, check, reference)
	if err != nil {
		return a, err
	}
	same, err := m.foundSame(tx, a.Outcome, check, reference)
	if err != nil {
		return a, err
	}
	if a.Asking != from || !same {
		return a, waypost.Errorf(waypost.PermissionDenied, "%s has told %s of no match by that check", m.State, from)
	}
	return a, nil
}

// ledger appends an entry about a ticket.
func (m *Moves) ledger(tx *store.Tx, t waypost.SignedTicket, kind string, more ...journal.Field) error {
	body, err := journal.Body(append(journal.TicketFields(t.Ticket), more...)...)
	if err != nil {
		return err
	}
	_, err = m.Journal.Append(tx, journal.Entry{Kind: kind, Ticket: t.ID, Tau: t.Tau, At: m.Now(), Body: body})
	return err
}

func newID() (id [16]byte) {
	_, _ = rand.Read(id[:]) // never fails (Go 1.24)
	return id
}

func parseID(text string) (id [16]byte, err error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(id) {
		return id, waypost.Errorf(waypost.InvalidArgument, "this is named by %d hex digits", 2*len(id))
	}
	return [16]byte(raw), nil
}

// none reports whether a row is not there.
func none(err error) bool { return errors.Is(err, store.ErrNoRows) }
