package seized

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/attack"
	"github.com/waypost/waypost/internal/population"
)

// nation is how many people there are, for what is reckoned up from a measured rate.
const nation = 300_000_000

// people are the attacker's lists, and the truth about them.
type people struct {
	holders   []waypost.Person // everybody with a record, once for each
	strangers []waypost.Person // as many without
	records   map[identity]map[waypost.Jurisdiction]bool

	plain    *drill.Plain
	unkeyed  *drill.Unkeyed
	noSSN    int     // rows of either without an SSN
	listed   int     // rows of the unkeyed index that the list found at once, without any SSN
	tried    int     // others for whom every SSN was tried
	hashed   int     // and found
	hashRate float64 // guesses a second of one core
}

// identity is what a claim is judged by: names as match keys read them, and the date.
type identity struct{ family, given, born string }

func identityOf(p waypost.Person) identity {
	row := drill.RowOf(p, "")
	return identity{row.Family, row.Given, row.Born}
}

func newPeople(x *drill.Exchange, seed uint64) people {
	p := people{records: make(map[identity]map[waypost.Jurisdiction]bool)}
	for _, state := range drill.States {
		for _, r := range x.Records[state] {
			p.holders = append(p.holders, r.Person)
			if p.records[identityOf(r.Person)] == nil {
				p.records[identityOf(r.Person)] = make(map[waypost.Jurisdiction]bool)
			}
			p.records[identityOf(r.Person)][state] = true
		}
	}
	p.plain, p.unkeyed = drill.NewBaselines(x.Records)
	// The configuration was good for the exchange; only the seed is another.
	others, err := population.Generate(population.Config{States: drill.States, PerState: len(x.Records["CA"]), Seed: seed + 1})
	if err != nil {
		panic(err)
	}
	for _, state := range drill.States {
		_ = others.Each(state, func(r waypost.Record) error {
			if p.records[identityOf(r.Person)] == nil {
				p.strangers = append(p.strangers, r.Person)
			}
			return nil
		})
	}
	return p
}

// everybody is the attacker's list: it does not say who has a card.
func (p *people) everybody() []waypost.Person { return slices.Concat(p.holders, p.strangers) }

// holds reports whether a claim about a person is true.
func (p *people) holds(who waypost.Person, state waypost.Jurisdiction) bool {
	return p.records[identityOf(who)][state]
}

// try looks somebody up in the unkeyed index under an SSN.
func (p *people) try(who identity, ssn5 string) bool {
	_, ok := p.unkeyed.Find(who.family, who.given, who.born, ssn5)
	return ok
}

// baselines attacks the two indexes that Waypost is held against, with the same list.
func (t *theft) baselines(ctx context.Context) error {
	began, hashes := time.Now(), 0
	for _, r := range t.plain.Rows {
		if r.SSN5 == drill.NoSSN {
			t.noSSN++
		}
	}
	var rest []waypost.Person // with an SSN
	for _, who := range t.everybody() {
		hashes++
		if t.try(identityOf(who), drill.NoSSN) {
			t.listed++
		}
		if who.SSN5 != "" && len(rest) < t.Size.Pick(3, 40, 1000) {
			rest = append(rest, who)
		}
	}
	for i, who := range rest {
		t.Progress("hashing", i, len(rest))
		t.tried++
		known := identityOf(who)
		for n := range 100_000 {
			hashes++
			if t.try(known, fmt.Sprintf("%05d", n)) {
				t.hashed++
				break
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	t.hashRate = float64(hashes) / time.Since(began).Seconds()
	t.Add(drill.Line{
		Party:     "who has a copy of the unkeyed index (baseline)",
		Attempted: fmt.Sprintf("hash %d people without an SSN, and %d of the others with every SSN", len(t.everybody()), t.tried),
		Obtained: fmt.Sprintf("%d of the %d people without an SSN at once, %d of %d others with their SSN, at %.0f hashes a second of one core: all those without an SSN among 300 million listed people in %s (reckoned up)",
			t.listed, t.noSSN, t.hashed, t.tried, t.hashRate, spent(nation/t.hashRate)),
		Noticed: unnoticed, Baseline: fmt.Sprintf("plain: the table is the list, %d rows, %d of them marked %s", len(t.plain.Rows), t.noSSN, drill.NoSSN),
		Target: "the baselines give everybody away, those without an SSN first", OK: t.listed == t.noSSN && t.hashed == t.tried && t.noSSN > 0, Planted: true,
	})
	return nil
}

// spent writes seconds of one core.
func spent(seconds float64) string {
	switch d := time.Duration(seconds * float64(time.Second)); {
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", seconds)
	case d < 3*time.Hour:
		return fmt.Sprintf("%.0f minutes", d.Minutes())
	default:
		return fmt.Sprintf("%.0f hours", d.Hours())
	}
}

// beside says what the same attack obtains of the baselines.
func (p *people) beside() string {
	return fmt.Sprintf("plain: all %d; unkeyed: %d of %d without an SSN at once, and whoever all SSNs were tried for (%d of %d)",
		len(p.plain.Rows), p.listed, p.noSSN, p.hashed, p.tried)
}

func (p *people) others() []drill.Other {
	return []drill.Other{{Name: "plain table", Value: float64(len(p.plain.Rows))}, {Name: "unkeyed hash, as far as tried", Value: float64(p.listed + p.hashed)}}
}

// tables plays the dictionary of who has public name tables only, from the most likely
// name and date down.
func (t *theft) tables(ctx context.Context) error {
	list := likely(t.Size.Pick(20_000, 1_000_000, 20_000_000))
	found, began := 0, time.Now()
	for i, who := range list {
		if i%100_000 == 0 {
			t.Progress("public tables", i, len(list))
		}
		if t.try(identity{who.Family, who.Given, who.Born.String()}, drill.NoSSN) {
			found++
		}
	}
	rate := float64(len(list)) / time.Since(began).Seconds()
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
	began = time.Now()
	all, err := t.find(ctx, t.running, tokens, trial{quorum.Secret(), t.h})
	tokenRate := float64(len(tokens)) / time.Since(began).Seconds()
	t.Add(drill.Line{
		Party:     fmt.Sprintf("who has the database, h and %d shares, and public name tables for a list", len(points)),
		Attempted: fmt.Sprintf("the %d most likely names and dates of birth", len(tokens)),
		Obtained: fmt.Sprintf("%d people identified; with one share more (conceded) %d, at %.0f people a second of this machine",
			less.right+less.wrong, all.right, tokenRate),
		Noticed:  unnoticed,
		Baseline: fmt.Sprintf("plain: all %d; unkeyed: %d of the %d most likely names and dates, each without an SSN, at %.0f a second", len(t.plain.Rows), found, len(list), rate),
		Target:   nobody, OK: true,
		Figure: &drill.Figure{Name: "people identified by public tables", Value: float64(less.right + less.wrong), Low: float64(less.right + less.wrong), High: float64(less.right + less.wrong), AtMost: true,
			Others: []drill.Other{{Name: "with t shares and h", Value: float64(all.right)}, {Name: "unkeyed hash, no SSN", Value: float64(found)}}},
	})
	return err
}

// likely are the n most likely names with all dates of their decade.
func likely(n int) (list []waypost.Person) {
	population.EachLikely(func(l population.Likely) bool {
		for day := time.Date(l.Decade, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < l.Decade+10 && len(list) < n; day = day.AddDate(0, 0, 1) {
			list = append(list, waypost.Person{Family: l.Family, Given: l.Given, Sex: l.Sex, Born: waypost.Date{Year: day.Year(), Month: int(day.Month()), Day: day.Day()}})
		}
		return len(list) < n
	})
	return list
}

// digits are what trying SSNs brings out of somebody who has one, or has none.
type digits struct{ people, hit, tries int }

// digitsOf tries all SSNs of one person who has one, or of one who has none, by a key
// that is made of SSN and date. At a small size it tries a part of them, with the right
// one in it.
func (t *theft) digitsOf(ctx context.Context, finder attack.Finder, has bool) (d digits, err error) {
	space := t.Size.Pick(2_000, 100_000, 100_000)
	for _, who := range t.holders {
		if has != (who.SSN5 != "") {
			continue
		}
		first := 0
		if n, err := strconv.Atoi(who.SSN5); err == nil {
			first = max(0, min(n-space/2, 100_000-space))
		}
		list := make([]waypost.Person, space)
		for i := range list {
			list[i] = who
			list[i].SSN5 = fmt.Sprintf("%05d", first+i)
		}
		hit, err := finder.AnySSN(ctx, list)
		if err != nil {
			return d, err
		}
		d.people, d.tries = d.people+1, d.tries+len(list)
		if hit {
			d.hit++
		}
		if d.people == t.Size.Pick(1, 1, 20) {
			break
		}
	}
	return d, nil
}

// statuses asks whether t shares and h tell who has no SSN. Where there is none other
// digits stand in, so that whoever tries them all finds some for everybody.
func (t *theft) statuses(ctx context.Context, finder attack.Finder) error {
	with, err := t.digitsOf(ctx, finder, true)
	if err != nil {
		return err
	}
	without, err := t.digitsOf(ctx, finder, false)
	if err != nil {
		return err
	}
	all := with.tries == with.people*100_000
	told := 0
	words := fmt.Sprintf("digits that a record has for %d of %d people with an SSN and %d of %d without, trying %d for each", with.hit, with.people, without.hit, without.people, with.tries/max(1, with.people))
	if all {
		told = without.people - without.hit
	} else {
		words += " (of 100000: so few tell nothing of who has none)"
	}
	t.Add(drill.Line{
		Party:     "the same (conceded)",
		Attempted: "tell who has no SSN by trying all five digits of one person after the other",
		Obtained:  words, Noticed: unnoticed,
		Baseline: fmt.Sprintf("plain: %d people, by the mark %s; unkeyed: %d of a list, by one hash each", t.noSSN, drill.NoSSN, t.listed),
		Target:   "digits are found for those who have an SSN, so the attempt is a real one, and for those who have none", OK: with.hit == with.people && with.people > 0 && without.people > 0,
		Figure: &drill.Figure{Name: "people shown to have no SSN, with t shares and h", Value: float64(told), Low: float64(told), High: float64(told), AtMost: true,
			Others: []drill.Other{{Name: "plain table", Value: float64(t.noSSN)}, {Name: "unkeyed hash", Value: float64(t.listed)}}},
	})
	return nil
}
