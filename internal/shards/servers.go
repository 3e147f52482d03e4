package shards

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Server is a PostgreSQL server that holds labels. Its database belongs to the
// hub's user on it, and is the same from the hub's server and from where the
// commands run.
type Server struct {
	Name     string `json:"name"`
	Host     string `json:"host"`
	Port     int    `json:"port,omitempty"` // 5432
	Database string `json:"database"`
	User     string `json:"user"`
	// SSLMode is "verify-full", and may be another of libpq's for this machine only.
	SSLMode  string `json:"sslmode,omitempty"`
	RootCert string `json:"sslrootcert,omitempty"`
	// PasswordFile holds the password; where there is none it is in the
	// environment, as WAYPOST_SHARD_PASSWORD_<NAME>.
	PasswordFile string `json:"password_file,omitempty"`

	password string
	had      map[string]bool // the options that the foreign server has
}

const maxServers = 64

var serverName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`)

// ReadServers reads the list of servers, {"servers": [...]}, with their passwords.
func ReadServers(path string) ([]Server, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list struct {
		Servers []Server `json:"servers"`
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.DisallowUnknownFields() // among others "password": it does not belong there
	if err := d.Decode(&list); err != nil {
		return nil, fmt.Errorf("shards: %s: %w", path, err)
	}
	if n := len(list.Servers); n == 0 || n > maxServers {
		return nil, fmt.Errorf("shards: %s lists %d servers; 1 to %d are possible", path, n, maxServers)
	}
	seen := make(map[string]bool)
	for i := range list.Servers {
		s := &list.Servers[i]
		if seen[s.Name] {
			return nil, fmt.Errorf("shards: %s lists server %q twice", path, s.Name)
		}
		seen[s.Name] = true
		if err := s.complete(); err != nil {
			return nil, err
		}
	}
	return list.Servers, nil
}

// complete checks what was given and adds the rest.
func (s *Server) complete() error {
	if !serverName.MatchString(s.Name) {
		return fmt.Errorf("shards: a server is named by small letters, digits and _, not %q", s.Name)
	}
	if s.Host == "" || s.Database == "" || s.User == "" {
		return fmt.Errorf("shards: server %s needs host, database and user", s.Name)
	}
	if strings.Contains(s.Host, ",") { // what connects would cut it, and take each for a host
		return fmt.Errorf("shards: server %s has more than one host: name the one that takes writes", s.Name)
	}
	s.Port = cmp.Or(s.Port, 5432)
	s.SSLMode = cmp.Or(s.SSLMode, "verify-full")
	if s.SSLMode != "verify-full" && !local(s.Host) {
		return fmt.Errorf("shards: server %s is another machine and needs sslmode verify-full, so that nobody between can read or alter what it holds", s.Name)
	}
	variable := "WAYPOST_SHARD_PASSWORD_" + strings.ToUpper(s.Name)
	if s.PasswordFile == "" {
		if s.password = os.Getenv(variable); s.password == "" {
			return fmt.Errorf("shards: the password of server %s is neither in a password_file nor in %s", s.Name, variable)
		}
		return nil
	}
	info, err := os.Stat(s.PasswordFile)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("shards: others may read %s: chmod 600 it", s.PasswordFile)
	}
	raw, err := os.ReadFile(s.PasswordFile)
	if s.password = strings.TrimRight(string(raw), "\r\n"); err == nil && s.password == "" {
		err = fmt.Errorf("shards: %s is empty", s.PasswordFile)
	}
	return err
}

// local reports whether a host is this machine: a folder with a socket, or
// loopback.
func local(host string) bool {
	ip := net.ParseIP(host)
	return strings.HasPrefix(host, "/") || host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s Server) address() string {
	return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) + "/" + s.Database
}

// config is how a command connects.
func (s Server) config() (*pgx.ConnConfig, error) {
	query := url.Values{"sslmode": {s.SSLMode}, "host": {s.Host}, "port": {strconv.Itoa(s.Port)}}
	if s.RootCert != "" {
		query.Set("sslrootcert", s.RootCert)
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(s.User, s.password), Path: "/" + s.Database, RawQuery: query.Encode()}
	return parse(u.String())
}

func parse(url string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("shards: the database is not named as in postgres://user@host/name")
	}
	hosts := []*pgconn.FallbackConfig{{Host: config.Host, TLSConfig: config.TLSConfig}}
	for _, h := range append(hosts, config.Fallbacks...) {
		if !local(h.Host) && (h.TLSConfig == nil || h.TLSConfig.InsecureSkipVerify) {
			return nil, fmt.Errorf("shards: %s is another machine and needs sslmode=verify-full", h.Host)
		}
	}
	config.ConnectTimeout = connectTimeout
	// A server ends what a command began that is gone without a word, and so does it.
	maps.Copy(config.RuntimeParams, map[string]string{
		"application_name": "waypost shards", "synchronous_commit": "on",
		"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "2", "tcp_user_timeout": "8000",
	})
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 2}}
	config.DialFunc = dialer.DialContext
	return config, nil
}

// options are those of the foreign server. What was measured about them stands in
// docs/adr/0034. A server that is gone must be found to be so in seconds: every
// search that needs it waits for as long.
func (s Server) options() map[string]string {
	o := map[string]string{
		"host": s.Host, "port": strconv.Itoa(s.Port), "dbname": s.Database, "sslmode": s.SSLMode,
		"connect_timeout": "2", "keepalives_idle": "5", "keepalives_interval": "2", "keepalives_count": "2", "tcp_user_timeout": "4000",
		"keep_connections": "on", "parallel_commit": "on", "async_capable": "on", "use_remote_estimate": "off",
		"fetch_size": "100", "application_name": "waypost",
		"options": "-c synchronous_commit=on -c statement_timeout=10000 -c idle_in_transaction_session_timeout=30000",
	}
	if s.RootCert != "" {
		o["sslrootcert"] = s.RootCert
	}
	return o
}
