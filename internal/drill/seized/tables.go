package seized

import (
	"context"
	"fmt"
	"strconv"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/attack"
	"github.com/waypost/waypost/internal/population"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/matchkey"
)

// planted is how many people of the likeliest names were given cards.
const planted = 4

// tables plays the dictionary of who has public name tables only, from the most likely
// name down, and knows on which days the people in the exchange were born: at the default
// size one in sixteen of all days.
func (t *theft) tables(ctx context.Context) error {
	list := t.likely(t.Size.Pick(20_000, 1_000_000, 20_000_000))
	found, began := 0, attack.Spent()
	for i, who := range list {
		if i%100_000 == 0 {
			t.Progress("public tables", i, len(list))
		}
		if t.try(identityOf(who), drill.NoSSN) {
			found++
		}
	}
	rate := float64(len(list)) / (attack.Spent() - began).Seconds()
	tokens := list[:min(len(list), t.Size.Pick(3_000, 60_000, 2_000_000))]
	points, err := t.fewer()
	if err != nil {
		return err
	}
	less, err := t.find(ctx, t.running, tokens, trial{points.Secret(), t.h})
	if err != nil {
		return err
	}
	quorum, err := attack.PointsOf(t.shares[:t.keys.Threshold()]...)
	if err != nil {
		return err
	}
	all, err := t.find(ctx, t.running, tokens, trial{quorum.Secret(), t.h})
	t.Add(drill.Line{
		Party:     fmt.Sprintf("who has the database, h and %d shares, and public name tables for a list", len(points)),
		Attempted: fmt.Sprintf("the %d most likely names, each with the days on which somebody in the exchange was born", len(tokens)),
		Obtained:  fmt.Sprintf("%d people identified, in %s of one core", less.right+less.wrong, spent(less.took.Seconds())),
		Noticed:   unnoticed,
		Baseline:  fmt.Sprintf("plain: all %d; unkeyed: %d of the %d most likely, each without an SSN, at %.0f a second of one core", len(t.plain.Rows), found, len(list), rate),
		Target:    nobody, OK: less.guessed == len(tokens),
		Figure: &drill.Figure{Name: "people identified by public tables", Value: float64(less.right + less.wrong), Low: float64(less.right + less.wrong), High: float64(less.right + less.wrong), AtMost: true,
			Others: []drill.Other{{Name: "with t shares and h", Value: float64(all.right)}, {Name: "unkeyed hash, no SSN", Value: float64(found)}}},
	})
	t.Add(drill.Line{
		Party:     "the same with one share more (conceded)",
		Attempted: fmt.Sprintf("the same; %d people of the likeliest names were given cards, every other one without an SSN", planted),
		Obtained: fmt.Sprintf("%d people identified, %d others taken for card holders, in %s of one core at %.0f people a second: 300 million guesses take %s (extrapolated)",
			all.right, all.wrong, spent(all.took.Seconds()), float64(all.guessed)/all.took.Seconds(), all.for300()),
		Noticed: unnoticed, Baseline: fmt.Sprintf("unkeyed: %d", found), Target: "those at least are found, of the unkeyed index those without an SSN", OK: found >= planted/2, Planted: true,
		Figure: &drill.Figure{Name: "people identified by public tables, with t shares and h", Value: float64(all.right), Low: float64(all.right), High: float64(all.right), Bound: planted},
	})
	return err
}

// dates are the days on which people in the exchange were born, by decade.
func (t *theft) dates() map[int][]waypost.Date {
	seen, decades := make(map[waypost.Date]bool), make(map[int][]waypost.Date)
	for _, state := range drill.States {
		for _, r := range t.x.Records[state] {
			if born := r.Person.Born; !seen[born] {
				seen[born] = true
				decades[born.Year/10*10] = append(decades[born.Year/10*10], born)
			}
		}
	}
	return decades
}

// likely are the n most likely names, each with all dates of its decade.
func (t *theft) likely(n int) (list []waypost.Person) {
	dates := t.dates()
	population.EachLikely(func(l population.Likely) bool {
		for _, born := range dates[l.Decade] {
			if len(list) < n {
				list = append(list, waypost.Person{Family: l.Family, Given: l.Given, Sex: l.Sex, Born: born})
			}
		}
		return len(list) < n
	})
	return list
}

// The five digits there are, and how many of them are tried at the small size.
const (
	allDigits  = 100_000
	someDigits = 2_000
)

// digits are what trying SSNs brings out of somebody who has one, or has none.
type digits struct{ people, hit, tries int }

// digitsOf tries all SSNs of one person who has one, or of one who has none, by a key
// that is made of SSN and date. At a small size it tries a part of them, with that in it
// which leads to the record: the SSN, or what stands in for one.
func (t *theft) digitsOf(ctx context.Context, finder attack.Finder, has bool) (d digits, err error) {
	space := t.Size.Pick(someDigits, allDigits, allDigits)
	for _, state := range drill.States {
		secret := t.secrets[state]
		for _, r := range t.x.Records[state] {
			if has != (r.Person.SSN5 != "") {
				continue
			}
			at := r.Person.SSN5
			if !has {
				at = matchkey.StandIn(r.Person, records.DecoySecret(secret), 0)
			}
			n, err := strconv.Atoi(at)
			if err != nil {
				return d, err
			}
			first, list := max(0, min(n-space/2, allDigits-space)), make([]waypost.Person, space)
			for i := range list {
				list[i] = r.Person
				list[i].SSN5 = fmt.Sprintf("%05d", first+i)
			}
			hit, tried, err := finder.AnySSN(ctx, list)
			if err != nil {
				return d, err
			}
			d.people, d.tries = d.people+1, d.tries+tried
			if hit {
				d.hit++
			}
			if d.people == t.Size.Pick(1, 1, 20) {
				return d, nil
			}
		}
	}
	return d, nil
}

// statuses asks whether t shares and h tell who has no SSN. Where there is none other
// digits stand in, so that whoever tries them all finds some for everybody.
func (t *theft) statuses(ctx context.Context, finder attack.Finder) error {
	began := attack.Spent()
	with, err := t.digitsOf(ctx, finder, true)
	if err != nil {
		return err
	}
	without, err := t.digitsOf(ctx, finder, false)
	if err != nil {
		return err
	}
	each := (attack.Spent() - began).Seconds() / float64(with.tries+without.tries)
	told := float64(without.people - without.hit)
	t.Add(drill.Line{
		Party:     "the same (conceded)",
		Attempted: "tell who has no SSN by trying five digits of one person after the other",
		Obtained: fmt.Sprintf("digits that a record has for %d of %d people with an SSN and %d of %d without, of %d for each, those that lead to the record among them, %d tried until a hit; all of one person take %s of one core, of 300 million %s (extrapolated)",
			with.hit, with.people, without.hit, without.people, t.Size.Pick(someDigits, allDigits, allDigits), with.tries+without.tries, spent(each*allDigits), spent(each*allDigits*nation)),
		Noticed:  unnoticed,
		Baseline: fmt.Sprintf("plain: %d people, by the mark %s; unkeyed: %d of a list, by one hash each", t.noSSN, drill.NoSSN, t.listed),
		Target:   "digits are found for those who have an SSN, so the attempt is a real one, and for those who have none", OK: with.hit == with.people && with.people > 0 && without.people > 0,
		Figure: &drill.Figure{Name: "people shown to have no SSN, with t shares and h", Value: told, Low: told, High: told, AtMost: true,
			Others: []drill.Other{{Name: "plain table", Value: float64(t.noSSN)}, {Name: "unkeyed hash", Value: float64(t.listed)}}},
	})
	return nil
}
