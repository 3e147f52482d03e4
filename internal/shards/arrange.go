package shards

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
)

// The number of partitions is for good: more than there will ever be servers, so
// that they can be moved, and few enough to plan a statement over.
const (
	DefaultPartitions = 16
	maxPartitions     = 256
)

// Init spreads the table over servers, into as many partitions. It may be called
// again: servers that are new are added, as by [Table.Add], and what a command
// that was killed had begun is done.
func (t *Table) Init(ctx context.Context, servers []Server, partitions int) error {
	if partitions < 2 || partitions > maxPartitions || partitions < len(servers) {
		return fmt.Errorf("shards: 2 to %d partitions, and no fewer than servers, are possible", maxPartitions)
	}
	if err := t.Add(ctx, servers); err != nil {
		return err
	}
	there, err := t.partitions(ctx, "label")
	if err != nil {
		return err
	}
	if n := len(there); n > 0 {
		if n != partitions {
			return fmt.Errorf("shards: the table has %d partitions already, and their number is for good", n)
		}
		return t.sweep(ctx)
	}
	if _, err := t.hub.Exec(ctx, `CREATE TABLE label_parts (label BYTEA NOT NULL, pointer BIGINT NOT NULL) PARTITION BY HASH (label)`); err != nil {
		return discreet(err)
	}
	move := move{source: place{table: "label"}, modulus: partitions}
	for i := range partitions {
		at := place{servers[i%len(servers)].Name, tableName(i), i}
		move.targets = append(move.targets, at)
		if err := t.prepare(ctx, at); err != nil {
			return err
		}
		if err := run(ctx, t.hub, attach("label_parts", at, partitions)); err != nil {
			return err
		}
	}
	move.swap = func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `ALTER TABLE label SET SCHEMA `+t.schema)
		if err == nil {
			_, err = tx.Exec(ctx, `ALTER TABLE label_parts RENAME TO label`)
		}
		return err
	}
	if err := t.carry(ctx, move); err != nil {
		return err
	}
	return t.sweep(ctx)
}

// Add makes servers known, or gives known ones other addresses or passwords. It
// moves nothing to them.
func (t *Table) Add(ctx context.Context, servers []Server) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	for _, s := range servers {
		if err := t.add(ctx, s); err != nil {
			return fmt.Errorf("shards: server %s: %w", s.Name, err)
		}
	}
	if err := t.readServers(ctx); err != nil {
		return err
	}
	return t.sweep(ctx)
}

// Move takes partitions to a server while the hub serves. Where none are named it
// is those that make the server's share a fair one, from the servers with most.
func (t *Table) Move(ctx context.Context, to string, numbers []int) error {
	if to == "" {
		return errors.New("shards: name the server that partitions move to")
	}
	if err := t.begin(ctx); err != nil {
		return err
	}
	if err := t.sweep(ctx); err != nil {
		return err
	}
	if _, err := t.conn(ctx, to); err != nil {
		return err
	}
	all, err := t.partitions(ctx, "label")
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.New("shards: the table is not spread over servers yet: run init first")
	}
	if len(numbers) == 0 {
		numbers = fairShare(all, to, len(t.servers))
	}
	for _, n := range numbers {
		if n < 0 || n >= len(all) {
			return fmt.Errorf("shards: there is no partition %d; there are %d, from 0", n, len(all))
		}
		if all[n].Server == to {
			continue // by an earlier command
		}
		if err := t.moveOne(ctx, all[n], to, len(all)); err != nil {
			return fmt.Errorf("shards: partition %d: %w", n, err)
		}
	}
	return nil
}

// fairShare chooses what a server lacks.
func fairShare(all []Partition, to string, servers int) (numbers []int) {
	held := make(map[string][]int)
	for _, p := range all {
		held[p.Server] = append(held[p.Server], p.Number)
	}
	for len(held[to])+len(numbers) < len(all)/servers {
		most := ""
		for _, server := range slices.Sorted(maps.Keys(held)) {
			if server != to && len(held[server]) > len(held[most]) {
				most = server
			}
		}
		last := len(held[most]) - 1
		numbers = append(numbers, held[most][last])
		held[most] = held[most][:last]
	}
	return numbers
}

func (t *Table) moveOne(ctx context.Context, p Partition, to string, modulus int) error {
	at := place{to, tableName(p.Number), p.Number}
	if err := t.prepare(ctx, at); err != nil {
		return err
	}
	err := t.carry(ctx, move{
		source: place{p.Server, p.table, p.Number}, targets: []place{at}, modulus: modulus,
		swap: func(ctx context.Context, tx pgx.Tx) error {
			for _, statement := range []string{
				`ALTER TABLE label DETACH PARTITION ` + p.table, `DROP FOREIGN TABLE ` + p.table,
				attach("label", at, modulus),
			} {
				if _, err := tx.Exec(ctx, statement); err != nil {
					return err
				}
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	return t.sweep(ctx)
}
