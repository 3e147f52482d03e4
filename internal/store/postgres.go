package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgres is a database on a PostgreSQL server, version 15 or newer, which
// several processes of one role may have open.
type postgres struct {
	config *pgx.ConnConfig
}

// A transaction that changes the database begins by locking this row, so that
// writers of all processes go one after the other, as SQLite's do: what the
// functions read they may rely on until the commit. A row can be locked everywhere
// that speaks PostgreSQL; advisory locks cannot.
const lockWriters = "SELECT role FROM store_role FOR UPDATE"

// Settings of every session. A process that was stopped in the middle of a
// transaction, or whose machine is gone, must not hold the others up for long; and
// a commit that the server has answered is on its disk.
var sessionSettings = map[string]string{
	"application_name":                    "waypost",
	"synchronous_commit":                  "on",
	"idle_in_transaction_session_timeout": "10s",
	"lock_timeout":                        "20s",
	"tcp_keepalives_idle":                 "10",
	"tcp_keepalives_interval":             "3",
	"tcp_keepalives_count":                "3",
	"tcp_user_timeout":                    "15000",
}

func openPostgres(url string) (*postgres, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err) // without the password
	}
	if !local(config.Host) && (config.TLSConfig == nil || config.TLSConfig.InsecureSkipVerify || len(config.Fallbacks) > 0) {
		return nil, fmt.Errorf("store: a database on another machine (%s) needs sslmode=verify-full in its URL, so that nobody between can read or alter what it holds", config.Host)
	}
	for name, value := range sessionSettings {
		config.RuntimeParams[name] = value
	}
	config.ConnectTimeout = 10 * time.Second
	return &postgres{config}, nil
}

// local reports whether a host is this machine: a folder with a socket, or
// loopback.
func local(host string) bool {
	ip := net.ParseIP(host)
	return strings.HasPrefix(host, "/") || host == "localhost" || ip != nil && ip.IsLoopback()
}

func (p *postgres) connect(ctx context.Context, write bool) (*conn, error) {
	raw, err := stdlib.GetConnector(*p.config).Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	begin := "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	if write {
		begin = "BEGIN ISOLATION LEVEL READ COMMITTED; " + lockWriters
	}
	c := newConn(raw, begin)
	c.wire = &wire{raw.(*stdlib.Conn).Conn()}
	return c, nil
}

func (p *postgres) migrate(ctx context.Context, role string) error {
	return migrate(ctx, "postgres", stdlib.GetConnector(*p.config), portable{translate: func(b []byte) []byte { return b }}, role)
}

// doubt: what the server answered holds. Where the connection ended instead, it
// knows what it did and nobody here does; what comes later is sound.
func (p *postgres) doubt(err error) (unknown, broken bool) {
	var answered *pgconn.PgError
	return !errors.As(err, &answered), false
}

func (p *postgres) close() error { return nil }

// refusal is an error that a server answered, without the values that its message
// and its detail quote.
type refusal struct{ answered *pgconn.PgError }

// Error names the condition and what it is about.
func (r refusal) Error() string {
	about := strings.TrimSpace(r.answered.TableName + " " + r.answered.ConstraintName)
	if about != "" {
		about = " about " + about
	}
	return fmt.Sprintf("the server refuses with SQLSTATE %s%s", r.answered.Code, about)
}

// Unwrap returns the answer of the server for what asks by its code.
func (r refusal) Unwrap() error { return r.answered }

func discreet(err error) error {
	var answered *pgconn.PgError
	if errors.As(err, &answered) {
		return refusal{answered}
	}
	return err
}

// wire is what a connection over a network does better than by one statement at
// a time.
type wire struct {
	*pgx.Conn
}

// control runs statements that begin or end something, in one round trip.
func (w *wire) control(statements string) error {
	_, err := w.PgConn().Exec(context.Background(), statements).ReadAll()
	return err
}

// manyAtOnce bounds how many statements are under way before the answer to the
// first is read.
const manyAtOnce = 1000

// many runs a prepared statement for each list of arguments, without waiting for
// one answer before the next is sent.
func (w *wire) many(query string, lists [][]driver.Value, each func(i int, row []driver.Value) (bool, error)) (err error) {
	for first := 0; first < len(lists); first += manyAtOnce {
		part := lists[first:min(first+manyAtOnce, len(lists))]
		if err := w.batch(query, part, func(i int, row []driver.Value) (bool, error) { return each(first+i, row) }); err != nil {
			return err
		}
	}
	return nil
}

func (w *wire) batch(query string, lists [][]driver.Value, each func(i int, row []driver.Value) (bool, error)) (err error) {
	var b pgx.Batch
	for _, list := range lists {
		args := make([]any, len(list))
		for i, v := range list {
			args[i] = v
		}
		b.Queue(query, args...)
	}
	results := w.SendBatch(context.Background(), &b)
	defer func() { err = errors.Join(err, results.Close()) }()
	for i := range lists {
		rows, err := results.Query()
		if err != nil {
			return err
		}
		for more := true; more && rows.Next(); {
			row, err := rows.Values()
			if err == nil {
				more, err = each(i, portableValues(row))
			}
			if err != nil {
				rows.Close()
				return err
			}
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return err
		}
	}
	return nil
}

// portableValues gives values the types that every engine's driver gives them.
func portableValues(row []any) []driver.Value {
	values := make([]driver.Value, len(row))
	for i, v := range row {
		switch x := v.(type) {
		case int32:
			v = int64(x)
		case int16:
			v = int64(x)
		}
		values[i] = v
	}
	return values
}
