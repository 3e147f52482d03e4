package driver

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/store"
)

// state says how far a report of this state has come.
type state int

const (
	searching state = iota // a check for the driver is to be made
	owed                   // the check was made, and is not complete
	deciding               // a person must say whose it is
	held                   // the item that it ends or cancels has not been accepted yet
	sent                   // with the state of record
	done                   // its word is final
	cancelled
)

var stateWords = [...]string{"searching", "owed", "deciding", "held", "sent", "done", "cancelled"}

func (s state) String() string { return stateWords[s] }

// Final words of this state's own, beside those of the state of record.
const (
	wordUnlicensed = "unlicensed" // nobody has a record of the driver: this state made one
	wordOwn        = "own"        // it is this state's own record
)

// outgoing is a report of this state: a row of driver_report.
type outgoing struct {
	Item
	driver    *waypostv1.Applicant
	ssn5      string
	state     state
	to        waypost.Jurisdiction
	check     waypost.TicketID
	reference []byte // 16 bytes, or none
	errand    errand.ID
	word      string
	reply     []byte
	record    string
	operator  string
	caseRef   string
	tries     int
	due       *int64
	reported  int64
	changed   int64
}

const reportColumns = `content, driver, ssn5, state, sent_to, found, reference, errand, word, reply, record, operator, case_ref, tries, due, reported, changed`

func scanReport(scan func(...any) error) (o outgoing, err error) {
	var content, driver, check, id []byte
	if err := scan(&content, &driver, &o.ssn5, &o.state, &o.to, &check, &o.reference, &id, &o.word, &o.reply, &o.record,
		&o.operator, &o.caseRef, &o.tries, &o.due, &o.reported, &o.changed); err != nil {
		return o, err
	}
	copy(o.check[:], check)
	copy(o.errand[:], id)
	o.driver = &waypostv1.Applicant{}
	if err := proto.Unmarshal(driver, o.driver); err != nil {
		return o, err
	}
	o.Item, err = decodeItem(content)
	return o, err
}

// reportOf returns a report of this state, or NotFound.
func reportOf(tx *store.Tx, id ItemID) (o outgoing, err error) {
	o, err = scanReport(tx.Row(`SELECT `+reportColumns+` FROM driver_report WHERE item = $1`, id).Scan)
	if errors.Is(err, store.ErrNoRows) {
		err = waypost.Errorf(waypost.NotFound, "this state has made no such report")
	}
	return o, err
}

// put writes the row. What is over needs no driver in clear any more.
func (d *Desk) put(tx *store.Tx, o outgoing) error {
	if o.state == done || o.state == cancelled {
		o.driver, o.ssn5, o.due = nil, "", nil
	}
	content, err := encodeItem(o.Item)
	if err != nil {
		return err
	}
	driver, err := proto.MarshalOptions{Deterministic: true}.Marshal(o.driver)
	if err != nil {
		return err
	}
	check := o.check[:]
	if o.check.IsZero() {
		check = []byte{}
	}
	id := o.errand[:]
	if o.errand == (errand.ID{}) {
		id = []byte{}
	}
	o.changed = d.Now().Unix()
	_, err = tx.Exec(`INSERT INTO driver_report (item, `+reportColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
		ON CONFLICT (item) DO UPDATE SET content = excluded.content, driver = excluded.driver, ssn5 = excluded.ssn5, state = excluded.state,
		sent_to = excluded.sent_to, found = excluded.found, reference = excluded.reference, errand = excluded.errand, word = excluded.word,
		reply = excluded.reply, record = excluded.record, operator = excluded.operator, case_ref = excluded.case_ref, tries = excluded.tries,
		due = excluded.due, reported = excluded.reported, changed = excluded.changed`,
		o.ID, content, notNil(driver), o.ssn5, int(o.state), o.to, check, notNil(o.reference), id, o.word, notNil(o.reply), o.record,
		o.operator, o.caseRef, o.tries, o.due, o.reported, o.changed)
	return err
}

// later has Step look at a report again: soon at first, then at most every hour.
func (d *Desk) later(o *outgoing) {
	wait := min(time.Minute<<min(o.tries, 6), time.Hour)
	o.tries++
	due := d.Now().Add(wait).Unix()
	o.due = &due
}

// begin takes up a report: it goes to the state that it names, or its driver is
// searched for. Again it changes nothing; what was not taken can be reported anew.
func (d *Desk) begin(tx *store.Tx, o outgoing) error {
	have, err := reportOf(tx, o.ID)
	switch {
	case waypost.CodeOf(err) == waypost.NotFound:
	case err != nil:
		return err
	case have.open() && have.Item == o.Item:
		return nil
	case have.open():
		return waypost.Errorf(waypost.AlreadyExists, "a report of this reference with other content is under way: cancel it first")
	case have.taken() && have.Item == o.Item:
		return nil
	case have.taken():
		return waypost.Errorf(waypost.AlreadyExists, "an item of this reference was accepted with other content: negate it, and report under another")
	}
	o.reported = d.Now().Unix()
	if o.to == "" {
		// Whoever reports searches at once; Step does it where that was cut off.
		o.state = searching
		due := d.Now().Add(time.Minute).Unix()
		o.due = &due
		return d.put(tx, o)
	}
	return d.send(tx, o)
}

func (o outgoing) open() bool { return o.state != done && o.state != cancelled }

// taken reports whether the item stands in somebody's history.
func (o outgoing) taken() bool {
	return o.state == done && (o.word == Accepted || o.word == wordUnlicensed || o.word == wordOwn)
}

// send begins the errand, unless the item that this one ends or cancels is itself
// still on its way: it could overtake it.
func (d *Desk) send(tx *store.Tx, o outgoing) error {
	if o.Type == Negate || o.Type == Clearance {
		target, err := reportOf(tx, o.Linked)
		if err != nil && waypost.CodeOf(err) != waypost.NotFound {
			return err
		}
		if err == nil && target.open() {
			o.state = held
			d.later(&o)
			return d.put(tx, o)
		}
	}
	body := report{Item: o.Item, card: o.driver}
	if len(o.reference) > 0 {
		body.card, body.check, body.reference = nil, o.check, o.reference
	}
	raw, err := body.encode()
	if err != nil {
		return err
	}
	due := d.Now().Add(lookAfter).Unix()
	o.state, o.due, o.errand = sent, &due, errand.NewID()
	mine := errand.Errand{
		ID: o.errand, Kind: waypost.KindReport, Purpose: waypost.DriverHistory, To: o.to,
		Operator: o.operator, Class: waypost.Attended, Case: o.caseRef, Body: raw,
	}
	if len(o.reference) > 0 {
		mine.Cites = o.check
	}
	if err := d.put(tx, o); err != nil {
		return err
	}
	return d.Errands.Begin(tx, mine)
}

// take commits what another state has said to a report, of this state's own or one
// that it passed on.
func (d *Desk) take(tx *store.Tx, mine errand.Errand, got errand.Reply) error {
	if forwarded, err := d.tookForward(tx, mine, got); forwarded || err != nil {
		return err
	}
	o, err := scanReport(tx.Row(`SELECT `+reportColumns+` FROM driver_report WHERE errand = $1`, mine.ID).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return nil // it was begun anew
	}
	if err != nil || o.state != sent {
		return err
	}
	said := parseReply(got.Body)
	if got.Refused != "" {
		said.Problems = append(said.Problems, Problem{Words: readable(got.Refused, maxProblemWords)})
	}
	if o.reply, err = said.encode(); err != nil {
		return err
	}
	o.word = got.Word
	if got.Word == Forwarded && said.State != "" {
		o.to = said.State
	}
	if got.Final {
		o.state = done
	}
	return d.put(tx, o)
}

// dueReports returns what must be looked at, longest wait first.
func (d *Desk) dueReports(ctx context.Context) (ids []ItemID, err error) {
	err = d.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Query(`SELECT item FROM driver_report WHERE due <= $1 ORDER BY due, item LIMIT $2`, []any{d.Now().Unix(), stepBatch},
			func(scan func(...any) error) error {
				var id ItemID
				err := scan(&id)
				ids = append(ids, id)
				return err
			})
	})
	return ids, err
}

// advance takes the next step of a report that is due.
func (d *Desk) advance(ctx context.Context, id ItemID) error {
	var o outgoing
	if err := d.DB.Read(ctx, func(tx *store.Tx) (err error) {
		o, err = reportOf(tx, id)
		return err
	}); err != nil {
		return err
	}
	switch o.state {
	case searching:
		return d.search(ctx, o)
	case owed:
		return d.look(ctx, o)
	case held:
		return d.update(ctx, o, d.send)
	case sent:
		return d.settle(ctx, o)
	}
	return nil
}

// settle ends a report whose errand was cancelled, because the key holders refused
// it: no reply says so.
func (d *Desk) settle(ctx context.Context, o outgoing) error {
	p, err := d.Errands.Get(ctx, o.errand)
	if err != nil && waypost.CodeOf(err) != waypost.NotFound {
		return err
	}
	return d.update(ctx, o, func(tx *store.Tx, o outgoing) (err error) {
		switch {
		case p.ID != o.errand: // forgotten
			o.state, o.word = done, errand.Unanswered
		case p.State == errand.Cancelled:
			o.state, o.word = done, errand.Refused
			o.reply, err = reply{Problems: []Problem{{Words: readable(p.Reason, maxProblemWords)}}}.encode()
		default:
			due := d.Now().Add(lookAfter).Unix()
			o.due = &due
		}
		if err != nil {
			return err
		}
		return d.put(tx, o)
	})
}

// update changes a report, unless it has changed since it was read.
func (d *Desk) update(ctx context.Context, o outgoing, change func(tx *store.Tx, o outgoing) error) error {
	return d.DB.Write(ctx, func(tx *store.Tx) error {
		now, err := reportOf(tx, o.ID)
		if err != nil || now.state != o.state || now.reported != o.reported || now.tries != o.tries || now.errand != o.errand {
			return err
		}
		return change(tx, o)
	})
}
