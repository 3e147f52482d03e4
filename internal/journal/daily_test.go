package journal

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/translog"
)

func counters(t testing.TB, j *Journal, after string) (all []Counter) {
	t.Helper()
	all, err := j.Counters(ctx, after, 1000)
	must(t, err)
	return all
}

func TestDaily(t *testing.T) {
	db := openDB(t, t.TempDir())
	j := openJournal(t, db)
	add := func(kind string, at time.Time) {
		t.Helper()
		_, err := appendOne(db, j, Entry{Kind: kind, At: at})
		must(t, err)
	}
	midnight := now.Truncate(day).Add(day)
	add("ask", now)
	add("outcome", now.Add(time.Hour))
	add("ask", midnight.Add(time.Minute))  // the day after
	add("ask", midnight.Add(-time.Second)) // begun before midnight
	daily := func(at time.Time, want int) {
		t.Helper()
		must(t, j.Daily(ctx, at))
		must(t, j.Daily(ctx, at))
		if got := counters(t, j, ""); len(got) != want {
			t.Errorf("at %s: %d days are counted, want %d", at, len(got), want)
		}
	}
	daily(now, 0)
	daily(midnight.Add(time.Minute), 0)
	daily(midnight.Add(dailyGrace), 1)
	add("abandoned", midnight.Add(time.Hour))
	add("ask", midnight.Add(3*day)) // nothing on the second and third day
	daily(midnight.Add(4*day+dailyGrace), 3)

	body := func(c Counter) string {
		t.Helper()
		e, err := translog.ParseEntry(c.Opened)
		must(t, err)
		entries := all(t, j)
		for _, s := range entries {
			if bytes.Equal(s.Leaf, e.Leaf("test", origin)) {
				return c.Day + " " + string(e.Body)
			}
		}
		t.Errorf("%s opens no leaf of the log", c.Day)
		return ""
	}
	var got []string
	for _, c := range counters(t, j, "") {
		got = append(got, body(c))
	}
	if d := cmp.Diff([]string{
		`2026-01-01 {"ask":"2","day":"2026-01-01","outcome":"1"}`,
		`2026-01-02 {"abandoned":"1","ask":"1","daily":"1","day":"2026-01-02"}`,
		`2026-01-05 {"ask":"1","day":"2026-01-05"}`,
	}, got); d != "" {
		t.Error(d)
	}
	if later := counters(t, j, "2026-01-02"); len(later) != 1 || later[0].Day != "2026-01-05" {
		t.Errorf("%v", later)
	}
	if _, err := j.Counters(ctx, "yesterday", 1); err == nil {
		t.Error("a day that is none was taken")
	}
}

// TestDailyProperty: whenever it is called, and whatever fails, the counters of
// a day are what an auditor counts who reads the log up to them.
func TestDailyProperty(t *testing.T) {
	fail := ""
	db, err := store.Open(ctx, storetest.URL(t, t.TempDir()+"/test.db", "test"), "test", store.WithFault(func(point string) error {
		if fail == point {
			fail = ""
			return errUndo
		}
		return nil
	}))
	must(t, err)
	defer db.Close()
	rapid.Check(t, func(r *rapid.T) {
		empty(t, db)
		j := openPlain(t, db)
		j.tally.page = 3
		clock := now
		r.Repeat(map[string]func(*rapid.T){
			"append": func(r *rapid.T) {
				at := clock.Add(-time.Duration(rapid.IntRange(0, 300).Draw(r, "seconds")) * time.Second)
				_, err := appendOne(db, j, Entry{Kind: rapid.SampledFrom([]string{"ask", "outcome"}).Draw(r, "kind"), At: at})
				must(t, err)
			},
			"wait":  func(r *rapid.T) { clock = clock.Add(time.Duration(rapid.IntRange(1, 40).Draw(r, "hours")) * time.Hour) },
			"crash": func(r *rapid.T) { fail = "commit"; _ = j.Daily(ctx, clock); fail = "" },
			"lost":  func(r *rapid.T) { fail = "committed"; _ = j.Daily(ctx, clock); fail = "" },
			"restart": func(r *rapid.T) {
				j = openPlain(t, db)
				j.tally.page = 4
			},
			"back": func(r *rapid.T) {
				clock = clock.Add(-time.Duration(rapid.IntRange(1, 200).Draw(r, "minutes")) * time.Minute)
			},
			"daily": func(r *rapid.T) { must(t, j.Daily(ctx, clock)) },
		})
		must(t, j.Daily(ctx, clock.Add(2*day)))
		recounted := map[string]map[string]int{}
		days := map[string]bool{}
		for _, e := range all(t, j) {
			if e.Kind == "daily" {
				fields, err := ParseBody(e.Body)
				must(t, err)
				want := map[string]string{"day": fields["day"]}
				for kind, n := range recounted[fields["day"]] {
					want[kind] = fmt.Sprint(n)
				}
				if d := cmp.Diff(want, fields); d != "" || days[fields["day"]] {
					r.Fatalf("day %s, again %v: %s", fields["day"], days[fields["day"]], d)
				}
				days[fields["day"]] = true
			}
			d := e.At.Format(time.DateOnly)
			if recounted[d] == nil {
				recounted[d] = map[string]int{}
			}
			recounted[d][e.Kind]++
		}
		if got := len(counters(t, j, "")); got != len(days) {
			r.Fatalf("%d counters for %d days", got, len(days))
		}
		delete(recounted, clock.Add(2*day).Format(time.DateOnly))
		for d := range recounted {
			if !days[d] {
				r.Fatalf("%s is not counted", d)
			}
		}
	})
}

func TestStartedStopped(t *testing.T) {
	db := openDB(t, t.TempDir())
	j := openJournal(t, db)
	must(t, j.Started(ctx, "1.2.3", now))
	must(t, j.Stopped(ctx, "1.2.3", now))
	entries := all(t, j)
	wantNotes(t, entries[:1], "started", []string{`{"version":"1.2.3"}`})
	wantNotes(t, entries[1:], "stopped", []string{`{"version":"1.2.3"}`})
	if size, err := j.Size(ctx); err != nil || size != 2 {
		t.Errorf("%d entries: %v", size, err)
	}
}
