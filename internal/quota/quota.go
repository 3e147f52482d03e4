// Package quota counts what a member state asks for, in the same transaction
// that commits the ledger entry, so that what is counted and what is logged
// never differ. Key holders and hub count alike, each for itself.
//
// The windows are calendar windows in UTC: days for members, hours for
// operators. What is used beyond a day's quota draws on a burst that the
// roster grants, and publishing after that on the load grant. A refusal counts
// nothing and says when to try again, and what to do where waiting does not
// help. At 80 and at 100 % of a limit there is an [Alarm], once in each window.
//
//	quota.go    a ticket against its limits
//	counter.go  the table
//	alarm.go    what is said at 80 and 100 %
//	usage.go    what is used, for those who watch
package quota

import (
	"encoding/binary"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// The counters. Each is a class in the table quota, in alarms and in metrics.
const (
	tickets      = "tickets"    // a member's checks of a day
	unattended   = "unattended" // of those, without a person at the counter
	operatorHour = "operator"   // one operator's checks of an hour
	operators    = "operators"  // distinct operators of a day
	publishing   = "publish"    // elements published in a day
	loading      = "load"       // elements of the onboarding grant, ever
	republishing = "republish"  // elements published once more under one key, ever
	republishDay = "once_more"  // and of those, in a day
	burst        = "grant_"     // and the roster.GrantClass: tickets or elements of one grant, ever
	seen         = "seen"       // an operator of a day
	mail         = "mail"       // bytes put into other members' boxes in a day

	followUps    = "follow_ups"          // a member's questions to single states of a day
	followUpHour = "follow_ups_operator" // one operator's questions to single states of an hour
	upkeep       = "upkeep"              // a member's requests about its own pointers of a day
)

const (
	day, hour = 24 * time.Hour, time.Hour
	ever      = time.Duration(0)
)

// mailPerDay is what one member may put into other members' boxes in a day, in
// bytes: several times what the largest state writes, and a fraction of what a
// box holds, so that one member cannot close another's.
const mailPerDay = 4 << 30

// UpkeepPerDay is how many requests about its own pointers a member may make in a
// day: as many as it may publish records, so that each change can be taken back
// by itself, and in any case enough for a nightly comparison of the largest state
// in all buckets (16 requests) with hundreds that differ, and for leaving.
func UpkeepPerDay(q roster.Quota) int {
	return max(q.PublishElementsPerDay/waypost.RecordElements, 1024)
}

// Limits is what one counter, a key holder or the hub, grants one member.
type Limits struct {
	Roster *roster.Roster // whose grants count
	Member roster.Member
	// Share is how much of a limit this counter grants: all of it at the hub,
	// which sees every ticket; at a key holder Roster.HolderShare.
	Share func(limit int) int
}

// Whole is the share of a counter that sees every ticket.
func Whole(limit int) int { return limit }

// Charge counts one ticket against what its member may ask, or returns
// QuotaExceeded; the caller's transaction is then rolled back, and with it the
// counts. The alarms it raises are remembered with the counts: the caller
// appends them to the ledger in the same transaction.
func Charge(tx *store.Tx, l Limits, t waypost.Ticket, now time.Time) (Alarms, error) {
	c := counter{tx: tx, member: l.Member.Name, now: now.UTC()}
	quota, reserves := l.of(t, now)
	taken, err := c.take(quota, reserves)
	if err != nil {
		return nil, err
	}
	if t.Class == waypost.Attended {
		class, what := operatorHour, "checks by this operator this hour"
		if t.Kind.Errand() {
			class, what = followUpHour, "questions to single states by this operator this hour"
		}
		person, err := c.operator(class, what, t.Operator[:], l.Member.Quota)
		if err != nil {
			return nil, err
		}
		taken = append(taken, person...)
	}
	return c.alarms(taken)
}

// ChargeMail counts sealed messages, in bytes, against what a member may put
// into boxes in a day.
func ChargeMail(tx *store.Tx, member string, bytes int, now time.Time) error {
	c := counter{tx: tx, member: member, now: now.UTC()}
	_, err := c.take([]*count{{class: mail, window: day, n: int64(bytes), limit: mailPerDay, what: "bytes of mail today"}}, nil)
	return err
}

// of returns the counters that all have to have room for the ticket, and the
// reserves of which one takes it where they have not.
func (l Limits) of(t waypost.Ticket, now time.Time) (quota, reserves []*count) {
	q := l.Member.Quota
	grant := roster.AttendedChecks
	switch {
	case t.Kind.Errand():
		return []*count{l.count(followUps, day, 1, q.FollowUps(), "questions to single states today")}, nil
	case t.Kind.Upkeep():
		return []*count{l.count(upkeep, day, 1, UpkeepPerDay(q), "requests about its own pointers today")}, nil
	case t.Kind == waypost.KindRepublish:
		n := int64(t.Elements)
		return []*count{l.republish(t.Epoch, n), l.republishToday(n)}, nil
	case t.Kind == waypost.KindPublish || t.Kind == waypost.KindChange:
		n := int64(t.Elements)
		quota = []*count{l.count(publishing, day, n, q.PublishElementsPerDay, "published elements today")}
		reserves = []*count{l.count(loading, ever, n, q.PublishElementsForALoad, "the load grant")}
		grant = roster.PublishedElements
	case t.Class == waypost.Unattended:
		quota = []*count{l.count(tickets, day, 1, q.TicketsPerDay, "checks today"), l.count(unattended, day, 1, q.UnattendedPerDay, "unattended checks today")}
		grant = roster.UnattendedChecks
	default:
		quota = []*count{l.count(tickets, day, 1, q.TicketsPerDay, "checks today")}
	}
	if g, ok := l.Roster.Grant(l.Member.Name, grant, now); ok {
		reserves = append([]*count{l.burst(g, quota[0].n)}, reserves...)
	}
	return quota, reserves
}

// burst counts what is drawn on a grant. Its beginning names it: that stays
// when the end is moved or the roster is signed again.
func (l Limits) burst(g roster.Grant, n int64) *count {
	c := l.count(burst+string(g.Class), ever, n, g.Extra, "the grant until "+g.Until.UTC().Format(time.RFC3339))
	c.key = binary.BigEndian.AppendUint64(nil, uint64(g.From.Unix()))
	return c
}

// republish counts what is published once more under the key of an epoch: each
// rotation for itself, and apart from what is published every day.
func (l Limits) republish(epoch uint32, n int64) *count {
	c := l.count(republishing, ever, n, l.Member.Quota.RepublishRecords*waypost.RecordElements, "elements to publish once more under the next key")
	c.key = binary.BigEndian.AppendUint32(nil, epoch)
	return c
}

// republishAtLeast is how many records every member may publish once more in a day.
const republishAtLeast = 100_000

// republishToday counts that over a day: a tenth of what a rotation has, so that who
// has stolen a state's keys does not take all of it in a night.
func (l Limits) republishToday(n int64) *count {
	records := max(l.Member.Quota.RepublishRecords/10, republishAtLeast)
	return l.count(republishDay, day, n, records*waypost.RecordElements, "elements to publish once more today")
}

func (l Limits) count(class string, window time.Duration, n int64, limit int, what string) *count {
	return &count{class: class, window: window, n: n, limit: int64(l.Share(limit)), what: what}
}

// take adds to all the counters of the quota; where one has no room, to none of
// them, and to the first reserve that has room for all of it. It returns those
// that it has added to.
func (c counter) take(quota, reserves []*count) ([]*count, error) {
	var over *count
	for _, n := range quota {
		if err := c.add(n, n.n); err != nil {
			return nil, err
		}
		// What never fits is what to say, whatever else is used up today.
		if n.used > n.limit && (over == nil || n.n > n.limit) {
			over = n
		}
	}
	if over == nil {
		return quota, nil
	}
	undo := quota
	for _, r := range reserves {
		for _, n := range undo {
			if err := c.add(n, -n.n); err != nil {
				return nil, err
			}
		}
		if err := c.add(r, r.n); err != nil {
			return nil, err
		}
		if undo = []*count{r}; r.used <= r.limit {
			return undo, nil
		}
	}
	return nil, c.refuse(*over, reserves)
}

// operator counts the person at the counter: in this hour, checks and what
// follows them each for itself, and the first time as one more of the day. What is said of persons is not divided among the key
// holders: nobody can be spread over them, and each holder meets nearly
// everyone.
func (c counter) operator(class, what string, tag []byte, q roster.Quota) ([]*count, error) {
	thisHour := &count{class: class, key: tag, window: hour, n: 1, limit: int64(q.TicketsPerOperatorHour), what: what}
	distinct := &count{class: operators, window: day, n: 1, limit: int64(q.Operators), what: "distinct operators today"}
	taken, err := c.take([]*count{thisHour}, nil)
	if err != nil || thisHour.used > 1 {
		return taken, err // who was here this hour was here today
	}
	if first, err := c.once(seen, tag, day, 1); err != nil || !first {
		return taken, err
	}
	newcomer, err := c.take([]*count{distinct}, nil)
	return append(taken, newcomer...), err
}

// refuse says what is used up, and when or how it can go on.
func (c counter) refuse(over count, reserves []*count) error {
	what := c.member + " has used its quota of " + over.what
	if over.limit == 0 {
		what = c.member + " has no quota of " + over.what
	}
	for _, r := range reserves {
		if r.limit > 0 {
			what += " and has used " + r.what
		}
	}
	grant := "ask governance for a grant"
	if over.class == publishing {
		grant = "ask governance for a load grant"
	}
	again := c.now.Truncate(over.window).Add(over.window)
	switch {
	case over.class == republishing:
		return waypost.Errorf(waypost.QuotaExceeded, "%s: have the hub count them again (waypost ceremony rotate count) and ask governance to raise republish_records", what)
	case over.limit == 0:
		return waypost.Errorf(waypost.QuotaExceeded, "%s: %s", what, grant)
	case over.n > over.limit:
		return waypost.Errorf(waypost.QuotaExceeded, "%s: %d at once never fit into %d: send less at once, or %s", what, over.n, over.limit, grant)
	case len(reserves) > 0:
		return waypost.Errorf(waypost.QuotaExceeded, "%s: try again after %s, or %s", what, again.Format(time.RFC3339), grant).WithRetryAfter(again)
	}
	return waypost.Errorf(waypost.QuotaExceeded, "%s: try again after %s", what, again.Format(time.RFC3339)).WithRetryAfter(again)
}
