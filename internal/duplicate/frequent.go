package duplicate

import (
	"context"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// lookEvery is how often it is looked who was asked about.
const lookEvery = time.Hour

// stepFrequent looks for records that other states have asked about unusually
// often: somebody may be trying out an identity, or a clerk be curious.
func (c *Cases) stepFrequent(ctx context.Context) error {
	now := c.Now()
	if wait := c.nextLook.Sub(now); wait > 0 && wait <= lookEvery { // or a clock was ahead
		return nil
	}
	since := now.Add(-max(c.config.Frequent.ChecksWithin, c.config.Frequent.StatesWithin))
	var all []records.Inquiry
	err := c.DB.Read(ctx, func(tx *store.Tx) (err error) {
		all, err = c.File.Inquiries(tx, since)
		return err
	})
	if err != nil {
		return err
	}
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].Record == all[0].Record {
			n++
		}
		if c.config.Frequent.unusual(all[:n], now) { // seldom: the rest is looked at in a transaction
			if err := c.raise(ctx, all[:n]); err != nil {
				return err
			}
		}
		all = all[n:]
	}
	c.nextLook = now.Add(lookEvery)
	return nil
}

// unusual judges the inquiries about one record.
func (f Frequency) unusual(about []records.Inquiry, now time.Time) bool {
	checks, states := make(map[waypost.TicketID]bool), make(map[waypost.Jurisdiction]bool)
	for _, i := range about {
		if i.At.After(now.Add(-f.ChecksWithin)) {
			checks[i.Ticket] = true
		}
		if i.At.After(now.Add(-f.StatesWithin)) {
			states[i.Asking] = true
		}
	}
	return len(checks) >= f.Checks || len(states) >= f.States
}

// raise puts a record on the worklist, unless what is unusual about it has a
// reason that is known, or was looked at.
func (c *Cases) raise(ctx context.Context, about []records.Inquiry) error {
	return c.DB.Write(ctx, func(tx *store.Tx) error {
		now, record := c.Now(), about[0].Record
		unexplained, err := c.unexplained(tx, about)
		if err != nil || !c.config.Frequent.unusual(unexplained, now) {
			return err
		}
		n, err := tx.Exec(`INSERT INTO frequent (record, since, seen, open) VALUES ($1, $2, 0, 1)
			ON CONFLICT (record) DO UPDATE SET since = excluded.since, open = 1 WHERE frequent.open = 0`, record, now.Unix())
		if n == 1 {
			c.Log.Warn("a record was asked about unusually often; waypost case frequent shows it")
		}
		return err
	})
}

// unexplained leaves out what was looked at, and checks that belong to a case, to
// a campaign or to a move.
func (c *Cases) unexplained(tx *store.Tx, about []records.Inquiry) (left []records.Inquiry, err error) {
	var seen int64
	if err := tx.Row(`SELECT seen FROM frequent WHERE record = $1`, about[0].Record).Scan(&seen); ignore(err, store.ErrNoRows) != nil {
		return nil, err
	}
	for _, i := range about {
		if i.At.Unix() <= seen || i.Purpose == waypost.DuplicateResolution {
			continue
		}
		var known int
		if err := tx.Row(`SELECT count(*) FROM duplicate WHERE ticket = $1`, i.Ticket[:]).Scan(&known); err != nil {
			return nil, err
		}
		if known == 0 && c.Moving != nil {
			moving, err := c.Moving(tx, i.Record, i.Asking)
			if err != nil {
				return nil, err
			}
			if moving {
				continue
			}
		}
		if known == 0 {
			left = append(left, i)
		}
	}
	return left, nil
}

// frequents lists the records on the worklist for it, with who asked.
func (c *Cases) frequents(ctx context.Context) (list []*waypostv1.FrequentRecord, err error) {
	err = c.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		byRecord := make(map[string]*waypostv1.FrequentRecord)
		if err := tx.Query(`SELECT record, since FROM frequent WHERE open = 1 ORDER BY since, record LIMIT 1000`, nil, func(scan func(dest ...any) error) error {
			f := &waypostv1.FrequentRecord{}
			err := scan(&f.Record, &f.Since)
			list, byRecord[f.Record] = append(list, f), f
			return err
		}); err != nil || len(list) == 0 {
			return err
		}
		about, err := c.File.Inquiries(tx, c.Now().Add(-max(c.config.Frequent.ChecksWithin, c.config.Frequent.StatesWithin)))
		for _, i := range about {
			if f := byRecord[i.Record]; f != nil {
				f.Inquiries = append(f.Inquiries, &waypostv1.FrequentInquiry{Asking: string(i.Asking), Purpose: string(i.Purpose), At: i.At.Unix()})
			}
		}
		return err
	})
	return list, err
}

// acknowledge takes a record off the worklist: what was asked so far was looked at.
func (c *Cases) acknowledge(ctx context.Context, record string) error {
	return c.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE frequent SET open = 0, seen = $1 WHERE record = $2 AND open = 1`, c.Now().Unix(), record)
		if err == nil && n == 0 {
			err = waypost.Errorf(waypost.NotFound, "this record is not on the list of those asked about often")
		}
		return err
	})
}
