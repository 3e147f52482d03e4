// Package shardstest spreads the label table of a test's hub over the servers of the
// test.
package shardstest

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/waypost/waypost/internal/shards"
)

// Servers writes a list of servers for labels, named a, b, c, ..., each in one of the
// databases, and returns its path.
func Servers(t testing.TB, databases ...string) string {
	t.Helper()
	dir := t.TempDir()
	var list []shards.Server
	for i, raw := range databases {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		port, err := strconv.Atoi(u.Port())
		if err != nil {
			t.Fatal(err)
		}
		name := string(rune('a' + i))
		secret, _ := u.User.Password()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		list = append(list, shards.Server{Name: name, Host: u.Hostname(), Port: port, Database: u.Path[1:], User: u.User.Username(),
			SSLMode: "disable", PasswordFile: file})
	}
	raw, err := json.Marshal(map[string]any{"servers": list})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "servers.json")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Spread puts the labels of the hub's database at url, which has its tables, into
// partitions on the databases.
func Spread(t testing.TB, url string, partitions int, databases ...string) {
	t.Helper()
	servers, err := shards.ReadServers(Servers(t, databases...))
	if err != nil {
		t.Fatal(err)
	}
	table, err := shards.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	if err := table.Init(t.Context(), servers, partitions); err != nil {
		t.Fatal(err)
	}
}
