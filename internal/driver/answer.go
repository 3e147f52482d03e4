package driver

import (
	"context"
	"errors"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/compare"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// found is a record that a report is about, and where it is now.
type found struct {
	record string
	from   *records.Pointer // by which it was found, or nil: by its card
	here   *records.Pointer // its pointer, where it has one and is here
	gone   *records.Pointer // where it is another state's
}

// promised is how long a pointer that another state has passed on may take to
// become known here.
const promised = 10 * 24 * time.Hour

// answer takes a report into the history of the record that it is about, passes
// it on where the record has gone, or says why not. A protected person's history
// is like any other.
func (d *Desk) answer(ctx context.Context, q errand.Question) (errand.Response, error) {
	rep, err := parseReport(q.Body)
	if err != nil {
		return errand.Response{}, err
	}
	// The check is in the ticket too: what is said to a report that names another one,
	// or none, would stand in the ledgers as said without a search.
	if q.Ticket.Cites != rep.check {
		return errand.Response{}, waypost.Errorf(waypost.PermissionDenied, "the report is not about the check that its ticket cites")
	}
	if rep.Reporter != q.From {
		if rep.hops == 0 {
			return errand.Response{}, waypost.Errorf(waypost.PermissionDenied, "the item is not one that %s reports", q.From)
		}
		if err := d.signed(rep.statement, rep.Item); err != nil {
			return errand.Response{}, err
		}
	}
	f, err := d.find(ctx, q, rep)
	if waypost.CodeOf(err) == waypost.NotFound {
		return errand.Response{Word: DriverNotFound, Final: true}, nil
	}
	if err != nil {
		return errand.Response{}, err
	}
	// A former state of record has found the item in order, or has had it for long.
	problems := Validate(rep.Item, d.Now())
	switch {
	case len(problems) > 0 && rep.hops == 0:
		return d.reject(rep, problems, f.here)
	case f.gone != nil:
		return d.forward(q, rep, f)
	}
	return d.accept(ctx, q, rep, f)
}

// find returns the record that a report is about, or NotFound: who asks does not
// learn whether there is none, or whether it is somebody else's.
func (d *Desk) find(ctx context.Context, q errand.Question, rep report) (f found, err error) {
	if rep.card != nil {
		if f.record, err = d.byCard(ctx, rep); err != nil {
			return f, err
		}
	}
	err = d.DB.Read(ctx, func(tx *store.Tx) error {
		if rep.card == nil {
			p, err := d.byReference(tx, q, rep)
			if err != nil {
				return err
			}
			f.from, f.record = &p, p.Record
		}
		var err error
		f.here, f.gone, err = d.where(tx, f.record, f.from)
		return err
	})
	return f, err
}

var errNone = waypost.Errorf(waypost.NotFound, "no record of this driver")

// byCard returns the id of the record with the card, where name and date of birth
// are those of the record.
func (d *Desk) byCard(ctx context.Context, rep report) (string, error) {
	person, err := personOf(rep.card)
	if err != nil {
		return "", err
	}
	id, err := d.File.System().ByCard(ctx, rep.card.CardNumber)
	if err != nil {
		return "", err
	}
	record, err := d.File.System().Record(ctx, id)
	if err != nil {
		return "", err
	}
	if never, err := d.prepared(ctx, record); err != nil || never {
		return "", errors.Join(err, errNone)
	}
	shown := compare.Candidate{Person: person, CardNumber: rep.card.CardNumber, CardState: d.State}
	held := compare.Candidate{Person: record.Person, CardNumber: record.CardNumber, CardState: d.State}
	if compare.Compare(shown, held, nil) != waypost.Match {
		return "", errNone
	}
	// The number proves nothing by itself: it may be misread, or that of a twin. Names
	// and date are the same, or would be enough without it.
	shown.CardNumber, held.CardNumber = "", ""
	if e := compare.Explain(shown, held, nil); !e.NamesAndDateAgree && e.Outcome != waypost.Match {
		return "", errNone
	}
	return id, nil
}

// byReference returns the pointer that a check of the reporter has found, or that
// a former state of record names.
func (d *Desk) byReference(tx *store.Tx, q errand.Question, rep report) (records.Pointer, error) {
	if rep.hops > 0 {
		p, err := d.File.ByHandle(tx, rep.handle)
		switch {
		case waypost.CodeOf(err) == waypost.NotFound && d.Now().Before(q.At.Add(promised)):
			err = waypost.Errorf(waypost.Unavailable, "the record has not arrived here yet")
		case err == nil && p.PassedBy != q.From:
			err = errNone // the hub knows handles too, and whom it tells
		}
		return p, err
	}
	a, err := d.File.Answered(tx, rep.check, rep.reference)
	if err != nil {
		return records.Pointer{}, err
	}
	told := a.Outcome == waypost.Match || a.Outcome == waypost.Possible
	if a.Asking != q.From || !told || a.Ticket.Purpose != waypost.PostConviction {
		return records.Pointer{}, errNone
	}
	return d.File.ByHandle(tx, a.Handle)
}

// prepared reports whether a record is closed and never was in the index: one that
// was prepared for a change of state of record which has come to nothing, or not so
// far. Whatever it was given would be with nobody.
func (d *Desk) prepared(ctx context.Context, record waypost.Record) (never bool, err error) {
	if record.Status != waypost.Closed {
		return false, nil
	}
	err = d.DB.Read(ctx, func(tx *store.Tx) error {
		handles, err := d.File.Handles(tx, record.ID)
		never = len(handles) == 0
		return err
	})
	return never, err
}

// where says whether a record is this state's: it is, unless it has pointers and
// all of them have gone. from is the pointer by which the record was found, or nil.
// A pointer that is still coming makes the record this state's where it was found
// by it: the hub has passed it then. Where it was not, nobody knows yet, and the
// record is where it was; Unavailable where it was never here.
func (d *Desk) where(tx *store.Tx, record string, from *records.Pointer) (here, gone *records.Pointer, err error) {
	pointers, err := d.File.Pointers(tx, record)
	if err != nil {
		return nil, nil, err
	}
	coming := false
	for i, p := range pointers {
		found := from != nil && p.Handle == from.Handle
		switch {
		case p.State == records.Moved:
			if gone == nil || found {
				gone = &pointers[i]
			}
		case p.State == records.Coming && !found:
			coming = true
		default:
			return &pointers[i], nil, nil
		}
	}
	if coming && gone == nil {
		return nil, nil, waypost.Errorf(waypost.Unavailable, "the record is on its way here from another state: try again when it has come")
	}
	return nil, gone, nil
}

// accept adds the item, unless something speaks against it.
func (d *Desk) accept(ctx context.Context, q errand.Question, rep report, f found) (errand.Response, error) {
	var problems []Problem
	if err := d.DB.Read(ctx, func(tx *store.Tx) (err error) {
		problems, err = d.Book.problems(tx, f.record, rep.Item, rep.hops > 0)
		return err
	}); err != nil {
		return errand.Response{}, err
	}
	if len(problems) > 0 {
		return d.reject(rep, problems, f.here)
	}
	arrival := Arrival{Item: rep.Item, From: q.From, At: d.Now(), Statement: q.Statement}
	if rep.hops > 0 && rep.Reporter != q.From {
		arrival.Statement = rep.statement
	}
	return errand.Response{Word: Accepted, Final: true, Handle: handleOf(f.here), Commit: func(tx *store.Tx) error {
		// Since it was found the record may have gone, or got such an item.
		if _, gone, err := d.where(tx, f.record, f.from); err != nil || gone != nil {
			return errors.Join(err, errAgain)
		}
		added, err := d.add(tx, f.record, arrival)
		if code := waypost.CodeOf(err); code == waypost.AlreadyExists || code == waypost.QuotaExceeded {
			return errAgain
		}
		if err != nil || added == 0 || rep.hops > 0 {
			return err
		}
		return d.punctual(tx, rep.Item)
	}}, nil
}

// errAgain has the errand answered again: what the answer rests on has changed.
var errAgain = waypost.Errorf(waypost.Unavailable, "the record has changed meanwhile")

func handleOf(p *records.Pointer) []byte {
	if p == nil {
		return nil
	}
	return p.Handle[:]
}

// reject says everything that is wrong.
func (d *Desk) reject(rep report, problems []Problem, p *records.Pointer) (errand.Response, error) {
	body, err := reply{Problems: problems}.encode()
	if err != nil {
		return errand.Response{}, err
	}
	return errand.Response{Word: Rejected, Final: true, Body: body, Handle: handleOf(p), Commit: func(tx *store.Tx) error {
		return d.rejected(tx, rep.Item, problems)
	}}, nil
}
