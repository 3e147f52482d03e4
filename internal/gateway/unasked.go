package gateway

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/metrics"
	"github.com/waypost/waypost/internal/store"
)

const (
	// askWithin is how soon the question comes where nobody is down: a gateway sends it
	// as soon as it has the candidates.
	askWithin = time.Hour
	// unaskedFor is how long a search that nobody followed up is pointed at.
	unaskedFor = 25 * time.Hour
)

// Unasked counts, by the state that searched, the searches of the last day that found a
// record of this state and on which no question came within an hour. The check of an
// honest gateway leaves one only where it went down in its middle. Many are what is
// seen, long before an audit can say so, of somebody who wants to know no more than
// where people have a record.
func (s *Server) Unasked(ctx context.Context) (map[waypost.Jurisdiction]int, error) {
	now, unasked := s.Now(), make(map[waypost.Jurisdiction]int)
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		clear(unasked)
		return tx.Query(`SELECT asking, count(*) FROM notice WHERE at > $1 AND at <= $2 AND state = $3 GROUP BY asking`,
			[]any{now.Add(-unaskedFor).Unix(), now.Add(-askWithin).Unix(), noticed}, func(scan func(dest ...any) error) error {
				var asking waypost.Jurisdiction
				var n int
				err := scan(&asking, &n)
				unasked[asking] = n
				return err
			})
	})
	return unasked, err
}

// measureUnasked shows that in the metrics.
func (s *Server) measureUnasked() {
	s.Metrics.Gauge(metrics.UnaskedSearches, func(ctx context.Context) (values []metrics.Value, err error) {
		unasked, err := s.Unasked(ctx)
		for _, asking := range slices.Sorted(maps.Keys(unasked)) {
			values = append(values, metrics.Value{Labels: []string{string(asking)}, Value: float64(unasked[asking])})
		}
		return values, err
	})
}
