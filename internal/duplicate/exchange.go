package duplicate

import (
	"context"
	"errors"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/store"
)

// What is replied to a note.
const (
	noted = "noted"
	// clearedBefore: the campaign has found a pair again that both states know to
	// be two people. There is no case.
	clearedBefore = "cleared"
)

// What came of sending a note, besides "refused: ..." and other words of the
// engine.
const delivered = "delivered"

// policyOperator writes the notes that a rule writes.
const policyOperator = "policy"

// arrival is a note of another state, as far as it was looked at before the
// transaction that takes it.
type arrival struct {
	message
	from     waypost.Jurisdiction
	opens    bool // there was no such case
	pair     pair // with opens: to be opened
	accepts  bool // this state agrees at once, by its own rule
	clearing []clearing
}

// answer is what the engine calls with a note of another state.
func (c *Cases) answer(ctx context.Context, q errand.Question) (errand.Response, error) {
	m, err := decode(q.Body, q.From)
	if err != nil {
		return errand.Response{}, err
	}
	a := arrival{message: m, from: q.From}
	if err := c.DB.Read(ctx, func(tx *store.Tx) (err error) { return c.admit(tx, &a, q) }); err != nil {
		return errand.Response{}, err
	}
	word := noted
	if a.opens {
		before, err := c.receive(ctx, &a)
		if err != nil {
			return errand.Response{}, err
		}
		if before {
			word = clearedBefore
		}
	}
	response := errand.Response{Word: word, Final: true, Handle: a.pair.handle}
	if word == noted {
		response.Commit = func(tx *store.Tx) error { return c.accept(tx, a) }
	}
	return response, nil
}

// admit finds the case of a note, or sees whether this state may open it: only
// who has asked about a record, and was told that it may be the applicant's, can
// have a case about it.
func (c *Cases) admit(tx *store.Tx, a *arrival, q errand.Question) error {
	// The check is in the ticket too, so that the ledgers have it.
	if q.Ticket.Cites != a.check {
		return waypost.Errorf(waypost.PermissionDenied, "the note is not about the check that its ticket cites")
	}
	known, err := byID(tx, a.id)
	if err == nil {
		a.pair = known
		return a.belongs(tx)
	}
	if !errors.Is(err, errNoCase) {
		return err
	}
	asked, err := c.File.Continued(tx, a.check, a.reference[:])
	if err != nil {
		return err
	}
	if asked.Asking != a.from || asked.Outcome == waypost.NoMatch || a.person == nil {
		return waypost.Errorf(waypost.PermissionDenied, "this state has told %s of no such record", a.from)
	}
	var taken int
	if err := tx.Row(`SELECT count(*) FROM duplicate WHERE other = $1 AND ticket = $2 AND reference = $3`, a.from, a.check[:], a.reference[:]).Scan(&taken); err != nil {
		return err
	}
	if taken > 0 {
		return waypost.Errorf(waypost.AlreadyExists, "there is a case about this candidate already")
	}
	told := asked.Outcome
	if told == "" {
		told = waypost.Pending
	}
	a.opens = true
	a.pair = pair{
		id: a.id, other: a.from, origin: a.origin, check: a.check, reference: a.reference, handle: asked.Handle[:], record: asked.Record,
		applicant: asked.Applicant, person: *a.person, told: told, opened: q.At.Unix(),
	}
	return nil
}

// belongs refuses a note that is not of the case that it names.
func (a *arrival) belongs(tx *store.Tx) error {
	p := a.pair
	byAsker := !p.asked
	if p.other != a.from || p.check != a.check || p.reference != a.reference || p.origin != a.origin ||
		byAsker != (a.person != nil) || byAsker && *a.person != p.person {
		return waypost.Errorf(waypost.PermissionDenied, "this is no case with %s, or another one", a.from)
	}
	var n int
	if err := tx.Row(`SELECT count(*) FROM duplicate_note WHERE duplicate = $1 AND author = $2`, p.id[:], a.from).Scan(&n); err != nil {
		return err
	}
	if n > maxNotes {
		return waypost.Errorf(waypost.QuotaExceeded, "a state writes at most %d notes in a case", maxNotes)
	}
	return nil
}

// receive looks at the record of a case that is to be opened: is the person
// protected, was the pair cleared before, does this state agree at once?
func (c *Cases) receive(ctx context.Context, a *arrival) (clearedBefore bool, err error) {
	record, err := c.File.Record(ctx, a.pair.record)
	if waypost.CodeOf(err) == waypost.NotFound {
		return false, nil // the record has gone since: the clerks will see
	}
	if err != nil {
		return false, err
	}
	a.pair.protected = record.Protected
	rule := c.config.AcceptClearing && a.origin == fromCorrection && a.note.outcome == Different && a.pair.told == waypost.Possible && !record.Protected
	if a.clearing, err = c.clearings(ctx, a.pair); err != nil {
		return false, err
	}
	err = c.DB.Read(ctx, func(tx *store.Tx) error {
		fraud, err := anyFraud(tx, a.pair.record)
		if err != nil {
			return err
		}
		a.accepts = rule && !fraud
		if a.origin == fromCampaign && !fraud {
			clearedBefore, err = c.remembered(tx, a.from, a.pair.person, record)
		}
		return err
	})
	return clearedBefore, err
}

// accept takes a note of another state, in the transaction that replies to it.
func (c *Cases) accept(tx *store.Tx, a arrival) error {
	p := a.pair
	if a.opens {
		isNew, err := c.insert(tx, p)
		if err != nil {
			return err
		}
		if !isNew { // a note of the same case came in between, or one that takes its place
			if p, err = byID(tx, a.id); err != nil {
				return err
			}
			a.accepts = false
		}
	}
	if err := c.add(tx, p, a.note); err != nil || !a.accepts {
		return err
	}
	if err := c.prepare(tx, p, a.clearing); err != nil {
		return err
	}
	return c.say(tx, p, note{operator: policyOperator, class: waypost.Unattended, outcome: Different,
		text: "Accepted at once: this state had called it possible, and accepts such corrections."})
}

// take is what the engine calls with the reply to a note of this state.
func (c *Cases) take(tx *store.Tx, mine errand.Errand, r errand.Reply) error {
	m, err := decode(mine.Body, c.State)
	if err != nil {
		return err
	}
	what := delivered
	switch r.Word {
	case noted, clearedBefore:
	case errand.Refused:
		what = "refused: " + cut(clean(r.Refused), 200)
	default:
		what = clean(r.Word) // of the engine: nobody has answered
	}
	if _, err := tx.Exec(`UPDATE duplicate_note SET delivery = $1 WHERE duplicate = $2 AND author = $3 AND id = $4`,
		what, m.id[:], c.State, m.note.id[:]); err != nil {
		return err
	}
	if r.Word != clearedBefore {
		return nil
	}
	return c.closeCleared(tx, mine)
}

// closeCleared ends a case that the other state did not open, because the pair
// was cleared before: both outcomes stand as they stood then.
func (c *Cases) closeCleared(tx *store.Tx, mine errand.Errand) error {
	m, err := decode(mine.Body, c.State)
	if err != nil {
		return err
	}
	p, err := byID(tx, m.id)
	if errors.Is(err, errNoCase) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, author := range []waypost.Jurisdiction{c.State, p.other} {
		n := note{author: author, id: newID(), class: waypost.Unattended, written: c.Now().Unix(), outcome: Different, number: 1, delivery: delivered,
			text: "Cleared before, and the record of " + string(p.other) + " has not changed since."}
		if author == c.State {
			n.operator = policyOperator
		}
		if err := c.add(tx, p, n); err != nil {
			return err
		}
	}
	return nil
}

// Agreed reports whether both states have found that this candidate of a check is
// the applicant.
func (c *Cases) Agreed(tx *store.Tx, check waypost.TicketID, reference []byte) (bool, error) {
	var n int
	err := tx.Row(`SELECT count(*) FROM duplicate WHERE ticket = $1 AND reference = $2 AND outcome = $3 AND fraud = 0`, check[:], reference, Same).Scan(&n)
	return n > 0, err
}

// cut shortens a text to so many bytes of whole characters.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && text[limit]&0xC0 == 0x80 {
		limit--
	}
	return text[:limit]
}
