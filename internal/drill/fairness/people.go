package fairness

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/population"
	"github.com/waypost/waypost/matchkey"
)

// group is a kind of person who may fare worse than others.
type group int

const (
	everybody group = iota // pairs of records of one person as clerks write them
	noSSN
	doubleSurname
	commonName
	nameChange
	transliterated
	theRest // everybody who is in none of the groups
	groups
)

var groupNames = [groups]string{"everybody", "no SSN", "double surname", "common name", "changed surname", "transliterated name", "none of these"}

// pair is an applicant who has a record in another state.
type pair struct {
	applicant, record waypost.Person
	id                string               // of the record
	asks, holds       waypost.Jurisdiction // who asks, and whose the record is
	in                [groups]bool
}

// common is how many others of 300 million have the same first name, surname and date
// of birth for a name to be a common one: one in twenty of the people have.
const common = 0.15

// pairsOf are the pairs of records of a population that are one person, the one of
// them as the applicant; and, of each in turn, one whose surname has changed since,
// and one who is written in another romanisation, until there are extra of both.
func pairsOf(ctx context.Context, people *population.Population, extra int, r *rand.Rand) ([]pair, error) {
	records, owner := make(map[string]waypost.Record), make(map[string]waypost.Jurisdiction)
	needed, truth := make(map[string]bool), []population.Truth(nil)
	if err := people.EachTruth(func(t population.Truth) error {
		truth = append(truth, t)
		needed[t.A], needed[t.B] = true, true
		return ctx.Err()
	}); err != nil {
		return nil, err
	}
	for _, state := range people.States() {
		if err := people.Each(state, func(rec waypost.Record) error {
			if needed[rec.ID] {
				records[rec.ID], owner[rec.ID] = rec, state
			}
			return ctx.Err()
		}); err != nil {
			return nil, err
		}
	}
	var natural, made []pair
	for _, t := range truth {
		p := pair{applicant: records[t.B].Person, record: records[t.A].Person, id: t.A, asks: owner[t.B], holds: owner[t.A]}
		p.sort()
		p.in[nameChange] = strings.Contains(t.Why, "surname_changed")
		natural = append(natural, p)
	}
	for i := range natural {
		p := &natural[i]
		p.in[everybody] = true
		p.in[theRest] = !slices.Contains(p.in[noSSN:theRest], true)
	}
	for i := range min(extra, len(natural)) {
		changed := natural[i]
		changed.in = [groups]bool{nameChange: true}
		changed.applicant.Family = natural[(i+1+r.IntN(len(natural)-1))%len(natural)].record.Family
		made = append(made, changed)
	}
	for i := range min(extra, len(natural)) {
		written := natural[i]
		written.in = [groups]bool{transliterated: true}
		romanise(&written, r)
		made = append(made, written)
	}
	return append(natural, made...), nil
}

// sort says in which groups a pair is by what stands in it.
func (p *pair) sort() {
	a, b := matchkey.Normalize(p.applicant), matchkey.Normalize(p.record)
	p.in[noSSN] = a.SSN5 == "" || b.SSN5 == ""
	p.in[doubleSurname] = len(a.Family) > 1 || len(b.Family) > 1
	p.in[commonName] = namesakes(p.applicant) > common
}

// namesakes is how many others among 300 million are expected to have the same first
// name, surname and date of birth: no key from these three is shared by fewer.
func namesakes(who waypost.Person) float64 {
	slots := matchkey.Index(who, make([]byte, 32))
	least := slots[0].Expected
	for _, s := range slots[:matchkey.NameSlots] {
		least = min(least, s.Expected)
	}
	return least
}

// Names in two romanisations each, by official systems and by habit: Pinyin and
// Wade-Giles, Korean revised and as people write themselves, Arabic, Cyrillic. Some are
// in the list of the match keys, and some are not.
var (
	romanFamilies = [][2]string{
		{"ZHANG", "CHANG"}, {"XU", "HSU"}, {"QIU", "CHIU"}, {"XIAO", "HSIAO"}, {"CAO", "TSAO"}, {"GUO", "KUO"}, {"DENG", "TENG"},
		{"JUNG", "CHUNG"}, {"RYU", "YOO"}, {"GWON", "KWON"}, {"SEO", "SUH"}, {"HUSSEIN", "HUSAIN"}, {"YOUSSEF", "YUSUF"},
		{"ELSAYED", "ALSAID"}, {"ABDULLAH", "ABDALLA"}, {"KHALIL", "HALIL"}, {"YAKOVLEV", "IAKOVLEV"}, {"ZHUKOV", "JUKOV"},
		{"TIMOSHENKO", "TYMOSHENKO"}, {"SHEVCHENKO", "CHEVTCHENKO"},
	}
	romanGiven = [][2]string{
		{"XIAOMING", "HSIAOMING"}, {"ZHIWEI", "CHIHWEI"}, {"QING", "CHING"}, {"JIANGUO", "CHIENKUO"}, {"HYUN", "HYEON"},
		{"SEOJUN", "SUHJOON"}, {"MINJI", "MINJEE"}, {"YEONGSU", "YOUNGSOO"}, {"MOHAMMED", "MUHAMMAD"}, {"AHMED", "AHMAD"},
		{"FATIMA", "FATEMEH"}, {"OMAR", "UMAR"}, {"ALEKSEY", "ALEXEI"}, {"YULIA", "IULIIA"}, {"DMITRY", "DMITRI"}, {"YEVGENY", "EVGENII"},
	}
)

// romanise gives a pair a name that is written in two ways: the surname, the first
// name, or both.
func romanise(p *pair, r *rand.Rand) {
	family, given := romanFamilies[r.IntN(len(romanFamilies))], romanGiven[r.IntN(len(romanGiven))]
	p.record.Family, p.record.Given, p.record.Middle = family[0], given[0], ""
	p.applicant.Family, p.applicant.Given, p.applicant.Middle = family[0], given[0], ""
	which := r.IntN(3)
	if which != 0 {
		p.applicant.Family = family[1]
	}
	if which != 1 {
		p.applicant.Given = given[1]
	}
}

// drawPeople draws the population at national density.
func drawPeople(s *drill.Stage) (*population.Population, error) {
	return population.Generate(population.Config{States: drill.States[:2], PerState: s.Size.Pick(30_000, 80_000, 600_000), Seed: s.Seed + 10})
}
