package witness

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/translog"
)

// TestLitewitness: our client with the witness of torchwood, as it is run in the
// public network of witnesses.
func TestLitewitness(t *testing.T) {
	program := findLitewitness(t)
	log := newLog(t, origin, 20)
	branch := log.fork(t, 6, 14)
	key := testKey("litewitness")
	url, database := startLitewitness(t, program, "witness.example/lite", key)

	empty, err := tlog.TreeHash(0, nil)
	must(t, err)
	must(t, storetest.Exec(ctx, database, `INSERT INTO log (origin, tree_size, tree_hash) VALUES ($1, 0, $2)`, log.origin, empty.String()))
	must(t, storetest.Exec(ctx, database, `INSERT INTO key (origin, key) VALUES ($1, $2)`, log.origin, log.vkey(t)))

	client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
	t.Cleanup(client.CloseIdleConnections)
	talk(t, url, translog.WitnessKey("witness.example/lite", key.Public().(ed25519.PublicKey)), client, log, branch)
}

// findLitewitness returns the program, which the Makefile builds.
func findLitewitness(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("WAYPOST_LITEWITNESS"); path != "" {
		return path
	}
	if path, err := filepath.Abs("../../bin/litewitness"); err == nil {
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

// startLitewitness runs the program on a loopback port, with its key in an
// ssh-agent, and returns its submission prefix and its database.
func startLitewitness(t *testing.T, program, name string, key ed25519.PrivateKey) (url, database string) {
	t.Helper()
	dir := t.TempDir()
	socket, database := filepath.Join(dir, "agent"), filepath.Join(dir, "lite.db")
	serveAgent(t, socket, key)
	public, err := ssh.NewPublicKey(key.Public())
	must(t, err)
	address := freeAddress(t)

	running, kill := context.WithCancel(ctx)
	var output bytes.Buffer
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
	for range 100 {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			must(t, conn.Close())
			return "http://" + address, database
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("litewitness does not listen")
	return "", ""
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := l.Addr().String()
	must(t, l.Close())
	if !strings.HasPrefix(address, "127.0.0.1:") {
		t.Fatal(address)
	}
	return address
}
