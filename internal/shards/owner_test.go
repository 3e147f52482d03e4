package shards

import (
	"net/url"
	"strings"
	"testing"
)

// testCopy: a copy of the hub's database has everything that is needed to destroy
// the labels, and does not; it can take the hub's place, which then stands back.
func testCopy(t *testing.T, r *rig) {
	ctx := t.Context()
	db := r.open()
	must(t, put(ctx, db, 0, 300))
	must(t, r.do(func(x *Table) error { return x.Init(ctx, r.servers, 4) }))
	must(t, db.Close())
	copied := *r
	copied.url = r.copyOf(t, "drill")
	must(t, r.do(func(x *Table) error { return x.Move(ctx, "b", []int{0}) }))
	refuse := func(who *rig, words string, command func(*Table) error) {
		t.Helper()
		if err := who.do(command); err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "adopt") {
			t.Errorf("%v, want %q", err, words)
		}
	}
	for _, command := range []func(*Table) error{
		func(x *Table) error { return x.Move(ctx, "b", []int{2}) },
		func(x *Table) error { return x.Add(ctx, r.servers[:1]) },
		func(x *Table) error { return x.Init(ctx, r.servers, 4) },
	} {
		refuse(&copied, "copy of the hub's", command)
	}
	if err := copied.do(func(x *Table) error { return x.Adopt(ctx) }); err == nil || !strings.Contains(err.Error(), "1 of them are") {
		t.Errorf("a copy from before a move adopts servers without the table that it has: %v", err)
	}
	db = r.open()
	r.whole(db, 300)
	must(t, db.Close())

	// As after a restore on the same server: it is the hub, and knows of one move less.
	must(t, r.do(func(x *Table) error { return run(ctx, x.hub, `UPDATE `+x.schema+`.owner SET switches = switches - 1`) }))
	refuse(r, "newer", func(x *Table) error { return x.Move(ctx, "b", []int{2}) })
	must(t, r.do(func(x *Table) error { return x.Adopt(ctx) }))
	copied.url = r.copyOf(t, "successor")
	must(t, copied.do(func(x *Table) error { return x.Adopt(ctx) }))
	refuse(r, "another hub's", func(x *Table) error { return x.Move(ctx, "b", []int{2}) })
	must(t, copied.do(func(x *Table) error { return x.Move(ctx, "b", []int{2}) }))
	db = copied.open()
	defer db.Close()
	copied.whole(db, 300)
}

// copyOf copies the hub's database, with nobody connected to it.
func (r *rig) copyOf(t *testing.T, name string) string {
	t.Helper()
	u, err := url.Parse(r.url)
	must(t, err)
	from := strings.TrimPrefix(u.Path, "/")
	r.clusters[0].SQL("postgres", `CREATE DATABASE `+name+` TEMPLATE `+from)
	u.Path = "/" + name
	return u.String()
}

// testTrash: what is taken out of use is there for a day under another name, and goes
// with a command after that; and nothing goes while a partition is missing.
func testTrash(t *testing.T, r *rig) {
	ctx := t.Context()
	db := r.open()
	defer db.Close()
	must(t, put(ctx, db, 0, 100))
	must(t, r.do(func(x *Table) error { return x.Init(ctx, r.servers, 4) }))
	must(t, r.do(func(x *Table) error { return x.Move(ctx, "b", []int{0}) }))
	trash := func() (n int) {
		must(t, r.do(func(x *Table) error {
			c, err := x.conn(ctx, "a")
			must(t, err)
			return c.QueryRow(ctx, `SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relname LIKE 'trash%' AND relkind = 'r'`, x.schema).Scan(&n)
		}))
		return n
	}
	if n := trash(); n != 1 {
		t.Fatalf("%d tables are kept after a move", n)
	}
	must(t, r.do(func(x *Table) error {
		c, err := x.conn(ctx, "a")
		must(t, err)
		_, err = c.Exec(ctx, `DO $$ BEGIN EXECUTE (SELECT format('ALTER TABLE %s RENAME TO %I', oid::regclass, 'trash_1' || substr(relname, 17))
			FROM pg_class WHERE relnamespace = to_regnamespace('`+x.schema+`') AND relname LIKE 'trash%'); END $$`)
		return err
	}))
	parts := func() (all []Partition) {
		must(t, r.do(func(x *Table) (err error) { all, err = x.partitions(ctx, "label"); return err }))
		return all
	}()
	rename := func(from, to string) {
		must(t, r.do(func(x *Table) error {
			c, err := x.conn(ctx, "b")
			must(t, err)
			return run(ctx, c, `ALTER TABLE `+x.schema+`.`+from+` RENAME TO `+to)
		}))
	}
	rename(parts[0].table, "label_gone")
	if err := r.do(func(x *Table) error { return x.Move(ctx, "b", []int{2}) }); err == nil || !strings.Contains(err.Error(), "at the address") || trash() != 1 {
		t.Errorf("with a partition missing: %v, %d tables are kept", err, trash())
	}
	rename("label_gone", parts[0].table)
	must(t, r.do(func(x *Table) error { return x.Add(ctx, r.servers) }))
	if n := trash(); n != 0 {
		t.Errorf("%d tables are kept for more than a day", n)
	}
	r.whole(db, 100)
}
