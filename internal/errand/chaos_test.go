package errand_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/store"
)

// Whatever is lost, doubled, late or out of order, and wherever the two states
// crash: each reply is taken once and in order, each answer has its effect once,
// and the ledgers account for every ticket.
func TestChaos(t *testing.T) {
	t.Parallel()
	for seed := range *seeds {
		r := newRig(t)
		newStorm(r, seed).play()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

var seeds = flag.Uint64("seeds", 5, "how many runs TestChaos makes")

// storm is one run of the two states in bad weather.
type storm struct {
	*rig
	dice  *rand.Rand
	ids   []errand.ID
	saved []letter // that may come again
}

func newStorm(r *rig, seed uint64) *storm {
	s := &storm{rig: r, dice: rand.New(rand.NewPCG(seed, 1))}
	r.chaos = rand.New(rand.NewPCG(seed, 2))
	r.az.handle(waypost.KindStatus, errand.Handler{Words: []string{"more", "done"}, Take: s.take})
	r.ca.handle(waypost.KindStatus, errand.Handler{Words: []string{"more", "done"}, Answer: s.answer})
	return s
}

// answer is sometimes late, sometimes says more than once, and sometimes fails.
func (s *storm) answer(_ context.Context, q errand.Question) (errand.Response, error) {
	commit := func(what string) func(*store.Tx) error {
		return func(tx *store.Tx) error { return effect(tx, "%s %x", what, q.ID) }
	}
	switch s.dice.IntN(5) {
	case 0:
		return errand.Response{}, waypost.Errorf(waypost.Unavailable, "not now")
	case 1:
		return errand.Response{Commit: commit("opened")}, nil
	case 2:
		return errand.Response{Word: "more", Body: q.Body, Commit: commit("answered")}, nil
	}
	return errand.Response{Word: "done", Final: true, Body: q.Body, Commit: commit("answered")}, nil
}

func (s *storm) take(tx *store.Tx, mine errand.Errand, r errand.Reply) error {
	if r.Word != errand.Unanswered && !bytes.Equal(r.Body, mine.Body) {
		return fmt.Errorf("the body of another")
	}
	return effect(tx, "took %x %03d", mine.ID, r.Number)
}

func (s *storm) play() {
	for range 3 {
		w := status("CA", fmt.Sprint("body ", s.dice.Uint64()))
		s.ids = append(s.ids, s.az.begin(w))
	}
	for range 60 {
		s.act(s.dice.IntN(7))
	}
	s.chaos = nil // the weather is good again
	s.az.restart()
	s.ca.restart()
	for range 12 {
		s.settle()
		s.pass(6*day + time.Hour)
	}
	s.check()
}

// settle is good weather: whoever has a question open answers it.
func (s *storm) settle() {
	s.step()
	for _, id := range s.ids {
		if p, err := s.az.engine.Get(s.t.Context(), id); err == nil && p.State < errand.Concluded {
			_ = s.ca.engine.Reply(s.t.Context(), id, "AZ", errand.Response{Word: "done", Final: true, Body: p.Body})
		}
	}
	s.step()
}

func (s *storm) act(what int) {
	ctx := s.t.Context()
	side := s.az
	if s.dice.IntN(2) == 0 {
		side = s.ca
	}
	switch what {
	case 0:
		if err := side.engine.Step(ctx); errors.Is(err, errCrash) {
			side.restart()
		}
	case 1, 2, 3: // some of what is in the outbox arrives, in any order
		letters := side.outbox()
		s.dice.Shuffle(len(letters), func(i, j int) { letters[i], letters[j] = letters[j], letters[i] })
		for _, l := range letters[:s.dice.IntN(len(letters)+1)] {
			lost, kept := s.dice.IntN(6) == 0, s.dice.IntN(4) == 0
			if lost {
				side.forget(l)
				continue
			}
			if s.saved = append(s.saved, l); len(s.saved) > 20 {
				s.saved = s.saved[1:]
			}
			s.deliver(side, l, !kept)
		}
	case 4: // something old comes again
		if len(s.saved) > 0 {
			l := s.saved[s.dice.IntN(len(s.saved))]
			s.deliver(side, l, false)
		}
	case 5:
		s.pass([]time.Duration{time.Second, time.Minute, time.Hour, day, 4 * day}[s.dice.IntN(5)])
	case 6:
		id := s.ids[s.dice.IntN(len(s.ids))]
		p, err := s.az.engine.Get(ctx, id)
		if err != nil {
			s.t.Fatal(err)
		}
		last := s.dice.IntN(2) == 0
		word := map[bool]string{true: "done", false: "more"}[last]
		if err := s.ca.engine.Reply(ctx, id, "AZ", errand.Response{Word: word, Final: last, Body: p.Body}); errors.Is(err, errCrash) {
			s.ca.restart()
		}
	}
}

func (s *storm) check() {
	for name, side := range map[string]*side{"AZ": s.az, "CA": s.ca} {
		for what, n := range side.effects() {
			if n != 1 && !strings.HasPrefix(what, "receipts") {
				s.t.Errorf("%s: %s: %d times", name, what, n)
			}
		}
		if n := len(side.outbox()); n != 0 {
			s.t.Errorf("%s: %d letters are left", name, n)
		}
	}
	s.inOrder()
	s.accounted()
}

// inOrder: every errand has ended, and its replies were taken from 1 on.
func (s *storm) inOrder() {
	took := make(map[string][]string)
	for _, what := range slices.Sorted(maps.Keys(s.az.effects())) {
		if words := strings.Fields(what); words[0] == "took" {
			took[words[1]] = append(took[words[1]], words[2])
		}
	}
	for _, id := range s.ids {
		numbers := took[fmt.Sprintf("%x", id)]
		for i, n := range numbers {
			if n != fmt.Sprintf("%03d", i+1) {
				s.t.Errorf("errand %x took %v", id, numbers)
			}
		}
		if len(numbers) == 0 {
			s.t.Errorf("errand %x has no reply", id)
		}
	}
}

// accounted: each ticket that was asked for has ended in the asker's ledger, and
// what concluded an errand stands in the other's.
func (s *storm) accounted() {
	replied := make(map[string]bool)
	for _, e := range s.ca.entries() {
		if e.Kind == "replied" {
			replied[fmt.Sprint(e.Ticket, e.Fields["word"], e.Fields["final"])] = true
		}
	}
	ends := make(map[waypost.TicketID]string)
	asked := 0
	for _, e := range s.az.entries() {
		switch e.Kind {
		case "ask":
			asked++
		case "concluded":
			if e.Fields["word"] != errand.Unanswered && !replied[fmt.Sprint(e.Ticket, e.Fields["word"], "yes")] {
				s.t.Errorf("%s is concluded and was not replied to", e.Ticket)
			}
			fallthrough
		case "abandoned":
			ends[e.Ticket] += e.Kind + " "
		}
	}
	lost := 0 // tickets that a crash kept from their errand: the gateway abandons them
	for what := range s.az.effects() {
		if id, isPermit := strings.CutPrefix(what, "permit "); isPermit && s.az.effects()["settled "+id] == 0 {
			lost++
		}
	}
	if len(ends)+lost != asked {
		s.t.Errorf("%d tickets were asked for, %d have ended and %d were lost", asked, len(ends), lost)
	}
	for id, how := range ends {
		if how != "abandoned " && how != "concluded " && how != "abandoned concluded " {
			s.t.Errorf("ticket %s: %s", id, how)
		}
	}
}
