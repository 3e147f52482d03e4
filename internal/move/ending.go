package move

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// How far the ending of a card of this state has come.
type endingState int

const (
	noticed  endingState = iota // the resident is told; the time to object has not begun, or runs
	objected                    // a person decides
	closing                     // the card is to be ended now: nothing stands against it any more
	closed                      // it has ended
	stays                       // it is not ended, for a reason
	keeps                       // the resident keeps it
)

var endingWords = [...]string{"notice", "objected", "ending", "done", "declined", "kept"}

func (s endingState) String() string { return endingWords[s] }

// ending is a row of that table.
type ending struct {
	id             [16]byte
	asking         waypost.Jurisdiction
	errand         [16]byte
	record         string
	handle         waypost.Handle
	letter         [16]byte
	surrendered    bool
	state          endingState
	reason         string
	objection      string
	due            *int64
	begun, changed int64
}

const endingColumns = `id, asking, errand, record, handle, letter, surrendered, state, reason, objection, due, begun, changed`

func endings(tx *store.Tx, where string, args ...any) (all []ending, err error) {
	err = tx.Query(`SELECT `+endingColumns+` FROM ending `+where, args, func(scan func(dest ...any) error) error {
		var e ending
		err := scan(&e.id, &e.asking, &e.errand, &e.record, &e.handle, &e.letter, &e.surrendered, &e.state, &e.reason, &e.objection, &e.due, &e.begun, &e.changed)
		all = append(all, e)
		return err
	})
	return all, err
}

func (m *Moves) putEnding(tx *store.Tx, e ending) error {
	_, err := tx.Exec(`INSERT INTO ending (`+endingColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, reason = excluded.reason, objection = excluded.objection,
		due = excluded.due, changed = excluded.changed`,
		e.id[:], string(e.asking), e.errand[:], e.record, e.handle[:], e.letter[:], e.surrendered, int(e.state), e.reason, e.objection, e.due, e.begun, m.Now().Unix())
	return err
}

// answerTermination takes a request to end one of this state's cards. Nothing is
// ended before the resident was told and had time to object, save where they have
// signed the surrender.
func (m *Moves) answerTermination(ctx context.Context, q errand.Question) (errand.Response, error) {
	return m.receive(ctx, q, false)
}

func (m *Moves) receive(ctx context.Context, q errand.Question, unit bool) (errand.Response, error) {
	request, err := parseTermination(q.Body)
	if err != nil {
		return errand.Response{}, err
	}
	var about records.Answered
	if err := m.DB.Read(ctx, func(tx *store.Tx) (err error) {
		about, err = m.cited(tx, q.From, q.Ticket.Cites, request.Reference)
		return err
	}); err != nil {
		return errand.Response{}, err
	}
	record, err := m.File.Record(ctx, about.Record)
	if err != nil {
		return errand.Response{}, err
	}
	r := errand.Response{Handle: about.Handle[:]}
	switch {
	case record.Protected && !unit:
		return m.withhold(q, about), nil
	case !held(record.Status):
		r.Word, r.Final = wordDone, true
		return r, nil
	}
	r.Word = wordAcknowledged
	id := newID()
	e := ending{id: id, letter: id, asking: q.From, errand: q.ID, record: about.Record, handle: about.Handle, surrendered: request.Surrendered, begun: m.Now().Unix()}
	r.Commit = func(tx *store.Tx) error { return m.open(tx, e) }
	return r, nil
}

// held reports whether a card of this standing is still held.
func held(s waypost.Status) bool {
	return s == waypost.Valid || s == waypost.Suspended || s == waypost.Disqualified
}

// open begins an ending. The resident gets one letter, however many ask.
func (m *Moves) open(tx *store.Tx, e ending) error {
	if e.surrendered {
		now := m.Now().Unix()
		e.state, e.due = closing, &now
		if err := m.write(tx, e); err != nil {
			return err
		}
		return m.putEnding(tx, e)
	}
	before, err := endings(tx, `WHERE record = $1 AND state IN ($2, $3) AND surrendered = 0 ORDER BY begun, id LIMIT 1`, e.record, int(noticed), int(objected))
	if err != nil {
		return err
	}
	if len(before) > 0 {
		e.state, e.due, e.objection, e.letter = before[0].state, before[0].due, before[0].objection, before[0].letter
	} else if err := m.write(tx, e); err != nil {
		return err
	}
	return m.putEnding(tx, e)
}

// end does what is due of an ending: the time to object is over, or nothing stands
// against it any more. First it is committed that the card is to be ended, so that
// no objection comes between; then it is, and the state that asked is told.
func (m *Moves) end(ctx context.Context, id [16]byte) error {
	var e ending
	err := m.DB.Write(ctx, func(tx *store.Tx) error {
		all, err := endings(tx, `WHERE id = $1 AND due <= $2`, id[:], m.Now().Unix())
		if err != nil || len(all) == 0 {
			return err
		}
		if e = all[0]; e.state == noticed {
			e.state = closing
			return m.putEnding(tx, e)
		}
		return nil
	})
	if err != nil || e.state != closing {
		return err
	}
	if err := m.close(ctx, e); err != nil {
		return errors.Join(err, m.later(ctx, `UPDATE ending SET due = $1 WHERE id = $2`, id))
	}
	return nil
}

func (m *Moves) close(ctx context.Context, e ending) error {
	record, err := m.File.Record(ctx, e.record)
	if err != nil && waypost.CodeOf(err) != waypost.NotFound {
		return err
	}
	if err == nil && held(record.Status) {
		if err := m.endCard(ctx, e.record); err != nil {
			return err
		}
	}
	return m.tell(ctx, e, closed, "")
}

// tell commits how an ending came out together with the final word about it.
func (m *Moves) tell(ctx context.Context, e ending, state endingState, reason string) error {
	words := map[endingState]string{closed: wordDone, stays: wordDeclined, keeps: wordKept}
	body, err := proto.Marshal(&waypostv1.TerminationReply{Reason: reason})
	if err != nil {
		return err
	}
	was := e.state
	commit := func(tx *store.Tx) error {
		all, err := endings(tx, `WHERE id = $1`, e.id[:])
		if err != nil {
			return err
		}
		if len(all) == 0 || all[0].state != was {
			return waypost.Errorf(waypost.Unavailable, "this request has just changed: look again")
		}
		e := all[0]
		e.state, e.reason, e.due = state, reason, nil
		return m.putEnding(tx, e)
	}
	err = m.Errands.Reply(ctx, e.errand, e.asking, errand.Response{Word: words[state], Final: true, Body: body, Handle: e.handle[:], Commit: commit})
	if code := waypost.CodeOf(err); code == waypost.AlreadyExists || code == waypost.NotFound {
		return m.DB.Write(ctx, commit) // nobody waits for the word any more
	}
	return err
}

// endingNamed finds an ending by its id or the first eight digits of it, which
// stand on the letter.
func (m *Moves) endingNamed(ctx context.Context, name string) (e ending, err error) {
	name = strings.ToLower(strings.ReplaceAll(name, "-", ""))
	var low, high [16]byte
	for i := range high {
		high[i] = 0xff
	}
	raw, err := hex.DecodeString(name)
	if err != nil || len(raw) < 4 || len(raw) > len(low) {
		return e, waypost.Errorf(waypost.InvalidArgument, "a request is named by the number on the letter, or by 32 hex digits")
	}
	copy(low[:], raw)
	copy(high[:], raw)
	err = m.DB.Read(ctx, func(tx *store.Tx) error {
		all, err := endings(tx, `WHERE id >= $1 AND id <= $2 LIMIT 2`, low[:], high[:])
		if err == nil && len(all) != 1 {
			err = waypost.Errorf(waypost.NotFound, "there is no request of this number to end a card of this state")
		}
		if err == nil {
			e = all[0]
		}
		return err
	})
	return e, err
}

// Object notes what the resident says against the ending: the card stays until a
// person has decided.
func (m *Moves) Object(ctx context.Context, name, words string) (id [16]byte, err error) {
	if len(words) > 1000 || words != strings.ToValidUTF8(words, "") {
		return id, waypost.Errorf(waypost.InvalidArgument, "an objection has at most 1000 bytes")
	}
	e, err := m.endingNamed(ctx, name)
	if err != nil {
		return id, err
	}
	return e.id, m.DB.Write(ctx, func(tx *store.Tx) error {
		all, err := endings(tx, `WHERE record = $1 AND state IN ($2, $3)`, e.record, int(noticed), int(objected))
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return waypost.Errorf(waypost.InvalidArgument, "the request is over: %s; where a card was ended wrongly, it is for the state's own appeal", e.state)
		}
		for _, one := range all { // whoever asked
			one.state, one.objection, one.due = objected, words, nil
			if err := m.putEnding(tx, one); err != nil {
				return err
			}
		}
		return nil
	})
}

// The decisions about an ending.
const (
	DecideEnd     = "end"     // it goes on: at once, or when the time to object is over
	DecideKeep    = "keep"    // the resident keeps the card
	DecideDecline = "decline" // the card is not ended, for a reason of the list
)

// Decide is a person's decision about a request to end a card of this state.
func (m *Moves) Decide(ctx context.Context, name, decision, reason string) (id [16]byte, err error) {
	e, err := m.endingNamed(ctx, name)
	if err != nil {
		return id, err
	}
	if e.state != noticed && e.state != objected {
		return id, waypost.Errorf(waypost.InvalidArgument, "the request is over, or the card is being ended: %s", e.state)
	}
	_, known := reasons[reason]
	switch {
	case decision == DecideEnd && reason == "":
		return e.id, m.goOn(ctx, e)
	case decision == DecideKeep && reason == "":
		return e.id, m.tell(ctx, e, keeps, "")
	case decision == DecideDecline && known && reason != "":
		return e.id, m.tell(ctx, e, stays, reason)
	}
	return id, waypost.Errorf(waypost.InvalidArgument,
		"decide with one of: end; keep; decline with a reason: %s, %s, %s, %s", reasonObjection, reasonDispute, reasonCourtOrder, reasonLaw)
}

// goOn lets an ending go on after an objection: never before the letter's time is
// over.
func (m *Moves) goOn(ctx context.Context, e ending) error {
	return m.DB.Write(ctx, func(tx *store.Tx) error {
		all, err := endings(tx, `WHERE id = $1 AND state IN ($2, $3)`, e.id[:], int(noticed), int(objected))
		if err != nil || len(all) == 0 {
			return err
		}
		e := all[0]
		var mailed *int64
		if err := tx.Row(`SELECT mailed FROM letter WHERE id = $1`, e.letter[:]).Scan(&mailed); err != nil {
			return err
		}
		e.state, e.due = noticed, nil
		if mailed != nil {
			due := max(*mailed+int64(m.notice.Seconds()), m.Now().Unix())
			e.due = &due
		}
		return m.putEnding(tx, e)
	})
}

// sentence says how an ending stands.
func (e ending) sentence() string {
	switch e.state {
	case noticed:
		if e.due == nil {
			return "the letter to the resident has not been mailed: the time to object begins then"
		}
		return "the resident may object"
	case objected:
		return "the resident objects: a person must decide"
	case closing:
		return "the card is being ended"
	case closed:
		return "the card has ended"
	case stays:
		return "the card stays: " + reasons[e.reason]
	}
	return "the resident keeps the card"
}
