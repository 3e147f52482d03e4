package livehub

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/attack"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/toprf"
)

// handles calls each with every handle of a state and the record that it is of, from
// the state's own database.
func (l *listener) handles(state waypost.Jurisdiction, each func(handle, record string)) (err error) {
	ctx := context.Background()
	db, err := store.Open(ctx, "sqlite:"+filepath.Join(l.month.x.Dir, "gateway-"+string(state), "gateway.db"), "gateway")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Read(ctx, func(tx *store.Tx) error {
		return tx.Query(`SELECT handle, record FROM pointer`, nil, func(scan func(dest ...any) error) error {
			var handle []byte
			var record string
			err := scan(&handle, &record)
			each(string(handle), record)
			return err
		})
	})
}

// shares are those of all key holders, and the threshold.
func (l *listener) shares() (shares []toprf.Share, threshold int, err error) {
	folder, err := install.OpenFolder(filepath.Join(l.month.x.Dir, "hub"), l.month.x.Clock.Now)
	if err != nil {
		return nil, 0, err
	}
	for _, h := range folder.Roster.Current().Holders() {
		share, err := attack.ShareOf(filepath.Join(l.month.x.Dir, h.Name), l.month.x.Clock.Now)
		if err != nil {
			return nil, 0, err
		}
		shares = append(shares, share)
	}
	return shares, folder.Roster.Current().Threshold, nil
}

// list is everybody who may have passed the hub, and newcomers who never came.
func (l *listener) list() (people []waypost.Person) {
	for _, state := range drill.States {
		for _, r := range l.month.x.Records[state] {
			people = append(people, r.Person)
		}
	}
	for _, r := range l.month.people {
		people = append(people, r.Person)
	}
	return people
}

// fewShares: whom the hub can name with the tokens that it has seen and too few shares.
func (l *listener) fewShares() error {
	shares, threshold, err := l.shares()
	if err != nil {
		return err
	}
	points, err := attack.PointsOf(shares[:threshold-1]...)
	if err != nil {
		return err
	}
	seen, people := l.seen(), l.list()
	got, guesses := make(map[int]bool), 0
	for _, guess := range points.Guesses(len(shares)) {
		key, err := attack.NewKey(guess.Secret, 1)
		if err != nil {
			return err
		}
		who, err := named(key, seen, people)
		if err != nil {
			return err
		}
		for i := range who {
			got[i] = true
		}
		guesses += len(people)
	}
	n := float64(len(got))
	l.Add(drill.Line{Party: fmt.Sprintf("the hub's operator with its log and %d of %d shares", len(points), len(shares)),
		Attempted: fmt.Sprintf("name anybody behind %d tokens, with a list of %d people, by every key that the shares suggest", len(seen), len(people)),
		Obtained:  fmt.Sprintf("%d people, in %d guesses", len(got), guesses), Noticed: unnoticed, Baseline: l.than.words(),
		Target: "nobody is named", OK: len(seen) > 0,
		Figure: &drill.Figure{Name: "people named", Value: n, Low: n, High: n, AtMost: true, Others: []drill.Other{
			{Name: "plain index", Value: float64(l.than.plain)}, {Name: "unkeyed index, of those tried", Value: float64(l.than.unkeyed)}}}})
	return nil
}

// enough: the same with t shares, to show that the program can.
func (l *listener) enough() error {
	shares, threshold, err := l.shares()
	if err != nil {
		return err
	}
	points, err := attack.PointsOf(shares[:threshold]...)
	if err != nil {
		return err
	}
	key, err := attack.NewKey(points.Secret(), 1)
	if err != nil {
		return err
	}
	people := l.list()
	who, err := named(key, l.seen(), people)
	if err != nil {
		return err
	}
	came := make(map[int]bool) // by the place in the list, which ends with those of the month
	first := len(people) - len(l.month.people)
	for _, v := range l.visits {
		came[first+v.who] = true
	}
	missed := 0
	for i := range came {
		if !who[i] {
			missed++
		}
	}
	l.Add(drill.Line{Party: fmt.Sprintf("the hub's operator with its log and %d shares", threshold), Attempted: "the same with the key",
		Obtained: fmt.Sprintf("%d people named, all %d who came to a counter among them; %d missed", len(who), len(came), missed), Noticed: unnoticed,
		Baseline: l.than.words(), Target: "conceded: t key holders and a live hub name everybody", OK: missed == 0 && len(came) > 0, Planted: true})
	return nil
}

// lent is what a state that is in league with the hub's operator says of tokens: that
// they are of one of its people.
type lent struct{ tokens map[waypost.Token]bool }

// lends are the tokens that a state knows the person of: those of its own records, and
// of the tickets of its own counters.
func (l *listener) lends(state waypost.Jurisdiction) (all []lent, records int) {
	for _, r := range l.order {
		if r.owner != state {
			continue
		}
		k := lent{make(map[waypost.Token]bool)}
		for _, t := range r.tokens {
			k.tokens[t] = true
		}
		all = append(all, k)
	}
	records = len(all)
	for _, s := range l.searches {
		if s.ticket.SOI == state {
			all = append(all, lent{s.tokens})
		}
	}
	return all, records
}

// knows reports whether tokens are of somebody whom the state knows.
func knows(all []lent, tokens map[waypost.Token]bool) bool {
	return slices.ContainsFunc(all, func(k lent) bool { return common(k.tokens, tokens) >= 3 })
}

// oneState: what the hub learns with a state that lends it what its own records and
// tickets are about.
func (l *listener) oneState() error {
	const corrupt = waypost.Jurisdiction("CA")
	all, records := l.lends(corrupt)
	theirs := make(map[int]bool) // people that the state has to do with
	for who := range l.month.first {
		theirs[who] = strings.HasPrefix(l.month.people[who].ID, string(corrupt))
	}
	for _, v := range l.visits {
		if v.state == corrupt {
			theirs[v.who] = true
		}
	}
	elsewhere := 0
	for _, r := range l.order {
		k := lent{make(map[waypost.Token]bool)}
		for _, t := range r.tokens {
			k.tokens[t] = true
		}
		if r.owner != corrupt && knows(all, k.tokens) {
			elsewhere++
		}
	}
	known, of, strangers, others := 0, 0, 0, 0
	who := l.whoBySearch()
	for i, s := range l.searches {
		if s.ticket.SOI == corrupt {
			continue
		}
		switch named := knows(all, s.tokens); {
		case theirs[who[i]] && named:
			known++
			of++
		case theirs[who[i]]:
			of++
		case named:
			strangers++
			others++
		default:
			others++
		}
	}
	l.Add(drill.Line{Party: "the hub's operator with its log and one state",
		Attempted: fmt.Sprintf("find the people of %d records and %d checks of %s in the searches and records of the other states", records, len(all)-records, corrupt),
		Obtained: fmt.Sprintf("%d of %d searches of others for people whom %s has had evaluated, and %d records that they have elsewhere; %d of %d searches for anybody else",
			known, of, corrupt, elsewhere, strangers, others),
		Noticed: unnoticed + "; each further name costs the state a ticket in the open", Baseline: l.than.words(),
		Target: "conceded for those whom this state has had evaluated; nobody else", OK: records > 0 && others > 0,
		Figure: &drill.Figure{Name: "searches named, of people whom the state never had evaluated", Value: float64(strangers), Low: float64(strangers), High: float64(strangers), AtMost: true,
			Others: []drill.Other{{Name: "searches named, of its own people", Value: float64(known)}, {Name: "records elsewhere, of its own people", Value: float64(elsewhere)}}}})
	return nil
}
