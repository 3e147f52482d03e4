package quota

import (
	"time"

	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// Usage is how far one limit of a member is used at a time, by all its
// operators together.
type Usage struct {
	Member      string
	Class       string // tickets, unattended, operators, publish, load, republish, once_more, grant_..., follow_ups, upkeep, mail
	Used, Limit int64
	Level       int64 // the highest of the alarms raised in this window: 0, 80 or 100
}

// UsageOf returns what the member has used in the windows of this time, for
// every limit that it has. The limits of single operators are left out: their
// alarms stand in the ledger.
func UsageOf(tx *store.Tx, l Limits, now time.Time) ([]Usage, error) {
	c := counter{tx: tx, member: l.Member.Name, now: now.UTC()}
	rows := make(map[string]int64) // by class and key
	err := tx.Query(`SELECT class, key, used FROM quota WHERE member = $1 AND starts IN ($2, 0) AND class IN
			('tickets', 'unattended', 'operators', 'publish', 'load', 'republish', 'once_more', 'grant_attended', 'grant_unattended', 'grant_publish', 'follow_ups', 'upkeep', 'mail', 'alarm')`,
		[]any{c.member, c.starts(day)}, func(scan func(...any) error) error {
			var class string
			var key []byte
			var used int64
			err := scan(&class, &key, &used)
			rows[class+"\x00"+string(key)] = used
			return err
		})
	if err != nil {
		return nil, err
	}
	var all []Usage
	for _, n := range l.all(now) {
		if n.limit == 0 {
			continue
		}
		u := Usage{Member: c.member, Class: n.class, Used: rows[n.class+"\x00"+string(n.key)], Limit: n.limit}
		for _, level := range levels {
			if _, ok := rows[raised+"\x00"+string(n.alarmKey(level))]; ok {
				u.Level = max(u.Level, level)
			}
		}
		all = append(all, u)
	}
	return all, nil
}

// all returns every counter that the member shares among its operators, with
// its limit at this time.
func (l Limits) all(now time.Time) []*count {
	q := l.Member.Quota
	all := []*count{
		l.count(tickets, day, 0, q.TicketsPerDay, ""), l.count(unattended, day, 0, q.UnattendedPerDay, ""),
		l.count(publishing, day, 0, q.PublishElementsPerDay, ""), l.count(loading, ever, 0, q.PublishElementsForALoad, ""),
		l.republish(l.Roster.Newest(), 0), l.republishToday(0),
		l.count(followUps, day, 0, q.FollowUps(), ""), l.count(upkeep, day, 0, UpkeepPerDay(q), ""),
		{class: operators, limit: int64(q.Operators)}, {class: mail, limit: mailPerDay},
	}
	for _, class := range []roster.GrantClass{roster.AttendedChecks, roster.UnattendedChecks, roster.PublishedElements} {
		if g, ok := l.Roster.Grant(l.Member.Name, class, now); ok {
			all = append(all, l.burst(g, 0))
		}
	}
	return all
}
