// Package seized is the drill of a stolen index: somebody has copied the hub's
// database, while it runs, afterwards, or as a backup, and has besides it nothing, too
// few shares of the key, the secret h, or both; and tries whom it is about.
//
//	seized.go      what is stolen, and the table
//	people.go      the dictionaries, and the two baselines before them
//	rest.go        what a copy tells without any dictionary
//
// The attacker's list is the strongest there is: it names exactly the people in the
// exchange, and as many who are not. Beside it there is the dictionary of somebody who
// has public name tables only.
package seized

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/attack"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/toprf"
)

// Drill is the seized database.
var Drill = drill.Drill{
	Name:  "seized",
	Title: "A seized database",
	About: "Somebody has a copy of the hub's database and its backups, alone, with t-1 shares of the key, with the secret h, and with more, and a list of everybody.",
	Run:   run,
}

// theft is all that the attacker has, and the truth to judge it by.
type theft struct {
	*drill.Stage
	x *drill.Exchange
	people
	running, after, backup *attack.Index
	files                  map[string]string // folders of the copies, by what they are
	moved                  []waypost.Record  // that AZ has made meanwhile
	h                      [32]byte
	shares                 []toprf.Share // of all key holders
	keys                   *toprf.PublicKeys
	epoch                  uint32
}

func run(ctx context.Context, s *drill.Stage) (err error) {
	x, err := s.Open(ctx, "exchange", s.Size.Pick(60, 400, 25_000), cluster.Config{})
	if err != nil {
		return err
	}
	t := &theft{Stage: s, x: x, files: make(map[string]string)}
	if err := t.steal(ctx); err != nil {
		return err
	}
	if err := t.know(); err != nil {
		return err
	}
	for _, play := range []func(context.Context) error{t.baselines, t.withLess, t.missingShare, t.conceded, t.tables, t.traces, t.pairs, t.shapes} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := play(ctx); err != nil {
			return err
		}
	}
	return nil
}

// steal copies the hub's database while people are checked and get their cards, as a
// backup, and once more when the hub has stopped.
func (t *theft) steal(ctx context.Context) (err error) {
	stopped := false
	defer func() {
		if !stopped {
			err = errors.Join(err, t.x.Close())
		}
	}()
	for _, what := range []string{"running", "after", "backup"} {
		if t.files[what], err = t.Dir(what); err != nil {
			return err
		}
	}
	database := filepath.Join(t.x.Dir, "hub", "hub.db")
	busy, stop := context.WithCancel(ctx)
	served, some := make(chan error, 1), make(chan struct{})
	go func() { served <- t.serve(busy, some) }()
	select {
	case <-some:
	case err := <-served:
		stop()
		return errors.Join(err, ctx.Err())
	}
	t.running, err = t.copied(ctx, database)
	if err == nil {
		err = store.Snapshot(ctx, "sqlite:"+database, filepath.Join(t.files["backup"], "hub.db"))
	}
	stop()
	if err = errors.Join(err, <-served); err != nil {
		return err
	}
	stopped = true
	if err := t.x.Close(); err != nil {
		return err
	}
	if _, err := attack.Copy(database, t.files["after"]); err != nil {
		return err
	}
	if t.after, err = attack.ReadIndex(ctx, filepath.Join(t.files["after"], "hub.db")); err != nil {
		return err
	}
	t.backup, err = attack.ReadIndex(ctx, filepath.Join(t.files["backup"], "hub.db"))
	return err
}

// copied copies the files of a database that is in use until the copy can be read: it
// may be torn. The files that are searched for traces are another copy, which nobody
// has opened.
func (t *theft) copied(ctx context.Context, database string) (*attack.Index, error) {
	if _, err := attack.Copy(database, t.files["running"]); err != nil {
		return nil, err
	}
	var torn error
	for try := range 5 {
		dir, err := t.Dir(fmt.Sprintf("try-%d", try))
		if err != nil {
			return nil, err
		}
		file, err := attack.Copy(database, dir)
		if err != nil {
			return nil, err
		}
		x, err := attack.ReadIndex(ctx, file)
		if err == nil || ctx.Err() != nil {
			return x, err
		}
		torn = errors.Join(torn, err)
	}
	return nil, torn
}

// serve has people of CA come to AZ, be checked and get a card, until the context ends
// and some have come: the database is written while it is copied.
func (t *theft) serve(ctx context.Context, some chan<- struct{}) error {
	door, _, err := cluster.Door(t.x.Dir, "AZ")
	if err != nil {
		return err
	}
	file := waypostv1connect.NewRecordsClient(door)
	for i, r := range t.x.Records["CA"][:t.Size.Pick(12, 60, 2_000)] {
		if i == t.Size.Pick(4, 20, 100) {
			close(some)
		}
		answer, err := t.x.Check(ctx, "AZ", r.Person, waypost.IssueLicence, fmt.Sprintf("SEIZED-%d", i))
		if err == nil {
			r.ID, r.CardNumber = fmt.Sprintf("AZ-NEW-%05d", i), fmt.Sprintf("SYNAZNEW%05d", i)
			_, err = file.Issue(ctx, &waypostv1.IssueRequest{Ticket: hex.EncodeToString(answer.Ticket[:]), Record: gateway.RecordToProto(r), Override: "the old card was surrendered"})
			t.moved = append(t.moved, r)
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was cut off, because the copy is made
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// know reads the secrets of the hub and the key holders, of which each attack is given
// some, and the truth.
func (t *theft) know() (err error) {
	if t.h, err = attack.LabelKey(filepath.Join(t.x.Dir, "hub")); err != nil {
		return err
	}
	folder, err := install.OpenFolder(filepath.Join(t.x.Dir, "hub"), time.Now)
	if err != nil {
		return err
	}
	current := folder.Roster.Current()
	t.epoch = current.Epoch
	if t.keys, err = current.Keys(); err != nil {
		return err
	}
	for _, holder := range current.Holders() {
		share, err := attack.ShareOf(filepath.Join(t.x.Dir, holder.Name), time.Now)
		if err != nil {
			return err
		}
		t.shares = append(t.shares, share)
	}
	t.people = newPeople(t.x, t.Seed)
	for _, r := range t.moved {
		t.records[identityOf(r.Person)]["AZ"] = true
	}
	return nil
}

// A trial is a number taken for the key and 32 bytes taken for h.
type trial struct {
	secret *big.Int
	h      [32]byte
}

// found is what came of trials.
type found struct {
	right   int // people of whom the attacker says in which state they have a record
	wrong   int // and is mistaken
	guessed int // people, keys and secrets tried, all combinations
}

// find tries a list on a copy. A person counts once, whatever finds them.
func (t *theft) find(ctx context.Context, x *attack.Index, list []waypost.Person, trials ...trial) (f found, err error) {
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
	f.right, f.wrong = len(right), len(wrong)
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

// withLess plays every attack that lacks something, on every copy.
func (t *theft) withLess(ctx context.Context) error {
	points, err := t.fewer()
	if err != nil {
		return err
	}
	quorum, err := attack.PointsOf(t.shares[:t.keys.Threshold()]...)
	if err != nil {
		return err
	}
	none, some := []attack.Guess{{Why: "no key at all", Secret: big.NewInt(1)}}, points.Guesses(len(t.shares))
	all := []attack.Guess{{Why: "the key", Secret: quorum.Secret()}}
	for i, a := range []struct {
		party, attempted string
		keys             []attack.Guess
		hs               [][32]byte
	}{
		{"who has the hub's database", "with numbers guessed for h and no key", none, t.guessedH()},
		{fmt.Sprintf("who has the database and %d of %d shares, %d of which are the key", len(points), len(t.shares), t.keys.Threshold()),
			"with every key that the shares suggest and numbers guessed for h", some, t.guessedH()[:2]},
		{"who has the database and the hub's secret h", "with h and no key", none, [][32]byte{t.h}},
		{fmt.Sprintf("who has the database, h and %d of %d shares", len(points), len(t.shares)), "with h and every key that the shares suggest", some, [][32]byte{t.h}},
		{fmt.Sprintf("who has the database and all %d shares that are needed, but not h", t.keys.Threshold()), "with the key and numbers guessed for h", all, t.guessedH()},
	} {
		t.Progress("guessing", i, 5)
		var trials []trial
		for _, key := range a.keys {
			for _, h := range a.hs {
				trials = append(trials, trial{key.Secret, h})
			}
		}
		var sum found
		for _, x := range []*attack.Index{t.running, t.after, t.backup} {
			f, err := t.find(ctx, x, t.everybody(), trials...)
			if err != nil {
				return err
			}
			sum.right, sum.wrong, sum.guessed = max(sum.right, f.right), max(sum.wrong, f.wrong), sum.guessed+f.guessed
		}
		t.Add(drill.Line{
			Party:     a.party,
			Attempted: fmt.Sprintf("look up %d people, the %d card holders among them, %s, in copies made while it ran, as a backup and after it stopped", len(t.everybody()), len(t.holders), a.attempted),
			Obtained:  fmt.Sprintf("%d people identified or confirmed, %d taken for card holders wrongly, in %d guesses; how many records each state has, %d in all, without names", sum.right, sum.wrong, sum.guessed, len(t.after.Pointers)),
			Noticed:   unnoticed, Baseline: t.beside(), Target: nobody, OK: sum.guessed > 0,
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
	began := time.Now()
	secret, err := points.Missing(missing.Index(), guesses, t.Seed, t.keys.Group(), nil)
	if err != nil {
		return err
	}
	rate := float64(guesses) / time.Since(began).Seconds()
	got := 0.0
	if secret != nil {
		got = 1
	}
	t.Add(drill.Line{
		Party:     fmt.Sprintf("who has %d of %d shares", len(points), len(t.shares)),
		Attempted: fmt.Sprintf("guess the missing share %d times, each guess against the public key of the roster", guesses),
		Obtained:  fmt.Sprintf("%.0f keys, at %.0f guesses a second of one core; there are 2^252 shares", got, rate),
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
	began := time.Now()
	f, err := t.find(ctx, t.after, t.everybody(), trial{points.Secret(), t.h})
	if err != nil {
		return err
	}
	took := time.Since(began)
	key, err := attack.NewKey(points.Secret(), t.epoch)
	if err != nil {
		return err
	}
	share := float64(f.right) / float64(len(t.holders))
	t.Add(drill.Line{
		Party:     fmt.Sprintf("who has the database, h and %d shares", len(points)),
		Attempted: fmt.Sprintf("look up the same %d people", len(t.everybody())),
		Obtained: fmt.Sprintf("%d of %d card holders identified with their state, in %.1f s of this machine, %d others taken for card holders",
			f.right, len(t.holders), took.Seconds(), f.wrong),
		Noticed: unnoticed, Baseline: t.beside(), Target: "conceded: everybody on the list is found", OK: true, Planted: true,
		Figure: &drill.Figure{Name: "share of the card holders identified with t shares and h", Value: share, Low: share, High: share, Bound: 1,
			Others: []drill.Other{{Name: "plain table", Value: 1}}},
	})
	return t.statuses(ctx, attack.Finder{Index: t.after, H: t.h, Key: key})
}
