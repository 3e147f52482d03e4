package matcheval

import (
	"slices"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

// groups are the kinds of pair that recall is given for, each with the test
// that says whether a pair belongs to it. A pair may belong to several.
var groups = []struct {
	name string
	has  func(a, b matchkey.Normal) bool
}{
	{"exact", func(a, b matchkey.Normal) bool {
		return slices.Equal(a.Given, b.Given) && slices.Equal(a.Family, b.Family) && a.Born == b.Born && a.SSN5 == b.SSN5
	}},
	{"no_ssn", func(a, b matchkey.Normal) bool { return a.SSN5 == "" || b.SSN5 == "" }},
	{"ssn_one_side", func(a, b matchkey.Normal) bool { return (a.SSN5 == "") != (b.SSN5 == "") }},
	{"ssn_typo", func(a, b matchkey.Normal) bool { return a.SSN5 != "" && b.SSN5 != "" && a.SSN5 != b.SSN5 }},
	{"date_error", func(a, b matchkey.Normal) bool {
		return !a.Born.IsZero() && !b.Born.IsZero() && a.Born != b.Born
	}},
	{"date_missing", func(a, b matchkey.Normal) bool { return a.Born.IsZero() || b.Born.IsZero() }},
	{"name_missing", func(a, b matchkey.Normal) bool {
		return len(a.Given) == 0 || len(b.Given) == 0 || len(a.Family) == 0 || len(b.Family) == 0
	}},
	{"double_surname", func(a, b matchkey.Normal) bool { return len(a.Family) > 1 || len(b.Family) > 1 }},
	{"nickname", nickname},
	{"given_spelling", func(a, b matchkey.Normal) bool {
		return differ(a.Given, b.Given) && !nickname(a, b) && !swapped(a, b) && !middleAsFirst(a, b)
	}},
	{"middle_as_first", middleAsFirst},
	{"names_swapped", swapped},
	{"name_change", nameChange},
	{"surname_spelling", func(a, b matchkey.Normal) bool {
		return differ(a.Family, b.Family) && !share(a.Family, b.Family) && !nameChange(a, b) && !swapped(a, b)
	}},
}

// groupsOf returns the positions in groups that a pair belongs to.
func groupsOf(a, b waypost.Person) (in []int) {
	x, y := matchkey.Normalize(a), matchkey.Normalize(b)
	for i, g := range groups {
		if g.has(x, y) {
			in = append(in, i)
		}
	}
	return in
}

// differ reports whether both have a name and the indexed ones differ.
func differ(a, b []string) bool { return len(a) > 0 && len(b) > 0 && a[0] != b[0] }

func share(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// nickname: the given names differ, but one is short for the other, or both for
// a third.
func nickname(a, b matchkey.Normal) bool {
	return differ(a.Given, b.Given) && matchkey.NicknameRoot(a.Given[0]) == matchkey.NicknameRoot(b.Given[0])
}

// middleAsFirst: one uses as first name what is the middle name of the other.
func middleAsFirst(a, b matchkey.Normal) bool {
	return differ(a.Given, b.Given) &&
		(slices.Contains(a.Middle, b.Given[0]) || slices.Contains(b.Middle, a.Given[0]))
}

func swapped(a, b matchkey.Normal) bool {
	return differ(a.Given, b.Given) && differ(a.Family, b.Family) && a.Given[0] == b.Family[0] && a.Family[0] == b.Given[0]
}

// nameChange: no part of one surname is like any part of the other, neither by
// sound nor by spelling.
func nameChange(a, b matchkey.Normal) bool {
	if len(a.Family) == 0 || len(b.Family) == 0 || swapped(a, b) {
		return false
	}
	for _, s := range a.Family {
		for _, t := range b.Family {
			if matchkey.Soundex(s) == matchkey.Soundex(t) || 2*edits(s, t) <= max(len(s), len(t)) {
				return false
			}
		}
	}
	return strings.Join(a.Family, "") != strings.Join(b.Family, "")
}

// edits returns the Levenshtein distance of two normalised names.
func edits(s, t string) int {
	row := make([]int, len(t)+1) // distances of what was read of s to each beginning of t
	for j := range row {
		row[j] = j
	}
	for i := range len(s) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(t) {
			cost := diagonal
			if s[i] != t[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(t)]
}
