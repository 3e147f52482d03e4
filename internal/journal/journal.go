// Package journal keeps a role's ledger: one entry for every act, written in
// the transaction of the act itself.
//
// An entry gets the next number of a dense sequence that starts at 0. The
// number is the index of its leaf in the Merkle log that is published from the
// journal later, so a receipt can name the leaf that must appear. A
// transaction that is undone undoes its entries, and the numbers are given
// out again: there are no gaps, whatever crashes.
//
//	Write(func(tx) {                       ticket, kind ──> ordinal
//	    change the state                   τ    ──┐
//	    seq = Append(tx, entry) ───────>   salt ──┴──> public leaf (Leaf)
//	})  // durable: now the receipt may be signed
//
// The public sees leaves only, see [Leaf]. The entry stays with the operator.
package journal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store"
)

const (
	// MergeDelay is the longest an entry may wait for its leaf to be published.
	MergeDelay = 60 * time.Second
	// MaxBody is the largest body of an entry, in bytes.
	MaxBody = 64 << 10
	// maxPage is the most entries that one Read returns.
	maxPage = 1000
)

// An Entry is what the operator records about one act.
type Entry struct {
	Kind   string    // "evaluate", "search", "notified", ...: a-z, 0-9 and _, at most 32
	Ticket [32]byte  // id of the ticket; zero where there is none
	Tau    [32]byte  // the ticket's audit secret; where zero, Append draws one
	At     time.Time // kept in whole seconds
	Body   []byte    // who, purpose, outcome, ...: see Body; at most MaxBody bytes
}

// A Stored entry is one that has its place in the journal.
type Stored struct {
	Seq     uint64 // index of the leaf, dense from 0
	Entry          // as appended, Tau as kept, At in UTC
	Ordinal uint64 // number of earlier entries of the same ticket and kind
	Salt    [32]byte
	Leaf    []byte // the public leaf, LeafSize bytes
	Erased  bool   // retention has ended: Ticket, Tau, Salt and Body are gone
}

// A Journal is the ledger in one database. It is safe for concurrent use.
type Journal struct {
	db     *store.DB
	role   string
	origin string
}

// Open opens the journal in db and binds it to origin, the name of its log
// (for example "waypost.test/keyholder-1/1"). A journal that was bound to
// another log is refused: its receipts and leaves carry that name.
func Open(ctx context.Context, db *store.DB, origin string) (*Journal, error) {
	if err := checkOrigin(origin); err != nil {
		return nil, err
	}
	var bound string
	err := db.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO journal_origin (origin)
			SELECT $1 WHERE NOT EXISTS (SELECT 1 FROM journal_origin)`, origin); err != nil {
			return err
		}
		return tx.Row("SELECT origin FROM journal_origin").Scan(&bound)
	})
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if bound != origin {
		return nil, fmt.Errorf("journal: this database keeps the log %q and cannot keep %q; give each log a database of its own", bound, origin)
	}
	return &Journal{db: db, role: db.Role(), origin: origin}, nil
}

// Origin returns the name of the log.
func (j *Journal) Origin() string { return j.origin }

// Deadline returns when an entry committed by now must have its leaf in the
// published log: [MergeDelay] later, rounded up to a whole second, in UTC.
func (j *Journal) Deadline(now time.Time) time.Time {
	return now.Add(MergeDelay + time.Second - 1).UTC().Truncate(time.Second)
}

// Append adds e in the transaction tx and returns its number. The number
// holds only if the transaction commits: answer, sign and publish after
// [store.DB.Write] has returned nil.
func (j *Journal) Append(tx *store.Tx, e Entry) (seq uint64, err error) {
	if err := check(e); err != nil {
		return 0, err
	}
	s := Stored{Entry: e}
	var ticket any // NULL without one: such entries share no ordinals
	if e.Ticket != [32]byte{} {
		ticket = e.Ticket[:]
	}
	if e.Tau == [32]byte{} {
		rand.Read(s.Tau[:])
	}
	rand.Read(s.Salt[:])
	// One writer at a time, and the primary key besides: no number is given twice.
	if err := tx.Row(`SELECT
			coalesce((SELECT max(seq) FROM journal), -1) + 1,
			coalesce((SELECT max(ordinal) FROM journal WHERE ticket = $1 AND kind = $2), -1) + 1`,
		ticket, e.Kind).Scan(&s.Seq, &s.Ordinal); err != nil {
		return 0, fmt.Errorf("journal: %w", err)
	}
	body := e.Body
	if body == nil {
		body = []byte{} // NULL means erased
	}
	if _, err := tx.Exec(`INSERT INTO journal (seq, leaf, kind, ordinal, at, ticket, tau, salt, body)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		s.Seq, Leaf(j.role, j.origin, s), e.Kind, s.Ordinal, e.At.Unix(), ticket, s.Tau, s.Salt, body); err != nil {
		return 0, fmt.Errorf("journal: %w", err)
	}
	return s.Seq, nil
}

// Read returns the committed entries from number from on, in order: at most
// limit of them, and never more than 1000. None means that from is past the end.
func (j *Journal) Read(ctx context.Context, from uint64, limit int) ([]Stored, error) {
	if from > 1<<62 || limit < 1 {
		return nil, nil
	}
	var page []Stored
	err := j.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Query(`SELECT seq, leaf, kind, ordinal, at, ticket, tau, salt, body
			FROM journal WHERE seq >= $1 ORDER BY seq LIMIT $2`, []any{from, min(limit, maxPage)},
			func(scan func(...any) error) error {
				s, err := scanStored(scan)
				page = append(page, s)
				return err
			})
	})
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return page, nil
}

func scanStored(scan func(...any) error) (s Stored, err error) {
	var at int64
	var ticket, tau, salt []byte
	if err := scan(&s.Seq, &s.Leaf, &s.Kind, &s.Ordinal, &at, &ticket, &tau, &salt, &s.Body); err != nil {
		return s, err
	}
	s.At = time.Unix(at, 0).UTC()
	s.Erased = salt == nil
	for _, f := range []struct {
		dst []byte
		src []byte
	}{{s.Ticket[:], ticket}, {s.Tau[:], tau}, {s.Salt[:], salt}} {
		if f.src != nil && copy(f.dst, f.src) != len(f.dst) {
			return s, fmt.Errorf("entry %d is damaged", s.Seq)
		}
	}
	return s, nil
}

// check refuses an entry that could not be encoded, or whose leaf others
// could link: a τ stands for its ticket and for nothing else.
func check(e Entry) error {
	switch {
	case !isName(e.Kind):
		return errors.New("journal: the kind of an entry is 1 to 32 of a-z, 0-9 and _")
	case e.At.Unix() < 0 || e.At.Year() > 9999:
		return errors.New("journal: an entry needs the time it was made")
	case len(e.Body) > MaxBody:
		return fmt.Errorf("journal: a body of %d bytes; at most %d", len(e.Body), MaxBody)
	case e.Ticket == [32]byte{} && e.Tau != [32]byte{}:
		return errors.New("journal: an audit secret without its ticket")
	}
	return nil
}

// checkOrigin accepts what can be the first line of a C2SP checkpoint and the
// name of the key that signs it.
func checkOrigin(origin string) error {
	ok := len(origin) >= 1 && len(origin) <= 255
	for i := 0; ok && i < len(origin); i++ {
		ok = origin[i] > ' ' && origin[i] < 0x7f && origin[i] != '+'
	}
	if !ok {
		return errors.New("journal: the origin of a log is 1 to 255 printable ASCII characters without space or plus")
	}
	return nil
}
