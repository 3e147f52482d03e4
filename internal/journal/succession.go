package journal

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/translog"
)

// SuccessorKind is the kind of the entries with which a successor log begins.
const SuccessorKind = "successor"

// maxCheckpoint is the largest checkpoint that a succession carries, in bytes.
const maxCheckpoint = 32 << 10

// A Succession says that a log is closed for ever and which part of it is lost: a backup
// was restored that is older than what the world has seen of the log. It is an entry at
// the beginning of the successor, and published: see spec/ledger.md.
type Succession struct {
	Predecessor string // origin of the closed log
	// Seen is the largest tree of it that anybody outside was found to know, and
	// Checkpoint that tree signed by the log and cosigned; the empty tree and nothing where
	// nobody knew any.
	Seen       tlog.Tree
	Checkpoint []byte
	// Restored is the tree over what came back. Entries from its size on are lost, or were
	// never published.
	Restored tlog.Tree
	At       time.Time // UTC, whole seconds
}

func (s Succession) entry() (Entry, error) {
	body, err := Body(Field{"predecessor", s.Predecessor},
		Field{"seen", strconv.FormatInt(s.Seen.N, 10)}, Field{"seen_root", hex.EncodeToString(s.Seen.Hash[:])},
		Field{"restored", strconv.FormatInt(s.Restored.N, 10)}, Field{"restored_root", hex.EncodeToString(s.Restored.Hash[:])},
		Field{"checkpoint", base64.StdEncoding.EncodeToString(s.Checkpoint)})
	return Entry{Kind: SuccessorKind, At: s.At, Body: body}, err
}

// ParseSuccession reads the entry; what [Journal.Succeed] would write otherwise is
// refused. It says nothing about whether what it declares is true.
func ParseSuccession(e translog.Entry) (s Succession, err error) {
	bad := errors.New("journal: this is not the entry of a successor log")
	fields, err := ParseBody(e.Body)
	if err != nil || e.Kind != SuccessorKind || e.Ordinal != 0 || e.Ticket != [32]byte{} {
		return s, bad
	}
	s.Predecessor, s.At = fields["predecessor"], e.At.UTC()
	var ok [2]bool
	s.Seen, ok[0] = parseTree(fields["seen"], fields["seen_root"])
	s.Restored, ok[1] = parseTree(fields["restored"], fields["restored_root"])
	s.Checkpoint, err = base64.StdEncoding.Strict().DecodeString(fields["checkpoint"])
	if err != nil || !ok[0] || !ok[1] || len(s.Checkpoint) > maxCheckpoint {
		return Succession{}, bad
	}
	if _, err := checkOrigin(s.Predecessor); err != nil {
		return Succession{}, bad
	}
	again, err := s.entry()
	if err != nil || string(again.Body) != string(e.Body) {
		return Succession{}, bad
	}
	return s, nil
}

func parseTree(size, root string) (t tlog.Tree, ok bool) {
	n, err := strconv.ParseInt(size, 10, 64)
	raw, hexErr := hex.DecodeString(root)
	if err != nil || hexErr != nil || n < 0 || n > 1<<placeBits || len(raw) != tlog.HashSize {
		return t, false
	}
	return tlog.Tree{N: n, Hash: tlog.Hash(raw)}, true
}

// Succeed begins this log, which must be empty, as the successor of others of the same
// member, in one transaction: their entries say what is lost, the logs are closed for
// ever, and their numbers go to no process again. See [Journal.Restored].
func (j *Journal) Succeed(ctx context.Context, list []Succession) error {
	err := j.db.Write(ctx, func(tx *store.Tx) error {
		for i, s := range list {
			if err := j.succeed(tx, uint64(i), s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("journal: a successor log: %w", err)
	}
	return nil
}

func (j *Journal) succeed(tx *store.Tx, place uint64, s Succession) error {
	log, err := checkOrigin(s.Predecessor)
	if err != nil || s.Predecessor != j.OriginOf(log) || log == j.log || len(s.Checkpoint) > maxCheckpoint {
		return fmt.Errorf("%q cannot be the predecessor of %q", s.Predecessor, j.origin)
	}
	s.At = s.At.UTC().Truncate(time.Second)
	e, err := s.entry()
	if err != nil {
		return err
	}
	seq, full, err := j.append(tx, e)
	if err != nil {
		return err
	}
	if seq != place {
		return fmt.Errorf("%s has entries already: a successor begins with what it succeeds", j.origin)
	}
	opened, err := translog.FormatEntry(full)
	if err != nil {
		return err
	}
	// One that is closed already is refused by the primary key.
	if _, err := tx.Exec(`INSERT INTO journal_succession (log, successor, at, opened) VALUES ($1, $2, $3, $4)`,
		log, j.log, s.At.Unix(), opened); err != nil {
		return err
	}
	return store.Retire(tx, log)
}

// Declared is what a log publishes about one that it has succeeded.
type Declared struct {
	Log    int64  // number of the closed log
	Opened []byte // see translog.FormatEntry
}

// Successions returns the logs that this one has succeeded, by their numbers.
func (j *Journal) Successions(ctx context.Context) (all []Declared, err error) {
	err = j.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Query(`SELECT log, opened FROM journal_succession WHERE successor = $1 ORDER BY log`, []any{j.log},
			func(scan func(...any) error) error {
				var d Declared
				err := scan(&d.Log, &d.Opened)
				all = append(all, d)
				return err
			})
	})
	return all, err
}

// Restored returns when the database came back from a backup that was older than what had
// been done after it; zero if it never did.
func Restored(ctx context.Context, db *store.DB) (at time.Time, err error) {
	err = db.Read(ctx, func(tx *store.Tx) error {
		var seconds int64
		if err := tx.Row(`SELECT coalesce(max(at), 0) FROM journal_succession`).Scan(&seconds); err != nil || seconds == 0 {
			return err
		}
		at = time.Unix(seconds, 0).UTC()
		return nil
	})
	return at, err
}

// Closed opens a log for reading that takes no more entries, closed by
// [Journal.Succeed] or about to be.
func Closed(db *store.DB, origin string) (*Journal, error) {
	log, err := checkOrigin(origin)
	if err != nil {
		return nil, err
	}
	j := &Journal{db: db, role: db.Role(), origin: origin, log: log}
	j.guard = func(*store.Tx) error { return fmt.Errorf("%s takes no more entries", origin) }
	return j, nil
}

// refuseClosed is an error where the log has a successor.
func (j *Journal) refuseClosed(tx *store.Tx) error {
	var n int64
	if err := tx.Row(`SELECT count(*) FROM journal_succession WHERE log = $1`, j.log).Scan(&n); err != nil || n == 0 {
		return err
	}
	return fmt.Errorf("the log %s was closed for ever when a backup was restored: a process must take the number of another log (\"instance\" in config.json)", j.origin)
}
