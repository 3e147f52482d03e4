package matchkey

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

//go:embed spellings.txt
var spellingText string

// maxSpellings bounds how many other spellings of one name are tried.
const maxSpellings = 2

// spellings maps a name to the other names of the groups it is in.
var spellings = sync.OnceValue(func() map[string][]string {
	m := make(map[string][]string)
	for line := range strings.Lines(spellingText) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		group := strings.Fields(line)
		for _, name := range group {
			for _, other := range group {
				if other != name && !slices.Contains(m[name], other) {
					m[name] = append(m[name], other)
				}
			}
		}
	}
	return m
})

// endings are the ways to write the endings of Slavic surnames.
var endings = [...][2]string{
	{"SKIY", "SKY"}, {"SKII", "SKY"}, {"SKY", "SKI"}, {"SKI", "SKY"}, {"SKAYA", "SKAIA"}, {"OFF", "OV"}, {"EFF", "EV"},
}

// otherSpellings returns at most maxSpellings other ways to write a normalised
// name, most usual first.
func otherSpellings(name string) []string {
	if others := spellings()[name]; others != nil {
		return others[:min(len(others), maxSpellings)]
	}
	if rest, ok := strings.CutPrefix(name, "SAINT"); ok && len(rest) > 2 {
		return []string{"ST" + rest}
	}
	for _, e := range endings {
		if stem, ok := strings.CutSuffix(name, e[0]); ok && len(stem) > 2 {
			return []string{stem + e[1]}
		}
	}
	return nil
}
