package journal

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/store"
)

var (
	ctx = context.Background()
	now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
)

const origin = "waypost.test/test/1"

func openDB(t testing.TB, dir string) *store.DB {
	t.Helper()
	db, err := store.Open(ctx, "sqlite:"+dir+"/test.db", "test")
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
	j, err := Open(ctx, db, origin)
	must(t, err)
	return j
}

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
		page, err := j.Read(ctx, uint64(len(entries)), 1<<30)
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
		if !bytes.Equal(s.Leaf, Leaf(role, origin, s)) {
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
		_, err := appendOne(db, j, Entry{Kind: s.kind, Ticket: s.ticket, At: now})
		must(t, err)
	}
	// Two in one transaction, and one whose transaction is undone between.
	undo := errors.New("undo")
	for _, fail := range []error{nil, undo, nil} {
		err := db.Write(ctx, func(tx *store.Tx) error {
			for range 2 {
				if _, err := j.Append(tx, Entry{Kind: "deliver", Ticket: b, At: now}); err != nil {
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
			seq, err := j.Append(tx, Entry{Kind: "evaluate", Ticket: [32]byte{ticket}, At: now})
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
	if _, err := Open(ctx, db, "waypost.test/test/2"); err == nil || !strings.Contains(err.Error(), origin) {
		t.Errorf("a foreign log: %v", err)
	}
	if n := len(all(t, openJournal(t, db))); n != 1 {
		t.Errorf("%d entries", n)
	}
	for _, bad := range []string{"", "a b", "a+b", "a\nb", "é", strings.Repeat("a", 256)} {
		if _, err := Open(ctx, db, bad); err == nil || !strings.Contains(err.Error(), "printable") {
			t.Errorf("origin %q: %v", bad, err)
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

// TestErased: an entry at the end of its retention keeps its place and leaf.
func TestErased(t *testing.T) {
	db := openDB(t, t.TempDir())
	j := openJournal(t, db)
	_, err := appendOne(db, j, Entry{Kind: "search", Ticket: [32]byte{1}, At: now, Body: []byte("{}")})
	must(t, err)
	before := all(t, j)[0]
	must(t, db.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec("UPDATE journal SET ticket = NULL, tau = NULL, salt = NULL, body = NULL")
		return err
	}))
	after := all(t, j)[0]
	zero := [32]byte{}
	if !after.Erased || after.Ticket != zero || after.Tau != zero || after.Salt != zero || after.Body != nil ||
		!bytes.Equal(after.Leaf, before.Leaf) {
		t.Errorf("%+v", after)
	}
	must(t, db.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec("UPDATE journal SET salt = $1", []byte("short"))
		return err
	}))
	if _, err := j.Read(ctx, 0, 1); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged entry: %v", err)
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

// TestLeafVectors holds leaves computed with another implementation of HMAC
// and SHA-256 from the description of Leaf.
func TestLeafVectors(t *testing.T) {
	from := func(c byte) (b [32]byte) {
		for i := range b {
			b[i] = c + byte(i)
		}
		return b
	}
	for _, v := range []struct {
		role, origin string
		s            Stored
		want         string
	}{
		{"keyholder", "waypost.test/keyholder-1/1",
			Stored{Seq: 7, Salt: from(64), Entry: Entry{Kind: "evaluate", Ticket: from(0), Tau: from(32), At: time.Unix(1767225600, 0), Body: []byte(`{"purpose":"issue_real_id","soi":"CA"}`)}},
			"051641d686f987d5b428d14959cfcff389103cdf06a4a8b304af224160313b7954f7afc57ea43b87a5f7a8a36ee6ddedd1c0a74ee37379f77fbd7f8e9a994417"},
		{"hub", "waypost.test/hub/1",
			Stored{Ordinal: 1, Salt: from(96), Entry: Entry{Kind: "search", Ticket: from(0), Tau: from(32), At: time.Unix(1767225601, 999), Body: []byte(`{}`)}},
			"424ec1b2285a8916e386f9a37838ed7e74eced08aa9e4a2bd6895f886e75b0210c7494214e1b2a8a69b7b49b725a36afef87cef01d4e0aa054f33058c1db7fc5"},
		{"gateway", "waypost.test/gateway-CA/1",
			Stored{Salt: from(160), Entry: Entry{Kind: "abandoned", Tau: from(128), At: time.Unix(0, 0)}},
			"7b01820c9e4bb9db199e71f0bddc358c966cd37b6e56492ede898865804ce1972c87d1985bc9e74d710c200f09dc76dd56a21f5927dba77069b6c5164c9e45be"},
	} {
		if got := hex.EncodeToString(Leaf(v.role, v.origin, v.s)); got != v.want {
			t.Errorf("%s:\ngot  %s\nwant %s", v.s.Kind, got, v.want)
		}
	}
}

// TestLeafBinds: a change of anything but the index changes the leaf, and of
// anything that names the line changes its tag.
func TestLeafBinds(t *testing.T) {
	base := Stored{Seq: 1, Ordinal: 1, Entry: Entry{Kind: "search", At: now, Body: []byte("{}")}}
	leaf := Leaf("hub", origin, base)
	moved := base
	moved.Seq = 2
	if !bytes.Equal(Leaf("hub", origin, moved), leaf) {
		t.Error("the index is in the leaf")
	}
	leaves := map[string]string{string(leaf): "the original"}
	tags := map[string]string{string(leaf[:32]): "the original"}
	for _, c := range []struct {
		name, role, origin string
		change             func(*Stored)
		tag                bool
	}{
		{"role", "hubw", origin[1:], func(*Stored) {}, true}, // the boundary moves
		{"origin", "hub", origin + "0", func(*Stored) {}, true},
		{"kind", "hub", origin, func(s *Stored) { s.Kind = "deliver" }, true},
		{"ordinal", "hub", origin, func(s *Stored) { s.Ordinal = 2 }, true},
		{"tau", "hub", origin, func(s *Stored) { s.Tau[31] = 1 }, true},
		{"ticket", "hub", origin, func(s *Stored) { s.Ticket[31] = 1 }, false},
		{"salt", "hub", origin, func(s *Stored) { s.Salt[31] = 1 }, false},
		{"time", "hub", origin, func(s *Stored) { s.At = now.Add(time.Second) }, false},
		{"body", "hub", origin, func(s *Stored) { s.Body = []byte("{ }") }, false},
	} {
		s := base
		c.change(&s)
		leaf := Leaf(c.role, c.origin, s)
		if with, ok := leaves[string(leaf)]; ok {
			t.Errorf("%s: the leaf is that of %s", c.name, with)
		}
		leaves[string(leaf)] = c.name
		if with, ok := tags[string(leaf[:32])]; ok == c.tag {
			t.Errorf("%s: the tag is that of %q", c.name, with)
		}
		if c.tag {
			tags[string(leaf[:32])] = c.name
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
			e := Entry{Kind: "evaluate", Ticket: [32]byte{byte(i), byte(i >> 8), byte(i >> 16), 1}, Tau: [32]byte{1}, At: now, Body: body}
			if _, err := j.Append(tx, e); err != nil {
				return err
			}
		}
		return nil
	}))
}
