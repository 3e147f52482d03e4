package seized

import (
	"context"
	"fmt"
	"slices"

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
	began, hashes := attack.Spent(), 0
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
	took := (attack.Spent() - began).Seconds()
	t.hashRate = float64(hashes) / took
	t.Add(drill.Line{
		Party:     "who has a copy of the unkeyed index (baseline)",
		Attempted: fmt.Sprintf("hash %d people without an SSN, and %d of the others with every SSN", len(t.everybody()), t.tried),
		Obtained: fmt.Sprintf("%d of the %d people without an SSN at once, %d of %d others with their SSN, in %s of one core at %.0f hashes a second: those without an SSN among 300 million listed people in %s, everybody else in %s (extrapolated)",
			t.listed, t.noSSN, t.hashed, t.tried, spent(took), t.hashRate, spent(nation/t.hashRate), spent(nation*100_000/2/t.hashRate)),
		Noticed: unnoticed, Baseline: fmt.Sprintf("plain: the table is the list, %d rows, %d of them marked %s", len(t.plain.Rows), t.noSSN, drill.NoSSN),
		Target: "the baselines give everybody away, those without an SSN first", OK: t.listed == t.noSSN && t.hashed == t.tried && t.noSSN > 0, Planted: true,
	})
	return nil
}

// spent writes seconds of one core.
func spent(seconds float64) string {
	const day, year = 24 * 3600, 365.25 * 24 * 3600
	switch {
	case seconds < 120:
		return fmt.Sprintf("%.1f s", seconds)
	case seconds < 3*3600:
		return fmt.Sprintf("%.0f minutes", seconds/60)
	case seconds < 3*day:
		return fmt.Sprintf("%.0f hours", seconds/3600)
	case seconds < year:
		return fmt.Sprintf("%.0f days", seconds/day)
	default:
		return fmt.Sprintf("%.0f years", seconds/year)
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
