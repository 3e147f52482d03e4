package main

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/shards"
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
