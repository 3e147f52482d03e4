package duplicate

import (
	"encoding/hex"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/store"
)

// pair is a case as this state keeps it.
type pair struct {
	id        ID
	other     waypost.Jurisdiction // empty: both records are this state's
	origin    string
	asked     bool // this state made the check
	check     waypost.TicketID
	reference waypost.Reference
	handle    []byte // of this state's record, where another state asked
	record    string // of this state; where it asked only if it knows
	recordToo string
	applicant *waypostv1.Applicant // as far as this state was told
	person    ID                   // how the state that asked knows its person
	told      waypost.Outcome      // what the check came to
	purpose   waypost.Purpose      // of the check, where this state asked
	operator  string               // who opened it here
	protected bool
	portraits int
	portrait  *errand.ID // asked for last
	opened    int64
	standing
}

func (p pair) parties(self waypost.Jurisdiction) parties {
	asker := self
	if !p.asked && p.other != "" {
		asker = p.other
	}
	return parties{self: self, other: p.other, asker: asker, origin: p.origin}
}

const pairColumns = `id, other, origin, asked, ticket, reference, handle, record, record_too, applicant, person, told, purpose, operator,
	state, outcome, ours, theirs, keep, why, fraud, protected, portraits, portrait, opened`

func scanPair(scan func(dest ...any) error) (p pair, err error) {
	var check, reference, applicant, person, portrait []byte
	if err := scan(&p.id, &p.other, &p.origin, &p.asked, &check, &reference, &p.handle, &p.record, &p.recordToo, &applicant, &person,
		&p.told, &p.purpose, &p.operator, &p.state, &p.outcome, &p.ours, &p.theirs, &p.keep, &p.why, &p.fraud, &p.protected,
		&p.portraits, &portrait, &p.opened); err != nil {
		return p, err
	}
	copy(p.check[:], check)
	copy(p.reference[:], reference)
	copy(p.person[:], person)
	if len(p.handle) == 0 {
		p.handle = nil
	}
	if len(portrait) > 0 {
		p.portrait = new(errand.ID)
		copy(p.portrait[:], portrait)
	}
	if len(applicant) > 0 {
		p.applicant = &waypostv1.Applicant{}
		err = proto.Unmarshal(applicant, p.applicant)
	}
	return p, err
}

// selectPairs returns the cases that a condition picks.
func selectPairs(tx *store.Tx, where string, args ...any) (all []pair, err error) {
	err = tx.Query(`SELECT `+pairColumns+` FROM duplicate `+where, args, func(scan func(dest ...any) error) error {
		p, err := scanPair(scan)
		all = append(all, p)
		return err
	})
	return all, err
}

var errNoCase = waypost.Errorf(waypost.NotFound, "there is no such case here; waypost case list shows those that are")

// byID returns a case, or NotFound.
func byID(tx *store.Tx, id ID) (pair, error) {
	all, err := selectPairs(tx, `WHERE id = $1`, id[:])
	if err == nil && len(all) == 0 {
		err = errNoCase
	}
	if err != nil {
		return pair{}, err
	}
	return all[0], nil
}

// byName finds a case by so many hex digits of its id that they name one.
func byName(tx *store.Tx, name string) (pair, error) {
	const least, most = 4, 2 * len(ID{})
	name = strings.ToLower(strings.TrimSpace(name))
	if len(name) < least || len(name) > most || strings.Trim(name, "0123456789abcdef") != "" {
		return pair{}, waypost.Errorf(waypost.InvalidArgument, "a case is named by the first %d to %d hex digits of its id", least, most)
	}
	from, to := parseID(name+strings.Repeat("0", most-len(name))), parseID(name+strings.Repeat("f", most-len(name)))
	all, err := selectPairs(tx, `WHERE id >= $1 AND id <= $2 ORDER BY id LIMIT 2`, from[:], to[:])
	switch {
	case err != nil:
		return pair{}, err
	case len(all) == 0:
		return pair{}, errNoCase
	case len(all) > 1:
		return pair{}, waypost.Errorf(waypost.InvalidArgument, "several cases begin with these digits: give more of them")
	}
	return all[0], nil
}

// insert writes a new case. It reports false where there is one about the same
// pair, or with the same id.
func (c *Cases) insert(tx *store.Tx, p pair) (bool, error) {
	var applicant []byte
	if p.applicant != nil {
		var err error
		if applicant, err = (proto.MarshalOptions{Deterministic: true}).Marshal(p.applicant); err != nil {
			return false, err
		}
	}
	n, err := tx.Exec(`INSERT INTO duplicate (`+pairColumns+`, changed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, '', '', '', '', '', 0, $16, 0, $17, $18, $18)
		ON CONFLICT DO NOTHING`,
		p.id[:], p.other, p.origin, p.asked, orEmpty(p.check[:], p.check.IsZero()), orEmpty(p.reference[:], p.other == ""), orEmpty(p.handle, p.handle == nil),
		p.record, p.recordToo, orEmpty(applicant, applicant == nil), p.person[:], p.told, p.purpose, p.operator,
		int(open), p.protected, []byte{}, p.opened)
	return n == 1, err
}

func orEmpty(b []byte, empty bool) []byte {
	if empty {
		return []byte{}
	}
	return b
}

// notesOf returns all that was said in a case, in the order written.
func notesOf(tx *store.Tx, id ID) (all []note, err error) {
	err = tx.Query(`SELECT author, id, operator, class, written, text, outcome, number, issued, closes, delivery FROM duplicate_note
		WHERE duplicate = $1 ORDER BY written, closes, number, author, id`, []any{id[:]}, func(scan func(dest ...any) error) error {
		var n note
		err := scan(&n.author, &n.id, &n.operator, &n.class, &n.written, &n.text, &n.outcome, &n.number, &n.issued, &n.closes, &n.delivery)
		all = append(all, n)
		return err
	})
	return all, err
}

// add puts a note into a case, once, and works out how the case stands then.
func (c *Cases) add(tx *store.Tx, p pair, n note) error {
	if _, err := tx.Exec(`INSERT INTO duplicate_note (duplicate, author, id, operator, class, written, text, outcome, number, issued, closes, delivery)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (duplicate, author, id) DO NOTHING`,
		p.id[:], n.author, n.id[:], n.operator, n.class, n.written, n.text, n.outcome, n.number, n.issued, n.closes, n.delivery); err != nil {
		return err
	}
	notes, err := notesOf(tx, p.id)
	if err != nil {
		return err
	}
	s := judge(notes, p.parties(c.State))
	if _, err := tx.Exec(`UPDATE duplicate SET state = $1, outcome = $2, ours = $3, theirs = $4, keep = $5, why = $6, fraud = $7, changed = $8 WHERE id = $9`,
		int(s.state), s.outcome, s.ours, s.theirs, s.keep, s.why, s.fraud, c.Now().Unix(), p.id[:]); err != nil {
		return err
	}
	return c.settle(tx, p, s)
}

// say adds a note of this state's own and has it sent to the other.
func (c *Cases) say(tx *store.Tx, p pair, n note) error {
	n.author, n.id, n.written = c.State, newID(), c.Now().Unix()
	if p.other == "" {
		n.delivery = delivered // there is nobody to send it to
	}
	before, err := notesOf(tx, p.id)
	if err != nil {
		return err
	}
	own := 0
	for _, b := range before {
		if b.author == c.State {
			own++
			if n.outcome != "" && b.number >= n.number {
				n.number = b.number + 1
			}
		}
	}
	if n.outcome != "" && n.number == 0 {
		n.number = 1
	}
	if own >= maxNotes {
		return waypost.Errorf(waypost.QuotaExceeded, "a state writes at most %d notes in a case: decide it, or go on by telephone", maxNotes)
	}
	if err := n.check(); err != nil {
		return err
	}
	if err := c.add(tx, p, n); err != nil || p.other == "" {
		return err
	}
	return c.send(tx, p, n)
}

// send begins the errand that carries a note to the other state.
func (c *Cases) send(tx *store.Tx, p pair, n note) error {
	m := message{id: p.id, check: p.check, reference: p.reference, origin: p.origin, note: n}
	if p.asked {
		m.person = &p.person
	}
	body, err := m.encode()
	if err != nil {
		return err
	}
	return c.Errands.Begin(tx, errand.Errand{
		ID: errand.NewID(), Kind: waypost.KindCase, Purpose: waypost.DuplicateResolution, To: p.other, Cites: p.check,
		Operator: n.operator, Class: n.class, Case: "duplicate case " + p.id.String(), Body: body,
	})
}

// parseID reads 32 hex digits; what are none gives the zero id.
func parseID(text string) (id ID) {
	if raw, err := hex.DecodeString(text); err == nil {
		fill(id[:], raw)
	}
	return id
}
