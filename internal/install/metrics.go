package install

import (
	"context"

	"github.com/waypost/waypost/internal/metrics"
	"github.com/waypost/waypost/internal/publisher"
)

// openMetrics binds the listener for the metrics, where the config names one,
// and shows the role's ledger and roster in them. What is particular to a role
// it shows itself.
func (r *Role) openMetrics() (err error) {
	if r.Folder.Config.Metrics == "" {
		return nil
	}
	if r.metricsDoor, err = metrics.Listen(r.Folder.Config.Metrics); err != nil {
		return err
	}
	r.closers = append(r.closers, func() error { _ = r.metricsDoor.Close(); return nil })
	r.metrics = metrics.New()
	for name, read := range map[string]func(context.Context) (float64, error){
		metrics.JournalEntries: func(ctx context.Context) (float64, error) {
			size, err := r.Journal.Size(ctx)
			return float64(size), err
		},
		metrics.LogPublished: func(context.Context) (float64, error) { return float64(r.Publisher.Status().Published), nil },
		metrics.RosterSeconds: func(context.Context) (float64, error) {
			return r.Folder.Roster.Current().NotAfter.Sub(r.now()).Seconds(), nil
		},
		metrics.LogsBlocked: func(context.Context) (float64, error) { return float64(r.blocked()), nil },
	} {
		r.metrics.Gauge(name, func(ctx context.Context) ([]metrics.Value, error) {
			value, err := read(ctx)
			return []metrics.Value{{Value: value}}, err
		})
	}
	if r.vault != nil {
		r.metrics.Gauge(metrics.SharesMissing, func(context.Context) ([]metrics.Value, error) {
			missing := r.vault.Lacks(r.Folder.Roster.Latest(), r.Folder.Config.Name)
			return []metrics.Value{{Value: float64(len(missing))}}, nil
		})
	}
	r.metrics.Gauge(metrics.LogCosignedAge, func(context.Context) ([]metrics.Value, error) {
		cosigned := r.Publisher.Status().Cosigned
		if cosigned.IsZero() {
			return nil, nil // never: an age of decades would say less
		}
		return []metrics.Value{{Value: r.now().Sub(cosigned).Seconds()}}, nil
	})
	return nil
}

// serveMetrics answers until the context ends. A role works without.
func (r *Role) serveMetrics(ctx context.Context) {
	if r.metrics == nil {
		return
	}
	if err := r.metrics.Serve(ctx, r.metricsDoor, r.log); err != nil {
		r.log.Error("metrics are not served any more", "cause", err)
	}
}

// blocked counts the logs that are kept here and whose last round of publishing came to
// nothing.
func (r *Role) blocked() (n int) {
	r.publishing.Range(func(_, p any) bool {
		if p.(*publisher.Publisher).Status().Err != "" {
			n++
		}
		return true
	})
	return n
}
