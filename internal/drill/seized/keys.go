package seized

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/attack"
)

// A trial is a number taken for the key and 32 bytes taken for h.
type trial struct {
	secret *big.Int
	h      [32]byte
}

// found is what came of trials.
type found struct {
	right   int           // people of whom the attacker says in which state they have a record
	wrong   int           // and is mistaken
	guessed int           // people, keys and secrets tried, all combinations
	took    time.Duration // of processors
}

// for300 is how long one core would take to look up a nation by name under one number
// for the key and one for h, at the rate of these guesses.
func (f found) for300() string { return spent(f.took.Seconds() / float64(f.guessed) * nation) }

// most takes the worse of two, and all that was spent.
func (f found) most(g found) found {
	return found{max(f.right, g.right), max(f.wrong, g.wrong), f.guessed + g.guessed, f.took + g.took}
}

// find tries a list on a copy. A person counts once, whatever finds them.
func (t *theft) find(ctx context.Context, x *attack.Index, list []waypost.Person, trials ...trial) (f found, err error) {
	began := attack.Spent()
	right, wrong := make(map[int]bool), make(map[int]bool)
	for _, trial := range trials {
		key, err := attack.NewKey(trial.secret, t.epoch)
		if err != nil {
			return f, err
		}
		finder := attack.Finder{Index: x, H: trial.h, Key: key}
		claims, err := finder.Find(ctx, list)
		if err != nil {
			return f, err
		}
		for _, c := range claims {
			if t.holds(list[c.Person], c.Owner) {
				right[c.Person] = true
			} else {
				wrong[c.Person] = true
			}
		}
		f.guessed += len(list)
	}
	f.right, f.wrong, f.took = len(right), len(wrong), attack.Spent()-began
	return f, nil
}

// guessedH are numbers for h that somebody might try: none at all, and some at random.
func (t *theft) guessedH() [][32]byte {
	all := make([][32]byte, t.Size.Pick(3, 5, 20))
	r := rand.New(rand.NewPCG(t.Seed, 0x68))
	for _, h := range all[1:] {
		for i := range h {
			h[i] = byte(r.Uint32())
		}
	}
	return all
}

// fewer are the secrets of t-1 shares.
func (t *theft) fewer() (attack.Points, error) {
	return attack.PointsOf(t.shares[:t.keys.Threshold()-1]...)
}

const (
	unnoticed = "by nobody: a copy that is read elsewhere leaves no trace"
	nobody    = "0 people identified or confirmed"
)

// lacking is an attack by who lacks something.
type lacking struct {
	party, attempted string
	trials           []trial
}

// less are all attacks that lack something.
func (t *theft) less() ([]lacking, error) {
	points, err := t.fewer()
	if err != nil {
		return nil, err
	}
	quorum, err := attack.PointsOf(t.shares[:t.keys.Threshold()]...)
	if err != nil {
		return nil, err
	}
	trials := func(keys []attack.Guess, hs ...[32]byte) (all []trial) {
		for _, key := range keys {
			for _, h := range hs {
				all = append(all, trial{key.Secret, h})
			}
		}
		return all
	}
	none, some := []attack.Guess{{Why: "no key at all", Secret: big.NewInt(1)}}, points.Guesses(len(t.shares))
	all := []attack.Guess{{Why: "the key", Secret: quorum.Secret()}}
	return []lacking{
		{"who has the hub's database", "with numbers guessed for h and no key", trials(none, t.guessedH()...)},
		{fmt.Sprintf("who has the database and %d of %d shares, %d of which are the key", len(points), len(t.shares), t.keys.Threshold()),
			"with every key that the shares suggest and numbers guessed for h", trials(some, t.guessedH()[:2]...)},
		{"who has the database and the hub's secret h", "with h and no key", trials(none, t.h)},
		{fmt.Sprintf("who has the database, h and %d of %d shares", len(points), len(t.shares)), "with h and every key that the shares suggest", trials(some, t.h)},
		{fmt.Sprintf("who has the database and all %d shares that are needed, but not h", t.keys.Threshold()), "with the key and numbers guessed for h", trials(all, t.guessedH()...)},
	}, nil
}

// withLess plays every attack that lacks something, on every copy.
func (t *theft) withLess(ctx context.Context) error {
	attacks, err := t.less()
	if err != nil {
		return err
	}
	for i, a := range attacks {
		t.Progress("guessing", i, len(attacks))
		var sum found
		for _, x := range []*attack.Index{t.running, t.after, t.backup} {
			f, err := t.find(ctx, x, t.everybody(), a.trials...)
			if err != nil {
				return err
			}
			sum = sum.most(f)
		}
		t.Add(drill.Line{
			Party:     a.party,
			Attempted: fmt.Sprintf("look up %d people, the %d card holders among them, %s, in copies made while it ran, from an archive of waypost backup, and after it stopped", len(t.everybody()), len(t.holders), a.attempted),
			Obtained: fmt.Sprintf("%d people identified or confirmed, %d taken for card holders wrongly, in %d guesses and %s of one core; 300 million named people take %s for each pair of numbers tried for key and h (extrapolated). How many records each state has, %d in all, without names",
				sum.right, sum.wrong, sum.guessed, spent(sum.took.Seconds()), sum.for300(), len(t.after.Pointers)),
			Noticed: unnoticed, Baseline: t.beside(), Target: nobody, OK: sum.guessed > 0,
			Figure: &drill.Figure{Name: "people identified", Value: float64(sum.right + sum.wrong), Low: float64(sum.right + sum.wrong), High: float64(sum.right + sum.wrong),
				AtMost: true, Others: t.others()},
		})
	}
	return nil
}

// missingShare guesses the share that is missing, each guess against the public key in
// the roster; and once more where the right one is among the guesses.
func (t *theft) missingShare(ctx context.Context) error {
	points, err := t.fewer()
	if err != nil {
		return err
	}
	missing := t.shares[t.keys.Threshold()-1]
	right, err := attack.PointsOf(missing)
	if err != nil {
		return err
	}
	guesses := t.Size.Pick(3_000, 60_000, 5_000_000)
	began := attack.Spent()
	secret, err := points.Missing(missing.Index(), guesses, t.Seed, t.keys.Group(), nil)
	if err != nil {
		return err
	}
	took := (attack.Spent() - began).Seconds()
	rate := float64(guesses) / took
	got := 0.0
	if secret != nil {
		got = 1
	}
	t.Add(drill.Line{
		Party:     fmt.Sprintf("who has %d of %d shares", len(points), len(t.shares)),
		Attempted: fmt.Sprintf("guess the missing share %d times, each guess against the public key of the roster", guesses),
		Obtained:  fmt.Sprintf("%.0f keys in %s of one core, at %.0f guesses a second; a million cores in a year make 2^%.0f of 2^252 (extrapolated)", got, spent(took), rate, math.Log2(rate*1e6*365.25*24*3600)),
		Noticed:   unnoticed, Target: "no key", OK: true,
		Figure: &drill.Figure{Name: "keys found", Value: got, Low: got, High: got, AtMost: true},
	})
	secret, err = points.Missing(missing.Index(), 1_000, t.Seed, t.keys.Group(), new(big.Int).Set(right[missing.Index()]))
	if err != nil || secret == nil {
		return errors.Join(err, errors.New("the right share was not known among the guesses"))
	}
	f, err := t.find(ctx, t.running, t.everybody(), trial{secret, t.h})
	t.Add(drill.Line{
		Party:     "the same, with the database and h, where the right share is among 1000 guesses (planted)",
		Attempted: "the same, and then look up everybody",
		Obtained:  fmt.Sprintf("the key; %d of %d card holders identified, %d others taken for card holders", f.right, len(t.holders), f.wrong),
		Noticed:   unnoticed, Target: "the guess is known for right, and everybody is found", OK: f.right == len(t.holders), Planted: true,
	})
	return err
}

// conceded shows that with t shares and h the same program finds everybody.
func (t *theft) conceded(ctx context.Context) error {
	points, err := attack.PointsOf(t.shares[len(t.shares)-t.keys.Threshold():]...)
	if err != nil {
		return err
	}
	f, err := t.find(ctx, t.after, t.everybody(), trial{points.Secret(), t.h})
	if err != nil {
		return err
	}
	key, err := attack.NewKey(points.Secret(), t.epoch)
	if err != nil {
		return err
	}
	share := float64(f.right) / float64(len(t.holders))
	t.Add(drill.Line{
		Party:     fmt.Sprintf("who has the database, h and %d shares", len(points)),
		Attempted: fmt.Sprintf("look up the same %d people", len(t.everybody())),
		Obtained: fmt.Sprintf("%d of %d card holders identified with their state, in %s of one core, %d others taken for card holders; 300 million named people take %s (extrapolated from these, half of whom have cards)",
			f.right, len(t.holders), spent(f.took.Seconds()), f.wrong, f.for300()),
		Noticed: unnoticed, Baseline: t.beside(), Target: "conceded: everybody on the list is found", OK: f.right > 0, Planted: true,
		Figure: &drill.Figure{Name: "share of the card holders identified with t shares and h", Value: share, Low: share, High: share, Bound: 1,
			Others: []drill.Other{{Name: "plain table", Value: 1}}},
	})
	return t.statuses(ctx, attack.Finder{Index: t.after, H: t.h, Key: key})
}
