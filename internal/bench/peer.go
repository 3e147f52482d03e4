package bench

import (
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost"
)

// PeerReport is the same question asked without any privacy: an index of
// SHA-512(name, date of birth, SSN), without a key, in PostgreSQL, and one SELECT
// for a check. That is what the nearest public system does; who copies it can try
// every person of the country.
type PeerReport struct {
	Server    string  `json:"server"` // its version
	TLS       bool    `json:"tls"`
	Records   int     `json:"records"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	PerSecond float64 `json:"checks_per_second"` // one after the other
	// CPU is the processor time of one check in ms: of the asker, and of the
	// server's process where it runs on this machine. ServerCPU is the latter, 0
	// where it does not.
	CPU       float64 `json:"cpu_ms_per_check"`
	ServerCPU float64 `json:"server_cpu_ms_per_check"`
	// Price is the processor time of all roles for a check at saturation by CPU;
	// PriceP50 is the median latency of a check at the offered rate by P50. Both are
	// 0 where no check was measured.
	Price    float64 `json:"price_of_privacy_cpu,omitempty"`
	PriceP50 float64 `json:"price_of_privacy_p50,omitempty"`
}

const peerTable = "waypost_bench_peer"

// measurePeer fills a table of its own with everybody and asks about them, one
// after the other on one connection. The table is removed in the end.
func measurePeer(ctx context.Context, c Config) (_ *PeerReport, err error) {
	server, err := pgx.Connect(ctx, c.Database)
	if err != nil {
		return nil, waypost.Errorf(waypost.Unavailable, "the PostgreSQL server to compare with cannot be reached: see --database").WithCause(err)
	}
	defer func() { err = errors.Join(err, server.Close(context.WithoutCancel(ctx))) }()
	all, err := newPeople(c.People, 0)
	if err != nil {
		return nil, err
	}
	hashes, err := fillPeer(ctx, server, all)
	if err != nil {
		return nil, err
	}
	defer func() {
		_, dropErr := server.Exec(context.WithoutCancel(ctx), "DROP TABLE "+peerTable)
		err = errors.Join(err, dropErr)
	}()
	r := &PeerReport{Records: len(hashes)}
	var pid int
	if err := server.QueryRow(ctx, "SELECT pid, ssl, current_setting('server_version') FROM pg_stat_ssl WHERE pid = pg_backend_pid()").
		Scan(&pid, &r.TLS, &r.Server); err != nil {
		return nil, err
	}
	return r, r.ask(ctx, c, server, pid, all.one)
}

// fillPeer makes the table of everybody's hash.
func fillPeer(ctx context.Context, server *pgx.Conn, all *people) ([][]any, error) {
	if _, err := server.Exec(ctx, "DROP TABLE IF EXISTS "+peerTable); err != nil {
		return nil, err
	}
	if _, err := server.Exec(ctx, "CREATE TABLE "+peerTable+" (hash BYTEA NOT NULL PRIMARY KEY, owner TEXT NOT NULL)"); err != nil {
		return nil, err
	}
	var rows [][]any
	for _, state := range states {
		for _, r := range all.records[state] {
			rows = append(rows, []any{peerHash(r.Person), string(state)})
		}
	}
	slices.SortFunc(rows, func(a, b []any) int { return slices.Compare(a[0].([]byte), b[0].([]byte)) })
	rows = slices.CompactFunc(rows, func(a, b []any) bool { return slices.Equal(a[0].([]byte), b[0].([]byte)) })
	if _, err := server.CopyFrom(ctx, pgx.Identifier{peerTable}, []string{"hash", "owner"}, pgx.CopyFromRows(rows)); err != nil {
		return nil, err
	}
	_, err := server.Exec(ctx, "ANALYZE "+peerTable)
	return rows, err
}

func peerHash(p waypost.Person) []byte {
	h := sha512.Sum512(fmt.Appendf(nil, "%s|%s|%s|%s|%s", p.Family, p.Given, p.Middle, p.Born, p.SSN5))
	return h[:]
}

// ask makes the checks, each person in turn, for a fifth of the time of a phase.
func (r *PeerReport) ask(ctx context.Context, c Config, server *pgx.Conn, pid int, who []applicant) error {
	budget := max(c.Duration/5, 200*time.Millisecond)
	var took []time.Duration
	for range 100 { // the statement is prepared, the pages are in memory
		if _, err := lookUpPeer(ctx, server, who[0]); err != nil {
			return err
		}
	}
	mine, _ := ProcessorTime(os.Getpid())
	its, _ := ProcessorTime(pid) // a server elsewhere has no process of that number here, or a stranger's
	start := time.Now()
	for i := 0; time.Since(start) < budget; i++ {
		began := time.Now()
		found, err := lookUpPeer(ctx, server, who[i%len(who)])
		if err != nil {
			return err
		}
		if !found {
			return errors.New("bench: a person who is in the index was not found there")
		}
		took = append(took, time.Since(began))
		if i%1000 == 0 {
			c.Progress("plain index", int(min(time.Since(start), budget)/time.Millisecond), int(budget/time.Millisecond))
		}
	}
	spent := time.Since(start)
	mineAfter, _ := ProcessorTime(os.Getpid())
	itsAfter, _ := ProcessorTime(pid)
	n := float64(len(took))
	r.PerSecond = n / spent.Seconds()
	if isLocal(server) {
		r.ServerCPU = milliseconds(itsAfter-its) / n
	}
	r.CPU = milliseconds(mineAfter-mine)/n + r.ServerCPU
	slices.Sort(took)
	r.P50, r.P99 = milliseconds(quantile(took, 0.5)), milliseconds(quantile(took, 0.99))
	return nil
}

func isLocal(server *pgx.Conn) bool {
	switch server.Config().Host {
	case "localhost", "127.0.0.1", "::1":
		return true
	}
	return len(server.Config().Host) > 0 && server.Config().Host[0] == '/'
}

func lookUpPeer(ctx context.Context, server *pgx.Conn, a applicant) (found bool, err error) {
	var owner string
	err = server.QueryRow(ctx, "SELECT owner FROM "+peerTable+" WHERE hash = $1", peerHash(a.who.Person)).Scan(&owner)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// compare puts what a check costs beside it.
func (r *PeerReport) compare(checks *CheckReport) {
	if checks == nil {
		return
	}
	for _, p := range checks.Phases {
		if p.Name == "saturation" && r.CPU > 0 {
			r.Price = p.RolesCPU() / r.CPU
		}
	}
	if r.P50 > 0 {
		r.PriceP50 = checks.P50 / r.P50
	}
}
