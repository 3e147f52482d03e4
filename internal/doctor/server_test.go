package doctor_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/doctor"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/shards/shardstest"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/pgtest"
)

// TestServer: the hub's database on a server: who works on it, who stands still and what
// they hold, a server of labels that is down, and a copy of the database.
func TestServer(t *testing.T) {
	clusters := pgtest.Start(t, 2)
	url := clusters[0].URL()
	dir := made(t, func(p *install.Plan) {
		p.Databases = func(_, kind string) (string, error) {
			if kind == "hub" {
				return url, nil
			}
			return "sqlite:" + kind + ".db", nil
		}
	})
	hub := filepath.Join(dir, "hub")
	look := func(level doctor.Level, what, words, next string) doctor.Report {
		t.Helper()
		var r doctor.Report
		unchanged(t, dir, func() { r = doctor.Examine(t.Context(), hub, doctor.Options{Offline: true}) })
		if !says(r, level, what, words, next) {
			t.Errorf("nothing says %q: %s", words, text(r))
		}
		if strings.Contains(text(r), "waypost:waypost") {
			t.Errorf("it repeats a password: %s", text(r))
		}
		return r
	}
	look(doctor.OK, "database", "it is empty: the first start makes the tables", "")
	db, err := store.Open(t.Context(), url, "hub", store.AsProcess(1))
	must(t, err)
	must(t, db.Seize(t.Context(), "log waypost.test/hub/1"))
	back := doctor.Patience()
	if r := look(doctor.Wrong, "listen", "nothing answers", "its door should be open"); !r.Running || !says(r, doctor.OK, "processes", "process 1 works; it holds log waypost.test/hub/1", "") {
		t.Errorf("process 1: %s", text(r))
	}
	back()
	must(t, db.Close())
	name, _, _ := strings.Cut(filepath.Base(url), "?")
	look(doctor.OK, "processes", "no process of this role is running", "")

	clusters[0].SQL(name, `INSERT INTO store_process (number, token, beat, alive) VALUES (2, 9, 3, 1)`)
	clusters[0].SQL(name, `INSERT INTO store_lease (name, process, token) VALUES ('house', 2, 9)`)
	if r := look(doctor.Wrong, "processes", "process 2 says that it is alive, and stands still; it holds house", "kill it"); r.Running {
		t.Error("the role of another number is running")
	}
	clusters[0].SQL(name, `DELETE FROM store_process WHERE number = 2`)

	clusters[0].SQL(name, `GRANT CREATE ON SCHEMA public TO PUBLIC`)
	look(doctor.Wrong, "database", "everybody may create functions", "databases.md")
	clusters[0].SQL(name, `REVOKE CREATE ON SCHEMA public FROM PUBLIC`)

	shardstest.Spread(t, url, 4, clusters[1].URL(), clusters[1].URL())
	look(doctor.OK, "labels", "has 2 partitions", "")
	twin := clusters[0].Local(clusters[0].Copy(name))
	edit(t, hub, func(c map[string]any) { c["database"] = twin })
	look(doctor.Wrong, "labels", "is a copy of the hub's", "scale.md")
	if r, err := install.Open(t.Context(), hub, time.Now, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "waypost hub shards adopt") {
		t.Errorf("a hub on the copy writes to the labels of the real one: %v", err)
		if err == nil {
			must(t, r.Close())
		}
	}
	edit(t, hub, func(c map[string]any) { c["database"] = url })
	r, err := install.Open(t.Context(), hub, time.Now, slog.New(slog.DiscardHandler))
	must(t, err)
	must(t, r.Close())
	clusters[1].Kill()
	look(doctor.Wrong, "labels", "cannot be asked", "checks are owed")
}
