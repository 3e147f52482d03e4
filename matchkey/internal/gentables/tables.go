package main

import (
	"maps"
	"slices"
	"strconv"

	"github.com/waypost/waypost/matchkey/internal/freq"
	"github.com/waypost/waypost/matchkey/internal/phonetic"
	"github.com/waypost/waypost/matchkey/internal/slk"
)

const (
	// surnamePeople had a valid surname in Census 2000, listed or not.
	surnamePeople = 269_762_087
	// censusWeight is the weight of the 1990 distribution beside the births: it
	// stands for people born abroad or before 1930.
	censusWeight = 0.125
	// unlistedGiven is the share of births with a name that fewer than 50 got.
	unlistedGiven = 0.02
	// eraMinimum is the number of births from which a name is told by era.
	eraMinimum = 3000
	// eraStep is by how many steps of a Share an era must differ to be listed.
	eraStep = 2
)

func (s *sources) tables(roots nicknames) map[string]map[string]byte {
	t := map[string]map[string]byte{freq.Pair: {}, freq.YearOfBirth: {}}
	prefix := func(n int) func(string) string {
		return func(w string) string { return w[:min(n, len(w))] }
	}
	whole := func(w string) string { return w }
	for table, key := range map[string]func(string) string{
		freq.Surname: whole, freq.SurnameThree: prefix(3), freq.SurnameSound: phonetic.Soundex,
		freq.SurnameMeta: phonetic.Metaphone, freq.SurnameSLK: slk.Surname,
	} {
		t[table] = s.surnameTable(key)
	}
	for table, key := range map[string]func(string) string{
		freq.Given: whole, freq.GivenOne: prefix(1), freq.GivenThree: prefix(3), freq.GivenRoot: roots.root,
		freq.GivenSound: phonetic.Soundex, freq.GivenMeta: phonetic.Metaphone, freq.GivenSLK: slk.Given,
	} {
		t[table] = s.givenTable(key)
	}
	var births float64
	for _, b := range s.years {
		births += b
	}
	for year, b := range s.years {
		t[freq.YearOfBirth][strconv.Itoa(year)] = byte(freq.FromFloat(b / births))
	}
	for pair, factor := range s.pairs {
		step := freq.FromFloat(factor / 1024) // above 1, so scaled into range first
		t[freq.Pair][pair[0]+" "+pair[1]] = byte(freq.PairZero + step - freq.FromFloat(1.0/1024))
	}
	return t
}

// sortedKeys makes sums of floating-point numbers independent of map order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func (s *sources) surnameTable(key func(string) string) map[string]byte {
	sums := make(map[string]float64)
	for _, w := range sortedKeys(s.surnames) {
		sums[key(w)] += s.surnames[w]
	}
	delete(sums, "")
	out := make(map[string]byte, len(sums))
	for k, sum := range sums {
		out[k] = byte(freq.FromFloat(sum / surnamePeople))
	}
	return out
}

func (s *sources) givenTable(key func(string) string) map[string]byte {
	var births name // of everyone
	sums := make(map[string]*name)
	for _, w := range sortedKeys(s.given) {
		n, k := s.given[w], key(w)
		if sums[k] == nil {
			sums[k] = new(name)
		}
		for e, b := range n.births {
			births.births[e] += b
			sums[k].births[e] += b
		}
		sums[k].census += n.census
	}
	delete(sums, "")
	// The part of those born among all that bear the name, with the people of
	// 1990 mixed in.
	part := func(n *name, born, all float64) freq.Share {
		return freq.FromFloat((born/all + censusWeight*n.census) / (1 + unlistedGiven + censusWeight))
	}
	out := make(map[string]byte)
	for k, n := range sums {
		total := part(n, n.total(), births.total())
		out[k] = byte(total)
		if n.total() < eraMinimum {
			continue
		}
		for e, b := range n.births {
			if v := part(n, b, births.births[e]); v >= total+eraStep || v <= total-eraStep {
				out[k+string(rune('a'+e))] = byte(v)
			}
		}
	}
	return out
}
