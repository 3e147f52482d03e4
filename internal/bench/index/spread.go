package index

import (
	"context"
	"errors"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/shards"
)

// Spread is how the labels lie over several servers, and what bringing them there took:
// nothing where an earlier run did it.
type Spread struct {
	Seconds       float64               `json:"seconds"`
	BytesPerLabel float64               `json:"bytes_per_label"` // on the servers
	Servers       []shards.ServerStatus `json:"servers"`
}

// partitions is what the table is cut into.
const partitions = 12

// spread moves the labels to the servers, while the hub serves, as its operator would.
func spread(ctx context.Context, c Config) (s *Spread, err error) {
	servers, err := shards.ReadServers(c.Servers)
	if err != nil {
		return nil, err
	}
	table, err := shards.Open(ctx, c.Database)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, table.Close()) }()
	labels := c.Pointers * waypost.RecordElements
	table.Report = func(p shards.Progress) { c.Progress("spreading labels: "+p.Step, int(p.Rows), labels/partitions) }
	now, err := table.Status(ctx)
	if err != nil {
		return nil, err
	}
	s = new(Spread)
	if now.Partitions == 0 {
		start := time.Now()
		if err := table.Init(ctx, servers, partitions); err != nil {
			return nil, err
		}
		s.Seconds = time.Since(start).Seconds()
		if now, err = table.Status(ctx); err != nil {
			return nil, err
		}
	}
	for _, one := range now.Servers {
		s.BytesPerLabel += float64(one.Bytes) / float64(labels)
	}
	s.Servers = now.Servers
	return s, nil
}
