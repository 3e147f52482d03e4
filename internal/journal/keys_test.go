package journal

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/translog"
)

func newReader(t testing.TB) *age.HybridIdentity {
	t.Helper()
	id, err := age.GenerateHybridIdentity()
	must(t, err)
	return id
}

// plain wraps keys by doing nothing, for tests that need a great many of them.
type plain struct{}

func (plain) Wrap(key []byte) ([]*age.Stanza, error) {
	return []*age.Stanza{{Type: "plain", Body: key}}, nil
}

func (plain) Unwrap(stanzas []*age.Stanza) ([]byte, error) { return stanzas[0].Body, nil }

func openPlain(t testing.TB, db *store.DB) *Journal {
	t.Helper()
	j, err := Open(ctx, db, origin, plain{})
	must(t, err)
	return j
}

func keyCount(t *testing.T, db *store.DB) (n int) {
	t.Helper()
	must(t, db.Read(ctx, func(tx *store.Tx) error { return tx.Row("SELECT count(*) FROM journal_key").Scan(&n) }))
	return n
}

// TestDataKeys: one key a day and process, in the database with the first entry
// that needs it, and forgotten by the process after its day.
func TestDataKeys(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir)
	j := openJournal(t, db)
	if n := keyCount(t, db); n != 0 {
		t.Errorf("%d keys before the first entry", n)
	}
	opened := func() (which string) {
		page, err := j.Read(ctx, 0, 100)
		must(t, err)
		for _, s := range page {
			which += map[bool]string{true: "1", false: "0"}[s.Opened]
			if !s.Opened && (s.Kind != "search" || s.At.IsZero() || s.Ticket != [32]byte{} || s.Tau != [32]byte{} || s.Body != nil) {
				t.Errorf("a sealed entry was read as %+v", s)
			}
		}
		return which
	}
	for i, step := range []struct {
		after  time.Duration
		keys   int
		opened string
	}{
		{0, 1, "1"},
		{11*time.Hour + 59*time.Minute, 1, "11"},
		{12 * time.Hour, 2, "001"},  // midnight
		{11 * time.Hour, 2, "0011"}, // made before it, written after it
		{36 * time.Hour, 3, "00001"},
		{0, 4, "000001"}, // a clock that was set back by more than a day
	} {
		_, err := appendOne(db, j, Entry{Kind: "search", Ticket: [32]byte{1}, Tau: [32]byte{2}, At: now.Add(step.after), Body: []byte("{}")})
		must(t, err)
		if n, which := keyCount(t, db), opened(); n != step.keys || which != step.opened {
			t.Errorf("step %d: %d keys, opened %s; want %d, %s", i, n, which, step.keys, step.opened)
		}
	}
	must(t, db.Close())
	db = openDB(t, dir)
	j = openJournal(t, db)
	if which := opened(); strings.Contains(which, "1") {
		t.Errorf("a new process opens %s", which)
	}
	checkStored(t, "test", all(t, j))
}

// TestUndoneKey: the key of a transaction that was undone is there with the
// next entry.
func TestUndoneKey(t *testing.T) {
	db := openDB(t, t.TempDir())
	j := openJournal(t, db)
	_ = db.Write(ctx, func(tx *store.Tx) error {
		_, err := j.Append(tx, Entry{Kind: "search", At: now})
		must(t, err)
		return errUndo
	})
	if n := keyCount(t, db); n != 0 {
		t.Errorf("%d keys", n)
	}
	_, err := appendOne(db, j, Entry{Kind: "search", At: now})
	must(t, err)
	checkStored(t, "test", all(t, j))
}

// TestEntitled: each recipient opens what was written while it was one, and
// nobody else does.
func TestEntitled(t *testing.T) {
	db := openDB(t, t.TempDir())
	operator, auditor, late, stranger := newReader(t), newReader(t), newReader(t), newReader(t)
	j, err := Open(ctx, db, origin, operator.Recipient(), auditor.Recipient())
	must(t, err)
	_, err = appendOne(db, j, Entry{Kind: "search", At: now})
	must(t, err)
	must(t, j.SetRecipients(operator.Recipient(), late.Recipient()))
	_, err = appendOne(db, j, Entry{Kind: "search", At: now})
	must(t, err)
	if err := j.SetRecipients(); err == nil {
		t.Error("nobody was left")
	}
	classic, err := age.GenerateX25519Identity()
	must(t, err)
	if err := j.SetRecipients(operator.Recipient(), classic.Recipient()); err == nil {
		t.Error("recipients that cannot be mixed were taken")
	}
	for name, c := range map[string]struct {
		identity age.Identity
		want     [2]bool
	}{"operator": {operator, [2]bool{true, true}}, "auditor": {auditor, [2]bool{true, false}}, "late": {late, [2]bool{false, true}}, "stranger": {stranger, [2]bool{}}} {
		o := NewOpener(c.identity)
		for range 2 { // the second time from memory
			page, err := o.Read(ctx, j, 0, 10)
			must(t, err)
			if got := [2]bool{page[0].Opened, page[1].Opened}; got != c.want {
				t.Errorf("%s opens %v, want %v", name, got, c.want)
			}
		}
	}
}

func TestOpenerOpen(t *testing.T) {
	db := openDB(t, t.TempDir())
	j := openJournal(t, db)
	_, err := appendOne(db, j, Entry{Kind: "search", Ticket: [32]byte{1}, Tau: [32]byte{2}, At: now, Body: []byte(`{"soi":"CA"}`)})
	must(t, err)
	rows, err := j.Rows(ctx, 0, 10)
	must(t, err)
	r := rows[0]
	e, err := opener.Open(ctx, j.WrappedKey, "test", origin, 0, r.Leaf, r.Sealed)
	must(t, err)
	if e.Ticket != [32]byte{1} || e.Tau != [32]byte{2} || string(e.Body) != `{"soi":"CA"}` {
		t.Errorf("opened as %+v", e)
	}
	gone := errors.New("gone")
	wrapped, err := j.WrappedKey(ctx, r.Key)
	must(t, err)
	as := func(wrapped []byte, err error) Keys {
		return func(context.Context, translog.KeyID) ([]byte, error) { return wrapped, err }
	}
	short, err := wrap31(reader.Recipient())
	must(t, err)
	for name, c := range map[string]struct {
		identity age.Identity
		keys     Keys
		origin   string
		blob     []byte
		want     error
	}{
		"erased":         {reader, j.WrappedKey, origin, nil, translog.ErrErased},
		"cut off":        {reader, j.WrappedKey, origin, r.Sealed[:50], translog.ErrSealed},
		"another log":    {reader, j.WrappedKey, origin + "0", r.Sealed, translog.ErrSealed},
		"stranger":       {newReader(t), j.WrappedKey, origin, r.Sealed, ErrNotEntitled},
		"no key":         {reader, as(nil, gone), origin, r.Sealed, gone},
		"damaged key":    {reader, as(wrapped[:len(wrapped)-1], nil), origin, r.Sealed, translog.ErrSealed},
		"no age file":    {reader, as([]byte("hello"), nil), origin, r.Sealed, translog.ErrSealed},
		"short key":      {reader, as(short, nil), origin, r.Sealed, translog.ErrSealed},
		"oversized key":  {reader, as(append(wrapped, make([]byte, maxWrapped)...), nil), origin, r.Sealed, translog.ErrSealed},
		"damaged sealed": {reader, j.WrappedKey, origin, append(bytes.Clone(r.Sealed[:len(r.Sealed)-1]), ^r.Sealed[len(r.Sealed)-1]), translog.ErrSealed},
	} {
		if _, err := NewOpener(c.identity).Open(ctx, c.keys, "test", c.origin, 0, r.Leaf, c.blob); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	// A key that could not be fetched is fetched again; another log that uses
	// the same name for its key does not get in the way.
	o := NewOpener(reader)
	if _, err := o.Open(ctx, as(nil, gone), "test", origin, 0, r.Leaf, r.Sealed); !errors.Is(err, gone) {
		t.Error(err)
	}
	if _, err := o.Open(ctx, as(short, nil), "test", "waypost.test/other/1", 0, r.Leaf, r.Sealed); !errors.Is(err, translog.ErrSealed) {
		t.Error(err)
	}
	if _, err := o.Open(ctx, j.WrappedKey, "test", origin, 0, r.Leaf, r.Sealed); err != nil {
		t.Error(err)
	}
}

// wrap31 wraps a data key that is too short.
func wrap31(to age.Recipient) ([]byte, error) {
	var b bytes.Buffer
	w, err := age.Encrypt(&b, to)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(make([]byte, 31))
	return b.Bytes(), errors.Join(err, w.Close())
}

// TestTooManyReaders: a data key that readers would refuse is found at once.
func TestTooManyReaders(t *testing.T) {
	j := openJournal(t, openDB(t, t.TempDir()))
	var readers []age.Recipient
	for range 50 {
		readers = append(readers, reader.Recipient())
	}
	must(t, j.SetRecipients(readers[:30]...))
	if err := j.SetRecipients(readers...); err == nil {
		t.Error("entries would be sealed so that no reader takes them")
	}
}

func TestParseRecipients(t *testing.T) {
	good := newReader(t).Recipient().String()
	if r, err := ParseRecipients(good, good); err != nil || len(r) != 2 {
		t.Errorf("%v %v", r, err)
	}
	classic, err := age.GenerateX25519Identity()
	must(t, err)
	for _, bad := range []string{"", "age1pq", classic.Recipient().String(), good[:len(good)-1]} {
		if _, err := ParseRecipients(good, bad); err == nil || !strings.Contains(err.Error(), "age-keygen -pq") {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}

// TestDamaged: what somebody changed in the database is found, not read.
func TestDamaged(t *testing.T) {
	for name, change := range map[string]string{
		"sealed": "UPDATE journal SET sealed = $1",
		"empty":  "UPDATE journal SET sealed = substr(sealed, 1, 0) WHERE $1 <> sealed",
		"leaf":   "UPDATE journal SET leaf = $1",
		"moved":  "UPDATE journal SET seq = 1 WHERE $1 <> sealed",
		"cut":    "UPDATE journal SET sealed = substr(sealed, 1, 170) WHERE $1 <> sealed",
	} {
		db := openDB(t, t.TempDir())
		j := openJournal(t, db)
		_, err := appendOne(db, j, Entry{Kind: "search", At: now})
		must(t, err)
		must(t, db.Write(ctx, func(tx *store.Tx) error { _, err := tx.Exec(change, []byte("short")); return err }))
		if _, err := j.Read(ctx, 0, 1); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAtRest: the files of the database hold nothing that opens an entry, or
// says which ticket it is about.
func TestAtRest(t *testing.T) {
	storetest.File(t)
	dir := t.TempDir()
	db := openDB(t, dir)
	j := openJournal(t, db)
	pieces := map[string][]byte{"ticket": bytes.Repeat([]byte("tick"), 8), "tau": bytes.Repeat([]byte("tau!"), 8), "body": []byte(`{"operator":"somebody"}`)}
	for range 3 {
		_, err := appendOne(db, j, Entry{Kind: "search", Ticket: [32]byte(pieces["ticket"]), Tau: [32]byte(pieces["tau"]), At: now, Body: pieces["body"]})
		must(t, err)
	}
	entries := all(t, j)
	key, _, err := j.keys.at(now)
	must(t, err)
	pieces["salt"], pieces["data key"] = entries[0].Salt[:], key.Secret[:]
	content := files(t, dir)
	for name, piece := range pieces {
		if bytes.Contains(content, piece[:16]) {
			t.Errorf("the %s stands in the files", name)
		}
	}
	if !bytes.Contains(content, entries[0].Leaf) || !bytes.Contains(content, []byte("search")) {
		t.Error("the leaf was not found: the search does not search")
	}
}

// files returns everything in a folder.
func files(t *testing.T, dir string) (content []byte) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		content = append(content, b...)
		return err
	}))
	return content
}
