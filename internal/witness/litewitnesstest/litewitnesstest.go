// Package litewitnesstest runs litewitness, the witness of torchwood, for tests: a
// program of others, as it is run in the public network of witnesses.
package litewitnesstest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/internal/loopback"
	"github.com/waypost/waypost/internal/store/storetest"
)

// findLitewitness returns the program, which the Makefile builds.
// find returns the program: from the environment, from bin/ of the repository,
// or from the path. Without it the test is passed over, except in CI.
func find(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("WAYPOST_LITEWITNESS"); path != "" {
		return path
	}
	if _, file, _, ok := runtime.Caller(0); ok {
		path := filepath.Join(filepath.Dir(file), "../../../bin/litewitness")
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	path, err := exec.LookPath("litewitness")
	if err == nil {
		return path
	}
	const words = "litewitness is not installed: go install filippo.io/torchwood/cmd/litewitness@v0.9.0"
	if os.Getenv("CI") != "" {
		t.Fatal(words)
	}
	t.Skip(words)
	return ""
}

// Witness is a running litewitness, until the end of the test.
type Witness struct {
	URL      string // submission prefix
	database string
}

// Start runs it on a loopback port, with its key in an ssh-agent of this process.
func Start(t *testing.T, name string, key ed25519.PrivateKey) Witness {
	t.Helper()
	program := find(t)
	dir := t.TempDir()
	socket, database := filepath.Join(dir, "agent"), filepath.Join(dir, "lite.db")
	serveAgent(t, socket, key)
	public, err := ssh.NewPublicKey(key.Public())
	must(t, err)
	address := freeAddress(t)

	running, kill := context.WithCancel(context.WithoutCancel(t.Context()))
	var output bytes.Buffer
	//nolint:gosec // a test runs the litewitness that is installed
	cmd := exec.CommandContext(running, program, "-name", name, "-db", database, "-ssh-agent", socket, "-listen", address,
		"-key", ssh.FingerprintSHA256(public), "-obscurity")
	cmd.Stderr = &output
	must(t, cmd.Start())
	t.Cleanup(func() {
		kill()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("litewitness: %s", &output)
		}
	})
	dialer := &net.Dialer{Timeout: time.Second}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		conn, err := dialer.DialContext(t.Context(), "tcp", address)
		if err == nil {
			must(t, conn.Close())
			return Witness{URL: "http://" + address, database: database}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("litewitness does not listen")
	return Witness{}
}

// AddLog has it witness a log, as its operator's tool does: by two rows of its
// database.
func (w Witness) AddLog(t *testing.T, origin, vkey string) {
	t.Helper()
	empty, err := tlog.TreeHash(0, nil)
	must(t, err)
	must(t, storetest.Exec(t.Context(), w.database, `INSERT INTO log (origin, tree_size, tree_hash) VALUES ($1, 0, $2)`, origin, empty.String()))
	must(t, storetest.Exec(t.Context(), w.database, `INSERT INTO key (origin, key) VALUES ($1, $2)`, origin, vkey))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serveAgent is an ssh-agent with one key.
func serveAgent(t *testing.T, socket string, key ed25519.PrivateKey) {
	t.Helper()
	ring := agent.NewKeyring()
	must(t, ring.Add(agent.AddedKey{PrivateKey: key}))
	listener, err := net.Listen("unix", socket)
	must(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			serving.Go(func() {
				defer conn.Close()
				// It ends when litewitness does.
				_ = agent.ServeAgent(ring, conn)
			})
		}
	})
	t.Cleanup(func() {
		if err := listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		serving.Wait()
	})
}

func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := loopback.Address()
	must(t, err)
	return address
}
