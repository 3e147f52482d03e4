// Package journal keeps a role's ledger: one entry for every act, written in
// the transaction of the act itself.
//
// An entry gets the next number of a dense sequence that starts at 0. The
// number is the index of its leaf in the Merkle log that is published from the
// journal, so a receipt can name the leaf that must appear. A transaction that
// is undone undoes its entries, and the numbers are given out again: there are
// no gaps, whatever crashes.
//
//	Write(func(tx) {                       τ, kind ──> ordinal
//	    change the state                   salt, τ ──> public leaf
//	    seq = Append(tx, entry) ───────>   today's data key ──> sealed entry
//	})  // durable: now the receipt may be signed
//
// The public sees leaves only. The entry rests encrypted under a data key that
// the process draws for each day, keeps in memory and wraps for those entitled
// (the member's own opener, the exchange's auditors): see [Opener]. What the
// process wrote yesterday, or before it was restarted, it cannot read itself.
// At the end of its retention an entry is erased; its leaf stays, and the
// erasure is an entry. The formats are in spec/ledger.md.
package journal

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"filippo.io/age"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/translog"
)

// MergeDelay is the longest an entry may wait for its leaf to be published.
const MergeDelay = 60 * time.Second

// MaxBody is the largest body of an entry, in bytes.
const MaxBody = translog.MaxBody

const familyDomain = "waypost journal family v1"

// An Entry is what the operator records about one act.
type Entry struct {
	Kind   string    // "evaluate", "search_first", ...: a-z, 0-9 and _, at most 32
	Ticket [32]byte  // id of the ticket; zero where there is none
	Tau    [32]byte  // the ticket's audit secret; where zero, Append draws one
	At     time.Time // kept in whole seconds
	Body   []byte    // who, purpose, outcome, ...: see Body; at most MaxBody bytes
}

// A Journal is the ledger in one database. It is safe for concurrent use.
type Journal struct {
	db     *store.DB
	role   string
	origin string
	keys   dataKeys
	page   int // rows that one step of an erasure looks at
	// lastReceipt is the highest number of a kept receipt, so that no number
	// is given out again.
	lastReceipt atomic.Int64
}

// Open opens the journal in db and binds it to origin, the name of its log
// (for example "waypost.test/keyholder-1/1"). A journal that was bound to
// another log is refused: its receipts and leaves carry that name. What is
// written can be read by the recipients, of whom there must be one at least.
func Open(ctx context.Context, db *store.DB, origin string, recipients ...age.Recipient) (*Journal, error) {
	if err := checkOrigin(origin); err != nil {
		return nil, err
	}
	j := &Journal{db: db, role: db.Role(), origin: origin, page: eraseStep}
	if err := j.SetRecipients(recipients...); err != nil {
		return nil, err
	}
	var bound string
	err := db.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO journal_origin (origin)
			SELECT $1 WHERE NOT EXISTS (SELECT 1 FROM journal_origin)`, origin); err != nil {
			return err
		}
		var last int64
		if err := tx.Row("SELECT coalesce(max(id), 0) FROM receipt").Scan(&last); err != nil {
			return err
		}
		j.lastReceipt.Store(last)
		return tx.Row("SELECT origin FROM journal_origin").Scan(&bound)
	})
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if bound != origin {
		return nil, fmt.Errorf("journal: this database keeps the log %q and cannot keep %q; give each log a database of its own", bound, origin)
	}
	return j, nil
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
	seq, _, err = j.append(tx, e)
	return seq, err
}

// append is Append, and returns the entry as it was completed.
func (j *Journal) append(tx *store.Tx, e Entry) (seq uint64, full translog.Entry, err error) {
	if e.Ticket == [32]byte{} && e.Tau != [32]byte{} {
		// Others could link the leaf: τ stands for its ticket and nothing else.
		return 0, full, errors.New("journal: an audit secret without its ticket")
	}
	full = translog.Entry{Kind: e.Kind, At: e.At, Ticket: e.Ticket, Tau: e.Tau, Body: e.Body}
	key, wrapped, err := j.keys.at(e.At)
	if err != nil {
		return 0, full, err
	}
	var family []byte // NULL where nothing else has this τ
	if e.Tau == [32]byte{} {
		rand.Read(full.Tau[:])
	} else {
		family = j.family(e.Tau, e.Kind)
	}
	rand.Read(full.Salt[:])
	// One writer at a time, and the primary key besides: no number is given twice.
	var known int
	if err := tx.Row(`SELECT
			coalesce((SELECT max(seq) FROM journal), -1) + 1,
			coalesce((SELECT max(ordinal) FROM journal WHERE family = $1), -1) + 1,
			(SELECT count(*) FROM journal_key WHERE id = $2)`,
		family, key.ID[:]).Scan(&seq, &full.Ordinal, &known); err != nil {
		return 0, full, fmt.Errorf("journal: %w", err)
	}
	// The key rests in the transaction of the first entry under it. One that
	// was undone took the key along, so the database is asked each time.
	if known == 0 {
		if _, err := tx.Exec(`INSERT INTO journal_key (id, made, wrapped) VALUES ($1, $2, $3)`,
			key.ID[:], e.At.Unix(), wrapped); err != nil {
			return 0, full, fmt.Errorf("journal: %w", err)
		}
	}
	leaf, sealed, err := translog.Seal(key, j.role, j.origin, int64(seq), full)
	if err != nil {
		return 0, full, fmt.Errorf("journal: %w", err)
	}
	if _, err := tx.Exec(`INSERT INTO journal (seq, leaf, kind, ordinal, at, family, sealed)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		seq, leaf, full.Kind, full.Ordinal, full.At.Unix(), family, sealed); err != nil {
		return 0, full, fmt.Errorf("journal: %w", err)
	}
	return seq, full, nil
}

// family names the entries of one kind about one ticket in this log, 16 bytes:
//
//	HMAC-SHA-256(τ, familyDomain ‖ role ‖ origin ‖ kind)
//
// where each string is preceded by its length as 4 bytes.
func (j *Journal) family(tau [32]byte, kind string) []byte {
	b := make([]byte, 0, 192)
	for _, s := range []string{familyDomain, j.role, j.origin, kind} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	mac := hmac.New(sha256.New, tau[:])
	mac.Write(b)
	return mac.Sum(nil)[:16]
}

// Started appends the first entry of a process, of the given version of the
// program.
func (j *Journal) Started(ctx context.Context, version string, now time.Time) error {
	return j.note(ctx, "started", now, Field{"version", version})
}

// Stopped appends the last entry of a process: call it when nothing else will
// be appended, and publish after it.
func (j *Journal) Stopped(ctx context.Context, version string, now time.Time) error {
	return j.note(ctx, "stopped", now, Field{"version", version})
}

// note appends an entry without a ticket in a transaction of its own.
func (j *Journal) note(ctx context.Context, kind string, now time.Time, fields ...Field) error {
	return j.db.Write(ctx, func(tx *store.Tx) error {
		_, _, err := j.noteIn(tx, kind, now, fields...)
		return err
	})
}

func (j *Journal) noteIn(tx *store.Tx, kind string, now time.Time, fields ...Field) (uint64, translog.Entry, error) {
	body, err := Body(fields...)
	if err != nil {
		return 0, translog.Entry{}, err
	}
	return j.append(tx, Entry{Kind: kind, At: now, Body: body})
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
