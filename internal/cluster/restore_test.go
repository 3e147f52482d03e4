package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/recovery"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/pgtest"
)

// restoring is an exchange whose hub and whose gateway of CA keep what they have on a
// PostgreSQL server, and who can open their backups.
type restoring struct {
	*testing.T
	c      *cluster.Cluster
	server *pgtest.Cluster
	dir    string
	opens  *age.HybridIdentity
}

// TestRestoreOnServer: a hub and a gateway on PostgreSQL are backed up while they run, go
// on, and are lost. What would take a ledger back is refused; they come back in the next
// log, in new databases, and the exchange goes on.
func TestRestoreOnServer(t *testing.T) {
	r := &restoring{T: t, server: pgtest.Start(t, 1)[0], dir: t.TempDir()}
	t.Setenv("PGPASSWORD", "of somebody else")
	c := config(r.dir)
	c.Databases = func(name, kind string) (string, error) {
		if name == "hub" || name == "CA" {
			return r.server.URL(), nil
		}
		return "sqlite:" + kind + ".db", nil
	}
	var err error
	if r.c, err = cluster.Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.c.Close(); err != nil {
			t.Error(err)
		}
	}()
	if r.opens, err = age.GenerateHybridIdentity(); err != nil {
		t.Fatal(err)
	}
	r.load(1)
	r.finds(1)
	for _, name := range []string{"hub", "CA"} {
		r.backUp(name)
	}
	r.load(2) // both ledgers go on, and others see it
	r.finds(2)
	if err := r.c.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.bringBack("hub", "hub/2")
	r.finds(1)
	r.bringBack("CA", "CA/2")
	r.load(3)
	r.finds(3)
	r.finds(1)
}

func (r *restoring) folder(name string) string {
	if name == "hub" {
		return filepath.Join(r.dir, name)
	}
	return filepath.Join(r.dir, "gateway-"+name)
}

func (r *restoring) archive(name, kind string) string {
	return filepath.Join(r.dir, name+"-"+kind+".age")
}

// load has CA hold one more person.
func (r *restoring) load(i int) {
	r.Helper()
	counter, _, err := cluster.Counter(r.dir, "CA")
	if err != nil {
		r.Fatal(err)
	}
	res, err := counter.Load(r.Context(), &waypostv1.LoadRequest{Records: []*waypostv1.Record{gateway.RecordToProto(waypost.Record{
		ID: fmt.Sprintf("CA-%d", i), Person: person(i), CardNumber: fmt.Sprintf("C%06d", i), Kind: waypost.Licence, Status: waypost.Valid,
	})}})
	if err != nil || len(res.Rejected) > 0 {
		r.Fatalf("person %d: %v, %v", i, res, err)
	}
}

// finds has AZ ask, until the answer is complete.
func (r *restoring) finds(i int) {
	r.Helper()
	ctx, stop := context.WithTimeout(r.Context(), 3*time.Minute)
	defer stop()
	for {
		a, err := r.c.Gateway("AZ").Check(ctx, gateway.Applicant{Person: person(i)}, clerk)
		if err == nil && a.Best() == waypost.Match {
			return
		}
		if ctx.Err() != nil {
			r.Fatalf("person %d: %+v, %v; want a match", i, a, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// backUp makes both archives of a role that runs, with no copy in clear beside them or in
// its folder.
func (r *restoring) backUp(name string) {
	r.Helper()
	for kind, keys := range map[string]bool{"data": false, "keys": true} {
		rep, err := recovery.Backup(r.Context(), recovery.BackupOptions{
			Dir: r.folder(name), To: r.archive(name, kind), Recipients: []age.Recipient{r.opens.Recipient()}, Keys: keys, Now: r.c.Clock.Now,
		})
		if err != nil {
			r.Fatal(err)
		}
		if !keys && (len(rep.Logs) != 1 || rep.Logs[0].Size == 0) {
			r.Fatalf("the backup of %s has the logs %+v", name, rep.Logs)
		}
	}
	for _, pattern := range []string{filepath.Join(r.folder(name), ".backup*"), filepath.Join(r.dir, ".waypost*")} {
		if left, err := filepath.Glob(pattern); err != nil || len(left) != 0 {
			r.Errorf("%v is left of a backup, %v", left, err)
		}
	}
}

// bringBack loses a role and restores it.
func (r *restoring) bringBack(name, successor string) {
	r.Helper()
	if err := r.c.Stop(name); err != nil {
		r.Fatal(err)
	}
	if err := os.Rename(r.folder(name), r.folder(name)+".old"); err != nil {
		r.Fatal(err)
	}
	o := recovery.RestoreOptions{
		From: r.archive(name, "data"), Keys: r.archive(name, "keys"), Identities: []age.Identity{r.opens}, Dir: r.folder(name),
		Now: r.c.Clock.Now, Log: slog.New(slog.DiscardHandler),
	}
	refused := func(code waypost.Code, words ...string) {
		r.Helper()
		_, err := recovery.Restore(r.Context(), o)
		if waypost.CodeOf(err) != code {
			r.Fatalf("%s: %v", name, err)
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				r.Errorf("%s: %v; want %q", name, err, w)
			}
		}
		for _, pattern := range []string{r.folder(name), filepath.Join(r.dir, ".waypost*")} {
			if left, err := filepath.Glob(pattern); err != nil || len(left) != 0 {
				r.Errorf("%v is left of a restore that was refused, %v", left, err)
			}
		}
	}
	fresh := func() {
		o.Database = r.server.URL()
		if name == "CA" {
			o.People = r.server.URL()
		}
	}
	refused(waypost.InvalidArgument, "name an empty database")
	fresh()
	refused(waypost.InvalidArgument, "would be rolled back by", "drop them, and name new ones")
	o.Choice = recovery.Successor
	refused(waypost.AlreadyExists, "has tables already")
	fresh()
	rep, err := recovery.Restore(r.Context(), o)
	if err != nil {
		r.Fatal(err)
	}
	if len(rep.Logs) != 1 || !strings.HasSuffix(rep.Logs[0].Successor, "/"+successor) || rep.Logs[0].Seen <= rep.Logs[0].Restored {
		r.Fatalf("%s came back as %+v", name, rep)
	}
	if err := r.c.Start(r.Context(), name); err != nil {
		r.Fatal(err)
	}
	r.number(name, o.Database)
	// What was asked before the restore is refused for a while.
	r.c.Clock.Advance(2 * time.Minute)
}

// number looks which process of the role runs, as waypost doctor does.
func (r *restoring) number(name, database string) {
	r.Helper()
	role := "hub"
	if name != role {
		role = "gateway"
	}
	var lives []store.Life
	if _, err := store.Check(r.Context(), database, role, func(tx *store.Tx) (err error) {
		lives, err = store.Lives(tx)
		return err
	}); err != nil {
		r.Errorf("%s: %v", name, err)
	}
	for _, l := range lives {
		if l.Alive != (l.Number == 2) {
			r.Errorf("after the restore of %s its processes are %+v", name, lives)
		}
	}
	if len(lives) == 0 {
		r.Errorf("no process of %s is known", name)
	}
}
