package journal

import (
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
)

// openLogs opens the logs of two processes in one database.
func openLogs(t *testing.T) (*store.DB, [2]*Journal) {
	t.Helper()
	db := openDB(t, t.TempDir())
	logs := [2]*Journal{openJournal(t, db)}
	second, err := Open(ctx, db, logs[0].OriginOf(2), reader.Recipient())
	must(t, err)
	logs[1] = second
	return db, logs
}

// TestLogs: two processes number their entries each for itself, and entries of one
// kind about one ticket, and the leaves of one log are in no other.
func TestLogs(t *testing.T) {
	db, logs := openLogs(t)
	tau := [32]byte{1}
	leaves := make(map[string]bool)
	for i := range 6 {
		j := logs[i%2]
		seq, err := appendOne(db, j, Entry{Kind: "search_first", At: now, Ticket: [32]byte{2}, Tau: tau})
		must(t, err)
		if seq != uint64(i/2) {
			t.Errorf("entry %d of log %d got the number %d", i/2, j.Log(), seq)
		}
	}
	for n, j := range logs {
		if j.Log() != int64(n+1) || j.Origin() != logs[1-n].OriginOf(j.Log()) {
			t.Errorf("log %d is %s, number %d", n+1, j.Origin(), j.Log())
		}
		rows := all(t, j)
		for i, s := range rows {
			if s.Seq != uint64(i) || s.Ordinal != uint64(i) || !s.Opened || string(s.Leaf) != string(s.Entry.Leaf("test", j.Origin())) {
				t.Errorf("log %d: entry %d is %d, ordinal %d", j.Log(), i, s.Seq, s.Ordinal)
			}
			leaves[string(s.Leaf)] = true
		}
		size, err := j.Size(ctx)
		must(t, err)
		if len(rows) != 3 || size != 3 {
			t.Errorf("log %d has %d entries and says %d", j.Log(), len(rows), size)
		}
	}
	if len(leaves) != 6 {
		t.Errorf("%d different leaves of 6 entries", len(leaves))
	}
	origins, err := logs[0].Origins(ctx)
	must(t, err)
	if len(origins) != 2 || origins[1] != origin || origins[2] != logs[1].Origin() {
		t.Errorf("the database keeps %v", origins)
	}
}

// TestLogsOfOneDay: each log counts its own entries and erases its own.
func TestLogsOfOneDay(t *testing.T) {
	db, logs := openLogs(t)
	for i, j := range logs {
		for range i + 1 {
			_, err := appendOne(db, j, Entry{Kind: "search_first", At: now})
			must(t, err)
		}
	}
	tomorrow := now.Add(day)
	must(t, logs[0].Daily(ctx, tomorrow))
	if page, err := logs[1].Counters(ctx, "", 10); err != nil || len(page) != 0 {
		t.Errorf("the log that has counted nothing shows %d days, %v", len(page), err)
	}
	must(t, logs[1].Daily(ctx, tomorrow))
	for i, j := range logs {
		page, err := j.Counters(ctx, "", 10)
		must(t, err)
		daily := all(t, j)[i+1]
		if len(page) != 1 || daily.Kind != "daily" {
			t.Fatalf("log %d: %d days, and entry %d is %q", j.Log(), len(page), i+1, daily.Kind)
		}
		fields, err := ParseBody(daily.Body)
		must(t, err)
		if want := []string{"1", "2"}[i]; fields["search_first"] != want {
			t.Errorf("log %d counts %s searches, not %s", j.Log(), fields["search_first"], want)
		}
	}
}

// TestHoldOfAllLogs: a hold that one process makes keeps the entries of all, and
// when another releases it each log erases what it kept.
func TestHoldOfAllLogs(t *testing.T) {
	db, logs := openLogs(t)
	for i, j := range logs {
		for range i + 1 {
			_, err := appendOne(db, j, Entry{Kind: "search_first", At: now})
			must(t, err)
		}
	}
	id, err := logs[0].Hold(ctx, Scope{}, "a case", now)
	must(t, err)
	late := now.Add(7 * year)
	erase := func(want int) {
		t.Helper()
		for i, j := range logs {
			n, err := j.Erase(ctx, DefaultRetention(), late)
			must(t, err)
			if n != want*(i+1) {
				t.Errorf("log %d: %d entries are erased, not %d", j.Log(), n, want*(i+1))
			}
		}
	}
	erase(0)
	must(t, logs[1].Release(ctx, id, late))
	erase(1)
	for i, j := range logs {
		marks, err := j.Erasures(ctx, Mark{}, 10)
		must(t, err)
		if len(marks) != i+1 {
			t.Errorf("log %d shows %d erased entries", j.Log(), len(marks))
		}
	}
}

// TestReceiptsOfAllProcesses: whoever asks finds what every process has kept.
func TestReceiptsOfAllProcesses(t *testing.T) {
	db, logs := openLogs(t)
	ticket := signedTicket(t, 1)
	for i := range 4 {
		must(t, db.Write(ctx, func(tx *store.Tx) error {
			return logs[i%2].KeepReceipts(tx, ticket, [][]byte{signedReceipt(t, ticket, uint64(i), now)})
		}))
	}
	var ids []int64
	for after := int64(0); ; after = ids[len(ids)-1] {
		page, err := logs[0].DueReceipts(ctx, now.Add(time.Minute), after, 1)
		must(t, err)
		if len(page) == 0 {
			break
		}
		ids = append(ids, page[0].ID)
	}
	if len(ids) != 4 {
		t.Errorf("%d receipts are due: %v", len(ids), ids)
	}
	must(t, logs[1].ForgetReceipts(ctx, ids))
	again, err := Open(ctx, db, logs[1].Origin(), reader.Recipient())
	must(t, err)
	if page, err := again.DueReceipts(ctx, now.Add(time.Hour), 0, 10); err != nil || len(page) != 0 {
		t.Errorf("%d receipts are due after all were forgotten, %v", len(page), err)
	}
}
