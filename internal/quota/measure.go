package quota

import (
	"context"
	"time"

	"github.com/waypost/waypost/internal/metrics"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// Measure shows in the metrics what each member has used of its limits.
func Measure(set *metrics.Set, db *store.DB, view *roster.View, share func(r *roster.Roster, limit int) int, now func() time.Time) {
	read := func(ctx context.Context) (all []Usage, err error) {
		current := view.Current()
		err = db.Read(ctx, func(tx *store.Tx) error {
			all = nil
			for _, member := range current.Gateways() {
				used, err := UsageOf(tx, Limits{Roster: current, Member: member, Share: func(limit int) int { return share(current, limit) }}, now())
				if err != nil {
					return err
				}
				all = append(all, used...)
			}
			return nil
		})
		return all, err
	}
	for name, of := range map[string]func(Usage) int64{
		metrics.QuotaUsed:  func(u Usage) int64 { return u.Used },
		metrics.QuotaLimit: func(u Usage) int64 { return u.Limit },
		metrics.QuotaAlarm: func(u Usage) int64 { return u.Level },
	} {
		set.Gauge(name, func(ctx context.Context) ([]metrics.Value, error) {
			all, err := read(ctx)
			values := make([]metrics.Value, len(all))
			for i, u := range all {
				values[i] = metrics.Value{Labels: []string{u.Member, u.Class}, Value: float64(of(u))}
			}
			return values, err
		})
	}
}
