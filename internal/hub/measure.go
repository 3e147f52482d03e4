package hub

import (
	"context"

	"github.com/waypost/waypost/internal/metrics"
	"github.com/waypost/waypost/internal/quota"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// measure shows quotas and mailboxes in the metrics.
func (s *Server) measure() {
	quota.Measure(s.Metrics, s.DB, s.Roster, func(_ *roster.Roster, limit int) int { return limit }, s.Now)
	for name, query := range map[string]string{
		metrics.MailboxBytes:    `SELECT recipient, bytes FROM box ORDER BY recipient`,
		metrics.MailboxMessages: `SELECT b.recipient, (SELECT count(*) FROM mailbox m WHERE m.recipient = b.recipient) FROM box b ORDER BY b.recipient`,
	} {
		s.Metrics.Gauge(name, func(ctx context.Context) (all []metrics.Value, err error) {
			err = s.DB.Read(ctx, func(tx *store.Tx) error {
				all = nil
				return tx.Query(query, nil, func(scan func(...any) error) error {
					var member string
					var n int64
					err := scan(&member, &n)
					all = append(all, metrics.Value{Labels: []string{member}, Value: float64(n)})
					return err
				})
			})
			return all, err
		})
	}
}
