package compare

import (
	"slices"
	"strings"

	"github.com/waypost/waypost/matchkey"
)

// nameFinding is what the given and family names say together.
type nameFinding struct {
	evidence   []Evidence
	agree      bool // both are the same
	middleUsed bool // the middle name served to explain one of them
}

// compareNames weighs given and family names. Where both are the same, the pair
// is weighed by how common the pair is; otherwise each by itself.
func compareNames(a, b reading) nameFinding {
	given, givenMiddle := compareGiven(a, b)
	family, familyMiddle := compareFamily(a, b)
	if given.Level == same && family.Level == same {
		share := max(nameShare(a), nameShare(b)) // they may be split differently: ANN MARIE, ANNMARIE
		return nameFinding{
			evidence: []Evidence{{"name", same, bits(givenSame*familySame, share, pairLimit)}},
			agree:    true,
		}
	}
	if a.given != "" && a.joined != "" && a.given == b.joined && b.given == a.joined {
		share := max(matchkey.NameFrequency(a.given, a.joined), matchkey.NameFrequency(b.given, b.joined))
		return nameFinding{evidence: []Evidence{{"name", "given and family exchanged", bits(1, share, pairLimit) + swappedBits}}}
	}
	family.Bits = min(family.Bits, pairLimit-given.Bits)
	return nameFinding{evidence: []Evidence{given, family}, middleUsed: givenMiddle || familyMiddle}
}

// compareGiven weighs the given names, and says whether it took a middle name
// for one of them.
func compareGiven(a, b reading) (ev Evidence, middleUsed bool) {
	ev = Evidence{Field: "given name"}
	x, y := a.given, b.given
	fx, fy := matchkey.GivenFrequency(x), matchkey.GivenFrequency(y)
	switch {
	case x == "" || y == "":
	case x == y || a.givens == b.givens:
		ev.Level, ev.Bits = same, bits(givenSame, max(fx, fy), givenLimit)
	case isInitial(x, y) || isInitial(y, x):
		ev.Level, ev.Bits = "initial", initialBits
	case nicknames(x, y):
		ev.Level, ev.Bits = "nickname", variant(oneNickname, fx, fy, givenLimit)
	case middleOf(a, y) || middleOf(b, x):
		f := shareInMiddle(middleOf(a, y), middleOf(b, x), fx, fy)
		ev.Level, ev.Bits = "middle name used as first", variant(middleAsFirst, f, f, givenLimit)
		return ev, true
	case slip(x, y):
		ev.Level, ev.Bits = near, variant(oneTypo, fx, fy, givenLimit)
	default:
		ev.Level, ev.Bits = differs, bits(givenDiffers, 1, givenLimit)
	}
	return ev, false
}

// compareFamily weighs the family names, and says whether it found one of them
// kept as a middle name.
func compareFamily(a, b reading) (ev Evidence, middleUsed bool) {
	ev = Evidence{Field: "family name"}
	if a.joined == "" || b.joined == "" {
		return ev, false
	}
	if a.joined == b.joined {
		ev.Level, ev.Bits = same, bits(familySame, max(familyShare(a.family), familyShare(b.family)), familyLimit)
		return ev, false
	}
	fx, fy := matchkey.FamilyFrequency(a.joined), matchkey.FamilyFrequency(b.joined)
	if part, subset := sharedPart(a.family, b.family); part != "" {
		f := matchkey.FamilyFrequency(part)
		if ev.Level, ev.Bits = "one of two surnames", bits(familyPart, f, familyLimit); !subset {
			ev.Level, ev.Bits = "one surname in common", bits(familyOverlap, f, familyLimit)
		}
		return ev, false
	}
	switch {
	case slip(a.joined, b.joined):
		ev.Level, ev.Bits = near, variant(oneTypo, fx, fy, familyLimit)
	case slices.Contains(a.middle, b.joined) || slices.Contains(b.middle, a.joined):
		f := shareInMiddle(slices.Contains(a.middle, b.joined), slices.Contains(b.middle, a.joined), fx, fy)
		ev.Level, ev.Bits = "former surname kept as middle name", bits(maidenMiddle, f, middleLimit)
		return ev, true
	case a.sex == "F" || b.sex == "F":
		ev.Level, ev.Bits = differs, bits(familyDiffersF, 1, familyLimit)
	default:
		ev.Level, ev.Bits = differs, bits(familyDiffersM, 1, familyLimit)
	}
	return ev, false
}

// middleOf reports whether a name, more than an initial, is among the middle names.
func middleOf(r reading, name string) bool { return len(name) > 1 && slices.Contains(r.middle, name) }

// shareInMiddle is the share, fx or fy, of the name x or y that the other person has as a
// middle name: of the commoner one where each has the other's, so that it does not matter
// who comes first.
func shareInMiddle(hasY, hasX bool, fx, fy float64) float64 {
	switch {
	case !hasY:
		return fx
	case !hasX:
		return fy
	}
	return max(fx, fy)
}

// compareMiddle weighs the middle names, further given names among them.
func compareMiddle(a, b reading) Evidence {
	ev := Evidence{Field: "middle name"}
	if len(a.middle) == 0 || len(b.middle) == 0 {
		return ev
	}
	x, y := a.middle[0], b.middle[0]
	switch {
	case x == y && len(x) > 1:
		ev.Level, ev.Bits = same, bits(middleSame, middleShare*matchkey.GivenFrequency(x), middleLimit)
	case x[0] == y[0] && (len(x) == 1 || len(y) == 1):
		ev.Level, ev.Bits = "initial", initialBits
	case slices.ContainsFunc(a.middle, func(w string) bool { return len(w) > 1 && slices.Contains(b.middle, w) }),
		nicknames(x, y), slip(x, y):
		ev.Level, ev.Bits = "similar", middleNearBits
	default:
		ev.Level, ev.Bits = differs, bits(middleDiffers, middleChance, middleLimit)
	}
	return ev
}

// variant weighs two different ways to write one name, each of which may also
// be a name of its own, with shares fx and fy. Somebody called by the commoner
// one is seen as the other with probability p; somebody else is, if that is
// their name, or if it is a variant of the commoner name that they really have.
// So JAMSE for JAMES weighs as much as JAMES itself, and MARIE for MARIA little.
func variant(p, fx, fy, limit float64) float64 {
	return bits(p, min(fx, fy)+p*max(fx, fy), limit)
}

// nameShare estimates the share of people who have the given name and all
// parts of the family name.
func nameShare(r reading) float64 {
	return matchkey.NameFrequency(r.given, r.family[0]) * furtherParts(r.family)
}

func familyShare(family []string) float64 {
	return matchkey.FamilyFrequency(family[0]) * furtherParts(family)
}

// furtherParts estimates which share of the bearers of the first surname has
// the further ones. A second surname comes from the same community, where it
// is about ten times as common.
func furtherParts(family []string) float64 {
	share := 1.0
	for _, part := range family[1:] {
		share *= min(1, 10*matchkey.FamilyFrequency(part))
	}
	return share
}

// sharedPart returns the rarest part that two family names have in common, and
// whether one of them has no other parts. GARCIA GARCIA has two.
func sharedPart(a, b []string) (part string, subset bool) {
	common, rest := 0, slices.Clone(b)
	for _, p := range a {
		i := slices.Index(rest, p)
		if i < 0 {
			continue
		}
		common, rest = common+1, slices.Delete(rest, i, i+1)
		if part == "" || matchkey.FamilyFrequency(p) < matchkey.FamilyFrequency(part) {
			part = p
		}
	}
	return part, common == len(a) || common == len(b)
}

// isInitial reports whether x is the initial of y.
func isInitial(x, y string) bool { return len(x) == 1 && len(y) > 1 && x[0] == y[0] }

// nicknames reports whether two given names are short for the same name.
func nicknames(x, y string) bool {
	return x != y && len(x) > 1 && len(y) > 1 && matchkey.NicknameRoot(x) == matchkey.NicknameRoot(y)
}

// slip reports whether two names of at least three letters could be one name
// misspelt: one letter added, left out, replaced or exchanged with its
// neighbour (two such slips from eight letters on), one cut off after four
// letters or more, or two that sound alike and are nearly as long.
func slip(x, y string) bool {
	if len(x) > len(y) {
		x, y = y, x
	}
	if len(x) < 3 {
		return false
	}
	allowed := 1
	if len(x) >= 8 {
		allowed = 2
	}
	if distance(x, y) <= allowed || len(x) >= 4 && strings.HasPrefix(y, x) {
		return true
	}
	return len(y)-len(x) <= 2 && matchkey.Soundex(x) == matchkey.Soundex(y) && matchkey.DoubleMetaphone(x) == matchkey.DoubleMetaphone(y)
}

// distance is the number of letters to add, remove, replace or exchange with
// their neighbour to get from x to y (optimal string alignment).
func distance(x, y string) int {
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}
