package shards

import (
	"context"
	"maps"
	"slices"
)

// Status is how the table lies.
type Status struct {
	Partitions int            `json:"partitions"` // 0: the table is on the hub's server only
	Servers    []ServerStatus `json:"servers"`
}

// ServerStatus is one server of labels.
type ServerStatus struct {
	Name       string `json:"name"`
	Address    string `json:"address"`              // host:port/database
	Trouble    string `json:"trouble,omitempty"`    // why it cannot be reached, in words
	Partitions []int  `json:"partitions"`           // that it holds
	Labels     int64  `json:"labels"`               // about as many
	Bytes      int64  `json:"bytes"`                // on its disk, with indexes
	Unfinished int    `json:"unfinished,omitempty"` // tables that a killed command left; the next command drops them
}

// Status asks every server.
func (t *Table) Status(ctx context.Context) (Status, error) {
	all, err := t.partitions(ctx, "label")
	if err != nil {
		return Status{}, err
	}
	st := Status{Partitions: len(all), Servers: []ServerStatus{}}
	for _, name := range slices.Sorted(maps.Keys(t.servers)) {
		one := ServerStatus{Name: name, Address: t.servers[name].address(), Partitions: []int{}}
		for _, p := range all {
			if p.Server == name {
				one.Partitions = append(one.Partitions, p.Number)
			}
		}
		if err := t.ask(ctx, &one, all); err != nil {
			one.Trouble = err.Error()
		}
		st.Servers = append(st.Servers, one)
	}
	return st, nil
}

func (t *Table) ask(ctx context.Context, one *ServerStatus, all []Partition) error {
	c, err := t.conn(ctx, one.Name)
	if err != nil {
		return err
	}
	left, err := t.leftOn(ctx, c, one.Name, all)
	if err != nil {
		return err
	}
	one.Unfinished = len(left)
	return discreet(c.QueryRow(ctx, `SELECT coalesce(sum(greatest(n_live_tup, 0)), 0)::bigint, coalesce(sum(pg_total_relation_size(relid)), 0)::bigint
		FROM pg_stat_user_tables WHERE schemaname = $1 AND starts_with(relname, 'label_')`, t.schema).Scan(&one.Labels, &one.Bytes))
}
