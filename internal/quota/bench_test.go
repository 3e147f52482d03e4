package quota_test

import (
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
