package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/shards"
	"github.com/waypost/waypost/internal/shards/shardstest"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/pgtest"
)

// shardable DIR NAME... makes in DIR an exchange whose hub has its database on a
// PostgreSQL server, and beside it for each name NAME.json, a list of one server for
// labels, with its password in NAME.password.
func shardable(t *testing.T) func(ts *testscript.TestScript, neg bool, args []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < 2 {
			ts.Fatalf("usage: shardable DIR NAME...")
		}
		dir := ts.MkAbs(args[0])
		ts.Check(os.MkdirAll(dir, 0o700))
		ts.Check(install.Create(dir, install.Plan{States: []waypost.Jurisdiction{"CA"}, Holders: 1, Threshold: 1, Now: time.Now()}))
		server := pgtest.Shared(t)
		ts.Check(hubOn(filepath.Join(install.FolderOf(dir, "hub"), "config.json"), server.URL()))
		for _, name := range args[1:] {
			u, err := url.Parse(server.URL())
			ts.Check(err)
			port, err := strconv.Atoi(u.Port())
			ts.Check(err)
			secret, _ := u.User.Password()
			file := ts.MkAbs(name + ".password")
			ts.Check(os.WriteFile(file, []byte(secret+"\n"), 0o600))
			raw, err := json.Marshal(map[string]any{"servers": []shards.Server{{Name: name, Host: u.Hostname(), Port: port, Database: u.Path[1:],
				User: u.User.Username(), SSLMode: "disable", PasswordFile: file}}})
			ts.Check(err)
			ts.Check(os.WriteFile(ts.MkAbs(name+".json"), raw, 0o600))
		}
	}
}

// hubOn gives a hub another database, with its tables.
func hubOn(config, database string) error {
	raw, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		return err
	}
	fields["database"] = database
	if raw, err = json.Marshal(fields); err != nil {
		return err
	}
	if err := os.WriteFile(config, raw, 0o600); err != nil {
		return err
	}
	db, err := store.Open(context.Background(), database, "hub")
	if err != nil {
		return err
	}
	return db.Close()
}

// TestShardsKilled: the commands are ended by kill -9 after random times, again and
// again, while a hub's process would go on writing; in the end all is in its place
// once.
func TestShardsKilled(t *testing.T) {
	server := pgtest.Shared(t)
	dir := t.TempDir()
	if err := install.Create(dir, install.Plan{States: []waypost.Jurisdiction{"CA"}, Holders: 1, Threshold: 1, Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	folder, database := install.FolderOf(dir, "hub"), server.URL()
	if err := hubOn(filepath.Join(folder, "config.json"), database); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), database, "hub")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	list := shardstest.Servers(t, server.URL(), server.URL())
	written := 0
	write := func(n int) {
		t.Helper()
		if err := db.Write(t.Context(), func(tx *store.Tx) error {
			for range n {
				label := sha256.Sum256([]byte(strconv.Itoa(written)))
				if _, err := tx.Exec(`INSERT INTO label (label, pointer) VALUES ($1, $2) ON CONFLICT DO NOTHING`, label[:16], written); err != nil {
					return err
				}
				written++
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	write(1000)
	kills := 0
	for _, args := range [][]string{
		{"init", "--dir", folder, "--servers", list, "--partitions", "4"},
		{"move", "--dir", folder, "--to", "b", "--partitions", "0,2"},
		{"move", "--dir", folder, "--to", "a"},
	} {
		for wait := 25 * time.Millisecond; ; wait += time.Duration(rand.Int64N(int64(wait))) {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			cmd := exec.CommandContext(ctx, os.Args[0], append([]string{"hub", "shards"}, args...)...) // it is killed, not told
			cmd.Args[0] = "waypost"
			out, err := cmd.CombinedOutput()
			late := ctx.Err() != nil
			cancel()
			write(10)
			if err == nil {
				break
			}
			if kills++; !late && !strings.Contains(string(out), "another command is at work") { // the server has yet to notice
				t.Fatalf("%v: %v\n%s", args, err, out)
			}
		}
	}
	var rows, sum int
	if err := db.Read(t.Context(), func(tx *store.Tx) error {
		return tx.Row(`SELECT count(*), CAST(SUM(pointer) AS BIGINT) FROM label`).Scan(&rows, &sum)
	}); err != nil || rows != written || sum != written*(written-1)/2 {
		t.Errorf("%d labels of %d, with the sum %d: %v", rows, written, sum, err)
	}
	if kills == 0 {
		t.Error("nothing was killed")
	}
	t.Logf("killed %d times", kills)
}
