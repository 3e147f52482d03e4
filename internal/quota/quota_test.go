package quota_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/quota"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
)

var start = time.Date(2026, 3, 4, 10, 30, 0, 0, time.UTC)

func open(t testing.TB) *store.DB {
	t.Helper()
	db := openAt(t, t.TempDir())
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func openAt(t testing.TB, dir string) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), storetest.URL(t, dir+"/holder.db", "keyholder"), "keyholder")
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// counter charges tickets of one member.
type counter struct {
	db     *store.DB
	member roster.Member
	share  func(int) int
	grants []roster.Grant
}

func newCounter(t testing.TB, q roster.Quota) counter {
	return counter{db: open(t), member: roster.Member{Name: "AZ", Quota: q}, share: quota.Whole}
}

func (c counter) limits() quota.Limits {
	return quota.Limits{Roster: &roster.Roster{Grants: c.grants}, Member: c.member, Share: c.share}
}

func (c counter) charge(t waypost.Ticket, at time.Time) error {
	_, err := c.alarmed(t, at)
	return err
}

// alarmed charges and returns what that raised.
func (c counter) alarmed(t waypost.Ticket, at time.Time) (raised quota.Alarms, err error) {
	err = c.db.Write(context.Background(), func(tx *store.Tx) (err error) {
		raised, err = quota.Charge(tx, c.limits(), t, at)
		return err
	})
	return raised, err
}

// take charges until it is refused and returns how often it was not.
func (c counter) take(t *testing.T, at time.Time, next func(i int) waypost.Ticket) (n int, words string) {
	t.Helper()
	for i := range 100 {
		if err := c.charge(next(i), at); err != nil {
			if waypost.CodeOf(err) != waypost.QuotaExceeded {
				t.Fatal(err)
			}
			return i, err.Error()
		}
	}
	t.Fatal("nothing was refused")
	return 0, ""
}

func check(operator byte) waypost.Ticket {
	return waypost.Ticket{Kind: waypost.KindCheck, Class: waypost.Attended, Operator: [32]byte{operator}, Elements: waypost.CheckElements}
}

func unattended() waypost.Ticket {
	t := check(1)
	t.Class = waypost.Unattended
	return t
}

func publish(records int) waypost.Ticket {
	return waypost.Ticket{Kind: waypost.KindPublish, Class: waypost.Loader, Operator: [32]byte{1}, Elements: records * waypost.RecordElements}
}

// republish is of records under the key of an epoch.
func republish(epoch uint32, records int) waypost.Ticket {
	t := publish(records)
	t.Kind, t.Epoch = waypost.KindRepublish, epoch
	return t
}

// question is to one state.
func question(operator byte) waypost.Ticket {
	return waypost.Ticket{Kind: waypost.KindStatus, Class: waypost.Attended, Operator: [32]byte{operator}}
}

// housework is about the member's own pointers.
func housework() waypost.Ticket {
	return waypost.Ticket{Kind: waypost.KindWithdraw, Class: waypost.Loader, Operator: [32]byte{1}}
}

var plenty = roster.Quota{TicketsPerDay: 90, UnattendedPerDay: 90, TicketsPerOperatorHour: 90, Operators: 90, PublishElementsPerDay: 900, PublishElementsForALoad: 900}

// Each limit is exact, says what it is, and comes back in its own time.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		limit  func(*roster.Quota)
		want   int
		words  string
		next   func(i int) waypost.Ticket
		window time.Duration
	}{
		{"checks a day", func(q *roster.Quota) { q.TicketsPerDay = 7 }, 7, "checks today: try again after 2026-03-05T00:00:00Z",
			func(i int) waypost.Ticket { return check(byte(i + 1)) }, 24 * time.Hour},
		{"unattended checks count as checks", func(q *roster.Quota) { q.TicketsPerDay = 7 }, 7, "checks today",
			func(int) waypost.Ticket { return unattended() }, 24 * time.Hour},
		{"unattended checks a day", func(q *roster.Quota) { q.UnattendedPerDay = 5 }, 5, "unattended checks today",
			func(int) waypost.Ticket { return unattended() }, 24 * time.Hour},
		{"one operator's hour", func(q *roster.Quota) { q.TicketsPerOperatorHour = 6 }, 6, "by this operator this hour: try again after 2026-03-04T11:00:00Z",
			func(int) waypost.Ticket { return check(1) }, time.Hour},
		{"distinct operators a day", func(q *roster.Quota) { q.Operators = 4 }, 4, "distinct operators today",
			func(i int) waypost.Ticket { return check(byte(i + 1)) }, 24 * time.Hour},
		{"published elements", func(q *roster.Quota) { q.PublishElementsPerDay, q.PublishElementsForALoad = 95, 0 }, 9, "published elements today: try again after 2026-03-05T00:00:00Z, or ask governance for a load grant",
			func(int) waypost.Ticket { return publish(1) }, 24 * time.Hour},
		{"changed elements", func(q *roster.Quota) { q.PublishElementsPerDay, q.PublishElementsForALoad = 95, 0 }, 9, "published elements today",
			func(int) waypost.Ticket { t := publish(1); t.Kind = waypost.KindChange; return t }, 24 * time.Hour},
		{"as many follow-ups as checks", func(q *roster.Quota) { q.TicketsPerDay = 7 }, 7, "questions to single states today: try again after 2026-03-05T00:00:00Z",
			func(i int) waypost.Ticket { return question(byte(i + 1)) }, 24 * time.Hour},
		{"follow-ups", func(q *roster.Quota) { q.FollowUpsPerDay = 5 }, 5, "questions to single states today",
			func(i int) waypost.Ticket { return question(byte(i + 1)) }, 24 * time.Hour},
		{"one operator's hour of follow-ups", func(q *roster.Quota) { q.TicketsPerOperatorHour = 6 }, 6, "questions to single states by this operator this hour",
			func(int) waypost.Ticket { return question(1) }, time.Hour},
		{"distinct operators of follow-ups", func(q *roster.Quota) { q.Operators = 4 }, 4, "distinct operators today",
			func(i int) waypost.Ticket { return question(byte(i + 1)) }, 24 * time.Hour},
		{"no quota at all", func(q *roster.Quota) { *q = roster.Quota{} }, 0, "AZ has no quota of checks today: ask governance for a grant",
			func(int) waypost.Ticket { return check(1) }, 0},
	} {
		q := plenty
		c.limit(&q)
		counted := newCounter(t, q)
		got, words := counted.take(t, start, c.next)
		if got != c.want || !strings.Contains(words, c.words) || !strings.Contains(words, "AZ") {
			t.Errorf("%s: %d, want %d: %s", c.name, got, c.want, words)
		}
		if c.window == 0 {
			continue
		}
		if err := counted.charge(c.next(50), start.Truncate(c.window).Add(c.window-time.Second)); waypost.CodeOf(err) != waypost.QuotaExceeded {
			t.Errorf("%s: at the end of the window: %v", c.name, err)
		}
		if got, _ := counted.take(t, start.Truncate(c.window).Add(c.window), c.next); got != c.want {
			t.Errorf("%s: %d in the next window", c.name, got)
		}
	}
}

// What is published once more is counted for each key for itself, for ever, and
// takes nothing from what is published every day.
func TestRepublishing(t *testing.T) {
	q := plenty
	q.RepublishRecords = 7
	c := newCounter(t, q)
	got, words := c.take(t, start, func(int) waypost.Ticket { return republish(2, 2) })
	if got != 3 || !strings.Contains(words, "ask governance to raise republish_records") {
		t.Errorf("%d tickets of two records: %s", got, words)
	}
	if err := c.charge(republish(2, 1), start.AddDate(1, 0, 0)); err != nil {
		t.Error("the last one:", err)
	}
	if err := c.charge(republish(2, 1), start.AddDate(1, 0, 0)); waypost.CodeOf(err) != waypost.QuotaExceeded {
		t.Error("one more in a year:", err)
	}
	if err := c.charge(republish(3, 7), start); err != nil {
		t.Error("under the key after that:", err)
	}
	if err := c.charge(publish(90), start); err != nil {
		t.Error("what is published every day:", err)
	}
}

// Of what is published once more a day has a tenth, or a hundred thousand records.
func TestRepublishingDay(t *testing.T) {
	for _, c := range []struct{ records, day int }{{3_000_000, 300_000}, {400_000, 100_000}, {50_000, 50_000}} {
		q := plenty
		q.RepublishRecords = c.records
		n := newCounter(t, q)
		n.share = func(limit int) int { return limit / 10_000 }
		for i := range 3 {
			want := min(c.day, max(c.records-i*c.day, 0)) / 10_000
			got, words := n.take(t, start.AddDate(0, 0, i), func(int) waypost.Ticket { return republish(2, 1) })
			if got != want || c.day < c.records && i == 0 && !strings.Contains(words, "elements to publish once more today: try again after 2026-03-05") {
				t.Errorf("%d records, day %d: %d, want %d: %s", c.records, i, got, want, words)
			}
		}
	}
}

// What follows checks takes nothing from checks, nor from each other's hours.
// Persons are the same persons.
func TestFollowUpsAreApart(t *testing.T) {
	q := plenty
	q.TicketsPerDay, q.FollowUpsPerDay, q.TicketsPerOperatorHour, q.Operators = 5, 4, 5, 1
	c := newCounter(t, q)
	if n, _ := c.take(t, start, func(int) waypost.Ticket { return question(1) }); n != 4 {
		t.Errorf("%d questions, want 4", n)
	}
	if n, words := c.take(t, start, func(int) waypost.Ticket { return check(1) }); n != 5 || !strings.Contains(words, "checks today") {
		t.Errorf("%d checks after questions, want 5: %s", n, words)
	}
	if err := c.charge(housework(), start); err != nil {
		t.Error(err)
	}
	q.FollowUpsPerDay = 0
	other := newCounter(t, q)
	if err := other.charge(question(2), start); err != nil {
		t.Error(err)
	}
	if err := other.charge(check(1), start); waypost.CodeOf(err) != waypost.QuotaExceeded || !strings.Contains(err.Error(), "distinct operators") {
		t.Errorf("a second person: %v", err)
	}
}

// Upkeep has a limit of its own: at least what a night's comparison takes, and a
// request for each record that may be published. A member that may publish
// nothing can still withdraw, and leave.
func TestUpkeep(t *testing.T) {
	for _, c := range []struct{ elements, want int }{{0, 1024}, {5000, 1024}, {20_000, 2000}} {
		if got := quota.UpkeepPerDay(roster.Quota{PublishElementsPerDay: c.elements}); got != c.want {
			t.Errorf("%d requests with %d elements a day, want %d", got, c.elements, c.want)
		}
	}
	c := newCounter(t, roster.Quota{})
	c.share = func(limit int) int { return limit / 128 }
	if n, words := c.take(t, start, func(int) waypost.Ticket { return housework() }); n != 8 || !strings.Contains(words, "requests about its own pointers today: try again after 2026-03-05") {
		t.Errorf("%d requests, want 8: %s", n, words)
	}
	if n, _ := c.take(t, start.AddDate(0, 0, 1), func(int) waypost.Ticket { return housework() }); n != 8 {
		t.Errorf("%d requests on the next day", n)
	}
}

// Beyond a day's corrections a load draws on its grant, once and for all.
func TestLoadGrant(t *testing.T) {
	q := plenty
	q.PublishElementsPerDay, q.PublishElementsForALoad = 50, 70
	c := newCounter(t, q)
	if n, words := c.take(t, start, func(int) waypost.Ticket { return publish(1) }); n != 12 || !strings.Contains(words, "load grant") {
		t.Errorf("%d records on the first day: %s", n, words)
	}
	for i := range 3 {
		tomorrow := start.AddDate(0, 0, i+1)
		if n, _ := c.take(t, tomorrow, func(int) waypost.Ticket { return publish(1) }); n != 5 {
			t.Errorf("%d records on a later day: the grant came back", n)
		}
		if err := c.db.Write(t.Context(), func(tx *store.Tx) error { return quota.Expire(tx, tomorrow.AddDate(0, 0, 30)) }); err != nil {
			t.Fatal(err)
		}
	}
	// A batch that does not fit into what is left of the day is drawn whole on
	// the grant, and what is left of the day stays.
	c = newCounter(t, q)
	for _, batch := range []struct {
		records int
		good    bool
	}{{3, true}, {7, true}, {1, true}, {2, false}, {1, true}, {1, false}} {
		if err := c.charge(publish(batch.records), start); (err == nil) != batch.good {
			t.Errorf("a batch of %d: %v", batch.records, err)
		}
	}
}

// A refusal counts nothing, whichever of several limits refused.
func TestRefusalCountsNothing(t *testing.T) {
	q := plenty
	q.TicketsPerDay, q.TicketsPerOperatorHour = 10, 2
	c := newCounter(t, q)
	for range 2 {
		if err := c.charge(check(1), start); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		if err := c.charge(check(1), start); waypost.CodeOf(err) != waypost.QuotaExceeded {
			t.Fatal(err)
		}
	}
	if n, _ := c.take(t, start, func(i int) waypost.Ticket { return check(byte(2 + i)) }); n != 8 {
		t.Errorf("%d more checks after refusals, want 8", n)
	}
}

// A key holder grants its share of the member's limits, and the whole of what
// is said about persons: nearly every operator comes to every holder.
func TestShares(t *testing.T) {
	half := func(n int) int { return n / 2 }
	for _, c := range []struct {
		name  string
		limit func(*roster.Quota)
		want  int
		next  func(i int) waypost.Ticket
	}{
		{"checks", func(q *roster.Quota) { q.TicketsPerDay = 12 }, 6, func(i int) waypost.Ticket { return check(byte(i + 1)) }},
		{"unattended", func(q *roster.Quota) { q.UnattendedPerDay = 12 }, 6, func(int) waypost.Ticket { return unattended() }},
		{"elements", func(q *roster.Quota) { q.PublishElementsPerDay, q.PublishElementsForALoad = 120, 40 }, 8, func(int) waypost.Ticket { return publish(1) }},
		{"operator", func(q *roster.Quota) { q.TicketsPerOperatorHour = 12 }, 12, func(int) waypost.Ticket { return check(1) }},
		{"operators", func(q *roster.Quota) { q.Operators = 12 }, 12, func(i int) waypost.Ticket { return check(byte(i + 1)) }},
	} {
		q := plenty
		c.limit(&q)
		counted := newCounter(t, q)
		counted.share = half
		if n, _ := counted.take(t, start, c.next); n != c.want {
			t.Errorf("%s: %d, want %d", c.name, n, c.want)
		}
	}
}

// Members and operators of the same name in different states do not share.
func TestMembersAreSeparate(t *testing.T) {
	q := plenty
	q.TicketsPerDay, q.Operators = 3, 1
	c := newCounter(t, q)
	other := c
	other.member.Name = "CA"
	for _, each := range []counter{c, other} {
		if n, _ := each.take(t, start, func(int) waypost.Ticket { return check(1) }); n != 3 {
			t.Errorf("%s: %d", each.member.Name, n)
		}
	}
}

func TestConcurrentChargesAreExact(t *testing.T) {
	q := plenty
	q.TicketsPerDay = 40
	c := newCounter(t, q)
	var good atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 12 {
				err := c.charge(check(byte(i+1)), start)
				if err == nil {
					good.Add(1)
				} else if waypost.CodeOf(err) != waypost.QuotaExceeded {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if good.Load() != 40 {
		t.Errorf("%d of 96 concurrent checks were admitted, want 40", good.Load())
	}
}

// What a failed transaction charged was never charged.
func TestUndoneChargeIsNotCounted(t *testing.T) {
	q := plenty
	q.TicketsPerDay = 2
	c := newCounter(t, q)
	failure := errors.New("the ledger is full")
	for range 5 {
		err := c.db.Write(t.Context(), func(tx *store.Tx) error {
			if _, err := quota.Charge(tx, c.limits(), check(1), start); err != nil {
				return err
			}
			return failure
		})
		if !errors.Is(err, failure) {
			t.Fatal(err)
		}
	}
	if n, _ := c.take(t, start, func(int) waypost.Ticket { return check(1) }); n != 2 {
		t.Errorf("%d checks, want 2", n)
	}
}

func TestMail(t *testing.T) {
	c := newCounter(t, plenty)
	send := func(bytes int, at time.Time) error {
		return c.db.Write(t.Context(), func(tx *store.Tx) error { return quota.ChargeMail(tx, "AZ", bytes, at) })
	}
	for i, err := range []error{send(3<<30, start), send(1<<30, start)} {
		if err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	if err := send(1, start); waypost.CodeOf(err) != waypost.QuotaExceeded || !strings.Contains(err.Error(), "bytes of mail today: try again after 2026-03-05") {
		t.Errorf("%v", err)
	}
	if err := send(1, start.AddDate(0, 0, 1)); err != nil {
		t.Errorf("the next day: %v", err)
	}
}
