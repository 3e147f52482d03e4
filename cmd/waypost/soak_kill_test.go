package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
)

// kill kills roles until the context ends and every role has been killed once:
// one, or two at once, or so many key holders that no quorum is left. Some are
// killed again while they take up what the first time left. It leaves all
// running.
func (s *soak) kill(ctx context.Context, calm time.Duration) {
	dice := rand.New(rand.NewPCG(s.seed, 2))
	between := func(from, to time.Duration) time.Duration { return from + time.Duration(dice.Int64N(int64(to-from))) }
	// Each role in turn, so that none is spared for long, and the gateways twice:
	// most of what can be cut off is theirs.
	var deck []string
	draw := func() string {
		if len(deck) == 0 {
			deck = s.roles.Names()
			for _, state := range soakStates {
				deck = append(deck, string(state))
			}
			dice.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		name := deck[0]
		deck = deck[1:]
		return name
	}
	for ctx.Err() == nil || len(s.killed) < len(s.roles.Names()) {
		rest(ctx, between(calm/2, calm*3/2))
		victims := map[string]bool{draw(): true}
		switch n := dice.IntN(10); {
		case n < 3:
			victims[draw()] = true
		case n == 3:
			for i := range soakHolders - soakThreshold + 1 {
				victims["keyholder-"+string(rune('1'+i))] = true
			}
		}
		for _, name := range slices.Sorted(maps.Keys(victims)) {
			s.end(name)
		}
		time.Sleep(between(50*time.Millisecond, calm))
		for _, name := range slices.Sorted(maps.Keys(victims)) {
			if dice.IntN(4) == 0 {
				s.startAndEnd(name, between(20*time.Millisecond, 300*time.Millisecond))
			}
			s.start(name)
		}
		if err := s.roles.Alive(); err != nil {
			s.failed("%v", err)
			return
		}
	}
}

func (s *soak) end(name string) {
	if err := s.roles.Kill(name); err != nil {
		s.failed("killing %s: %v", name, err)
	}
	s.killed[name]++
}

func (s *soak) start(name string) {
	if err := s.roles.Start(context.Background(), name); err != nil {
		s.failed("starting %s: %v", name, err)
	}
}

// startAndEnd kills a role while it starts, or just after.
func (s *soak) startAndEnd(name string, after time.Duration) {
	started := make(chan error, 1)
	go func() { started <- s.roles.Start(context.Background(), name) }()
	time.Sleep(after)
	err := s.roles.Kill(name)
	startErr := <-started
	if waypost.CodeOf(err) == waypost.NotFound { // on a busy machine: it was not even begun
		err = errors.Join(startErr, s.roles.Kill(name))
	}
	if err != nil {
		s.failed("killing %s at its start: %v", name, err)
	}
	s.killed[name]++
	s.cutStarts++
}

// settle stops and starts the gateways until they have nothing left to do: the
// clerks have their answers, but some checks were cut off before the counter
// could name them, and are made all the same. A gateway takes up at its start
// what the last process left.
func (s *soak) settle(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	for _, state := range soakStates {
		for {
			if err := s.roles.Stop(string(state)); err != nil {
				t.Fatal(err)
			}
			left := s.outstanding(t, state)
			s.start(string(state))
			if left == "" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s has not come to its end: %s", state, left)
			}
			rest(t.Context(), 3*time.Second)
		}
		if status, err := s.counters[state].Status(t.Context(), &waypostv1.StatusRequest{}); err != nil || status.Published != status.Records || int(status.Records) != len(s.people.early[state])+len(s.people.late[state]) {
			t.Errorf("%s: of %d records %d are published: %v", state, status.GetRecords(), status.GetPublished(), err)
		}
	}
}

// outstanding says what a stopped gateway has still to do.
func (s *soak) outstanding(t *testing.T, state waypost.Jurisdiction) string {
	t.Helper()
	var left []string
	s.inside(t, state, func(db *store.DB) error {
		return db.Read(t.Context(), func(tx *store.Tx) error {
			for _, work := range []struct{ what, count string }{
				{"checks not complete", `SELECT count(*) FROM inquiry WHERE due IS NOT NULL`},
				// Of a check that was cut off and made again, a question may stay unanswered:
				// nobody is named for it any more.
				{"questions without an answer", `SELECT count(*) FROM ask JOIN inquiry ON inquiry.ticket = ask.ticket WHERE ask.state < 3 AND inquiry.state IN (1, 2)`},
				{"letters", `SELECT count(*) FROM outbox`},
				{"letters held", `SELECT count(*) FROM held`},
				{"publications", `SELECT count(*) FROM publication`},
			} {
				var n int
				if err := tx.Row(work.count).Scan(&n); err != nil {
					return err
				}
				if n > 0 {
					left = append(left, work.what)
				}
			}
			return nil
		})
	})
	return strings.Join(left, ", ")
}

// inside opens the database of a stopped gateway.
func (s *soak) inside(t *testing.T, state waypost.Jurisdiction, look func(*store.DB) error) {
	t.Helper()
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(install.FolderOf(s.dir, string(state)), "gateway.db"), "gateway")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(look(db), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// compare holds what the clerks were told against the ledgers of the stopped
// gateways: every ticket that a counter has named was asked under, and the last
// one ended once, with what the clerk knows.
func (s *soak) compare(t *testing.T) {
	t.Helper()
	type line struct {
		asks, ends int
		outcome    string
	}
	auditor, err := install.Auditor(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range soakStates {
		ledger := make(map[waypost.TicketID]*line)
		s.inside(t, state, func(db *store.DB) error {
			return s.read(t.Context(), db, auditor, state, func(e journal.Stored) error {
				l := ledger[e.Ticket]
				if l == nil {
					l = &line{}
					ledger[e.Ticket] = l
				}
				switch e.Kind {
				case "ask":
					l.asks++
				case "outcome":
					l.ends++
					body, err := journal.ParseBody(e.Body)
					l.outcome = body["outcome"]
					return err
				}
				return nil
			})
		})
		for i, a := range s.answers {
			if a.state != state {
				continue
			}
			for _, id := range a.acknowledged {
				if l := ledger[id]; l == nil || l.asks != 1 {
					t.Errorf("case %d: the ticket %s that %s has named is not in its ledger once: %+v", i, id, state, l)
				}
			}
			if l := ledger[a.Ticket]; l == nil || l.ends != 1 || l.outcome != string(a.Best()) {
				t.Errorf("case %d: the clerk at %s was told %s, the ledger says %+v", i, state, a.Best(), l)
			}
		}
	}
}

// read reads the whole ledger in a gateway's database, as an auditor.
func (s *soak) read(ctx context.Context, db *store.DB, auditor *journal.Opener, state waypost.Jurisdiction, each func(journal.Stored) error) error {
	nobody, err := age.GenerateX25519Identity() // nothing is written
	if err != nil {
		return err
	}
	j, err := journal.Open(ctx, db, "waypost.test/"+string(state)+"/1", nobody.Recipient())
	if err != nil {
		return err
	}
	const page = 1000
	for from := uint64(0); ; from += page {
		batch, err := auditor.Read(ctx, j, from, page)
		if err != nil {
			return err
		}
		for _, e := range batch {
			if !e.Opened {
				return fmt.Errorf("entry %d of %s is not opened to the auditor", e.Seq, state)
			}
			if err := each(e); err != nil {
				return err
			}
		}
		if len(batch) < page {
			return nil
		}
	}
}
