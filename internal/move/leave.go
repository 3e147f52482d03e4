package move

import (
	"bytes"
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/planted"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// How far a move from this state has come.
type leavingState int

const (
	out     leavingState = iota // released; the card is in suspense here, and still good
	gone                        // the hub has passed the pointers; our own system is to be told
	settled                     // it was told
	lapsed                      // the release ran out unused, or another took its place
)

// lapseAfter is how much later than its release a record is free again: clocks
// differ, and the hub's word takes a moment. Should it come later still, it holds
// all the same.
const lapseAfter = time.Hour

// leaving is a row of the table moving.
type leaving struct {
	change   [16]byte
	receiver waypost.Jurisdiction
	record   string
	signed   []byte
	exported []byte
	leftover bool
	state    leavingState
	expires  int64
	due      *int64
	begun    int64
}

const leavingColumns = `change_id, receiver, record, signed, exported, leftover, state, expires, due, begun`

func leavings(tx *store.Tx, where string, args ...any) (all []leaving, err error) {
	err = tx.Query(`SELECT `+leavingColumns+` FROM moving `+where, args, func(scan func(dest ...any) error) error {
		var l leaving
		err := scan(&l.change, &l.receiver, &l.record, &l.signed, &l.exported, &l.leftover, &l.state, &l.expires, &l.due, &l.begun)
		all = append(all, l)
		return err
	})
	return all, err
}

// answerChange releases a record to a state that was told of a match.
func (m *Moves) answerChange(ctx context.Context, q errand.Question) (errand.Response, error) {
	return m.answerFor(ctx, q, false)
}

// answerFor is answerChange. A protected person's record is released by the
// special unit only.
func (m *Moves) answerFor(ctx context.Context, q errand.Question, unit bool) (errand.Response, error) {
	reference, err := parseChange(q.Body)
	if err != nil {
		return errand.Response{}, err
	}
	var about records.Answered
	if err := m.DB.Read(ctx, func(tx *store.Tx) (err error) {
		about, err = m.cited(tx, q.From, q.Ticket.Cites, reference)
		return err
	}); err != nil {
		return errand.Response{}, err
	}
	if !waypost.KindChangeSOR.Allows(about.Ticket.Purpose) {
		return errand.Response{}, waypost.Errorf(waypost.PermissionDenied, "a record moves after a check for a card, and that check was for %s", about.Ticket.Purpose)
	}
	record, err := m.File.Record(ctx, about.Record)
	if err != nil {
		return errand.Response{}, err
	}
	handle := about.Handle[:]
	switch {
	case record.Protected && !unit:
		return m.withhold(q, about), nil
	case record.Status == waypost.Closed:
		return errand.Response{Word: wordDeclined, Final: true, Handle: handle}, nil
	}
	return m.release(ctx, q, about)
}

// release makes the release with all that goes along, from one snapshot. What has
// changed by the time it is committed makes it be done again.
func (m *Moves) release(ctx context.Context, q errand.Question, about records.Answered) (errand.Response, error) {
	r := errand.Response{Final: true, Handle: about.Handle[:]}
	var with released
	var row leaving
	err := m.DB.Read(ctx, func(tx *store.Tx) (err error) {
		if r.Word, err = m.mayLeave(tx, q, about.Record); err != nil || r.Word != wordReleased {
			return err
		}
		with, row, err = m.prepareRelease(tx, q, about.Record)
		return err
	})
	if err != nil || r.Word != wordReleased {
		return r, err
	}
	if r.Body, err = with.encode(); err != nil {
		return r, err
	}
	r.Commit = func(tx *store.Tx) error {
		word, err := m.mayLeave(tx, q, row.record)
		if err != nil {
			return err
		}
		now, err := m.going(tx, row.record)
		if err != nil {
			return err
		}
		named, err := m.offered(tx, with)
		if err != nil {
			return err
		}
		if word != wordReleased || !covers(with.release.Release, now) || !named {
			return waypost.Errorf(waypost.Unavailable, "the record has changed at this very moment")
		}
		return m.keepLeaving(tx, row)
	}
	return r, nil
}

// mayLeave says in the word of a reply whether the record can be released now.
func (m *Moves) mayLeave(tx *store.Tx, q errand.Question, record string) (string, error) {
	pointers, err := m.File.Pointers(tx, record)
	if err != nil {
		return "", err
	}
	live, names, moved := 0, 0, false
	for _, p := range pointers {
		switch {
		case p.State == records.Wanted:
			return "", waypost.Errorf(waypost.Unavailable, "a pointer of the record is still to be published")
		case p.State == records.Live:
			live++
			if !p.Alias {
				names++
			}
		}
		moved = moved || p.State == records.Moved
	}
	switch {
	case live == 0 && moved:
		return wordMoved, nil
	case names != 1 || live > waypost.MaxPointers:
		return wordDeclined, nil
	}
	others, err := leavings(tx, `WHERE record = $1 AND state = $2 AND receiver <> $3`, record, int(out), string(q.From))
	if err != nil || len(others) > 0 {
		return wordBusy, err
	}
	return wordReleased, nil
}

// going are the pointers of a record that the hub has.
func (m *Moves) going(tx *store.Tx, record string) (live []records.Pointer, err error) {
	all, err := m.File.Pointers(tx, record)
	for _, p := range all {
		if p.State == records.Live {
			live = append(live, p)
		}
	}
	return live, err
}

// covers reports whether a release passes exactly these pointers.
func covers(r waypost.Release, live []records.Pointer) bool {
	if len(r.Passings) != len(live) {
		return false
	}
	for _, p := range live {
		if !slices.ContainsFunc(r.Passings, func(passing waypost.Passing) bool { return passing.Old == p.Handle }) {
			return false
		}
	}
	return true
}

// offered reports whether the names that go with a release say of every key under
// which the hub was shown tokens of the pointers by now.
func (m *Moves) offered(tx *store.Tx, with released) (bool, error) {
	for i, passing := range with.release.Passings {
		now, err := m.File.NameTokens(tx, passing.Old)
		if err != nil || now.Newest() != with.names[i].Newest() {
			return false, err
		}
	}
	return true, nil
}

func (m *Moves) prepareRelease(tx *store.Tx, q errand.Question, record string) (with released, row leaving, err error) {
	live, err := m.going(tx, record)
	if err != nil {
		return with, row, err
	}
	slices.SortFunc(live, func(a, b records.Pointer) int { return bytes.Compare(a.Handle[:], b.Handle[:]) })
	now := m.Now()
	r := waypost.Release{
		RosterVersion: m.Roster.Settled().Version, Environment: m.Roster.Environment(), Change: q.ID, From: m.State, To: q.From,
		Expires: now.Add(m.periods.release),
	}
	for _, p := range live {
		passing := waypost.Passing{Old: p.Handle, New: waypost.Handle(newID())}
		name, err := m.File.NameTokens(tx, p.Handle)
		if err != nil {
			return with, row, err
		}
		name.Handle, name.Name.SSN5 = passing.New, ""
		r.Passings = append(r.Passings, passing)
		with.names = append(with.names, name)
	}
	if with.release, err = r.Sign(m.Identity); err != nil {
		return with, row, err
	}
	if with.history, err = m.Book.Export(tx, record); err != nil {
		return with, row, err
	}
	row = leaving{change: q.ID, receiver: q.From, record: record, signed: with.release.Bytes(), exported: with.history,
		expires: with.release.Expires.Unix(), begun: now.Unix()}
	return with, row, nil
}

// keepLeaving commits that the record is on its way. An earlier release to the same
// state stays good at the hub, and does no harm there.
func (m *Moves) keepLeaving(tx *store.Tx, row leaving) error {
	now := m.Now().Unix()
	if _, err := tx.Exec(`UPDATE moving SET state = $1, due = NULL, changed = $2 WHERE record = $3 AND state = $4`,
		int(lapsed), now, row.record, int(out)); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO moving (`+leavingColumns+`, changed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		row.change[:], string(row.receiver), row.record, row.signed, row.exported, false, int(out), row.expires,
		row.expires+int64(lapseAfter/time.Second), row.begun, now)
	return err
}

// OnMoved takes the hub's word that pointers of this state are another's now: a
// message of type waypost.MessageMoved, opened and verified. An error that is
// Internal or Unavailable has it handled again later.
func (m *Moves) OnMoved(ctx context.Context, message seal.Message) error {
	hub := m.Roster.Current().Hub()
	var said waypostv1.Moved
	if message.Sender != hub.Name {
		return waypost.Errorf(waypost.PermissionDenied, "%s says that pointers moved, which only the hub can", message.Sender)
	}
	if proto.Unmarshal(message.Body, &said) != nil {
		return waypost.Errorf(waypost.InvalidArgument, "the hub's word that pointers moved is not well formed")
	}
	release, ticket, err := m.judgeMoved(&said, hub.Name)
	if err != nil {
		return err
	}
	return m.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`INSERT INTO inbox (id, at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, message.ID[:], m.Now().Unix())
		if err != nil || n == 0 {
			return err
		}
		rows, err := leavings(tx, `WHERE change_id = $1`, release.Change[:])
		switch {
		case err != nil:
			return err
		case len(rows) == 0, !bytes.Equal(rows[0].signed, said.Release):
			return waypost.Errorf(waypost.PermissionDenied, "the hub names a release that this state has not given")
		case rows[0].state == gone || rows[0].state == settled:
			return m.logMoved(tx, rows[0].receiver, release, ticket) // under a further ticket
		}
		return m.leave(tx, rows[0], release, ticket)
	})
}

// judgeMoved checks that the state which has the pointers now asked for exactly
// this: its ticket commits to the release. That the release is ours is for the
// table to say.
func (m *Moves) judgeMoved(said *waypostv1.Moved, hub string) (waypost.SignedRelease, waypost.SignedTicket, error) {
	release, err := waypost.ParseRelease(said.Release)
	if err != nil {
		return release, waypost.SignedTicket{}, err
	}
	ticket, err := waypost.ParseTicket(said.Ticket)
	if err != nil || planted.Bug("moved-not-checked") {
		return release, ticket, err
	}
	key, err := m.Roster.StateKey(ticket.RosterVersion, ticket.SOI)
	if err != nil {
		return release, ticket, err
	}
	if err := ticket.Verify(key); err != nil {
		return release, ticket, err
	}
	if ticket.SOI != release.To || ticket.Environment != m.Roster.Environment() || ticket.Kind != waypost.KindChangeSOR || len(said.Salt) != len(ticket.Probes) {
		return release, ticket, waypost.Errorf(waypost.PermissionDenied, "the hub moved pointers under a ticket that is not for that")
	}
	request, err := passRequest(release)
	if err != nil {
		return release, ticket, err
	}
	return release, ticket, ticket.CoversRequest(hub, [32]byte(said.Salt), request)
}

// leave commits that the record is another state's: its pointers, the entry, what
// is to be forwarded, and that its card is to be ended here. Once gone, there is
// nothing left to release.
func (m *Moves) leave(tx *store.Tx, row leaving, release waypost.SignedRelease, ticket waypost.SignedTicket) error {
	if err := m.File.MoveOut(tx, row.record, row.receiver, release.Passings); err != nil {
		return err
	}
	if err := m.logMoved(tx, row.receiver, release, ticket); err != nil {
		return err
	}
	leftover, err := m.rest(tx, row, release)
	if err != nil {
		return err
	}
	now := m.Now().Unix()
	if _, err := tx.Exec(`UPDATE moving SET state = $1, due = NULL, changed = $2 WHERE record = $3 AND state = $4`,
		int(lapsed), now, row.record, int(out)); err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE moving SET state = $1, due = $2, changed = $2, leftover = $3, exported = $4 WHERE change_id = $5`,
		int(gone), now, leftover, []byte{}, row.change[:]); err != nil {
		return err
	}
	// A request to end the same card has come to its end with it.
	_, err = tx.Exec(`UPDATE ending SET state = $1, due = $2, changed = $2 WHERE record = $3 AND state IN ($4, $5)`,
		int(closing), now, row.record, int(noticed), int(objected))
	return err
}

// logMoved appends the entries of the pointers that the hub has passed, under the
// ticket under which it says so.
func (m *Moves) logMoved(tx *store.Tx, to waypost.Jurisdiction, release waypost.SignedRelease, ticket waypost.SignedTicket) error {
	for _, passing := range release.Passings {
		if err := m.ledger(tx, ticket, "moved", journal.Field{Name: "to", Value: string(to)}, m.File.Subject(passing.Old, ticket.ID)); err != nil {
			return err
		}
	}
	return nil
}

// wordAwaited is for how long after a release the hub's word about it may be still
// to come: as long as the hub knows the change.
const wordAwaited = 92 * 24 * time.Hour

// away says whether a record may be another state's by now.
func (m *Moves) away(tx *store.Tx, record string) (records.Away, error) {
	var usable, all int
	err := tx.Row(`SELECT coalesce(sum(CASE WHEN state = $2 OR expires > $5 THEN 1 ELSE 0 END), 0), count(*) FROM moving
		WHERE record = $1 AND state IN ($2, $3) AND begun > $4`,
		record, int(out), int(lapsed), m.Now().Add(-wordAwaited).Unix(), m.Now().Unix()).Scan(&usable, &all)
	switch {
	case usable > 0:
		return records.Released, err
	case all > 0:
		return records.Unanswered, err
	}
	return records.Here, err
}

// later makes something due again after a while.
func (m *Moves) later(ctx context.Context, statement string, id [16]byte) error {
	return m.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(statement, m.Now().Add(2*time.Minute).Unix(), id[:])
		return err
	})
}
