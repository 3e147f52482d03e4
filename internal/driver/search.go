package driver

import (
	"context"
	"fmt"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// search makes the check for a driver whose card nobody has. A crash before its
// ticket is kept here has it made again: each is accounted for.
func (d *Desk) search(ctx context.Context, o outgoing) error {
	person, err := personOf(o.driver)
	if err != nil {
		return err
	}
	person.SSN5 = o.ssn5
	answer, err := d.Checker.Check(ctx, Search{Person: person, Operator: o.operator, Case: o.caseRef})
	if err != nil {
		return d.again(ctx, o, err)
	}
	return d.judge(ctx, o, answer)
}

// look asks what has become of a check.
func (d *Desk) look(ctx context.Context, o outgoing) error {
	answer, err := d.Checker.Answer(ctx, o.check)
	if err != nil {
		return d.again(ctx, o, err)
	}
	return d.judge(ctx, o, answer)
}

// again has the step made later. What can never succeed as it stands is for a
// person to decide; a quota is over some time.
func (d *Desk) again(ctx context.Context, o outgoing, cause error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	code := waypost.CodeOf(cause)
	d.Log.Warn("the search for the driver of a report did not succeed", "item", o.ID, "code", code)
	return d.update(ctx, o, func(tx *store.Tx, o outgoing) error {
		if code == waypost.InvalidArgument || code == waypost.PermissionDenied || code == waypost.NotFound {
			o.state, o.due = deciding, nil
			return d.put(tx, o)
		}
		d.later(&o)
		if at := waypost.RetryAfterOf(cause); !at.IsZero() {
			due := at.Unix()
			o.due = &due
		}
		return d.put(tx, o)
	})
}

// judge decides from a check whose the item is: one record that matches and no
// other that may, or nobody's. Everything else a person decides, and what is not
// complete waits.
func (d *Desk) judge(ctx context.Context, o outgoing, answer waypost.Answer) error {
	was := o.check
	o.check = answer.Ticket
	v := verdictOf(answer)
	if v == verdictUnlicensed {
		return d.unlicensed(ctx, o)
	}
	return d.DB.Write(ctx, func(tx *store.Tx) error {
		now, err := reportOf(tx, o.ID)
		if err != nil || now.state != o.state || now.check != was || now.reported != o.reported {
			return err
		}
		switch v {
		case verdictOther:
			i := best(answer.Candidates, waypost.Match)
			o.to, o.reference = answer.Candidates[i].State, answer.Candidates[i].Reference[:]
			return d.send(tx, o)
		case verdictOwn:
			err := d.toOwn(tx, o, answer.Own[0].ID)
			if waypost.CodeOf(err) != waypost.NotFound {
				return err
			}
			o.state, o.due = deciding, nil
		case verdictPerson:
			o.state, o.due = deciding, nil
		default:
			o.state = owed
			d.later(&o)
		}
		return d.put(tx, o)
	})
}

type verdict int

const (
	verdictWait       verdict = iota // the check is owed, or answers are outstanding
	verdictOther                     // one record of another state
	verdictOwn                       // one record of this state
	verdictUnlicensed                // nobody's
	verdictPerson                    // a person must look
)

// verdictOf is conservative: a conviction on the wrong record harms somebody.
func verdictOf(a waypost.Answer) verdict {
	matches, possible, own := 0, a.TooMany, 0
	for _, c := range a.Candidates {
		matches += count(c.Outcome == waypost.Match)
		// A state that would not say may hold the driver's record.
		possible = possible || c.Outcome == waypost.Possible || c.Refused != ""
	}
	for _, c := range a.Own {
		own += count(c.Outcome == waypost.Match)
		possible = possible || c.Outcome == waypost.Possible
	}
	switch {
	case matches+own == 1 && !possible && matches == 1:
		return verdictOther
	case matches+own == 1 && !possible && len(a.Own) == 1:
		return verdictOwn
	case matches+own > 0:
		return verdictPerson
	case a.Owed || !a.Complete:
		return verdictWait
	case possible || len(a.Own) > 0:
		return verdictPerson
	}
	return verdictUnlicensed
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// best returns which candidate has that outcome.
func best(candidates []waypost.CandidateAnswer, outcome waypost.Outcome) int {
	for i, c := range candidates {
		if c.Outcome == outcome {
			return i
		}
	}
	return 0
}

// toOwn adds the item to a record of this state, which turned out to be the
// driver's: or to nothing, where something is wrong with that.
func (d *Desk) toOwn(tx *store.Tx, o outgoing, record string) error {
	_, gone, err := d.where(tx, record, nil)
	if err != nil {
		return err
	}
	if gone != nil {
		return waypost.Errorf(waypost.NotFound, "the record is %s's now: report to that state by its card", gone.MovedTo)
	}
	problems, err := d.Book.problems(tx, record, o.Item, false)
	if err != nil {
		return err
	}
	o.state, o.word, o.record, o.to = done, wordOwn, record, d.State
	if len(problems) > 0 {
		o.word = Rejected
		if o.reply, err = (reply{Problems: problems}).encode(); err != nil {
			return err
		}
		return d.put(tx, o)
	}
	if _, err := d.add(tx, record, Arrival{Item: o.Item, From: d.State, At: d.Now()}); err != nil {
		return err
	}
	return d.put(tx, o)
}

// unlicensed makes a record for a driver who has none anywhere, and publishes it,
// so that a later check in any state finds it. Its id follows from the item: made
// again, it is the same.
func (d *Desk) unlicensed(ctx context.Context, o outgoing) error {
	person, err := personOf(o.driver)
	if err != nil {
		return err
	}
	person.SSN5 = o.ssn5
	id := fmt.Sprintf("%s-U%x", d.State, o.ID[:8])
	_, rejected, err := d.File.Load(ctx, o.operator, 0, []waypost.Record{{ID: id, Person: person, Kind: waypost.Unlicensed, Status: waypost.Valid}})
	if err == nil && len(rejected) > 0 {
		err = waypost.Errorf(waypost.Unavailable, "the record of an unlicensed driver cannot be made now: %s", rejected[0].Reason)
	}
	if err != nil {
		return d.again(ctx, o, err)
	}
	return d.DB.Write(ctx, func(tx *store.Tx) error {
		now, err := reportOf(tx, o.ID)
		if err != nil || now.state != o.state || now.reported != o.reported {
			return err
		}
		if _, err := d.add(tx, id, Arrival{Item: o.Item, From: d.State, At: d.Now()}); err != nil {
			return err
		}
		o.state, o.word, o.record, o.to = done, wordUnlicensed, id, d.State
		return d.put(tx, o)
	})
}
