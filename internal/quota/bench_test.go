package quota_test

import (
	"fmt"
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/quota"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// BenchmarkCharge measures counting alone: all in one transaction, which the
// disk has no part in.
func BenchmarkCharge(b *testing.B) {
	const much = 1 << 40
	ample := roster.Quota{TicketsPerDay: much, UnattendedPerDay: much, TicketsPerOperatorHour: much, Operators: much, PublishElementsPerDay: much}
	alarmed := ample
	alarmed.TicketsPerDay = 1 // all but the first on the grant
	for name, c := range map[string]struct {
		quota roster.Quota
		next  func(i int) waypost.Ticket
	}{
		"attended":   {ample, func(i int) waypost.Ticket { return check(byte(i)) }},
		"unattended": {ample, func(int) waypost.Ticket { return unattended() }},
		"publish":    {ample, func(int) waypost.Ticket { return publish(100) }},
		"burst":      {alarmed, func(i int) waypost.Ticket { return check(byte(i)) }},
	} {
		b.Run(name, func(b *testing.B) {
			counted := newCounter(b, c.quota)
			counted.grants = []roster.Grant{{Member: "AZ", Class: roster.AttendedChecks, Extra: much, From: start, Until: start.AddDate(0, 0, 1)}}
			limits := counted.limits()
			b.ReportAllocs()
			if err := counted.db.Write(b.Context(), func(tx *store.Tx) error {
				for i := range b.N {
					if _, err := quota.Charge(tx, limits, c.next(i), start); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkExpire measures what housekeeping costs where nothing has expired,
// beside the counters of 20,000 operators over five hours.
func BenchmarkExpire(b *testing.B) {
	c := newCounter(b, plenty)
	if err := c.db.Write(b.Context(), func(tx *store.Tx) error {
		for i := range 20000 * 5 {
			if _, err := tx.Exec(`INSERT INTO quota (member, class, key, starts, used) VALUES ('AZ', 'operator', $1, $2, 1)`,
				[]byte(fmt.Sprintf("%032d", i%20000)), start.Unix()+int64(i/20000*3600)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		if err := c.db.Write(b.Context(), func(tx *store.Tx) error { return quota.Expire(tx, start) }); err != nil {
			b.Fatal(err)
		}
	}
}
