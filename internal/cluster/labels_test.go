package cluster_test

import (
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/shards/shardstest"
	"github.com/waypost/waypost/internal/store/pgtest"
)

// TestLabelsOfAnother: a hub whose server of labels is another's does not start, and one
// that could not ask at the start ends once it has.
func TestLabelsOfAnother(t *testing.T) {
	servers := pgtest.Start(t, 2)
	database, labels := servers[0].URL(), servers[1].URL()
	c := config(t.TempDir())
	c.Databases = func(name, kind string) (string, error) {
		if name == "hub" {
			return database, nil
		}
		return "sqlite:" + kind + ".db", nil
	}
	e, err := cluster.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	stop := func() {
		t.Helper()
		if err := e.Stop("hub"); err != nil {
			t.Fatal(err)
		}
	}
	start := func() {
		t.Helper()
		if err := e.Start(t.Context(), "hub"); err != nil {
			t.Fatal(err)
		}
	}
	shardstest.Spread(t, database, 2, labels)
	stop()
	start()
	stop()
	servers[1].Kill()
	start() // down is no reason not to
	door := e.Role("hub").Folder.Config.Listen
	servers[1].Begin()
	time.Sleep(2 * time.Second) // it is asked meanwhile
	stop()

	u, err := url.Parse(labels)
	if err != nil {
		t.Fatal(err)
	}
	servers[1].SQL(u.Path[1:], `DO $$ BEGIN
		EXECUTE (SELECT format('UPDATE %I.owner SET hub = ''another''', nspname) FROM pg_namespace WHERE starts_with(nspname, 'waypost_')); END $$`)
	if err := e.Start(t.Context(), "hub"); err == nil || !strings.Contains(err.Error(), "another hub's") {
		t.Fatalf("a hub starts on labels of another: %v", err)
	}
	servers[1].Kill()
	start()
	servers[1].Begin()
	for begun := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		conn, err := net.Dial("tcp", door)
		if err != nil {
			break
		}
		_ = conn.Close()
		if time.Since(begun) > 2*time.Minute {
			t.Fatal("a hub goes on with labels of another")
		}
	}
	if err := e.Stop("hub"); err == nil || !strings.Contains(err.Error(), "another hub's") {
		t.Errorf("it ended with: %v", err)
	}
}
