// Package journal keeps a role's ledger: one entry for every act, written in
// the transaction of the act itself.
//
// Where several processes of the role share a database, each keeps a log of its
// own in it: its number, from 1, ends the log's name and begins the keys of its
// rows, and receipts name it. Only the process whose log it is appends.
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
	"strconv"
	"strings"
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

// A Journal is one log in a database. It is safe for concurrent use.
type Journal struct {
	db     *store.DB
	role   string
	origin string
	log    int64 // the number of the process, which ends origin
	keys   dataKeys
	page   int // rows that one step of an erasure looks at
	guard  func(tx *store.Tx) error
	tally  tally // of the entry "daily"
	// lastReceipt is the highest number of a kept receipt, so that no number
	// is given out again.
	lastReceipt atomic.Int64
}

// Open opens the log named origin in db (for example "waypost.test/keyholder-1/1",
// of process 1), which is begun if it is not there. A database that keeps the logs
// of another member is refused: receipts and leaves carry the name. What is
// written can be read by the recipients, of whom there must be one at least.
//
// The caller sees to it that one process at a time has a log open.
func Open(ctx context.Context, db *store.DB, origin string, recipients ...age.Recipient) (*Journal, error) {
	log, err := checkOrigin(origin)
	if err != nil {
		return nil, err
	}
	j := &Journal{db: db, role: db.Role(), origin: origin, log: log, page: eraseStep, tally: tally{page: tallyAtOnce}}
	if err := j.SetRecipients(recipients...); err != nil {
		return nil, err
	}
	if err := db.Write(ctx, j.begin); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return j, nil
}

// begin enters the log, if the database keeps the others of its member.
func (j *Journal) begin(tx *store.Tx) error {
	if err := j.refuseClosed(tx); err != nil {
		return err
	}
	if _, err := tx.Exec("INSERT INTO journal_log (log, origin) VALUES ($1, $2) ON CONFLICT (log) DO NOTHING", j.log, j.origin); err != nil {
		return err
	}
	origins, err := originsIn(tx)
	if err != nil {
		return err
	}
	for log, origin := range origins {
		if origin != j.OriginOf(log) {
			return fmt.Errorf("this database keeps the log %q and cannot keep %q; give each member a database of its own", origin, j.origin)
		}
	}
	first := j.log << receiptBits
	var last int64
	if err := tx.Row("SELECT coalesce(max(id), $1) FROM receipt WHERE id >= $1 AND id < $2", first, first+1<<receiptBits).Scan(&last); err != nil {
		return err
	}
	j.lastReceipt.Store(last)
	return nil
}

// Origin returns the name of the log.
func (j *Journal) Origin() string { return j.origin }

// Log returns the number of the log, that of its process.
func (j *Journal) Log() int64 { return j.log }

// placeBits is how many bits of a place are the number in its log.
const placeBits = 48

// Place returns a number that names an entry of this log among those of all logs in
// the database: for what is answered again later, by any process, with the receipt
// that was promised.
func (j *Journal) Place(seq uint64) uint64 { return uint64(j.log)<<placeBits | seq }

// Leaf returns the log and the number of the entry that a place names.
func (j *Journal) Leaf(place uint64) (origin string, seq uint64) {
	return j.OriginOf(int64(place >> placeBits)), place & (1<<placeBits - 1)
}

// OriginOf returns the name of another log of the same member.
func (j *Journal) OriginOf(log int64) string {
	return j.origin[:strings.LastIndexByte(j.origin, '/')+1] + strconv.FormatInt(log, 10)
}

// Origins returns the names of all logs that the database keeps, by their numbers. Those
// that are closed are not among them: see [Journal.Succeed].
func (j *Journal) Origins(ctx context.Context) (origins map[int64]string, err error) {
	err = j.db.Read(ctx, func(tx *store.Tx) error {
		if origins, err = originsIn(tx); err != nil {
			return err
		}
		return tx.Query("SELECT log FROM journal_succession", nil, func(scan func(...any) error) error {
			var log int64
			err := scan(&log)
			delete(origins, log)
			return err
		})
	})
	return origins, err
}

func originsIn(tx *store.Tx) (map[int64]string, error) {
	origins := make(map[int64]string)
	err := tx.Query("SELECT log, origin FROM journal_log", nil, func(scan func(...any) error) error {
		var log int64
		var origin string
		err := scan(&log, &origin)
		origins[log] = origin
		return err
	})
	return origins, err
}

// Guard has every entry ask first, in its transaction, whether this process may still
// append to the log: of one that it keeps in the place of a process that is gone. It
// is set before anything is appended.
func (j *Journal) Guard(check func(tx *store.Tx) error) { j.guard = check }

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
	if j.guard != nil {
		if err := j.guard(tx); err != nil {
			return 0, full, err
		}
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
			coalesce((SELECT max(seq) FROM journal WHERE log = $3), -1) + 1,
			coalesce((SELECT max(ordinal) FROM journal WHERE family = $1), -1) + 1,
			(SELECT count(*) FROM journal_key WHERE id = $2)`,
		family, key.ID[:], j.log).Scan(&seq, &full.Ordinal, &known); err != nil {
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
	if _, err := tx.Exec(`INSERT INTO journal (log, seq, leaf, kind, ordinal, at, family, sealed)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		j.log, seq, leaf, full.Kind, full.Ordinal, full.At.Unix(), family, sealed); err != nil {
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

// maxLog is the highest number of a process.
const maxLog = 999

// checkOrigin accepts what can be the first line of a C2SP checkpoint and the
// name of the key that signs it, and returns the number that ends it.
func checkOrigin(origin string) (log int64, err error) {
	ok := len(origin) >= 1 && len(origin) <= 255
	for i := 0; ok && i < len(origin); i++ {
		ok = origin[i] > ' ' && origin[i] < 0x7f && origin[i] != '+'
	}
	if !ok {
		return 0, errors.New("journal: the origin of a log is 1 to 255 printable ASCII characters without space or plus")
	}
	number := origin[strings.LastIndexByte(origin, '/')+1:]
	if log, err = strconv.ParseInt(number, 10, 64); err != nil || log < 1 || log > maxLog || number != strconv.FormatInt(log, 10) {
		return 0, fmt.Errorf("journal: the origin of a log ends with a slash and the number of its process, 1 to %d", maxLog)
	}
	return log, nil
}
