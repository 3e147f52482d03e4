package move

import (
	"bytes"
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/driver"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/store"
)

// How far a move to this state has come.
type arrivalState int

const (
	asked     arrivalState = iota // the former state was asked for a release
	arrived                       // it has come, with history and names
	stored                        // all that is needed here is in place
	passing                       // the hub is asked to pass the pointers: no way back from here
	passed                        // it has; the state's own system is to be told
	done                          // this state is the state of record
	cancelled                     // given up here
	ended                         // came to nothing, words say why
)

var arrivalWords = [...]string{"asked", "released", "stored", "passing", "passed", "done", "cancelled", "ended"}

func (s arrivalState) String() string { return arrivalWords[s] }

func (s arrivalState) over() bool { return s >= done }

// askEvery is how often it is looked whether the errand that asks is alive, and
// spare how long a release must hold for the hub to be called with it.
const (
	askEvery = 10 * time.Minute
	spare    = 15 * time.Minute
)

// arrival is a row of the table move.
type arrival struct {
	id, change              [16]byte
	check                   waypost.TicketID
	reference               waypost.Reference
	owner                   waypost.Jurisdiction
	state                   arrivalState
	record, cardNumber      string
	cardKind                waypost.CardKind
	realID                  bool
	person                  []byte // a CheckRequest
	operator, caseReference string
	purpose                 waypost.Purpose
	told, language          string
	reply, attempt          []byte
	unclear                 bool
	pointers, tries         int
	words                   string
	begun, changed          int64
	due                     *int64
}

const arrivalColumns = `id, change_id, ticket, reference, owner, state, record, person, card_number, card_kind, real_id,
	operator, purpose, case_reference, told, language, reply, attempt, unclear, pointers, words, tries, due, begun, changed`

func scanArrival(scan func(dest ...any) error) (a arrival, err error) {
	err = scan(&a.id, &a.change, &a.check, &a.reference, &a.owner, &a.state, &a.record, &a.person, &a.cardNumber, &a.cardKind, &a.realID,
		&a.operator, &a.purpose, &a.caseReference, &a.told, &a.language, &a.reply, &a.attempt, &a.unclear, &a.pointers, &a.words, &a.tries,
		&a.due, &a.begun, &a.changed)
	return a, err
}

func arrivals(tx *store.Tx, where string, args ...any) (all []arrival, err error) {
	err = tx.Query(`SELECT `+arrivalColumns+` FROM move `+where, args, func(scan func(dest ...any) error) error {
		a, err := scanArrival(scan)
		all = append(all, a)
		return err
	})
	return all, err
}

func arrivalIn(tx *store.Tx, id [16]byte) (arrival, error) {
	all, err := arrivals(tx, `WHERE id = $1`, id[:])
	if err == nil && len(all) == 0 {
		err = waypost.Errorf(waypost.NotFound, "there is no such move")
	}
	if err != nil {
		return arrival{}, err
	}
	return all[0], nil
}

// put writes what can change of a row. It is due at the time given, or never.
func (m *Moves) put(tx *store.Tx, a arrival, due time.Time) error {
	var at *int64
	if !due.IsZero() {
		second := due.Unix()
		at = &second
	}
	if a.state.over() {
		a.person, a.reply = []byte{}, []byte{}
	}
	_, err := tx.Exec(`INSERT INTO move (`+arrivalColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)
		ON CONFLICT (id) DO UPDATE SET change_id = excluded.change_id, state = excluded.state, person = excluded.person, reply = excluded.reply,
		attempt = excluded.attempt, unclear = excluded.unclear, pointers = excluded.pointers, words = excluded.words, tries = excluded.tries,
		due = excluded.due, changed = excluded.changed`,
		a.id[:], a.change[:], a.check[:], a.reference[:], string(a.owner), int(a.state), a.record, a.person, a.cardNumber, string(a.cardKind), a.realID,
		a.operator, string(a.purpose), a.caseReference, a.told, a.language, a.reply, a.attempt, a.unclear, a.pointers, a.words, a.tries,
		at, a.begun, m.Now().Unix())
	return err
}

// ask begins the errand to the former state. It is a new one each time: a release
// is for one change.
func (m *Moves) ask(tx *store.Tx, a arrival) error {
	body, err := proto.Marshal(&waypostv1.ChangeRequest{Reference: a.reference[:]})
	if err != nil {
		return err
	}
	a.change, a.state, a.reply, a.attempt, a.unclear = newID(), asked, []byte{}, []byte{}, false
	if err := m.Errands.Begin(tx, errand.Errand{
		ID: a.change, Kind: waypost.KindChangeSOR, Purpose: a.purpose, To: a.owner, Cites: a.check,
		Operator: a.operator, Class: waypost.Attended, Case: a.caseReference, Body: body,
	}); err != nil {
		return err
	}
	return m.put(tx, a, m.Now().Add(askEvery))
}

// takeRelease commits what the former state has said.
func (m *Moves) takeRelease(tx *store.Tx, mine errand.Errand, r errand.Reply) error {
	all, err := arrivals(tx, `WHERE change_id = $1`, mine.ID[:])
	if err != nil || len(all) == 0 || all[0].state != asked {
		return err // given up meanwhile
	}
	a := all[0]
	switch r.Word {
	case wordReleased:
		got, err := parseReleased(r.Body)
		if err == nil {
			err = m.judge(a, got)
		}
		if err != nil {
			return m.finish(tx, a, ended, string(a.owner)+" has sent a release that cannot be used: "+err.Error())
		}
		a.state, a.reply, a.pointers, a.tries, a.words = arrived, r.Body, len(got.names), 0, ""
		return m.put(tx, a, m.Now())
	case wordBusy:
		return m.finish(tx, a, ended, string(a.owner)+" is passing the record to another state at this moment; make a new check in some days")
	case wordMoved:
		return m.finish(tx, a, ended, "the record is another state's by now: make a new check, which finds it there")
	case wordDeclined:
		return m.finish(tx, a, ended, string(a.owner)+" declines to release the record: call its exchange desk")
	case errand.Unanswered:
		return m.finish(tx, a, ended, string(a.owner)+" has not answered in all that time")
	}
	return m.finish(tx, a, ended, string(a.owner)+" refuses: "+clean(r.Refused))
}

// judge checks that a release is the former state's, for this change, and for us, and that
// it offers nothing under keys that are still to come: what the former state has offered
// is never found by the SSN here.
func (m *Moves) judge(a arrival, got released) error {
	r := got.release
	if r.Change != a.change || r.From != a.owner || r.To != m.State || r.Environment != m.Roster.Environment() {
		return waypost.Errorf(waypost.PermissionDenied, "it is for another change")
	}
	key, err := m.Roster.StateKey(r.RosterVersion, r.From)
	if err != nil {
		return err
	}
	newest := m.Roster.Latest().Newest()
	for _, n := range got.names {
		if n.Newest() > newest {
			return waypost.Errorf(waypost.InvalidArgument, "it has tokens of key epoch %d, and the newest is %d", n.Newest(), newest)
		}
	}
	return r.Verify(key)
}

// finish ends a move that came to nothing, and forgets what it has prepared.
func (m *Moves) finish(tx *store.Tx, a arrival, state arrivalState, words string) error {
	if len(a.reply) > 0 {
		got, err := parseReleased(a.reply)
		if err != nil {
			return err
		}
		if err := m.File.Unexpect(tx, got.release.Release); err != nil {
			return err
		}
	}
	a.state, a.words = state, words
	return m.put(tx, a, time.Time{})
}

// advance takes a move as far as it goes now.
func (m *Moves) advance(ctx context.Context, id [16]byte) error {
	for {
		var a arrival
		err := m.DB.Read(ctx, func(tx *store.Tx) (err error) {
			a, err = arrivalIn(tx, id)
			return err
		})
		if err != nil || a.due == nil || *a.due > m.Now().Unix() {
			return err
		}
		step := map[arrivalState]func(context.Context, arrival) error{
			asked: m.look, arrived: m.prepare, stored: m.begin, passing: m.pass, passed: m.settleHere,
		}[a.state]
		if step == nil {
			return nil
		}
		if err := step(ctx, a); err != nil {
			return m.postpone(ctx, a, err)
		}
	}
}

// postpone tries again later. Where the error is only that somebody cannot be
// reached, it is no error of the step: suspense shows it.
func (m *Moves) postpone(ctx context.Context, a arrival, cause error) error {
	a.tries++
	err := m.DB.Write(ctx, func(tx *store.Tx) error {
		words, due := clean(cause.Error()), m.Now().Add(backoff(a.tries)).Unix()
		if waypost.CodeOf(cause) == waypost.Internal {
			words = "a fault at this gateway: see its log"
		}
		_, err := tx.Exec(`UPDATE move SET tries = $1, due = $2, words = $3 WHERE id = $4 AND state = $5 AND change_id = $6`,
			a.tries, due, words, a.id[:], int(a.state), a.change[:])
		return err
	})
	if waypost.CodeOf(cause) == waypost.Internal {
		err = errors.Join(err, cause)
	}
	return err
}

// move changes a row if it is still as it was read.
func (m *Moves) move(ctx context.Context, was arrival, change func(tx *store.Tx, a arrival) error) error {
	return m.DB.Write(ctx, func(tx *store.Tx) error {
		a, err := arrivalIn(tx, was.id)
		if err != nil || a.state != was.state || a.change != was.change || !bytes.Equal(a.attempt, was.attempt) {
			return err
		}
		return change(tx, a)
	})
}

// look sees whether the errand that asks is alive: the key holders may refuse it.
func (m *Moves) look(ctx context.Context, a arrival) error {
	p, err := m.Errands.Get(ctx, a.change)
	words := ""
	switch {
	case waypost.CodeOf(err) == waypost.NotFound:
		words = "the question to " + string(a.owner) + " is kept no more"
	case err != nil:
		return err
	case p.State == errand.Cancelled:
		words = "the question was not allowed: " + clean(p.Reason)
	}
	return m.move(ctx, a, func(tx *store.Tx, a arrival) error {
		if words != "" {
			return m.finish(tx, a, ended, words)
		}
		return m.put(tx, a, m.Now().Add(askEvery))
	})
}

// prepare puts everything in place that must be there before the hub passes the
// pointers: the record, its history, its pointers.
func (m *Moves) prepare(ctx context.Context, a arrival) error {
	got, err := parseReleased(a.reply)
	if err != nil {
		return err
	}
	record, err := a.asRecord()
	if err != nil {
		return err
	}
	if _, err := m.File.Record(ctx, a.record); waypost.CodeOf(err) == waypost.NotFound {
		// Nobody can have the card before this state is the state of record.
		record.Status = waypost.Closed
		err = m.File.System().Put(ctx, []waypost.Record{record})
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	return m.move(ctx, a, func(tx *store.Tx, a arrival) error {
		if err := m.room(tx, a.record, got.history); err != nil {
			return m.finish(tx, a, ended, clean(err.Error()))
		}
		switch err := m.File.Expect(tx, a.record, got.release.Release, got.names, a.check); {
		case waypost.CodeOf(err) == waypost.AlreadyExists:
			return m.finish(tx, a, ended, string(a.owner)+" has sent a release that cannot be used: "+clean(err.Error()))
		case err != nil:
			return err
		}
		a.state = stored
		return m.put(tx, a, m.Now())
	})
}

// room checks that the history can be taken into the book once the record is
// ours. It rests in the move until then: one that is cancelled leaves nothing of
// another state's history behind.
func (m *Moves) room(tx *store.Tx, record string, history []byte) error {
	coming, err := driver.ParseHistory(history)
	if err != nil {
		return err
	}
	have, err := m.Book.Of(tx, record)
	if err != nil {
		return err
	}
	all := make(map[driver.ItemID]bool, len(coming)+len(have))
	for _, e := range append(coming, have...) {
		all[e.ID] = true
	}
	if len(all) > driver.MaxItems {
		return waypost.Errorf(waypost.QuotaExceeded, "the history would have %d items, and can have %d: purge what is past its time", len(all), driver.MaxItems)
	}
	return nil
}

// asRecord is the card holder of this state that the move makes.
func (a arrival) asRecord() (waypost.Record, error) {
	var who waypostv1.CheckRequest
	if err := proto.Unmarshal(a.person, &who); err != nil {
		return waypost.Record{}, err
	}
	p := who.GetApplicant()
	born, err := waypost.ParseDate(p.GetBorn())
	if err != nil {
		return waypost.Record{}, err
	}
	return waypost.Record{
		ID: a.record, CardNumber: a.cardNumber, Kind: a.cardKind, Status: waypost.Valid, RealID: a.realID,
		Person: waypost.Person{Family: p.GetFamily(), Given: p.GetGiven(), Middle: p.GetMiddle(), Suffix: p.GetSuffix(),
			Born: born, Sex: waypost.Sex(p.GetSex()), SSN5: who.Ssn5},
	}, nil
}

// settleHere tells the state's own system that the card may be made.
func (m *Moves) settleHere(ctx context.Context, a arrival) error {
	record, err := a.asRecord()
	if err != nil {
		return err
	}
	record.Since = m.Now().UTC().Truncate(24 * time.Hour) // a day
	if err := m.File.TakeOver(ctx, a.operator, record); err != nil {
		return err
	}
	return m.move(ctx, a, func(tx *store.Tx, a arrival) error {
		a.state, a.words = done, ""
		return m.put(tx, a, time.Time{})
	})
}
