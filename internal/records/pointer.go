package records

import (
	"bytes"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
)

// State says how a pointer stands.
type State int

const (
	Wanted    State = iota // to be published
	Live                   // in the index
	Moved                  // another state's by now
	Withdrawn              // out of the index
	Coming                 // promised by another state, until the hub has passed it or the move is given up
	Ending                 // still in the index, to be withdrawn
)

// String is the word for the state.
func (s State) String() string {
	words := [...]string{Wanted: "wanted", Live: "live", Moved: "moved", Withdrawn: "withdrawn", Coming: "coming", Ending: "ending"}
	if s < 0 || int(s) >= len(words) {
		return "?"
	}
	return words[s]
}

// Pointer is what this state knows of one of its pointers in the index. A record
// has one that is no alias, and one for each former name that is kept.
type Pointer struct {
	Handle     waypost.Handle
	Record     string
	Alias      bool
	State      State
	Generation uint32
	Version    uint32 // at the hub, from 1
	MovedTo    waypost.Jurisdiction
	NewHandle  waypost.Handle // by which that state knows it; zero unless moved
	// PassedBy is the state that had the pointer before, or empty where this one has
	// published it: only that state, and the hub, know it by its handle.
	PassedBy waypost.Jurisdiction
}

// pointer is a row of that table.
type pointer struct {
	Pointer
	person     waypost.Person   // without the SSN
	sets       []made           // one for each key, by epoch
	reached    uint32           // the newest epoch under whose key the hub has it, or 0
	passed     uint32           // the newest epoch under whose key another state has offered it to the hub, or 0
	hidden     uint32           // the epoch under whose key the SSN slots are random, since a release is unanswered, or 0
	decoys     uint32           // bits of the slots filled with something random, which say nothing
	era        int              // how often the record's SSN had changed
	digits     uint32           // that stand in for an SSN, masked: see standin.go
	receipt    []byte           // 16 bytes, see spec/pointer.md; empty before it was published
	ticket     waypost.TicketID // of the check, or zero
	supersedes waypost.Handle   // or zero
	operator   string
	tries      int
	due        *int64
	// fresh is the record where the pointer was just made for it and nobody else knows
	// of it; nil once it is stored.
	fresh *waypost.Record
}

const columns = `p.handle, p.record, p.alias, p.state, p.person, p.tokens, p.epoch, p.todo, p.next_epoch, p.next_todo, p.reached, p.hidden, p.decoys, p.era, p.digits,
	p.passed_by, p.passed, p.generation, p.version, p.receipt,
	p.moved_to, p.new_handle, p.ticket, p.supersedes, p.operator, p.tries, p.due`

func scanPointer(scan func(dest ...any) error) (p pointer, err error) {
	var person, tokens, newHandle, ticket, supersedes []byte
	var epochs, todo [maxSets]uint32
	if err := scan(&p.Handle, &p.Record, &p.Alias, &p.State, &person, &tokens, &epochs[0], &todo[0], &epochs[1], &todo[1], &p.reached, &p.hidden, &p.decoys, &p.era, &p.digits,
		&p.PassedBy, &p.passed, &p.Generation, &p.Version,
		&p.receipt, &p.MovedTo, &newHandle, &ticket, &supersedes, &p.operator, &p.tries, &p.due); err != nil {
		return p, err
	}
	copy(p.NewHandle[:], newHandle)
	copy(p.ticket[:], ticket)
	copy(p.supersedes[:], supersedes)
	if p.sets, err = splitSets(tokens, epochs, todo); err != nil {
		return p, err
	}
	p.person, err = decodePerson(person)
	return p, err
}

// selectPointers returns the rows that a condition picks.
func selectPointers(tx *store.Tx, where string, args ...any) (all []pointer, err error) {
	err = tx.Query(`SELECT `+columns+` FROM pointer p `+where, args, func(scan func(dest ...any) error) error {
		p, err := scanPointer(scan)
		all = append(all, p)
		return err
	})
	return all, err
}

const putPointer = `INSERT INTO pointer (handle, record, alias, state, person, tokens, epoch, todo, next_epoch, next_todo, reached, hidden, decoys, era, digits,
			passed_by, passed, generation, version, receipt, moved_to, new_handle, ticket, supersedes, operator, tries, due, changed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28)
		ON CONFLICT (handle) DO UPDATE SET record = excluded.record, alias = excluded.alias, state = excluded.state, person = excluded.person,
		tokens = excluded.tokens, epoch = excluded.epoch, todo = excluded.todo, next_epoch = excluded.next_epoch, next_todo = excluded.next_todo,
		reached = excluded.reached, hidden = excluded.hidden, decoys = excluded.decoys, era = excluded.era, digits = excluded.digits, passed_by = excluded.passed_by, passed = excluded.passed, generation = excluded.generation,
		version = excluded.version, receipt = excluded.receipt, moved_to = excluded.moved_to, new_handle = excluded.new_handle,
		ticket = excluded.ticket, supersedes = excluded.supersedes, operator = excluded.operator, tries = excluded.tries, due = excluded.due,
		changed = excluded.changed`

// row is what putPointer takes.
func (p pointer) row(now time.Time) ([]any, error) {
	person, err := encodePerson(p.person)
	tokens, epochs, todo := joinSets(p.sets)
	return []any{p.Handle[:], p.Record, p.Alias, int(p.State), person, tokens, epochs[0], todo[0], epochs[1], todo[1], p.reached, p.hidden, p.decoys, p.era, int64(p.digits),
		string(p.PassedBy), p.passed, p.Generation, p.Version, orEmpty(p.receipt), string(p.MovedTo), unlessZero(p.NewHandle[:]), unlessZero(p.ticket[:]), unlessZero(p.supersedes[:]),
		p.operator, p.tries, p.due, now.Unix()}, err
}

// put writes the row, and what the state's own search finds it by.
func (f *File) put(tx *store.Tx, p pointer) error {
	row, err := p.row(f.Now())
	if err != nil {
		return err
	}
	was, err := byHandle(tx, p.Handle)
	if err != nil && waypost.CodeOf(err) != waypost.NotFound {
		return err
	}
	if _, err := tx.Exec(putPointer, row...); err != nil {
		return err
	}
	var had [][ownTokenSize]byte
	if was.Record != "" {
		had = f.foundBy(was)
	}
	return p.find(tx, had, f.foundBy(p))
}

// foundBy is all that the state's own search finds a pointer by.
func (f *File) foundBy(p pointer) [][ownTokenSize]byte {
	return append(f.names(p.person), p.searched()...)
}

// searched are the tokens of the SSN slots by which the state's own search finds the
// pointer, cut.
func (p pointer) searched() (tokens [][ownTokenSize]byte) {
	if p.State == Moved || p.State == Withdrawn || p.State == Coming {
		return nil
	}
	for _, m := range p.sets {
		for i, t := range m.tokens {
			if m.todo&(1<<i) == 0 && i >= matchkey.NameSlots {
				tokens = append(tokens, [ownTokenSize]byte(t[:ownTokenSize]))
			}
		}
	}
	return tokens
}

// find makes the pointer found by what it has now, and by what it had no more.
// Each is named: the table has them in the order of tokens, and no index of handles.
func (p pointer) find(tx *store.Tx, had, now [][ownTokenSize]byte) error {
	var gone [][]any
	for _, t := range had {
		if !slices.Contains(now, t) {
			gone = append(gone, []any{t[:], p.Handle[:]})
		}
	}
	if _, err := tx.ExecMany(`DELETE FROM pointer_token WHERE token = $1 AND handle = $2`, gone); err != nil {
		return err
	}
	var found [][]any
	for _, t := range now {
		if !slices.Contains(had, t) {
			found = append(found, []any{t[:], p.Handle[:]})
		}
	}
	return findBy(tx, found)
}

// findBy writes tokens and handles for the state's own search, in the order of the
// table.
func findBy(tx *store.Tx, rows [][]any) error {
	slices.SortFunc(rows, func(a, b []any) int { return bytes.Compare(a[0].([]byte), b[0].([]byte)) })
	_, err := tx.ExecMany(`INSERT INTO pointer_token (token, handle) VALUES ($1, $2) ON CONFLICT (token, handle) DO NOTHING`, rows)
	return err
}

// at sets when something is to be done about the pointer; the zero time is never.
func (p *pointer) at(t time.Time) {
	p.due = nil
	if !t.IsZero() {
		due := t.Unix()
		p.due = &due
	}
}

func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// unlessZero is b, or nothing where all of it is zero.
func unlessZero(b []byte) []byte {
	for _, c := range b {
		if c != 0 {
			return b
		}
	}
	return []byte{}
}

// ownTokenSize cuts the tokens of the state's own search: enough to tell its own
// records apart.
const ownTokenSize = 16

// ByHandle returns the pointer that this state knows by that handle, or NotFound.
func (f *File) ByHandle(tx *store.Tx, h waypost.Handle) (Pointer, error) {
	p, err := byHandle(tx, h)
	return p.Pointer, err
}

func byHandle(tx *store.Tx, h waypost.Handle) (pointer, error) {
	all, err := selectPointers(tx, `WHERE p.handle = $1`, h[:])
	if err == nil && len(all) == 0 {
		err = waypost.Errorf(waypost.NotFound, "the hub knows a record that this state does not")
	}
	if err != nil {
		return pointer{}, err
	}
	return all[0], nil
}

// Pointers returns all pointers of a record that are not withdrawn, moved ones
// among them; the main one first, then aliases by handle.
func (f *File) Pointers(tx *store.Tx, recordID string) ([]Pointer, error) {
	rows, err := pointersOf(tx, recordID)
	all := make([]Pointer, len(rows))
	for i, p := range rows {
		all[i] = p.Pointer
	}
	return all, err
}

func pointersOf(tx *store.Tx, recordID string) ([]pointer, error) {
	return selectPointers(tx, `WHERE p.record = $1 AND p.state <> $2 ORDER BY p.alias, p.handle`, recordID, int(Withdrawn))
}

// JoinTokens is tokens as they are stored and sent: 32 bytes each.
func JoinTokens(tokens []waypost.Token) []byte {
	joined := make([]byte, 0, len(tokens)*len(waypost.Token{}))
	for _, t := range tokens {
		joined = append(joined, t[:]...)
	}
	return joined
}

// encodePerson leaves the SSN out.
func encodePerson(p waypost.Person) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(&waypostv1.Applicant{
		Family: p.Family, Given: p.Given, Middle: p.Middle, Suffix: p.Suffix, Born: p.Born.String(), Sex: string(p.Sex)})
}

func decodePerson(stored []byte) (waypost.Person, error) {
	var a waypostv1.Applicant
	if err := proto.Unmarshal(stored, &a); err != nil {
		return waypost.Person{}, err
	}
	born, err := waypost.ParseDate(a.Born)
	return waypost.Person{Family: a.Family, Given: a.Given, Middle: a.Middle, Suffix: a.Suffix, Born: born, Sex: waypost.Sex(a.Sex)}, err
}

// Handles returns all handles that a record has or had at this state.
func (f *File) Handles(tx *store.Tx, recordID string) (all []waypost.Handle, err error) {
	err = tx.Query(`SELECT handle FROM pointer WHERE record = $1 ORDER BY handle`, []any{recordID}, func(scan func(dest ...any) error) error {
		var h waypost.Handle
		err := scan(&h)
		all = append(all, h)
		return err
	})
	return all, err
}

// Count counts the records that are or shall be in the index, and those that are.
func (f *File) Count(tx *store.Tx) (records, published uint64, err error) {
	err = tx.Row(`SELECT count(*), coalesce(sum(CASE WHEN state = $1 THEN 1 ELSE 0 END), 0) FROM pointer WHERE alias = 0 AND state IN ($1, $2)`,
		int(Live), int(Wanted)).Scan(&records, &published)
	return records, published, err
}
