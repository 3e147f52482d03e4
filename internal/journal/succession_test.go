package journal

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/translog"
)

// TestSucceed: a successor begins with what it says of its predecessors, which take no
// entry any more; nothing of it can be done twice, or by a log that has entries.
func TestSucceed(t *testing.T) {
	db, logs := openLogs(t)
	for range 5 {
		_, err := appendOne(db, logs[0], Entry{Kind: "ask", At: now})
		must(t, err)
	}
	before, err := Positions(ctx, db, nil)
	must(t, err)
	if len(before) != 2 || before[0].N != 5 || before[0].Last != "ask" || before[0].Closed || before[1].N != 0 {
		t.Fatalf("%+v", before)
	}
	third, err := Open(ctx, db, logs[0].OriginOf(3), reader.Recipient())
	must(t, err)
	list := []Succession{
		{Predecessor: origin, Seen: tlog.Tree{N: 9, Hash: tlog.Hash{1}}, Checkpoint: []byte("signed\n"), Restored: before[0].Tree, At: now.Add(time.Millisecond)},
		{Predecessor: logs[1].Origin(), Restored: before[1].Tree, At: now},
	}
	if err := logs[0].Succeed(ctx, list[1:]); err == nil {
		t.Error("a log with entries became a successor")
	}
	must(t, third.Succeed(ctx, list))
	if err := third.Succeed(ctx, list); err == nil {
		t.Error("a succession was declared twice")
	}
	for _, j := range logs {
		if _, err := Open(ctx, db, j.Origin(), reader.Recipient()); err == nil || !strings.Contains(err.Error(), "closed for ever") {
			t.Errorf("%s was opened: %v", j.Origin(), err)
		}
	}
	origins, err := third.Origins(ctx)
	must(t, err)
	if len(origins) != 1 || origins[3] != third.Origin() {
		t.Errorf("logs that go on: %v", origins)
	}
	at, err := Restored(ctx, db)
	must(t, err)
	if !at.Equal(now.Truncate(time.Second)) {
		t.Errorf("restored at %v", at)
	}
	declared, err := third.Successions(ctx)
	must(t, err)
	rows := all(t, third)
	if len(declared) != 2 || len(rows) != 2 {
		t.Fatalf("%d declarations, %d entries", len(declared), len(rows))
	}
	for i, d := range declared {
		e, err := translog.ParseEntry(d.Opened)
		must(t, err)
		if !bytes.Equal(e.Leaf("test", third.Origin()), rows[i].Leaf) {
			t.Errorf("declaration %d does not open leaf %d", d.Log, i)
		}
		s, err := ParseSuccession(e)
		must(t, err)
		if s.Predecessor != list[i].Predecessor || s.Seen != list[i].Seen || s.Restored != list[i].Restored || !bytes.Equal(s.Checkpoint, list[i].Checkpoint) || !s.At.Equal(at) {
			t.Errorf("%+v", s)
		}
	}
	closed, err := Closed(db, origin)
	must(t, err)
	if _, err := appendOne(db, closed, Entry{Kind: "ask", At: now}); err == nil {
		t.Error("an entry was appended to a closed log")
	}
	if page, err := closed.Rows(ctx, 0, 10); err != nil || len(page) != 5 {
		t.Errorf("%d rows of the closed log, %v", len(page), err)
	}
	root, err := RootAt(ctx, db, 1, 3, nil)
	must(t, err)
	want, err := tlog.TreeHash(3, leafHashes(t, closed, 3))
	must(t, err)
	if root != want {
		t.Error("the root over three entries is another")
	}
	if _, err := RootAt(ctx, db, 1, 6, nil); err == nil {
		t.Error("a root over more entries than there are")
	}
}

// leafHashes are the hashes over the first leaves as x/mod/sumdb/tlog makes them.
func leafHashes(t *testing.T, j *Journal, n int) tlog.HashReaderFunc {
	t.Helper()
	var hashes []tlog.Hash
	read := func(indexes []int64) (list []tlog.Hash, err error) {
		for _, i := range indexes {
			list = append(list, hashes[i])
		}
		return list, nil
	}
	rows, err := j.Rows(ctx, 0, n)
	must(t, err)
	for i, r := range rows {
		more, err := tlog.StoredHashes(int64(i), r.Leaf, tlog.HashReaderFunc(read))
		must(t, err)
		hashes = append(hashes, more...)
	}
	return read
}

// FuzzSuccession: what is read is what would be written, to the last byte.
func FuzzSuccession(f *testing.F) {
	s := Succession{Predecessor: origin, Seen: tlog.Tree{N: 9}, Restored: tlog.Tree{N: 4}, Checkpoint: []byte("c"), At: now}
	e, err := s.entry()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(e.Body)
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := ParseSuccession(translog.Entry{Kind: SuccessorKind, At: now, Body: body})
		if err != nil {
			return
		}
		if again, err := s.entry(); err != nil || !bytes.Equal(again.Body, body) {
			t.Errorf("%q became %q, %v", body, again.Body, err)
		}
	})
}
