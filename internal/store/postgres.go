package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// Settings of every session, and of the two kinds. A process that was stopped in the
// middle of a transaction, or whose machine is gone, must not hold the others up for
// long, nor a statement that cannot end; and a commit that the server has answered
// is on its disk. A plan holds whatever the arguments are: it does not change from
// one day to the next, and it reaches the one partition that has a key.
var (
	sessionSettings = map[string]string{
		"synchronous_commit":      "on",
		"plan_cache_mode":         "force_generic_plan",
		"tcp_keepalives_idle":     "10",
		"tcp_keepalives_interval": "3",
		"tcp_keepalives_count":    "3",
		"tcp_user_timeout":        "15000",
	}
	writingSettings = map[string]string{
		"idle_in_transaction_session_timeout": "10s",
		"lock_timeout":                        "20s",
		"statement_timeout":                   "30s",
	}
	readingSettings = map[string]string{
		"idle_in_transaction_session_timeout": "5min",
		"statement_timeout":                   "10min",
	}
	migratingSettings = map[string]string{"lock_timeout": "60s"}
)

// After this time a client gives a server up; the server's own limits come first.
const (
	writingLimit = 45 * time.Second
	readingLimit = 11 * time.Minute
	dialLimit    = 10 * time.Second
)

func openPostgres(url, role string, unsynced bool) (*postgres, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err) // without the password
	}
	hosts := []*pgconn.FallbackConfig{{Host: config.Host, TLSConfig: config.TLSConfig}}
	for _, h := range append(hosts, config.Fallbacks...) {
		if !local(h.Host) && (h.TLSConfig == nil || h.TLSConfig.InsecureSkipVerify) {
			return nil, fmt.Errorf("store: a database on another machine (%s) needs sslmode=verify-full in its URL, so that nobody between can read or alter what it holds", h.Host)
		}
	}
	maps.Copy(config.RuntimeParams, sessionSettings)
	config.RuntimeParams["application_name"] = "waypost " + role
	if unsynced {
		config.RuntimeParams["synchronous_commit"] = "off"
	}
	config.ConnectTimeout = dialLimit
	// Of several servers, or addresses of one name, only one takes writes; what was
	// read from another would be older than what was written.
	config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	dialer := net.Dialer{Control: impatient, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 3 * time.Second, Count: 3}}
	config.DialFunc = dialer.DialContext
	return &postgres{config}, nil
}

// with returns the configuration with more settings.
func (p *postgres) with(settings map[string]string) *pgx.ConnConfig {
	config := p.config.Copy()
	maps.Copy(config.RuntimeParams, settings)
	return config
}

// local reports whether a host is this machine: a folder with a socket, or
// loopback.
func local(host string) bool {
	ip := net.ParseIP(host)
	return strings.HasPrefix(host, "/") || host == "localhost" || ip != nil && ip.IsLoopback()
}

func (p *postgres) opening(write bool) []string {
	if write {
		return []string{"BEGIN ISOLATION LEVEL READ COMMITTED", lockWriters}
	}
	return []string{"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}
}

func (p *postgres) connect(ctx context.Context, write bool) (session, error) {
	settings, limit := readingSettings, readingLimit
	if write {
		settings, limit = writingSettings, writingLimit
	}
	pg, err := pgconn.ConnectConfig(ctx, &p.with(settings).Config)
	if err != nil {
		return nil, discreet(err)
	}
	return &wire{pg: pg, limit: limit, controls: make(map[string]*pgconn.StatementDescription)}, nil
}

func (p *postgres) migrate(ctx context.Context, role string) (err error) {
	g, err := p.gate(ctx)
	if err != nil {
		return fmt.Errorf("store: %w", discreet(err))
	}
	defer func() { err = errors.Join(err, g.Close(ctx)) }()
	return migrate(ctx, "postgres", stdlib.GetConnector(*p.with(migratingSettings)), portable{translate: forPostgres}, role)
}

// doubt: what the server answered holds. Where the connection ended instead, even
// with a word of farewell, it knows what it did and nobody here does; what comes
// later is sound.
func (p *postgres) doubt(err error) (unknown, broken bool) {
	if errors.Is(err, errRolledBack) {
		return false, false
	}
	var answered *pgconn.PgError
	return !errors.As(err, &answered) || answered.SeverityUnlocalized != "ERROR", false
}

// outdated reports that a prepared statement fits the schema no more.
func outdated(err error) bool {
	var answered *pgconn.PgError
	return errors.As(err, &answered) && answered.Code == "0A000"
}

func (p *postgres) close() error { return nil }

// refusal is an error that a server answered, without the values that its message
// and its detail quote.
type refusal struct{ answered *pgconn.PgError }

// conditions are those that whoever runs the program can do something about.
var conditions = map[string]string{
	"28P01": "the user or the password is wrong",
	"28000": "the user may not log in: see pg_hba.conf on the server",
	"3D000": "there is no database of that name: create it first",
	"42501": "the user lacks a right: let it own the database, or grant it CREATE on the schema",
	"25006": "it takes no writes: it is a standby, or was set so",
	"53300": "it has too many connections: raise max_connections, or give this program fewer",
	"53100": "its disk is full",
	"57P03": "it is starting or stopping",
	"55P03": "what another process holds was not given free in time",
	"57014": "it took too long",
	"25P03": "the transaction was idle for too long",
}

// Error names the condition and what it is about.
func (r refusal) Error() string {
	about := strings.TrimSpace(r.answered.TableName + " " + r.answered.ConstraintName)
	if about != "" {
		about = " about " + about
	}
	if words := conditions[r.answered.Code]; words != "" {
		about += ": " + words
	}
	return fmt.Sprintf("the server refuses with SQLSTATE %s%s", r.answered.Code, about)
}

// Unwrap returns the answer of the server for what asks by its code.
func (r refusal) Unwrap() error { return r.answered }

func discreet(err error) error {
	if answered, ok := errors.AsType[*pgconn.PgError](err); ok {
		return coded(refusal{answered})
	}
	return err
}
