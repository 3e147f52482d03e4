package seized

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/attack"
	"github.com/waypost/waypost/internal/store"
)

// server plays the theft once more where a server is given: the hub keeps its database on
// it, and the attacker has a login, the dump in an archive of waypost backup, and, where
// they lie on this machine, the files of the whole server.
func (t *theft) server(ctx context.Context) error {
	if t.Database == "" {
		return nil
	}
	tag := "waypost_drill_" + strings.ToLower(rand.Text()[:8])
	return t.within(ctx, tag, func(live string) error {
		return t.within(ctx, tag+"_dump", func(restored string) error { return t.between(ctx, live, restored) })
	})
}

// within makes a database on the server, uses it and drops it.
func (t *theft) within(ctx context.Context, name string, use func(database string) error) error {
	database, err := store.CreateDatabase(ctx, t.Database, name)
	if err != nil {
		return err
	}
	return errors.Join(use(database), store.DropDatabase(context.WithoutCancel(ctx), t.Database, name))
}

// between plays it with two databases, of which the hub has one and the attacker brings
// the dump into the other.
func (t *theft) between(ctx context.Context, live, restored string) (err error) {
	o := &theft{Stage: t.Stage, files: make(map[string]string)}
	if o.x, err = t.Open(ctx, "server", t.Size.Pick(30, 100, 5_000), cluster.Config{Databases: func(_, kind string) (string, error) {
		if kind == "hub" {
			return live, nil
		}
		return "sqlite:" + kind + ".db", nil
	}}); err != nil {
		return err
	}
	if err := errors.Join(o.dump(ctx), o.x.Close()); err != nil {
		return err
	}
	if err := o.know(); err != nil {
		return err
	}
	if err := attack.Restore(ctx, filepath.Join(o.files["backup"], "database.pgdump"), restored); err != nil {
		return err
	}
	if o.after, err = attack.ReadIndex(ctx, live); err != nil {
		return err
	}
	if o.backup, err = attack.ReadIndex(ctx, restored); err != nil {
		return err
	}
	return errors.Join(o.onServer(ctx), o.inServer(ctx, live))
}

// dump makes the archives, and writes the dump in one as statements.
func (t *theft) dump(ctx context.Context) (err error) {
	for _, what := range []string{"archives", "backup", "keys", "script"} {
		if t.files[what], err = t.Dir("server-" + what); err != nil {
			return err
		}
	}
	if err := t.archive(ctx, t.x); err != nil {
		return err
	}
	return attack.Script(ctx, filepath.Join(t.files["backup"], "database.pgdump"), filepath.Join(t.files["script"], "dump.sql"))
}

// onServer plays every attack that lacks something, and the one that has everything.
func (t *theft) onServer(ctx context.Context) error {
	attacks, err := t.less()
	if err != nil {
		return err
	}
	var sum, all found
	for i, a := range attacks {
		t.Progress("guessing, a server", i, len(attacks))
		for _, x := range []*attack.Index{t.after, t.backup} {
			f, err := t.find(ctx, x, t.everybody(), a.trials...)
			if err != nil {
				return err
			}
			sum = sum.most(f)
		}
	}
	t.Add(drill.Line{
		Party:     "who has the database of a hub on PostgreSQL, by a login and as the dump in a backup, and all but h or one share",
		Attempted: fmt.Sprintf("look up %d people, the %d card holders among them, in the five ways above", len(t.everybody()), len(t.holders)),
		Obtained:  fmt.Sprintf("%d people identified or confirmed, %d taken for card holders wrongly, in %d guesses and %s of one core", sum.right, sum.wrong, sum.guessed, spent(sum.took.Seconds())),
		Noticed:   unnoticed, Baseline: "plain: everybody; unkeyed: as above", Target: nobody, OK: sum.guessed > 0,
		Figure: &drill.Figure{Name: "people identified", Value: float64(sum.right + sum.wrong), Low: float64(sum.right + sum.wrong), High: float64(sum.right + sum.wrong), AtMost: true},
	})
	points, err := attack.PointsOf(t.shares[:t.keys.Threshold()]...)
	if err != nil {
		return err
	}
	least := len(t.holders)
	for _, x := range []*attack.Index{t.after, t.backup} {
		if all, err = t.find(ctx, x, t.everybody(), trial{points.Secret(), t.h}); err != nil {
			return err
		}
		least = min(least, all.right)
	}
	t.Add(drill.Line{
		Party: fmt.Sprintf("the same with h and %d shares (conceded)", len(points)), Attempted: "the same",
		Obtained: fmt.Sprintf("%d of %d card holders identified by each", least, len(t.holders)),
		Noticed:  unnoticed, Target: "everybody on the list is found", OK: least > 0, Planted: true,
		Figure: &drill.Figure{Name: "card holders identified", Value: float64(least), Low: float64(least), High: float64(least), Bound: float64(len(t.holders))},
	})
	return nil
}

// inServer looks in the bytes of the dump, and of the server's files, for what must not
// stand in either; and for the owners' handles, which do.
func (t *theft) inServer(ctx context.Context, database string) error {
	personal, secret, err := t.pieces(ctx)
	if err != nil {
		return err
	}
	where, words := []string{t.files["archives"], t.files["backup"], t.files["script"]}, "the archive, opened, and its dump as statements"
	if folder := dataFolder(ctx, database); folder != "" {
		where, words = append(where, folder), words+", and all files of the server"
	}
	var size int64
	hits, rows := 0, make(attack.Hits)
	handles := t.handles()
	for i, folder := range where {
		if i == len(where)-1 {
			rows = make(attack.Hits)
		}
		if err := attack.Files(folder, func(content []byte) {
			size += int64(len(content))
			found := make(attack.Hits)
			personal.In(content, found)
			hits += len(found)
			clear(found)
			secret.In(content, found)
			hits += len(found)
			handles.In(content, rows)
		}); err != nil {
			return err
		}
	}
	t.Add(drill.Line{
		Party:     "who has a backup of a hub on PostgreSQL, and the server's disk where it is this machine's",
		Attempted: fmt.Sprintf("search %.0f MB, %s, for %d names, dates and card numbers, and for %d tokens, shares and h", float64(size)/1e6, words, personal.Len(), secret.Len()),
		Obtained:  fmt.Sprintf("%d of them; the same search finds %d of %d handles in the last of these", hits, len(rows), len(t.after.Pointers)),
		Noticed:   unnoticed, Baseline: "plain: every row", Target: "none stands anywhere, and handles do, so the search can find", OK: len(rows) >= len(t.after.Pointers)*9/10 && personal.Len() > 0 && secret.Len() > 0,
		Figure: &drill.Figure{Name: "names, tokens and secrets found on the server", Value: float64(hits), Low: float64(hits), High: float64(hits), AtMost: true},
	})
	return nil
}

// handles are what stands in each row of the index: raw in files, in hex in statements.
func (t *theft) handles() *attack.Pieces {
	var all [][]byte
	for _, p := range t.after.Pointers {
		all = append(all, p.Handle, []byte(hex.EncodeToString(p.Handle)))
	}
	return attack.NewPieces(all)
}

// dataFolder is where the server keeps its files, if it tells and they can be read here.
func dataFolder(ctx context.Context, database string) (folder string) {
	db, err := store.Open(ctx, database, "hub")
	if err != nil {
		return ""
	}
	err = db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT setting FROM pg_settings WHERE name = 'data_directory'`).Scan(&folder)
	})
	if errors.Join(err, db.Close()) != nil {
		return ""
	}
	if _, err := os.ReadFile(filepath.Join(folder, "PG_VERSION")); err != nil {
		return ""
	}
	return folder
}
