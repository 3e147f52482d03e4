package driver

import (
	"context"
	"errors"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/planted"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// How far an item that is passed on has come. What is not over has an index of its
// own, which serves statements that say "state < 2" in so many words.
const (
	forwardSent = iota // nothing has come back
	forwardBack        // a word is to be passed on to who asked
	forwardOver        // all is said
)

// forwarding is who passes items on: no person does.
const forwarding = "forwarding"

// forward passes a report on to the state that has the record now, and says so.
func (d *Desk) forward(q errand.Question, rep report, f found) (errand.Response, error) {
	if rep.hops >= maxHops {
		return errand.Response{Word: Undelivered, Final: true, Handle: f.gone.Handle[:]}, nil
	}
	body, err := reply{State: f.gone.MovedTo}.encode()
	if err != nil {
		return errand.Response{}, err
	}
	return errand.Response{Word: Forwarded, Body: body, Handle: f.gone.Handle[:], Commit: func(tx *store.Tx) error {
		if here, _, err := d.where(tx, f.record, f.gone); err != nil || here != nil {
			return errors.Join(err, errAgain) // it has come back
		}
		known, err := passedOn(tx, f.record, rep.ID)
		if err != nil {
			return err
		}
		statement := rep.statement
		if rep.Reporter == q.From { // also where it was the state of record itself
			statement = q.Statement
		}
		if rep.hops == 0 && known == 0 {
			if err := d.punctual(tx, rep.Item); err != nil {
				return err
			}
		}
		return d.passOn(tx, f.record, *f.gone, rep.Item, statement, rep.hops, &q)
	}}, nil
}

// passedOn counts how often an item of a record was passed on.
func passedOn(tx *store.Tx, record string, id ItemID) (n int, err error) {
	err = tx.Row(`SELECT count(*) FROM driver_forward WHERE record = $1 AND item = $2`, record, id).Scan(&n)
	return n, err
}

// passOn begins the errand that takes an item after its record.
func (d *Desk) passOn(tx *store.Tx, record string, gone records.Pointer, i Item, statement []byte, hops uint32, q *errand.Question) error {
	if i.Reporter == d.State {
		statement = nil // this state signs for its own items
	}
	body, err := report{Item: i, handle: gone.NewHandle, statement: statement, hops: hops + 1}.encode()
	if err != nil {
		return err
	}
	mine := errand.Errand{
		ID: errand.NewID(), Kind: waypost.KindReport, Purpose: waypost.DriverHistory, To: gone.MovedTo,
		Operator: forwarding, Class: waypost.Unattended, Case: "item " + i.ID.String(), Body: body,
	}
	question, asker := []byte{}, ""
	if q != nil {
		question, asker = q.ID[:], string(q.From)
	}
	if _, err := tx.Exec(`INSERT INTO driver_forward (errand, record, item, sent_to, handle, question, asker, state, word, final, reply, due, changed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', 0, $9, $10, $11)`,
		mine.ID, record, i.ID, gone.MovedTo, gone.NewHandle, question, asker, forwardSent, []byte{},
		d.Now().Add(lookAfter).Unix(), d.Now().Unix()); err != nil {
		return err
	}
	return d.Errands.Begin(tx, mine)
}

// ForwardRest passes on, after a record has gone to another state, every item that
// came to it after its history was exported: in the transaction that notes that it
// has gone. Each goes once, however often this is called. gone is the record's main
// pointer, as moved; exported is the history that the other state has been given.
func (d *Desk) ForwardRest(tx *store.Tx, gone records.Pointer, exported []byte) error {
	given, err := ParseHistory(exported)
	if err != nil {
		return err
	}
	has := make(map[ItemID]bool, len(given))
	for _, e := range given {
		has[e.ID] = true
	}
	entries, err := d.Book.Of(tx, gone.Record)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if has[e.ID] || planted.Bug("forward-lost") {
			continue
		}
		var n int
		if err := tx.Row(`SELECT count(*) FROM driver_forward WHERE record = $1 AND item = $2 AND handle = $3`,
			gone.Record, e.ID, gone.NewHandle).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		if err := d.passOn(tx, gone.Record, gone, e.Item, e.Statement, 0, nil); err != nil {
			return err
		}
	}
	return nil
}

// tookForward notes what the other state said of an item that was passed on. It
// reports whether the errand is one of these.
func (d *Desk) tookForward(tx *store.Tx, mine errand.Errand, got errand.Reply) (bool, error) {
	var question []byte
	var was int
	err := tx.Row(`SELECT question, state FROM driver_forward WHERE errand = $1`, mine.ID).Scan(&question, &was)
	if errors.Is(err, store.ErrNoRows) {
		return false, nil
	}
	if err != nil || was == forwardOver {
		return true, err
	}
	word := got.Word
	if word == errand.Refused || word == errand.Unanswered {
		word = Undelivered
	}
	state, due := forwardBack, d.Now().Add(lookAfter)
	if len(question) == 0 {
		state = forwardSent
		if got.Final && word != Accepted {
			d.Log.Warn("an item that came while its record moved was not taken", "state", mine.To, "word", word, "item", mine.Case)
		}
		switch {
		case !got.Final:
		case word == Undelivered: // nobody would report it again
			due = d.Now().Add(renewAfter)
		default:
			state = forwardOver
		}
	}
	_, err = tx.Exec(`UPDATE driver_forward SET state = $1, word = $2, final = $3, reply = $4, due = $5, changed = $6 WHERE errand = $7`,
		state, word, got.Final, notNil(got.Body), due.Unix(), d.Now().Unix(), mine.ID)
	return true, err
}

// What could not be delivered, and nobody is told of, is passed on again so long
// after that, and so long after it came.
const (
	renewAfter = 6 * time.Hour
	renewFor   = 60 * 24 * time.Hour
)

// renew passes an item on again under another errand, unless it is purged by now or
// too old: then only the archived copy has it, as the log has said each time.
func (d *Desk) renew(tx *store.Tx, id errand.ID) error {
	var record string
	var item ItemID
	var gone records.Pointer
	if err := tx.Row(`SELECT record, item, sent_to, handle FROM driver_forward WHERE errand = $1 AND state = $2`, id, forwardSent).
		Scan(&record, &item, &gone.MovedTo, &gone.NewHandle); err != nil {
		return err
	}
	var raw, statement []byte
	var arrived int64
	err := tx.Row(`SELECT item, statement, arrived FROM driver_item WHERE record = $1 AND id = $2`, record, item).Scan(&raw, &statement, &arrived)
	if errors.Is(err, store.ErrNoRows) || err == nil && d.Now().Sub(time.Unix(arrived, 0)) > renewFor {
		_, err := tx.Exec(`UPDATE driver_forward SET state = $1 WHERE errand = $2`, forwardOver, id)
		return err
	}
	if err != nil {
		return err
	}
	i, err := decodeItem(raw)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM driver_forward WHERE errand = $1`, id); err != nil {
		return err
	}
	return d.passOn(tx, record, gone, i, statement, 0, nil)
}

// lookAfter is how often to see whether an errand is still under way: one that the
// key holders refuse is cancelled, and no reply says so.
const lookAfter = time.Hour

// lookAtForwards takes an errand that was cancelled for one that nobody answers,
// and passes on again what could not be delivered.
func (d *Desk) lookAtForwards(ctx context.Context) error {
	type look struct {
		id    errand.ID
		final bool
	}
	var due []look
	if err := d.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Query(`SELECT errand, final FROM driver_forward WHERE state < 2 AND state = $1 AND due <= $2 ORDER BY due, errand LIMIT $3`,
			[]any{forwardSent, d.Now().Unix(), stepBatch}, func(scan func(...any) error) error {
				var l look
				err := scan(&l.id, &l.final)
				due = append(due, l)
				return err
			})
	}); err != nil {
		return err
	}
	var failed []error
	for _, l := range due {
		if l.final {
			failed = append(failed, d.DB.Write(ctx, func(tx *store.Tx) error { return d.renew(tx, l.id) }))
			continue
		}
		failed = append(failed, d.lookAt(ctx, l.id))
	}
	return errors.Join(failed...)
}

func (d *Desk) lookAt(ctx context.Context, id errand.ID) error {
	p, err := d.Errands.Get(ctx, id)
	over := waypost.CodeOf(err) == waypost.NotFound || err == nil && p.State == errand.Cancelled
	if err != nil && !over {
		return err
	}
	p.ID = id
	return d.DB.Write(ctx, func(tx *store.Tx) error {
		if over {
			_, err := d.tookForward(tx, p.Errand, errand.Reply{Word: errand.Unanswered, Final: true})
			return err
		}
		_, err := tx.Exec(`UPDATE driver_forward SET due = $1 WHERE errand = $2`, d.Now().Add(lookAfter).Unix(), id)
		return err
	})
}

// notNil is a column that is never NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// back is a word that is to be passed on to who has asked.
type back struct {
	errand, question errand.ID
	asker            waypost.Jurisdiction
	word             string
	final            bool
	reply            []byte
}

// passBack says to who reported an item what became of it where it was passed on.
func (d *Desk) passBack(ctx context.Context) error {
	var waiting []back
	if err := d.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Query(`SELECT errand, question, asker, word, final, reply FROM driver_forward WHERE state < 2 AND state = $1 ORDER BY changed, errand LIMIT $2`,
			[]any{forwardBack, stepBatch}, func(scan func(...any) error) error {
				var b back
				err := scan(&b.errand, &b.question, &b.asker, &b.word, &b.final, &b.reply)
				waiting = append(waiting, b)
				return err
			})
	}); err != nil {
		return err
	}
	var failed []error
	for _, b := range waiting {
		failed = append(failed, d.passWord(ctx, b))
	}
	return errors.Join(failed...)
}

func (d *Desk) passWord(ctx context.Context, b back) error {
	body, err := parseReply(b.reply).encode()
	if err != nil {
		return err
	}
	said := func(tx *store.Tx) error {
		next := forwardSent
		if b.final {
			next = forwardOver
		}
		_, err := tx.Exec(`UPDATE driver_forward SET state = $1 WHERE errand = $2 AND state = $3 AND final = $4`, next, b.errand, forwardBack, b.final)
		return err
	}
	err = d.Errands.Reply(ctx, b.question, b.asker, errand.Response{Word: b.word, Final: b.final, Body: body, Commit: said})
	if code := waypost.CodeOf(err); code == waypost.NotFound || code == waypost.AlreadyExists {
		// The question has its last word already, or is forgotten.
		return d.DB.Write(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`UPDATE driver_forward SET state = $1 WHERE errand = $2`, forwardOver, b.errand)
			return err
		})
	}
	return err
}
