package shards

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/pgtest"
)

// rig is a hub's database, and servers for its labels.
type rig struct {
	t        *testing.T
	clusters []*pgtest.Cluster // the hub's first
	url      string
	servers  []Server
}

// newRig gives new databases on the servers.
func newRig(t *testing.T, clusters []*pgtest.Cluster) *rig {
	t.Helper()
	r := &rig{t: t, clusters: clusters, url: clusters[0].URL()}
	r.open().Close() // makes the tables
	for i, c := range clusters[1:] {
		r.servers = append(r.servers, serverAt(t, string(rune('a'+i)), c.URL()))
	}
	return r
}

func serverAt(t testing.TB, name, raw string) Server {
	t.Helper()
	u, err := url.Parse(raw)
	must(t, err)
	port, err := strconv.Atoi(u.Port())
	must(t, err)
	password, _ := u.User.Password()
	return Server{Name: name, Host: u.Hostname(), Port: port, Database: strings.TrimPrefix(u.Path, "/"), User: u.User.Username(), SSLMode: "disable", password: password}
}

func (r *rig) open() *store.DB {
	r.t.Helper()
	db, err := store.Open(r.t.Context(), r.url, "hub")
	must(r.t, err)
	return db
}

func (r *rig) table() *Table {
	r.t.Helper()
	t, err := Open(r.t.Context(), r.url)
	must(r.t, err)
	return t
}

// do runs one command, as a process of its own does.
func (r *rig) do(command func(*Table) error) error {
	t := r.table()
	defer t.Close()
	return command(t)
}

func labelOf(n int) []byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
	return sum[:16]
}

const insertLabel = `INSERT INTO label (label, pointer) VALUES ($1, $2) ON CONFLICT DO NOTHING`

// put writes labels from to to, through the hub's door.
func put(ctx context.Context, db *store.DB, from, to int) error {
	return db.Write(ctx, func(tx *store.Tx) error {
		var lists [][]any
		for n := from; n < to; n++ {
			lists = append(lists, []any{labelOf(n), n})
		}
		return tx.Many(insertLabel, lists, nil)
	})
}

// missing counts the labels that are not found as they were written.
func missing(ctx context.Context, db *store.DB, n int) (lacking int, err error) {
	err = db.Read(ctx, func(tx *store.Tx) error {
		lacking = n
		var lists [][]any
		for i := range n {
			lists = append(lists, []any{labelOf(i)})
		}
		return tx.Many(`SELECT pointer FROM label WHERE label = $1`, lists, func(i int, scan func(...any) error) error {
			var pointer int
			err := scan(&pointer)
			if pointer == i || pointer == i+1_000_000 { // changed meanwhile
				lacking--
			}
			return err
		})
	})
	return lacking, err
}

func (r *rig) whole(db *store.DB, n int) {
	r.t.Helper()
	lacking, err := missing(r.t.Context(), db, n)
	must(r.t, err)
	var rows int
	must(r.t, db.Read(r.t.Context(), func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM label`).Scan(&rows) }))
	if lacking != 0 || rows != n {
		r.t.Errorf("%d of %d labels are missing; the table has %d", lacking, n, rows)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serve writes labels and changes some, and reads, until the returned function
// stops it and tells how many there are.
func (r *rig) serve(db *store.DB, from int) (stop func() int) {
	ctx, cancel := context.WithCancel(r.t.Context())
	var wg sync.WaitGroup
	next := from
	wg.Go(func() { // one writes
		for ctx.Err() == nil {
			if err := put(context.WithoutCancel(ctx), db, next, next+10); err != nil {
				r.t.Error("writing:", err)
				return
			}
			next += 10
			change := next / 3
			if err := db.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
				n, err := tx.Exec(`UPDATE label SET pointer = $1 WHERE label = $2`, change+1_000_000, labelOf(change))
				if err == nil && n != 1 {
					err = fmt.Errorf("%d labels were changed", n)
				}
				if err != nil {
					return err
				}
				// What is deleted stays so.
				_, err = tx.Exec(insertLabel, labelOf(-next), 1)
				if err == nil {
					_, err = tx.Exec(`DELETE FROM label WHERE label = $1`, labelOf(20-next))
				}
				return err
			}); err != nil {
				r.t.Error("changing:", err)
				return
			}
		}
	})
	wg.Go(func() { // another reads what was there from the beginning
		for ctx.Err() == nil {
			lacking, err := missing(context.WithoutCancel(ctx), db, 40)
			if err != nil || lacking != 0 {
				r.t.Errorf("reading: %d are missing, %v", lacking, err)
				return
			}
		}
	})
	return func() int {
		cancel()
		wg.Wait()
		must(r.t, db.Write(r.t.Context(), func(tx *store.Tx) error {
			for n := next - 20; n <= next; n += 10 { // the last of those that come and go
				if _, err := tx.Exec(`DELETE FROM label WHERE label = $1`, labelOf(-n)); err != nil {
					return err
				}
			}
			return nil
		}))
		return next
	}
}

func (r *rig) status() (st Status) {
	r.t.Helper()
	must(r.t, r.do(func(x *Table) (err error) {
		st, err = x.Status(r.t.Context())
		return err
	}))
	return st
}

func (r *rig) rowsOn(s Server, partitions []int) (n int64) {
	r.t.Helper()
	config, err := s.config()
	must(r.t, err)
	c, err := pgx.ConnectConfig(r.t.Context(), config)
	must(r.t, err)
	defer c.Close(r.t.Context())
	rows, err := c.Query(r.t.Context(), `SELECT format('SELECT count(*) FROM %s', oid::regclass) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'label%'`)
	must(r.t, err)
	queries, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(r.t, err)
	if len(queries) != len(partitions) {
		r.t.Errorf("server %s has %d tables for %d partitions", s.Name, len(queries), len(partitions))
	}
	for _, q := range queries {
		var one int64
		must(r.t, c.QueryRow(r.t.Context(), q).Scan(&one))
		n += one
	}
	return n
}
