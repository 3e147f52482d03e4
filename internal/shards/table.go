package shards

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	connectTimeout = 10 * time.Second
	closeTime      = 5 * time.Second
	// lockWait is for how long a switch waits behind whoever reads, since all
	// searches wait behind it; then it is tried again after a pause that grows.
	// turnWait is for how long it waits for its turn among the writers, and stillFor
	// for how long they may stand still for it.
	lockWait  = "200ms"
	lockTries = 60
	longPause = 3 * time.Second
	turnWait  = "2s"
	stillFor  = 8 * time.Second
	// oneCommand is the advisory lock of whoever changes the arrangement. The hub
	// itself uses none.
	oneCommand = 0x776179706f7374
)

// Table is the label table of one hub and the servers that it lies on. It is for
// one goroutine.
type Table struct {
	// Report is told how far a command has come; it may be nil.
	Report func(Progress)

	url     string
	hub     *pgx.Conn
	schema  string            // on every server, where all that is ours lies
	servers map[string]Server // by name
	conns   map[string]*pgx.Conn
	alone   bool                    // it is the only command that changes the arrangement
	at      func(step string) error // of tests: where it fails is where the command was killed
}

// Progress is how far a command has come.
type Progress struct {
	Step      string // in words
	Partition int
	Rows      int64 // of the partition, copied so far
}

// Partition is one part of the table.
type Partition struct {
	Number int    `json:"number"`
	Server string `json:"server"`
	table  string // its name, on the hub's server and on its own
}

// Open connects to the hub's database, "postgres://...".
func Open(ctx context.Context, url string) (*Table, error) {
	config, err := parse(url)
	if err != nil {
		return nil, err
	}
	t := &Table{url: url, conns: make(map[string]*pgx.Conn), at: func(string) error { return nil }}
	if t.hub, err = pgx.ConnectConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("shards: the hub's database: %w", discreet(err))
	}
	if err := t.look(ctx); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// Close ends the connections. The lock of begin is given back before: a server notices
// a little later that a connection has ended, and the next command would be told to wait for
// this one.
func (t *Table) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	var errs []error
	for _, c := range t.conns {
		errs = append(errs, c.Close(ctx))
	}
	if t.alone {
		_, _ = t.hub.Exec(ctx, `SELECT pg_advisory_unlock_all()`) // where it fails the connection is gone
	}
	return errors.Join(append(errs, t.hub.Close(ctx))...)
}

var schemaName = regexp.MustCompile(`^waypost_[0-9a-f]{16}$`)

// look reads what is there.
func (t *Table) look(ctx context.Context) error {
	var version int
	var role, note string
	if err := t.hub.QueryRow(ctx, `SELECT current_setting('server_version_num')::int,
		(SELECT role FROM store_role), coalesce(obj_description('store_role'::regclass), '')`).Scan(&version, &role, &note); err != nil {
		return fmt.Errorf("shards: this is not the database of a hub that has run: %w", discreet(err))
	}
	switch {
	case role != "hub":
		return fmt.Errorf("shards: this is the database of a %s, not of a hub", role)
	case version < 150000:
		return fmt.Errorf("shards: the hub's server has version %d of PostgreSQL, 15 is needed", version/10000)
	case note != "" && !schemaName.MatchString(note):
		return errors.New("shards: somebody else has commented on the table store_role, where the name of the schema of labels is kept")
	}
	t.schema = note
	return t.readServers(ctx)
}

// ours begins the name of a foreign server of labels.
const ours = "waypost_shard_"

func (t *Table) readServers(ctx context.Context) error {
	t.servers = make(map[string]Server)
	rows, err := t.hub.Query(ctx, `SELECT srvname, srvoptions, umoptions FROM pg_user_mappings NATURAL JOIN
		(SELECT oid AS srvid, srvoptions FROM pg_foreign_server) s WHERE starts_with(srvname, $1) AND usename = current_user`, ours)
	if err != nil {
		return discreet(err)
	}
	var name string
	var server, user []string
	_, err = pgx.ForEachRow(rows, []any{&name, &server, &user}, func() error {
		o, had := make(map[string]string), make(map[string]bool)
		for _, option := range server {
			key, _, _ := strings.Cut(option, "=")
			had[key] = true
		}
		for _, option := range slices.Concat(server, user) {
			key, value, _ := strings.Cut(option, "=")
			o[key] = value
		}
		port, _ := strconv.Atoi(o["port"])
		name = strings.TrimPrefix(name, ours)
		t.servers[name] = Server{Name: name, Host: o["host"], Port: port, Database: o["dbname"], SSLMode: o["sslmode"], RootCert: o["sslrootcert"],
			User: o["user"], password: o["password"], had: had}
		return nil
	})
	return discreet(err)
}

// partitions lists those of a partitioned table in the order of their numbers; of
// one that is not there or not partitioned, none.
func (t *Table) partitions(ctx context.Context, table string) ([]Partition, error) {
	rows, err := t.hub.Query(ctx, `SELECT c.relname, coalesce(s.srvname, ''),
		(regexp_match(pg_get_expr(c.relpartbound, c.oid), 'remainder (\d+)'))[1]::int AS number
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		LEFT JOIN pg_foreign_table f ON f.ftrelid = c.oid LEFT JOIN pg_foreign_server s ON s.oid = f.ftserver
		WHERE i.inhparent = to_regclass($1) ORDER BY number`, table)
	if err != nil {
		return nil, discreet(err)
	}
	var all []Partition
	var p Partition
	_, err = pgx.ForEachRow(rows, []any{&p.table, &p.Server, &p.Number}, func() error {
		p.Server = strings.TrimPrefix(p.Server, ours)
		all = append(all, p)
		return nil
	})
	return all, discreet(err)
}

// begin makes this the only command that changes the arrangement.
func (t *Table) begin(ctx context.Context) error {
	var alone bool
	if err := t.hub.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(oneCommand)).Scan(&alone); err != nil {
		return discreet(err)
	}
	if !alone {
		return errors.New("shards: another command is at work on this table: wait for it")
	}
	t.alone = true
	return nil
}

// conn is the connection to a server by name, "" being the hub's own beside the
// one that holds locks.
func (t *Table) conn(ctx context.Context, server string) (*pgx.Conn, error) {
	if c := t.conns[server]; c != nil && !c.IsClosed() {
		return c, nil
	}
	config, err := parse(t.url)
	if server != "" {
		s, ok := t.servers[server]
		if !ok {
			return nil, fmt.Errorf("shards: there is no server %q; there are: %s", server, strings.Join(slices.Sorted(maps.Keys(t.servers)), ", "))
		}
		config, err = s.config()
	}
	if err != nil {
		return nil, err
	}
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("shards: server %s cannot be reached: %w", server, discreet(err))
	}
	t.conns[server] = c
	return c, nil
}

// locked runs fn while no process of the hub writes: in a transaction on the
// hub's server that has the row by which writers queue. It is tried again where
// a lock is not had at once. Where fn, or this machine, stands still, it ends
// without effect, and the hub goes on: its server ends an idle transaction by itself.
func (t *Table) locked(ctx context.Context, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return patiently(ctx, func() error {
		return pgx.BeginFunc(ctx, t.hub, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, fmt.Sprintf(`SET LOCAL idle_in_transaction_session_timeout = %d; SET LOCAL statement_timeout = %[1]d; SET LOCAL lock_timeout = '%s'`,
				stillFor.Milliseconds(), turnWait), pgx.QueryExecModeSimpleProtocol); err != nil {
				return err
			}
			var role string
			if err := tx.QueryRow(ctx, `SELECT role FROM store_role FOR UPDATE`).Scan(&role); err != nil {
				return err
			}
			still, done := context.WithTimeout(ctx, stillFor)
			defer done()
			if _, err := tx.Exec(still, `SET LOCAL lock_timeout = '`+lockWait+`'`); err != nil {
				return err
			}
			err := fn(still, tx)
			if still.Err() != nil && ctx.Err() == nil {
				return fmt.Errorf("shards: the hub's writers would have stood still for more than %v, so nothing was switched; run the command again: %w", stillFor, discreet(err))
			}
			return err
		})
	})
}

// patiently repeats what does not get a lock at once.
func patiently(ctx context.Context, try func() error) error {
	pause := 100 * time.Millisecond
	for n := 1; ; n++ {
		err := try()
		if !busy(err) || n == lockTries {
			return discreet(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
			pause = min(pause*3/2, longPause)
		}
	}
}

// busy reports whether a lock was not to be had in time.
func busy(err error) bool {
	var answered *pgconn.PgError
	return errors.As(err, &answered) && (answered.Code == "55P03" || answered.Code == "40P01")
}

// run runs statements of DDL in one transaction, and again where a lock is not had
// at once.
func run(ctx context.Context, c *pgx.Conn, statements ...string) error {
	return patiently(ctx, func() error { return once(ctx, c, statements...) })
}

func once(ctx context.Context, c *pgx.Conn, statements ...string) error {
	all := "BEGIN; SET LOCAL lock_timeout = '" + lockWait + "'; SET LOCAL client_min_messages = error; " + strings.Join(statements, "; ") + "; COMMIT"
	if _, err := c.PgConn().Exec(ctx, all).ReadAll(); err != nil {
		_, _ = c.PgConn().Exec(ctx, "ROLLBACK").ReadAll() // a connection that cannot is of no use, and says so next
		return discreet(err)
	}
	return nil
}

// refusal is what a server answered, without what it quotes: a statement may name a
// password.
type refusal struct{ answered *pgconn.PgError }

// Error gives the message and its code.
func (r refusal) Error() string {
	return fmt.Sprintf("%s (SQLSTATE %s)", r.answered.Message, r.answered.Code)
}

// Unwrap returns the answer.
func (r refusal) Unwrap() error { return r.answered }

func discreet(err error) error {
	var answered *pgconn.PgError
	var already refusal
	if errors.As(err, &answered) && !errors.As(err, &already) {
		return refusal{answered}
	}
	return err
}

func (t *Table) report(p Progress) {
	if t.Report != nil {
		t.Report(p)
	}
}

func random() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return hex.EncodeToString(b[:])
}
