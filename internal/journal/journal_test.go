package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
)

var (
	ctx = context.Background()
	now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
)

const origin = "waypost.test/test/1"

func openDB(t testing.TB, dir string) *store.DB {
	t.Helper()
	db, err := store.Open(ctx, storetest.URL(t, dir+"/test.db", "test"), "test")
	must(t, err)
	t.Cleanup(func() {
		if err := db.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
	return db
}

func openJournal(t testing.TB, db *store.DB) *Journal {
	t.Helper()
	j, err := Open(ctx, db, origin, reader.Recipient())
	must(t, err)
	return j
}

// reader is entitled to every journal of this process.
var reader = func() *age.HybridIdentity {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		panic(err)
	}
	return id
}()

var opener = NewOpener(reader, plain{})

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// appendOne appends e in a transaction of its own.
func appendOne(db *store.DB, j *Journal, e Entry) (seq uint64, err error) {
	err = db.Write(ctx, func(tx *store.Tx) error {
		seq, err = j.Append(tx, e)
		return err
	})
	return seq, err
}

func all(t testing.TB, j *Journal) []Stored {
	t.Helper()
	var entries []Stored
	for {
		page, err := opener.Read(ctx, j, uint64(len(entries)), 1<<30)
		must(t, err)
		if len(page) == 0 {
			return entries
		}
		entries = append(entries, page...)
	}
}

// checkStored verifies what must hold of every journal: dense numbers, leaves
// that open, and no two alike.
func checkStored(t testing.TB, role string, entries []Stored) {
	t.Helper()
	tags := map[string]bool{}
	for i, s := range entries {
		if s.Seq != uint64(i) {
			t.Fatalf("entry %d has number %d", i, s.Seq)
		}
		if !s.Opened || !bytes.Equal(s.Leaf, s.Entry.Leaf(role, origin)) {
			t.Errorf("entry %d does not open its leaf", i)
		}
		if tag := string(s.Leaf[:32]); tags[tag] {
			t.Errorf("entry %d repeats a public tag", i)
		} else {
			tags[tag] = true
		}
	}
}

func TestRoundTrip(t *testing.T) {
	db := openDB(t, t.TempDir())
	j := openJournal(t, db)
	want := []Entry{
		{Kind: "evaluate", Ticket: [32]byte{1}, Tau: [32]byte{2}, At: now, Body: []byte(`{"soi":"CA"}`)},
		{Kind: "notified", Ticket: [32]byte{1}, At: now.Add(1500 * time.Millisecond)},
		{Kind: "abandoned", At: now.In(time.FixedZone("", -8*3600)), Body: bytes.Repeat([]byte{0}, MaxBody)},
	}
	for i, e := range want {
		seq, err := appendOne(db, j, e)
		must(t, err)
		if seq != uint64(i) {
			t.Errorf("entry %d got number %d", i, seq)
		}
	}
	got := all(t, j)
	checkStored(t, "test", got)
	for i, s := range got {
		e := want[i]
		if s.Kind != e.Kind || s.Ticket != e.Ticket || !bytes.Equal(s.Body, e.Body) || s.At != e.At.UTC().Truncate(time.Second) {
			t.Errorf("entry %d came back as %+v", i, s)
		}
		if s.Tau == [32]byte{} || (e.Tau != [32]byte{} && s.Tau != e.Tau) || s.Salt == [32]byte{} || s.Erased {
			t.Errorf("entry %d: secrets %x %x", i, s.Tau, s.Salt)
		}
	}
	if page, err := j.Read(ctx, 0, 10); err != nil || !cmp.Equal(page, got) {
		t.Errorf("the process that wrote them reads them otherwise: %v", err)
	}
	if got[1].Tau == got[2].Tau || got[0].Salt == got[1].Salt {
		t.Error("secrets are not fresh")
	}
	if page, err := j.Read(ctx, 1, 1); err != nil || len(page) != 1 || page[0].Seq != 1 {
		t.Errorf("page %v: %v", page, err)
	}
	for _, from := range []uint64{3, 1 << 62, 1<<64 - 1} {
		if page, err := j.Read(ctx, from, 10); err != nil || len(page) != 0 {
			t.Errorf("past the end: %v: %v", page, err)
		}
	}
	if page, err := j.Read(ctx, 0, 0); err != nil || len(page) != 0 {
		t.Errorf("none wanted: %v: %v", page, err)
	}
}

func TestOrdinal(t *testing.T) {
	db := openDB(t, t.TempDir())
	j := openJournal(t, db)
	a, b := [32]byte{1}, [32]byte{2}
	steps := []struct {
		kind   string
		ticket [32]byte
		want   uint64
	}{
		{"search", a, 0}, {"search", b, 0}, {"deliver", a, 0}, {"deliver", a, 1}, {"search", a, 1},
		{"deliver", b, 0}, {"deliver", a, 2}, {"start", [32]byte{}, 0}, {"start", [32]byte{}, 0},
	}
	for _, s := range steps {
		_, err := appendOne(db, j, Entry{Kind: s.kind, Ticket: s.ticket, Tau: s.ticket, At: now})
		must(t, err)
	}
	// Two in one transaction, and one whose transaction is undone between.
	undo := errors.New("undo")
	for _, fail := range []error{nil, undo, nil} {
		err := db.Write(ctx, func(tx *store.Tx) error {
			for range 2 {
				if _, err := j.Append(tx, Entry{Kind: "deliver", Ticket: b, Tau: b, At: now}); err != nil {
					return err
				}
			}
			return fail
		})
		if err != fail {
			t.Fatal(err)
		}
	}
	got := all(t, j)
	for i, s := range steps {
		if got[i].Ordinal != s.want {
			t.Errorf("entry %d has ordinal %d, want %d", i, got[i].Ordinal, s.want)
		}
	}
	for i, s := range got[len(steps):] {
		if s.Ordinal != uint64(i+1) {
			t.Errorf("entry %d has ordinal %d, want %d", s.Seq, s.Ordinal, i+1)
		}
	}
	if len(got) != len(steps)+4 {
		t.Errorf("%d entries", len(got))
	}
	checkStored(t, "test", got)
}

// TestDense: whatever is written by whomever, undone, panicking or reopened,
// the numbers that were confirmed are exactly 0 to n-1, each once.
func TestDense(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir)
	j := openJournal(t, db)
	var mu sync.Mutex
	confirmed := map[uint64]bool{} // over all checks: the journal only grows
	outcomes := rapid.SliceOfN(rapid.SampledFrom([]string{"keep", "keep", "keep", "fail", "panic", "two"}), 1, 12)
	rapid.Check(t, func(r *rapid.T) {
		if rapid.IntRange(0, 15).Draw(r, "reopen") == 0 {
			must(t, db.Close())
			db = openDB(t, dir)
			j = openJournal(t, db)
		}
		var wg sync.WaitGroup
		for range rapid.IntRange(1, 3).Draw(r, "writers") {
			plan := outcomes.Draw(r, "plan")
			wg.Go(func() {
				for i, outcome := range plan {
					seqs, err := act(db, j, outcome, byte(i%3))
					if (err == nil) != (outcome == "keep" || outcome == "two") {
						t.Errorf("%s: %v", outcome, err)
					}
					if err != nil {
						continue
					}
					mu.Lock()
					for _, seq := range seqs {
						if confirmed[seq] {
							t.Errorf("number %d was given twice", seq)
						}
						confirmed[seq] = true
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		for seq := range uint64(len(confirmed)) {
			if !confirmed[seq] {
				r.Fatalf("%d numbers confirmed, and %d is not one of them", len(confirmed), seq)
			}
		}
	})
	entries := all(t, j)
	if len(entries) != len(confirmed) {
		t.Errorf("%d entries, %d confirmed", len(entries), len(confirmed))
	}
	checkStored(t, "test", entries)
}

var errUndo = errors.New("undo")

func act(db *store.DB, j *Journal, outcome string, ticket byte) (seqs []uint64, err error) {
	err = db.Write(ctx, func(tx *store.Tx) error {
		n := 1
		if outcome == "two" {
			n = 2
		}
		for range n {
			seq, err := j.Append(tx, Entry{Kind: "evaluate", Ticket: [32]byte{ticket, 1}, Tau: [32]byte{ticket, 2}, At: now})
			if err != nil {
				return err
			}
			seqs = append(seqs, seq)
		}
		switch outcome {
		case "fail":
			return errUndo
		case "panic":
			panic(outcome)
		}
		return nil
	})
	return seqs, err
}

func TestForeignOrigin(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir)
	j := openJournal(t, db)
	if j.Origin() != origin {
		t.Error(j.Origin())
	}
	_, err := appendOne(db, j, Entry{Kind: "start", At: now})
	must(t, err)
	must(t, db.Close())
	db = openDB(t, dir)
	if _, err := Open(ctx, db, "waypost.test/other/1", reader.Recipient()); err == nil || !strings.Contains(err.Error(), origin) {
		t.Errorf("a foreign log: %v", err)
	}
	if n := len(all(t, openJournal(t, db))); n != 1 {
		t.Errorf("%d entries", n)
	}
	if _, err := Open(ctx, db, origin); err == nil || !strings.Contains(err.Error(), "name a recipient") {
		t.Errorf("a ledger that nobody can read: %v", err)
	}
	for _, bad := range []string{"", "a b", "a+b", "a\nb", "é", strings.Repeat("a", 256)} {
		if _, err := Open(ctx, db, bad, reader.Recipient()); err == nil || !strings.Contains(err.Error(), "printable") {
			t.Errorf("origin %q: %v", bad, err)
		}
	}
	for _, bad := range []string{"1", "waypost.test/test", "waypost.test/test/", "waypost.test/test/0", "waypost.test/test/01", "waypost.test/test/-1", "waypost.test/test/1000"} {
		if _, err := Open(ctx, db, bad, reader.Recipient()); err == nil {
			t.Errorf("origin %q is taken", bad)
		}
	}
}

func TestRefused(t *testing.T) {
	db := openDB(t, t.TempDir())
	j := openJournal(t, db)
	for name, e := range map[string]Entry{
		"no kind":        {At: now},
		"kind":           {Kind: "Search", At: now},
		"long kind":      {Kind: strings.Repeat("a", 33), At: now},
		"no time":        {Kind: "search"},
		"far time":       {Kind: "search", At: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"long body":      {Kind: "search", At: now, Body: make([]byte, MaxBody+1)},
		"secret, no tkt": {Kind: "search", At: now, Tau: [32]byte{1}},
	} {
		if _, err := appendOne(db, j, e); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if n := len(all(t, j)); n != 0 {
		t.Errorf("%d entries", n)
	}
	err := db.Read(ctx, func(tx *store.Tx) error {
		_, err := j.Append(tx, Entry{Kind: "search", At: now})
		return err
	})
	if err == nil {
		t.Error("appended while reading")
	}
}

func TestDeadline(t *testing.T) {
	j := &Journal{}
	for _, c := range []struct{ now, want string }{
		{"2026-01-01T12:00:00Z", "2026-01-01T12:01:00Z"},
		{"2026-01-01T12:00:00.000000001Z", "2026-01-01T12:01:01Z"},
		{"2026-01-01T12:00:59.999Z", "2026-01-01T12:02:00Z"},
		{"2026-01-01T04:00:00.5-08:00", "2026-01-01T12:01:01Z"},
	} {
		at, err := time.Parse(time.RFC3339Nano, c.now)
		must(t, err)
		if got := j.Deadline(at).Format(time.RFC3339Nano); got != c.want {
			t.Errorf("%s: %s, want %s", c.now, got, c.want)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	db := openDB(b, b.TempDir())
	j := openJournal(b, db)
	body := []byte(fmt.Sprintf(`{"soi":"CA","case":"%064d"}`, 0))
	b.ReportAllocs()
	must(b, db.Write(ctx, func(tx *store.Tx) error {
		for i := range b.N {
			e := Entry{Kind: "evaluate", Ticket: [32]byte{byte(i), byte(i >> 8), byte(i >> 16), 1}, Tau: [32]byte{byte(i), byte(i >> 8), byte(i >> 16), 2}, At: now, Body: body}
			if _, err := j.Append(tx, e); err != nil {
				return err
			}
		}
		return nil
	}))
}
