package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// oneSex is the part of the births of one sex from which a name counts as a
// name of that sex.
const oneSex = 0.95

// commoner is how many times more births a formal name must have than its
// nickname: LISA, nearly as common as ELIZABETH, is a name of its own.
const commoner = 2

// mistaken lists pairs of the source that usage does not bear out.
var mistaken = map[[2]string]bool{{"ROBERT", "BILL"}: true, {"ROBERT", "BILLY"}: true}

// maxRoots is the number of formal names that are kept for one nickname.
const maxRoots = 3

// nicknames maps a nickname to the formal names it stands for, likeliest first.
type nicknames map[string][]string

// root returns the likeliest formal name, or the name itself.
func (n nicknames) root(name string) string {
	if r := n[name]; len(r) > 0 {
		return r[0]
	}
	return name
}

// roots picks the formal names of every nickname. A formal name of the other
// sex is none (ERIN is not AARON), nor is a name that is not much commoner than
// its nickname, and chains (BOBBY, BOB, ROBERT) are followed to their end.
func (s *sources) roots() nicknames {
	formal := make(map[string][]string)
	for _, pair := range s.nicknames {
		long, short := pair[0], pair[1]
		if long != short && long != "" && short != "" && !mistaken[pair] && s.plausible(long, short) {
			formal[short] = append(formal[short], long)
		}
	}
	for short := range formal {
		slices.SortFunc(formal[short], func(a, b string) int {
			return cmp.Or(cmp.Compare(s.births(b), s.births(a)), cmp.Compare(a, b))
		})
		formal[short] = slices.Compact(formal[short])
	}
	out := make(nicknames)
	for short, longs := range formal {
		for _, long := range longs {
			end := follow(formal, long)
			if end != short && !slices.Contains(out[short], end) && len(out[short]) < maxRoots {
				out[short] = append(out[short], end)
			}
		}
		if len(out[short]) == 0 {
			delete(out, short)
		}
	}
	return out
}

// follow goes from a name to the likeliest formal name of it, and on.
func follow(formal map[string][]string, name string) string {
	for range 4 {
		next := formal[name]
		if len(next) == 0 {
			return name
		}
		name = next[0]
	}
	return name
}

func (s *sources) births(name string) float64 {
	if n := s.given[name]; n != nil {
		return n.total()
	}
	return 0
}

// plausible reports whether short, as a name that people are registered under,
// can be taken for long.
func (s *sources) plausible(long, short string) bool {
	l, n := s.given[long], s.given[short]
	if l == nil || l.total() == 0 {
		return false
	}
	if n == nil || n.total() == 0 {
		return true
	}
	if commoner*n.total() > l.total() {
		return false // also makes every chain climb, so that none is a circle
	}
	part := func(x *name) float64 { return x.female / (x.female + x.male) }
	a, b := part(l), part(n)
	return !(a >= oneSex && b <= 1-oneSex || b >= oneSex && a <= 1-oneSex)
}

// text writes one nickname a line, followed by its formal names.
func (n nicknames) text() []byte {
	var b strings.Builder
	b.WriteString("# Nickname, then the formal names it stands for, likeliest first.\n" +
		"# Derived from names.csv of the nicknames project (Apache-2.0), see NOTICE;\n" +
		"# ranked by SSA births. Made by matchkey/internal/gentables; part of profile 1.\n")
	for _, short := range sortedKeys(n) {
		fmt.Fprintln(&b, short, strings.Join(n[short], " "))
	}
	return []byte(b.String())
}
