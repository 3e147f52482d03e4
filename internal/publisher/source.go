package publisher

import (
	"context"

	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/translog"
)

// Source is what a publisher needs of a journal; [journal.Journal] is one.
type Source interface {
	// Size returns the number of committed entries.
	Size(ctx context.Context) (uint64, error)
	// Rows returns committed rows from number from on, in order: at most limit
	// of them, and at least one where there is one.
	Rows(ctx context.Context, from uint64, limit int) ([]journal.Row, error)
	// WrappedKey returns the data key of that id, wrapped for those entitled.
	WrappedKey(ctx context.Context, id translog.KeyID) ([]byte, error)
	// Erasures returns what was erased after the mark, oldest first.
	Erasures(ctx context.Context, after journal.Mark, limit int) ([]journal.Mark, error)
	// Counters returns the daily counters of days after the given one
	// ("2026-01-02"; all are after ""), oldest first.
	Counters(ctx context.Context, after string, limit int) ([]journal.Counter, error)
	// Successions returns what the log says about those that it has succeeded.
	Successions(ctx context.Context) ([]journal.Declared, error)
}
