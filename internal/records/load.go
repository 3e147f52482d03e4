package records

import (
	"context"
	"errors"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
)

// Rejected is a record that cannot be published, by its index, and why.
type Rejected struct {
	Index  int
	Reason string // never repeats what stands in the record
}

// Load stores up to 100 records in the state system and publishes a pointer for
// each that has none yet, into a generation: 0 is visible at once, any other with
// its activation. It can be repeated after a crash at any point: what is published
// stays as it is in the index, and what changed besides name, date of birth and
// SSN is stored. published counts the new pointers. What could not be published
// now is wanted, and Step does it. Several may be under way at once: each is a
// batch of its own in key holders, hub and ledgers.
func (f *File) Load(ctx context.Context, operator string, generation uint32, records []waypost.Record) (published int, rejected []Rejected, err error) {
	if len(records) > waypost.MaxPublishBatch {
		return 0, nil, waypost.Errorf(waypost.InvalidArgument, "at most %d records can be loaded at once", waypost.MaxPublishBatch)
	}
	if err := f.hubUsable(); err != nil {
		return 0, nil, err
	}
	good, rejected := sift(records)
	if err := f.index.RLock(ctx); err != nil {
		return 0, nil, err
	}
	defer f.index.RUnlock()
	end, err := f.loading.begin(ctx, f.DB)
	if err != nil {
		return 0, nil, err
	}
	defer end()
	good, busy, leave, err := f.enter(ctx, good)
	if err != nil {
		return 0, nil, err
	}
	defer leave()
	wanted, stale, err := f.unpublished(ctx, good, operator, generation)
	if err != nil {
		return 0, nil, err
	}
	rejected = append(append(rejected, busy...), stale...)
	if changed := accepted(good, stale); len(changed) > 0 {
		if err := f.Deps.System.Put(ctx, changed); err != nil {
			return 0, nil, err
		}
	}
	if len(wanted) == 0 {
		return 0, rejected, nil
	}
	if err := f.drawLoaded(ctx, wanted); err != nil {
		return 0, rejected, err
	}
	err = f.publish(ctx, waypost.KindPublish, operator, wanted, func(tx *store.Tx) error { return f.wantLoaded(tx, generation, wanted) })
	if err != nil {
		return 0, rejected, err
	}
	return len(wanted), rejected, nil
}

// wantLoaded notes pointers of a load, which Step leaves alone until this publication
// must be over.
func (f *File) wantLoaded(tx *store.Tx, generation uint32, wanted []pointer) error {
	if err := f.openGeneration(tx, generation); err != nil {
		return err
	}
	now := f.Now()
	var rows, found [][]any
	for i := range wanted {
		p := &wanted[i]
		p.at(now.Add(publicationLife))
		if p.fresh == nil {
			if err := f.put(tx, *p); err != nil {
				return err
			}
			continue
		}
		row, err := p.row(now)
		if err != nil {
			return err
		}
		rows = append(rows, row)
		for _, t := range f.names(p.person) {
			found = append(found, []any{t[:], p.Handle[:]})
		}
	}
	if _, err := tx.ExecMany(putPointer, rows); err != nil {
		return err
	}
	return findBy(tx, found)
}

// loadable is a record that passed, and its place in the batch.
type loadable struct {
	index  int
	record waypost.Record
	stored bool // exactly so in the state system: it need not be put there again
}

// sift separates what can be published from what cannot.
func sift(records []waypost.Record) (good []loadable, rejected []Rejected) {
	seen := make(map[string]bool, len(records))
	for i, r := range records {
		reason := defect(r)
		if reason == "" && seen[r.ID] {
			reason = "another record of the batch has the same id"
		}
		if reason != "" {
			rejected = append(rejected, Rejected{i, reason})
			continue
		}
		seen[r.ID] = true
		good = append(good, loadable{index: i, record: r})
	}
	return good, rejected
}

// maxCardNumber is more than the AAMVA standard prints (25 characters).
const maxCardNumber = 40

// defect says why a record cannot be loaded, or nothing.
func defect(r waypost.Record) string {
	if err := r.Validate(); err != nil {
		return err.Error()
	}
	for _, text := range []string{r.Family, r.Given, r.Middle, r.Suffix, r.CardNumber} {
		if !printable(text) {
			return "a name or the card number holds something else than printable text"
		}
	}
	switch {
	case len(r.CardNumber) > maxCardNumber:
		return "the card number is longer than 40 bytes"
	case r.ID == "" || len(r.ID) > 64 || !printable(r.ID):
		return "the record needs an id of at most 64 printable characters"
	case !slices.Contains(CardKinds, r.Kind):
		return "the kind of card is licence, permit, id, commercial or unlicensed"
	case !slices.Contains(Statuses, r.Status):
		return "the status is valid, expired, surrendered, suspended, revoked, disqualified or closed"
	}
	return ""
}

// What a record can be, and how it can stand.
var (
	CardKinds = []waypost.CardKind{waypost.Licence, waypost.Permit, waypost.IDCard, waypost.Commercial, waypost.Unlicensed}
	Statuses  = []waypost.Status{waypost.Valid, waypost.ExpiredCard, waypost.Surrendered, waypost.Suspended, waypost.Revoked,
		waypost.Disqualified, waypost.Closed}
)

// printable reports whether the text can be stored by every engine and shown on
// every terminal.
func printable(text string) bool {
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return utf8.ValidString(text)
}

// accepted are the records to store: neither among the rejected ones nor stored.
func accepted(good []loadable, rejected []Rejected) []waypost.Record {
	var records []waypost.Record
	for _, l := range good {
		if !l.stored && !slices.ContainsFunc(rejected, func(r Rejected) bool { return r.Index == l.index }) {
			records = append(records, l.record)
		}
	}
	return records
}

// unpublished returns the pointers that are to be published, the one that is
// wanted already if an earlier load stopped halfway, and leaves out what is in the
// index. A record whose keys have changed since is stale: its pointer would find
// somebody else.
func (f *File) unpublished(ctx context.Context, records []loadable, operator string, generation uint32) (wanted []pointer, stale []Rejected, err error) {
	histories := make([][]pointer, len(records))
	err = f.DB.Read(ctx, func(tx *store.Tx) error {
		clear(histories)
		ids := make([][]any, len(records))
		for i, l := range records {
			ids[i] = []any{l.record.ID}
		}
		return tx.Many(`SELECT `+columns+` FROM pointer p `+ofRecord, ids, func(i int, scan func(dest ...any) error) error {
			p, err := scanPointer(scan)
			histories[i] = append(histories[i], p)
			return err
		})
	})
	if err != nil {
		return nil, nil, err
	}
	for i := range records {
		l := &records[i]
		p, reason, err := f.next(ctx, l, histories[i], operator, generation)
		switch {
		case err != nil:
			return nil, nil, err
		case reason != "":
			stale = append(stale, Rejected{l.index, reason})
		case p != nil:
			wanted = append(wanted, *p)
		}
	}
	return wanted, stale, nil
}

// next returns the pointer to publish for a record, if any, or why the record
// cannot be loaded. A pointer that is wanted in another's place, or under a check's
// ticket, is left to Step.
func (f *File) next(ctx context.Context, l *loadable, history []pointer, operator string, generation uint32) (*pointer, string, error) {
	r := l.record
	if len(history) == 0 { // nothing depends on whether the state system has it
		p := f.main(r.ID, r.Person, 0, nil, operator)
		p.Generation, p.fresh = generation, &r
		return &p, "", nil
	}
	stored, err := f.Record(ctx, r.ID)
	known := err == nil
	if err != nil && waypost.CodeOf(err) != waypost.NotFound {
		return nil, "", err
	}
	l.stored = known && equal(stored, r)
	p, _, err := split(history)
	if err == nil {
		switch {
		case known && !l.stored && !f.sameKeys(stored.Person, r.Person):
			return nil, "the record is in the index under another name, date of birth or SSN: it stays as it was; change it with `waypost records change`", nil
		case p.State == Live || p.supersedes != (waypost.Handle{}) || !p.ticket.IsZero():
			return nil, "", nil
		}
		return &p, "", nil
	}
	for _, p := range history {
		switch p.State {
		case Moved:
			return nil, "another state is the state of record by now: load what is left of it under another id", nil
		case Ending:
			return nil, "its pointer is just being withdrawn: load it again later", nil
		case Coming:
			return nil, "the record is on its way here from another state: load it again later", nil
		}
	}
	sameSSN := known && matchkey.SSN5(stored.SSN5) == matchkey.SSN5(r.SSN5)
	p = f.main(r.ID, r.Person, era(history, sameSSN), history, operator)
	p.Generation = generation
	return &p, "", nil
}

func equal(a, b waypost.Record) bool {
	since := a.Since.Equal(b.Since)
	a.Since, b.Since = time.Time{}, time.Time{}
	return since && a == b
}

// openGeneration notes a dark generation that is loaded into; one that is rolled
// back takes no more.
func (f *File) openGeneration(tx *store.Tx, number uint32) error {
	if number == 0 {
		return nil
	}
	var state int
	err := tx.Row(`SELECT state FROM generation WHERE number = $1`, number).Scan(&state)
	if errors.Is(err, store.ErrNoRows) {
		_, err = tx.Exec(`INSERT INTO generation (number, state, at) VALUES ($1, $2, $3)`, number, dark, f.Now().Unix())
		return err
	}
	if err == nil && state != dark {
		err = waypost.Errorf(waypost.InvalidArgument, "generation %d was activated or rolled back: load into another", number)
	}
	return err
}

// The states of a generation.
const (
	dark = iota
	active
	rolledBack
)

// publicationLife is far longer than a publication takes: what is open then was
// cut off.
const publicationLife = 10 * time.Minute
