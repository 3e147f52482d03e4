// Package pgtest starts PostgreSQL clusters for a test: real servers from the
// system's packages (Debian: postgresql), each in a temporary folder, with a port
// of its own on loopback. They are stopped and removed when the test is over, and
// by a guard of their own when the process of the test is gone, however it went.
//
// Their language is English, so that a statement shows that rests on an order by
// bytes and does not say so. They do not sync: a test can end a server, not the
// machine.
package pgtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/waypost/waypost/internal/loopback"
)

// A Cluster is one PostgreSQL server.
type Cluster struct {
	Port int

	t        testing.TB
	dir      string
	bin      string
	account  *syscall.SysProcAttr // whose processes they are: PostgreSQL refuses to be root
	password string
	guard    *exec.Cmd
	leash    *os.File // the guard ends everything once it is closed

	mu     sync.Mutex
	models map[string]string // name of a model -> its database
	made   int               // databases
}

const superuser = "waypost"

// Start starts n clusters. A test that can run without is skipped where PostgreSQL
// is not installed, unless CI is set.
func Start(t testing.TB, n int) []*Cluster {
	t.Helper()
	bin := needed(t)
	clusters := make([]*Cluster, n)
	for i := range clusters {
		clusters[i] = start(t, bin)
		t.Cleanup(clusters[i].stop)
	}
	return clusters
}

var shared struct {
	sync.Mutex
	*Cluster
}

// Shared returns the one cluster that the tests of this process share. It ends with
// the process.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.Cluster == nil {
		shared.Cluster = start(t, needed(t))
	}
	return shared.Cluster
}

// Installed reports whether PostgreSQL is, or must be.
func Installed() bool {
	_, err := programs()
	return err == nil || os.Getenv("CI") != ""
}

func needed(t testing.TB) string {
	t.Helper()
	bin, err := programs()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return bin
}

// programs returns the folder of initdb and pg_ctl of the newest version.
func programs() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		path, err := exec.LookPath("initdb")
		if err != nil {
			return "", fmt.Errorf("PostgreSQL is not installed: apt-get install postgresql")
		}
		found = []string{path}
	}
	return filepath.Dir(found[len(found)-1]), nil
}

func start(t testing.TB, bin string) *Cluster {
	t.Helper()
	c := &Cluster{t: t, bin: bin, password: random(), models: make(map[string]string)}
	var err error
	if c.dir, err = os.MkdirTemp("", "pg"); err != nil { //nolint:usetesting // short: a socket's path has at most 107 bytes
		t.Fatal(err)
	}
	if err := c.dropRoot(); err != nil {
		t.Fatal(err)
	}
	if err := c.watch(); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(c.dir, "password")
	if err := os.WriteFile(secret, []byte(c.password), 0o600); err != nil {
		t.Fatal(err)
	}
	c.own(secret)
	c.run("initdb", "-D", c.data(), "-U", superuser, "--pwfile", secret, "--auth-host=scram-sha-256", "--auth-local=trust", "-E", "UTF8",
		"--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", "--no-sync")
	c.Port = freePort(t)
	c.Begin()
	return c
}

func freePort(t testing.TB) int {
	t.Helper()
	address, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(port)
	return n
}

// watch starts the guard: a shell that waits for its input to end, as it does when
// this process ends, and then stops the server and removes its folder.
func (c *Cluster) watch() error {
	in, leash, err := os.Pipe()
	if err != nil {
		return err
	}
	c.guard = exec.Command("/bin/sh", "-c", `read -r _; "$0/pg_ctl" -D "$1/data" -m immediate -w stop >/dev/null 2>&1; rm -rf "$1"`, c.bin, c.dir) //nolint:gosec,noctx // paths of the system and of this test
	c.guard.Stdin, c.guard.Dir = in, c.dir
	c.guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.account != nil {
		c.guard.SysProcAttr.Credential = c.account.Credential
	}
	if err := c.guard.Start(); err != nil {
		return err
	}
	c.leash = leash
	return in.Close()
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// dropRoot has the programs run as the system's user postgres where the test runs
// as root.
func (c *Cluster) dropRoot() error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	c.account = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	c.own(c.dir)
	return nil
}

func (c *Cluster) own(path string) {
	if c.account != nil {
		if err := os.Chown(path, int(c.account.Credential.Uid), int(c.account.Credential.Gid)); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *Cluster) run(program string, args ...string) {
	c.t.Helper()
	cmd := exec.Command(filepath.Join(c.bin, program), args...) //nolint:gosec,noctx // PostgreSQL's own programs
	cmd.SysProcAttr, cmd.Dir = c.account, c.dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		c.t.Fatalf("%s: %v\n%s", program, err, out.Bytes())
	}
}

// Begin starts the server again after [Cluster.Kill].
func (c *Cluster) Begin() {
	c.t.Helper()
	c.run("pg_ctl", "-D", c.data(), "-w", "-t", "180", "-l", filepath.Join(c.dir, "log"), "-o",
		fmt.Sprintf("-c listen_addresses=127.0.0.1 -c port=%d -c unix_socket_directories=%s -c max_connections=200 -c fsync=off -c full_page_writes=off", c.Port, c.dir), "start")
}

// Kill ends the server as a crash does: nothing is written any more.
func (c *Cluster) Kill() {
	c.t.Helper()
	c.run("pg_ctl", "-D", c.data(), "-m", "immediate", "-w", "-t", "180", "stop")
}

func (c *Cluster) stop() {
	c.leash.Close()
	_ = c.guard.Wait()
}

// URL makes a fresh database and returns its URL, with the password.
func (c *Cluster) URL() string {
	c.t.Helper()
	return c.url(c.Create())
}

// Create makes a fresh database and returns its name.
func (c *Cluster) Create() (name string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.create("")
}

// Like makes a database that is a copy of the model of that name, which fill filled
// when it was asked for first. It returns its URL, and a function that drops it.
func (c *Cluster) Like(model string, fill func(url string) error) (url string, drop func()) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.models[model] == "" {
		name := c.create("")
		if err := fill(c.url(name)); err != nil {
			c.t.Fatal(err)
		}
		c.models[model] = name
	}
	name := c.create(" TEMPLATE " + c.models[model])
	return c.url(name), func() { c.SQL("postgres", "DROP DATABASE "+name+" WITH (FORCE)") }
}

func (c *Cluster) create(like string) (name string) {
	c.t.Helper()
	c.made++
	name = fmt.Sprintf("t%d", c.made)
	c.SQL("postgres", "CREATE DATABASE "+name+like)
	return name
}

// SQL runs a statement in a database of the cluster, as its superuser.
func (c *Cluster) SQL(database, statement string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	admin, err := pgx.Connect(ctx, c.Local(database))
	if err != nil {
		c.t.Fatal(err)
	}
	defer admin.Close(ctx)
	for {
		_, err := admin.Exec(ctx, statement)
		if err == nil {
			return
		}
		// The server waits five seconds for those who have just left a database that is copied.
		if left, ok := errors.AsType[*pgconn.PgError](err); !ok || left.Code != "55006" || ctx.Err() != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *Cluster) url(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(superuser, c.password), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port)),
		Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Local is the URL of a database by way of the socket, without a password: to connect
// draws no randomness.
func (c *Cluster) Local(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + database,
		RawQuery: url.Values{"host": {c.dir}, "port": {strconv.Itoa(c.Port)}}.Encode()}
	return u.String()
}

// Copy makes a database that is a copy of another, which nobody uses.
func (c *Cluster) Copy(database string) (name string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.create(" TEMPLATE " + database)
}

// Log returns the last lines that the server wrote.
func (c *Cluster) Log() string {
	raw, _ := os.ReadFile(filepath.Join(c.dir, "log"))
	lines := strings.Split(string(raw), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

func random() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return hex.EncodeToString(b[:])
}
