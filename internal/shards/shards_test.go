package shards

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/pgtest"
)

// TestServers runs on one hub's server and three for labels.
func TestServers(t *testing.T) {
	clusters := pgtest.Start(t, 4)
	for _, test := range []struct {
		name    string
		run     func(t *testing.T, r *rig)
		servers int
	}{
		{"spread", testSpread, 3}, {"killed", testKilled, 2}, {"pruning", testPruning, 1},
		{"refusals", testRefusals, 1}, {"corrupt copy", testCorruptCopy, 1}, {"lost in a group", testLostInGroup, 2},
		{"still", testStill, 0}, {"busy", testBusy, 2}, {"copy", testCopy, 2}, {"trash", testTrash, 2}, {"reach", testReach, 2},
		{"unasked", testUnasked, 2},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newRig(t, clusters[:test.servers+1])) })
	}
}

// testSpread: from one table to three servers, to a fourth while the hub reads and
// writes, and away from one.
func testSpread(t *testing.T, r *rig) {
	ctx := t.Context()
	db := r.open()
	defer db.Close()
	must(t, put(ctx, db, 0, 3000))
	traffic := r.serve(db, 3000)
	must(t, r.do(func(x *Table) error { return x.Init(ctx, r.servers[:2], 6) }))
	must(t, r.do(func(x *Table) error { return x.Init(ctx, r.servers[:2], 6) })) // changes nothing
	must(t, r.do(func(x *Table) error { return x.Add(ctx, r.servers[2:]) }))
	must(t, r.do(func(x *Table) error { return x.Move(ctx, "c", nil) }))
	st := r.status()
	for i, want := range []int{2, 2, 2} {
		if got := len(st.Servers[i].Partitions); got != want || st.Servers[i].Unfinished != 0 {
			t.Errorf("server %s has %d partitions, want %d; %d tables are left over", st.Servers[i].Name, got, want, st.Servers[i].Unfinished)
		}
	}
	must(t, r.do(func(x *Table) error { return x.Move(ctx, "b", st.Servers[0].Partitions) }))
	n := traffic()
	r.whole(db, n)
	if st = r.status(); len(st.Servers[0].Partitions) != 0 || len(st.Servers[1].Partitions) != 4 || st.Partitions != 6 {
		t.Errorf("after all was moved from a to b: %+v", st)
	}
	// All of it is where the catalogue says, and nowhere twice.
	var held int64
	for i, s := range r.servers {
		held += r.rowsOn(s, st.Servers[i].Partitions)
	}
	if held != int64(n) {
		t.Errorf("the servers hold %d labels of %d", held, n)
	}
}

var errKilled = errors.New("killed")

// testKilled: a command may be killed at any of its steps; the hub goes on, and the
// same command again does what is left.
func testKilled(t *testing.T, r *rig) {
	ctx := t.Context()
	commands := []struct {
		name string
		do   func(*Table) error
	}{
		{"init", func(x *Table) error { return x.Init(ctx, r.servers[:1], 2) }},
		{"add", func(x *Table) error { return x.Add(ctx, r.servers[1:]) }},
		{"move", func(x *Table) error { return x.Move(ctx, "b", nil) }},
	}
	db := r.open()
	defer db.Close()
	must(t, put(ctx, db, 0, 300))
	n, seen := 300, make(map[string]bool)
	for _, c := range commands {
		for kill := 1; ; kill++ {
			steps := 0
			err := r.do(func(x *Table) error {
				x.at = func(step string) error {
					seen[c.name+" "+step] = true
					if steps++; steps == kill {
						return errKilled
					}
					return nil
				}
				return c.do(x)
			})
			if err != nil && !errors.Is(err, errKilled) {
				t.Fatalf("%s after it was killed at %d of its steps: %v", c.name, kill-1, err)
			}
			must(t, put(ctx, db, n, n+20))
			n += 20
			r.whole(db, n)
			if err == nil {
				break
			}
		}
		for _, s := range r.status().Servers {
			if s.Unfinished != 0 || s.Trouble != "" {
				t.Errorf("%s leaves %d tables on server %s; %s", c.name, s.Unfinished, s.Name, s.Trouble)
			}
		}
	}
	for _, step := range []string{"init noted", "init copied", "init compared", "init switching", "init switched", "init swept", "add added", "move noted", "move compared", "move switching", "move switched"} {
		if !seen[step] {
			t.Errorf("nothing was killed at %q; there are %v", step, seen)
		}
	}
	if st := r.status(); len(st.Servers[0].Partitions) != 1 || len(st.Servers[1].Partitions) != 1 {
		t.Errorf("in the end %+v", st)
	}
}

// testPruning: the lookup of one label asks one server, which gets the condition.
func testPruning(t *testing.T, r *rig) {
	ctx := t.Context()
	must(t, r.do(func(x *Table) error { return x.Init(ctx, r.servers, 8) }))
	must(t, r.do(func(x *Table) error {
		for mode, subplans := range map[string]int{"force_custom_plan": 0, "force_generic_plan": 7} {
			must(t, run(ctx, x.hub, `SET plan_cache_mode = `+mode, `PREPARE one (bytea) AS SELECT pointer FROM label WHERE label = $1`))
			rows, err := x.hub.Query(ctx, `EXPLAIN (ANALYZE, VERBOSE) EXECUTE one ('\x00112233445566778899aabbccddeeff')`, pgx.QueryExecModeSimpleProtocol)
			must(t, err)
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			must(t, err)
			plan := strings.Join(lines, "\n")
			if strings.Count(plan, "Foreign Scan") != 1 || !strings.Contains(plan, "WHERE ((label = ") || subplans > 0 != strings.Contains(plan, fmt.Sprintf("Subplans Removed: %d", subplans)) {
				t.Errorf("%s:\n%s", mode, plan)
			}
			must(t, run(ctx, x.hub, `DEALLOCATE one`))
		}
		return nil
	}))
}

// testRefusals are the commands that do nothing, and say why.
func testRefusals(t *testing.T, r *rig) {
	ctx := t.Context()
	gone := r.servers[0]
	gone.Name, gone.Port = "gone", 1
	own := serverAt(t, "own", r.url)
	wrong := r.servers[0]
	wrong.password = "x9x9x9"
	refuse := func(words string, command func(*Table) error) {
		t.Helper()
		if err := r.do(command); err == nil || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "x9x9x9") {
			t.Errorf("%v, want %q", err, words)
		}
	}
	refuse("not spread", func(x *Table) error {
		must(t, x.Add(ctx, r.servers))
		return x.Move(ctx, "a", nil)
	})
	refuse("no server \"z\"", func(x *Table) error { return x.Move(ctx, "z", nil) })
	refuse("cannot be reached", func(x *Table) error { return x.Add(ctx, []Server{gone}) })
	refuse("hub's own", func(x *Table) error { return x.Add(ctx, []Server{own}) })
	refuse("cannot be reached", func(x *Table) error { return x.Init(ctx, []Server{wrong}, 4) })
	refuse("no fewer than servers", func(x *Table) error { return x.Init(ctx, r.servers, 1) })
	must(t, r.do(func(x *Table) error { return x.Init(ctx, r.servers, 4) }))
	refuse("for good", func(x *Table) error { return x.Init(ctx, r.servers, 8) })
	refuse("no partition 4", func(x *Table) error { return x.Move(ctx, "a", []int{4}) })
	elsewhere := serverAt(t, "a", r.clusters[1].URL())
	refuse("0 of them", func(x *Table) error { return x.Add(ctx, []Server{elsewhere}) })
	must(t, r.do(func(x *Table) error {
		must(t, x.begin(ctx))
		refuse("another command", func(x *Table) error { return x.Move(ctx, "a", nil) })
		return nil
	}))
	if _, err := Open(ctx, "postgres://nobody:x9x9x9@127.0.0.1:1/x"); err == nil || strings.Contains(err.Error(), "x9x9x9") {
		t.Errorf("a server that is not there: %v", err)
	}
	if _, err := Open(ctx, "postgres://hub:x9x9x9@db.example.org/x?sslmode=require"); err == nil || !strings.Contains(err.Error(), "verify-full") {
		t.Errorf("a hub's server that nobody verifies: %v", err)
	}
	if log := r.clusters[0].Log(); strings.Contains(log, r.servers[0].password) {
		t.Error("the server's log has a password")
	}
}

// testCorruptCopy: a copy that differs is never switched to.
func testCorruptCopy(t *testing.T, r *rig) {
	ctx := t.Context()
	db := r.open()
	defer db.Close()
	must(t, put(ctx, db, 0, 100))
	err := r.do(func(x *Table) error {
		x.at = func(step string) error {
			if step != "copied" {
				return nil
			}
			parts, err := x.partitions(ctx, "label_parts")
			must(t, err)
			c, err := x.conn(ctx, "a")
			must(t, err)
			_, err = c.Exec(ctx, `UPDATE `+x.schema+`.`+parts[0].table+` SET pointer = pointer + 1 WHERE label = (SELECT label FROM `+x.schema+`.`+parts[0].table+` LIMIT 1)`)
			return err
		}
		return x.Init(ctx, r.servers, 2)
	})
	if err == nil || !strings.Contains(err.Error(), "nothing was switched") {
		t.Errorf("a copy with another pointer: %v", err)
	}
	r.whole(db, 100)
	if st := r.status(); st.Partitions != 0 {
		t.Errorf("%+v", st)
	}
}

// testLostInGroup: a server that goes down in the middle of a group takes that group
// with it, which is said to be without effect, and no other.
func testLostInGroup(t *testing.T, r *rig) {
	ctx := t.Context()
	must(t, r.do(func(x *Table) error { return x.Init(ctx, r.servers, 4) }))
	db := r.open()
	defer db.Close()
	must(t, put(ctx, db, 0, 100))
	note := func(text string) error {
		return db.Write(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO misuse (ticket, expires) VALUES ($1, 1)`, []byte(text))
			return err
		})
	}
	begun, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		failed <- db.Write(ctx, func(tx *store.Tx) error {
			for n := 100; n < 140; n++ {
				if _, err := tx.Exec(insertLabel, labelOf(n), n); err != nil {
					return err
				}
			}
			close(begun)
			r.clusters[1].Kill()
			for n := 140; n < 180; n++ {
				if _, err := tx.Exec(insertLabel, labelOf(n), n); err != nil {
					return err
				}
			}
			return nil
		})
	}()
	<-begun
	beside := note("beside")
	if err := <-failed; !store.Unreachable(err) {
		t.Errorf("the function whose server was lost: %v", err)
	}
	if beside != nil && (!store.Unreachable(beside) || errors.Is(beside, store.ErrUnknownOutcome)) {
		t.Errorf("a function beside it: %v, want one that says it had no effect", beside)
	}
	must(t, note("after"))
	r.clusters[1].Begin()
	must(t, put(ctx, db, 100, 180))
	r.whole(db, 180)
}
