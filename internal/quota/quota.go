// Package quota counts what a member state asks for, in the same transaction
// that commits the ledger entry, so that what is counted and what is logged
// never differ. Key holders and hub count alike, each for itself.
//
// The windows are calendar windows in UTC: days for members, hours for
// operators. A refusal counts nothing and says when to try again.
package quota

import (
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// The counters. Each is a class in the table quota.
const (
	tickets        = "tickets"    // a member's checks of a day
	unattended     = "unattended" // of those, without a person at the counter
	operatorHour   = "operator"   // one operator's checks of an hour
	operators      = "operators"  // distinct operators of a day
	publishing     = "publish"    // elements published in a day
	loading        = "load"       // elements of the onboarding grant, ever
	seen           = "seen"       // operators met today
	mail           = "mail"       // bytes put into other members' boxes in a day
	day, hour      = 24 * time.Hour, time.Hour
	ever           = time.Duration(0)
	unlimitedSince = 0
)

// mailPerDay is what one member may put into other members' boxes in a day, in
// bytes: several times what the largest state writes, and a fraction of what a
// box holds, so that one member cannot close another's.
const mailPerDay = 4 << 30

// Charge counts one ticket against its member's quota, or returns
// QuotaExceeded; the caller's transaction is then rolled back, and with it the
// counts. share says how much of a limit this counter grants: all of it at the
// hub, which sees every ticket; at a key holder Roster.HolderShare.
func Charge(tx *store.Tx, member roster.Member, t waypost.Ticket, share func(limit int) int, now time.Time) error {
	c := counter{tx: tx, member: member.Name, share: share, now: now.UTC()}
	q := member.Quota
	if t.Kind == waypost.KindPublish {
		return c.publish(int64(t.Elements), q)
	}
	if err := c.take(tickets, nil, day, 1, q.TicketsPerDay, "checks today"); err != nil {
		return err
	}
	if t.Class == waypost.Unattended {
		return c.take(unattended, nil, day, 1, q.UnattendedPerDay, "unattended checks today")
	}
	// What is said of operators is not divided among the counters: a person
	// cannot be spread over key holders, and each holder meets nearly everyone.
	c.share = whole
	if err := c.take(operatorHour, t.Operator[:], hour, 1, q.TicketsPerOperatorHour, "checks by this operator this hour"); err != nil {
		return err
	}
	if first, err := c.firstToday(t.Operator[:]); err != nil || !first {
		return err
	}
	return c.take(operators, nil, day, 1, q.Operators, "distinct operators today")
}

// ChargeMail counts sealed messages, in bytes, against what a member may put
// into boxes in a day.
func ChargeMail(tx *store.Tx, member string, bytes int, now time.Time) error {
	c := counter{tx: tx, member: member, share: whole, now: now.UTC()}
	return c.take(mail, nil, day, int64(bytes), mailPerDay, "mail today")
}

func whole(limit int) int { return limit }

// counter is one charge on its way.
type counter struct {
	tx     *store.Tx
	member string
	share  func(int) int
	now    time.Time
}

func (c counter) publish(elements int64, q roster.Quota) error {
	used, err := c.add(publishing, nil, day, elements)
	if err != nil {
		return err
	}
	if used <= int64(c.share(q.PublishElementsPerDay)) {
		return nil
	}
	// Beyond the day's corrections a load draws on what was granted for it.
	if _, err := c.add(publishing, nil, day, -elements); err != nil {
		return err
	}
	return c.take(loading, nil, ever, elements, q.PublishElementsForALoad, "elements of the load grant")
}

func (c counter) take(class string, key []byte, window time.Duration, n int64, limit int, what string) error {
	used, err := c.add(class, key, window, n)
	if err != nil {
		return err
	}
	if used > int64(c.share(limit)) {
		return c.refuse(what, window)
	}
	return nil
}

func (c counter) refuse(what string, window time.Duration) error {
	if window == ever {
		return waypost.Errorf(waypost.QuotaExceeded, "%s has used its quota of %s: ask governance for a grant", c.member, what)
	}
	again := c.now.Truncate(window).Add(window)
	return waypost.Errorf(waypost.QuotaExceeded, "%s has used its quota of %s: try again after %s", c.member, what, again.Format(time.RFC3339))
}

func (c counter) add(class string, key []byte, window time.Duration, n int64) (used int64, err error) {
	if key == nil {
		key = []byte{}
	}
	err = c.tx.Row(`INSERT INTO quota (member, class, key, starts, used) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (member, class, key, starts) DO UPDATE SET used = quota.used + excluded.used RETURNING used`,
		c.member, class, key, c.starts(window), n).Scan(&used)
	return used, err
}

func (c counter) starts(window time.Duration) int64 {
	if window == ever {
		return unlimitedSince
	}
	return c.now.Truncate(window).Unix()
}

// firstToday notes the operator tag and reports whether it is new today.
func (c counter) firstToday(operator []byte) (bool, error) {
	n, err := c.tx.Exec(`INSERT INTO quota (member, class, key, starts, used) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (member, class, key, starts) DO NOTHING`, c.member, seen, operator, c.starts(day), 1)
	return n == 1, err
}

// Expire deletes the windows that ended two days ago or earlier.
func Expire(tx *store.Tx, now time.Time) error {
	_, err := tx.Exec(`DELETE FROM quota WHERE starts > 0 AND starts < $1`, now.Add(-3*day).Unix())
	return err
}
