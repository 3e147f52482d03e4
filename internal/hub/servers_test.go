package hub_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/rpc/rpctest"
	"github.com/waypost/waypost/internal/shards"
	"github.com/waypost/waypost/internal/shards/shardstest"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/pgtest"
)

// TestOverServers: the hub with its labels on three servers, each a cluster of its
// own. It does what a model says, and one server that is down costs its share.
// WAYPOST_TEST_STORE=postgres WAYPOST_TEST_SHARDS=3 runs all other tests so, too.
func TestOverServers(t *testing.T) {
	clusters := pgtest.Start(t, 4)
	databases := func() (label []string) {
		for _, c := range clusters[1:] {
			label = append(label, c.URL())
		}
		return label
	}
	t.Run("model", func(t *testing.T) {
		r := newRigOn(t, rpctest.Ample, spreadOver(t, clusters[0].URL(), databases()))
		againstModel(t, r, 5)
	})
	t.Run("one down", func(t *testing.T) {
		r := newRigOn(t, rpctest.Ample, spreadOver(t, clusters[0].URL(), databases()))
		oneDown(t, r, clusters[2])
	})
	t.Run("unasked", func(t *testing.T) {
		r := newRigOn(t, rpctest.Ample, spreadOver(t, clusters[0].URL(), databases()))
		unasked(t, r, clusters[2])
	})
	t.Run("plans", func(t *testing.T) { plans(t, spreadOver(t, clusters[0].URL(), databases())) })
}

// spreadOver makes the tables of a hub at url and spreads its labels.
func spreadOver(t testing.TB, url string, databases []string) string {
	t.Helper()
	db, err := store.Open(t.Context(), url, "hub")
	must(t, err)
	must(t, db.Close())
	shardstest.Spread(t, url, 6, databases...)
	return url
}

// plans: whatever looks for labels, the servers are asked for those only. A statement that has them all sent, or locked, is of no
// use with thousands of millions.
func plans(t *testing.T, url string) {
	c, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer c.Close(context.Background())
	remote := func(query string, args ...any) (sent []string) {
		t.Helper()
		rows, err := c.Query(t.Context(), `EXPLAIN (VERBOSE, COSTS OFF) `+query, args...)
		must(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		must(t, err)
		for _, line := range lines {
			if _, sql, there := strings.Cut(line, "Remote SQL: "); there {
				sent = append(sent, sql)
			}
		}
		if len(sent) == 0 {
			t.Errorf("%s: no server is asked", query)
		}
		return sent
	}
	for query, n := range hub.LabelStatements {
		args := make([]any, n)
		for i := range args {
			args[i] = hub.Label([32]byte{9}, token(i), 0)
		}
		for _, sql := range remote(query, args...) {
			if strings.HasPrefix(query, "DELETE") != strings.HasPrefix(sql, "DELETE") || !strings.Contains(sql, "WHERE ((label = ANY") || strings.Contains(sql, "FOR UPDATE") {
				t.Errorf("%s\nis sent as %s", query, sql)
			}
		}
	}
	for _, sql := range remote(hub.LabelsBetween, []byte{1}, []byte{2}, 256) {
		if !strings.Contains(sql, "WHERE ((label >= ") || !strings.Contains(sql, "((label < ") || strings.Contains(sql, "FOR UPDATE") {
			t.Errorf("a range of labels is asked for by %s", sql)
		}
	}
}

// oneDown runs with one of the servers of labels down, and after.
func oneDown(t *testing.T, r *rig, down *pgtest.Cluster) {
	const people = 12
	for n := range people {
		r.publish("CA", person(n, token(n)))
	}
	r.first(r.check("AZ")) // its connections to all servers are open
	down.Kill()

	seen, unreached := 0, 0
	for n := range people {
		p := r.check("AZ")
		tokens := padded(waypost.NameElements, token(n))
		list := r.found(p, 1, tokens)
		seen += len(list.List)
		unreached += list.Unreached
		if len(list.List) == 0 && list.Unreached == 0 {
			t.Errorf("person %d is not found, as if nothing was missing", n)
		}
		if n == 0 {
			again, err := r.search(p, 1, tokens)
			must(t, err)
			sameBytes(t, "the answer to the same request", again.Candidates, list.Bytes())
		}
	}
	// A third of 20 tokens, and those whose second label is there.
	if all := people * waypost.NameElements; unreached < all/5 || unreached > all*4/5 {
		t.Errorf("%d of %d tokens could not be looked up, with one of three servers down", unreached, all)
	}
	if seen == 0 || seen == people {
		t.Errorf("%d of %d people are found", seen, people)
	}

	// What goes there is refused for now; what does not need labels goes on, also in
	// the same transactions.
	const more = 6 // of one record, or two, all labels may be elsewhere
	var records []*waypostv1.PublishedRecord
	for n := range more {
		records = append(records, person(people+n, token(people+n)))
	}
	p := r.permit("CA", waypost.KindPublish, more*waypost.RecordElements)
	_, err := r.tryPublish(p, records...)
	refused(t, "publishing", err, waypost.Unavailable, "does not answer now")
	must(t, besides(r))

	down.Begin()
	eventually(t, "the server is back", func() bool { return r.first(r.check("AZ")).Unreached == 0 })
	_, err = r.tryPublish(p, records...)
	must(t, err)
	for n := range people + more {
		if list := r.first(r.check("AZ"), token(n)); len(list.List) != 1 || list.Unreached != 0 {
			t.Errorf("person %d: %d candidates, %d tokens not looked up", n, len(list.List), list.Unreached)
		}
	}
}

// unasked: the hub begins while a server is down, which is back before it has been asked
// whose its labels are. Nothing is written there, or deleted, until then.
func unasked(t *testing.T, r *rig, down *pgtest.Cluster) {
	const people = 6
	held := func() int { return r.count(`SELECT count(*) FROM label`) }
	r.halt()
	down.Kill()
	var err error
	r.owned, err = shards.Own(t.Context(), r.url)
	must(t, err)
	r.start()
	down.Begin()
	eventually(t, "the server is back", func() bool {
		return r.db.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM label`).Scan(new(int)) }) == nil
	})
	type refusal struct {
		permit
		record *waypostv1.PublishedRecord
	}
	var waiting []refusal
	for n := range people {
		one := refusal{r.permit("CA", waypost.KindPublish, waypost.RecordElements), person(n, token(n))}
		if _, err := r.tryPublish(one.permit, one.record); err != nil {
			refused(t, "publishing", err, waypost.Unavailable, "does not answer now")
			waiting = append(waiting, one)
		}
	}
	before := held()
	if len(waiting) == 0 { // nearly every record has a label there, and of six always one
		t.Errorf("nobody is refused, and there are %d labels", before)
	}
	must(t, r.db.Write(t.Context(), func(tx *store.Tx) error { // of an epoch whose key is gone
		for n := range 64 {
			old := hub.Label([32]byte{9}, token(n), 0)
			old[0] = 77
			if _, err := tx.Exec(`INSERT INTO label (label, pointer) VALUES ($1, 1)`, old); err != nil {
				return err
			}
		}
		return nil
	}))
	purge := func() error {
		_, err := hub.PurgeEpoch(t.Context(), r.deps(), 77, 1000)
		return err
	}
	refused(t, "purging", purge(), waypost.Unavailable, "does not answer now")
	if held() <= before {
		t.Error("labels were deleted on a server that was not asked")
	}
	must(t, r.owned.Watch(t.Context(), slog.New(slog.DiscardHandler)))
	must(t, purge())
	if left := held(); left != before {
		t.Errorf("%d labels are left of those that were to go", left-before)
	}
	for _, one := range waiting {
		_, err := r.tryPublish(one.permit, one.record)
		must(t, err)
	}
	for n := range people {
		if list := r.first(r.check("AZ"), token(n)); len(list.List) != 1 || list.Unreached != 0 {
			t.Errorf("person %d: %d candidates, %d tokens not looked up", n, len(list.List), list.Unreached)
		}
	}
}

// besides writes a label to every server, which fails on one, beside a function of
// the same group that needs no label.
func besides(r *rig) error {
	failed, begun := make(chan error), make(chan struct{})
	go func() {
		failed <- r.db.Write(context.Background(), func(tx *store.Tx) error {
			close(begun)
			time.Sleep(10 * time.Millisecond) // the other waits for its turn by now
			for n := range 64 {
				if _, err := tx.Exec(`INSERT INTO label (label, pointer) VALUES ($1, 1) ON CONFLICT DO NOTHING`, hub.Label([32]byte{9}, token(n), 0)); err != nil {
					return err
				}
			}
			return nil
		})
	}()
	<-begun
	beside := r.db.Write(context.Background(), func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO misuse (ticket, expires) VALUES ($1, 1)`, []byte("beside"))
		return err
	})
	if err := <-failed; !store.Unreachable(err) || waypost.CodeOf(err) != waypost.Unavailable {
		return fmt.Errorf("writing labels with a server down: %w", errors.Join(errors.New("not told so"), err))
	}
	return beside
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("this did not happen in two minutes: %s", what)
		}
	}
}
