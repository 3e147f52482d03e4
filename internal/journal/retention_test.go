package journal

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
)

// TestRetentionNamesKinds: every kind of the specification has its retention,
// and there are no others.
func TestRetentionNamesKinds(t *testing.T) {
	spec, err := os.ReadFile("../../spec/ledger.md")
	must(t, err)
	_, table, _ := strings.Cut(string(spec), "## Entries")
	table, _, _ = strings.Cut(table, "\n## ")
	var want []string
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[2], -1) {
				want = append(want, name[1])
			}
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)
	if len(want) < 20 {
		t.Fatalf("the table was read as %v", want)
	}
	if d := cmp.Diff(want, slices.Sorted(maps.Keys(DefaultRetention()))); d != "" {
		t.Error(d)
	}
}

// eraseAll erases with the default retention.
func eraseAll(t testing.TB, j *Journal, now time.Time) int {
	t.Helper()
	n, err := j.Erase(ctx, DefaultRetention(), now)
	must(t, err)
	return n
}

func TestErase(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir)
	j := openJournal(t, db)
	secret := bytes.Repeat([]byte("tau!"), 8)
	for i, e := range []struct {
		kind string
		at   time.Duration
	}{
		{"ask", 0}, {"abandoned", 0}, {"roster", 0}, {"disclose", time.Hour}, {"ask", 10 * year}, {"disclose", 2 * year},
	} {
		entry := Entry{Kind: e.kind, At: now.Add(e.at), Body: []byte("{}")}
		if e.kind != "roster" {
			entry.Ticket, entry.Tau = [32]byte{byte(i + 1)}, [32]byte(secret)
		}
		_, err := appendOne(db, j, entry)
		must(t, err)
	}
	before := all(t, j)
	for _, step := range []struct {
		at   time.Duration
		want []uint64 // erased then
	}{
		{2 * year, nil},
		{2*year + time.Hour, []uint64{1}},
		{2*year + time.Hour, nil},
		{6*year + time.Second, []uint64{0}},
		{9 * year, []uint64{3, 5}}, // past one with a time in the future
		{17 * year, []uint64{4}},
	} {
		marks, err := j.Erasures(ctx, Mark{}, 1000)
		must(t, err)
		if n := eraseAll(t, j, now.Add(step.at)); n != len(step.want) {
			t.Errorf("after %s: %d erased, want %v", step.at, n, step.want)
		}
		var last Mark
		if len(marks) > 0 {
			last = marks[len(marks)-1]
		}
		marks, err = j.Erasures(ctx, last, 1000)
		must(t, err)
		var got []uint64
		for _, m := range marks {
			got = append(got, m.Entry)
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("after %s: erased %v, want %v", step.at, got, step.want)
		}
	}
	after := all(t, j)
	for i, s := range after[:len(before)] {
		if !bytes.Equal(s.Leaf, before[i].Leaf) || s.Erased != (s.Kind != "roster") {
			t.Errorf("entry %d is now %+v", i, s)
		}
	}
	wantNotes(t, after[len(before):], "erase", []string{
		fmt.Sprintf(`{"before":"%d","entries":"1","kinds":"abandoned"}`, now.Add(time.Hour).Unix()),
		fmt.Sprintf(`{"before":"%d","entries":"1","kinds":"ask"}`, now.Add(time.Second).Unix()),
		fmt.Sprintf(`{"before":"%d","entries":"2","kinds":"disclose"}`, now.Add(3*year).Unix()),
		fmt.Sprintf(`{"before":"%d","entries":"1","kinds":"ask"}`, now.Add(11*year).Unix()),
	})
	// The family is gone: nothing in the row depends on the ticket's secret.
	var families int
	must(t, db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row("SELECT count(*) FROM journal WHERE family IS NOT NULL").Scan(&families)
	}))
	if families != 0 {
		t.Errorf("%d families are left", families)
	}
}

func wantNotes(t *testing.T, got []Stored, kind string, want []string) {
	t.Helper()
	var bodies []string
	for _, s := range got {
		if s.Kind != kind || !s.Opened {
			t.Errorf("entry %d is %+v", s.Seq, s)
		}
		bodies = append(bodies, string(s.Body))
	}
	if d := cmp.Diff(want, bodies); d != "" {
		t.Errorf("entries %s: %s", kind, d)
	}
}

// TestErasedBytes: the ciphertext of an erased entry is not left over in the
// file.
func TestErasedBytes(t *testing.T) {
	storetest.File(t)
	dir := t.TempDir()
	db := openDB(t, dir)
	j := openJournal(t, db)
	for i := range 3 * eraseStep / 2 {
		kind := []string{"ask", "roster"}[i%2]
		_, err := appendOne(db, j, Entry{Kind: kind, At: now, Body: bytes.Repeat([]byte{'x'}, 300+20*i)})
		must(t, err)
	}
	rows, err := j.Rows(ctx, 0, 1000)
	must(t, err)
	if n := eraseAll(t, j, now.Add(7*year)); n != len(rows)/2 {
		t.Fatalf("%d erased", n)
	}
	must(t, db.Close())
	content := files(t, dir)
	for _, r := range rows {
		for _, at := range []int{40, len(r.Sealed) / 2, len(r.Sealed) - 32} {
			if there := bytes.Contains(content, r.Sealed[at:at+32]); there != (r.Kind == "roster") {
				t.Fatalf("entry %d, %s: byte %d of its ciphertext is in the file: %v", r.Seq, r.Kind, at, there)
			}
		}
	}
}

func TestHolds(t *testing.T) {
	db := openDB(t, t.TempDir())
	j := openJournal(t, db)
	for i := range 4 {
		_, err := appendOne(db, j, Entry{Kind: []string{"ask", "disclose"}[i%2], At: now.Add(time.Duration(i) * time.Hour)})
		must(t, err)
	}
	a, err := j.Hold(ctx, Scope{Kinds: []string{"disclose"}, From: now, Until: now.Add(2 * time.Hour)}, "Doe v. Roe, 26-cv-1", now.Add(year))
	must(t, err)
	b, err := j.Hold(ctx, Scope{From: now.Add(time.Hour)}, "a subpoena", now.Add(year))
	must(t, err)
	late := now.Add(20 * year)
	steps := []struct {
		act  func() error
		want string // erased among the four
	}{
		{func() error { return nil }, "1000"},
		{func() error { return j.Release(ctx, b, late) }, "1011"},
		{func() error { return j.Release(ctx, a, late) }, "1111"},
	}
	for i, s := range steps {
		must(t, s.act())
		for range 2 {
			eraseAll(t, j, late)
		}
		got := ""
		for _, e := range all(t, j)[:4] {
			got += map[bool]string{true: "1", false: "0"}[e.Erased]
		}
		if got != s.want {
			t.Errorf("step %d: erased %s, want %s", i, got, s.want)
		}
	}
	for _, id := range []int64{a, b, 0, 99} {
		if err := j.Release(ctx, id, late); err == nil || !strings.Contains(err.Error(), "no hold") {
			t.Errorf("released %d: %v", id, err)
		}
	}
	holds, err := j.Holds(ctx)
	must(t, err)
	want := []Hold{
		{ID: a, Scope: Scope{Kinds: []string{"disclose"}, From: now, Until: now.Add(2 * time.Hour)}, Reason: "Doe v. Roe, 26-cv-1", Made: now.Add(year), Released: late},
		{ID: b, Scope: Scope{Kinds: []string{}, From: now.Add(time.Hour)}, Reason: "a subpoena", Made: now.Add(year), Released: late},
	}
	if d := cmp.Diff(want, holds); d != "" {
		t.Error(d)
	}
	var notes []string
	for _, e := range all(t, j) {
		if e.Kind == "hold" || e.Kind == "release" {
			notes = append(notes, e.Kind+" "+string(e.Body))
		}
	}
	if d := cmp.Diff([]string{
		`hold {"id":"1","reason":"Doe v. Roe, 26-cv-1","scope":"disclose from 1767268800 until 1767276000"}`,
		`hold {"id":"2","reason":"a subpoena","scope":"all from 1767272400"}`,
		`release {"id":"2","reason":"a subpoena","scope":"all from 1767272400"}`,
		`release {"id":"1","reason":"Doe v. Roe, 26-cv-1","scope":"disclose from 1767268800 until 1767276000"}`,
	}, notes); d != "" {
		t.Error(d)
	}
}

func TestRetentionRefused(t *testing.T) {
	db := openDB(t, t.TempDir())
	j := openJournal(t, db)
	for name, r := range map[string]Retention{
		"unknown": {"disclosed": year}, "short": {"disclose": LeastKept - time.Second}, "negative": {"disclose": -year},
	} {
		if _, err := j.Erase(ctx, r, now); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	for name, c := range map[string]struct {
		scope  Scope
		reason string
	}{
		"no reason":   {Scope{}, ""},
		"long reason": {Scope{}, strings.Repeat("x", maxReason+1)},
		"unprintable": {Scope{}, "a\nb"},
		"unknown":     {Scope{Kinds: []string{"disclosed"}}, "x"},
		"backwards":   {Scope{From: now, Until: now}, "x"},
	} {
		if _, err := j.Hold(ctx, c.scope, c.reason, now); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if holds, err := j.Holds(ctx); err != nil || len(holds) != 0 || len(all(t, j)) != 0 {
		t.Errorf("%v %v", holds, err)
	}
}

// TestHoldBetweenSteps: a hold that comes while an erasure is under way keeps
// what is not gone yet, and a release brings it back into reach; a crash in
// between loses nothing.
func TestHoldBetweenSteps(t *testing.T) {
	dir := t.TempDir()
	steps, stop := 0, errors.New("a crash")
	var at func(step int) error
	open := func() (*store.DB, *Journal) {
		db, err := store.Open(ctx, storetest.URL(t, dir+"/test.db", "test"), "test", store.WithFault(func(point string) error {
			if at == nil || point != "begin" {
				return nil
			}
			steps++
			return at(steps)
		}))
		must(t, err)
		t.Cleanup(func() { _ = db.Close() })
		return db, openJournal(t, db)
	}
	db, j := open()
	must(t, db.Write(ctx, func(tx *store.Tx) error {
		for range 4 * eraseStep {
			if _, err := j.Append(tx, Entry{Kind: "ask", At: now}); err != nil {
				return err
			}
		}
		return nil
	}))
	late := now.Add(7 * year)
	at = func(step int) error {
		if step == 3 {
			return stop
		}
		return nil
	}
	if n, err := j.Erase(ctx, Retention{"ask": year}, late); !errors.Is(err, stop) || n != 2*eraseStep {
		t.Fatalf("%d erased: %v", n, err)
	}
	at = nil
	must(t, db.Close())
	_, j = open()
	id, err := j.Hold(ctx, Scope{}, "everything", late)
	must(t, err)
	if n, err := j.Erase(ctx, Retention{"ask": year}, late); err != nil || n != 0 {
		t.Errorf("%d erased under a hold: %v", n, err)
	}
	must(t, j.Release(ctx, id, late))
	if n, err := j.Erase(ctx, Retention{"ask": year}, late); err != nil || n != 2*eraseStep {
		t.Errorf("%d erased after the release: %v", n, err)
	}
	said := 0
	for _, e := range all(t, j) {
		if e.Kind == "erase" {
			fields, err := ParseBody(e.Body)
			must(t, err)
			var n int
			_, err = fmt.Sscan(fields["entries"], &n)
			must(t, err)
			said += n
		}
	}
	if said != 4*eraseStep {
		t.Errorf("the entries say %d", said)
	}
}

// empty makes the journal new again: quicker than a new database.
func empty(t testing.TB, db *store.DB) {
	t.Helper()
	must(t, db.Write(ctx, func(tx *store.Tx) error {
		for _, table := range []string{"journal", "journal_key", "journal_retention", "journal_hold", "journal_skipped", "journal_daily"} {
			if _, err := tx.Exec("DELETE FROM " + table); err != nil {
				return err
			}
		}
		return nil
	}))
}

// stored returns all rows.
func stored(t testing.TB, j *Journal) (all []Row) {
	t.Helper()
	for {
		page, err := j.Rows(ctx, uint64(len(all)), maxPage)
		must(t, err)
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
	}
}

// TestEraseProperty holds erasure against a model: whatever is appended, held,
// released and erased in whatever order, what is erased is exactly what was
// over and not held at a sweep, and every leaf stays.
func TestEraseProperty(t *testing.T) {
	kinds := []string{"ask", "disclose", "abandoned", "roster"}
	db := openDB(t, t.TempDir())
	rapid.Check(t, func(r *rapid.T) {
		empty(t, db)
		j := openPlain(t, db)
		j.page = 20
		type row struct {
			kind   string
			at     time.Time
			erased bool
		}
		var rows []row
		holds := map[int64]Scope{}
		leaves := map[int][]byte{}
		clock := now
		r.Repeat(map[string]func(*rapid.T){
			"append": func(r *rapid.T) {
				n := rapid.IntRange(1, 8).Draw(r, "n")
				must(t, db.Write(ctx, func(tx *store.Tx) error {
					for range n {
						e := Entry{Kind: rapid.SampledFrom(kinds).Draw(r, "kind"), At: clock}
						if rapid.IntRange(0, 19).Draw(r, "clock") == 0 { // that was wrong
							e.At = clock.Add(20 * year)
						}
						if _, err := j.Append(tx, e); err != nil {
							return err
						}
						rows = append(rows, row{kind: e.Kind, at: e.At})
					}
					return nil
				}))
			},
			"hold": func(r *rapid.T) {
				s := Scope{Kinds: rapid.SampledFrom([][]string{nil, {"ask"}, {"ask", "abandoned"}}).Draw(r, "kinds")}
				if rapid.Bool().Draw(r, "from") {
					s.From = clock.Add(-time.Duration(rapid.IntRange(0, 3000).Draw(r, "since")) * day)
				}
				id, err := j.Hold(ctx, s, "because", clock)
				must(t, err)
				holds[id] = s
				rows = append(rows, row{kind: "hold", at: clock})
			},
			"release": func(r *rapid.T) {
				if len(holds) == 0 {
					r.Skip()
				}
				id := rapid.SampledFrom(slices.Sorted(maps.Keys(holds))).Draw(r, "id")
				must(t, j.Release(ctx, id, clock))
				delete(holds, id)
				rows = append(rows, row{kind: "release", at: clock})
			},
			"erase": func(r *rapid.T) {
				clock = clock.Add(time.Duration(rapid.IntRange(0, 1000).Draw(r, "later")) * day)
				eraseAll(t, j, clock)
				for i := range rows {
					period := DefaultRetention()[rows[i].kind]
					over := period != 0 && rows[i].at.Unix() < clock.Add(-period).Unix()
					for _, s := range holds {
						over = over && !((len(s.Kinds) == 0 || slices.Contains(s.Kinds, rows[i].kind)) && !rows[i].at.Before(s.From))
					}
					rows[i].erased = rows[i].erased || over
				}
				for i, e := range stored(t, j) {
					if i == len(rows) {
						rows = append(rows, row{kind: e.Kind, at: e.At}) // by erase
					}
					if erased := e.Sealed == nil; erased != rows[i].erased || e.Kind != rows[i].kind {
						r.Fatalf("entry %d, %s of %s: erased %v, want %v (%s)", i, e.Kind, e.At, erased, rows[i].erased, rows[i].kind)
					}
					if known, ok := leaves[i]; ok && !bytes.Equal(known, e.Leaf) {
						r.Fatalf("the leaf of entry %d has changed", i)
					}
					leaves[i] = e.Leaf
				}
			},
		})
	})
}
