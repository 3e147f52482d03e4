package freq

import "strconv"

// The embedded tables. A table of given names also has, for names that are not
// rare, entries with an era letter after the name.
const (
	Surname      = "surname"
	SurnameThree = "surname.3"   // leading three letters
	SurnameSound = "surname.sx"  // Soundex
	SurnameMeta  = "surname.dm"  // Metaphone
	SurnameSLK   = "surname.slk" // letters 2, 3 and 5
	Given        = "given"
	GivenOne     = "given.1" // initial
	GivenThree   = "given.3"
	GivenRoot    = "given.root" // nickname root
	GivenSound   = "given.sx"
	GivenMeta    = "given.dm"
	GivenSLK     = "given.slk" // letters 2 and 3
	Pair         = "pair"      // "JAMES SMITH": PairZero less the Share of how much commoner
	YearOfBirth  = "year"      // "1957": share of the people born then
)

// PairZero is the value in table Pair of two names that are independent.
const PairZero = 128

const (
	// Rare is the share of a name that no table lists: some 30 bearers, where
	// the Census lists 100 and more and the SSA 50 births a year.
	Rare Share = 185
	// Empty is the share of people taken to have no given name, or no surname.
	Empty Share = 80
)

// FirstYear and LastYear bound the births that the tables know.
const (
	FirstYear = 1930
	LastYear  = 2010
)

// Era returns the letter of the five years in which a birth year lies: a for
// 1934 and before, to p for 2005 and after.
func Era(year int) byte {
	return byte('a' + min(max((year-FirstYear)/5, 0), 15))
}

// Of returns the share of the key in a table without eras.
func Of(table, key string) Share {
	if key == "" {
		return Empty
	}
	if v, ok := Get(table).Lookup(key); ok {
		return Share(v)
	}
	return Rare
}

// Born returns the share of the key in a table of given names among those born
// in the year's era; where the table does not tell eras apart, among all. Year 0
// means that the year is not known.
func Born(table, key string, year int) Share {
	if key == "" {
		return Empty
	}
	t := Get(table)
	if year != 0 {
		if v, ok := t.Lookup(key + string(Era(year))); ok {
			return Share(v)
		}
	}
	if v, ok := t.Lookup(key); ok {
		return Share(v)
	}
	return Rare
}

// Together returns what to add to the shares of a given name and a surname
// because they come together more often (negative) or more rarely (positive)
// than independent names would.
func Together(given, surname string) Share {
	if v, ok := Get(Pair).Lookup(given + " " + surname); ok {
		return Share(v) - PairZero
	}
	return 0
}

// Year returns the share of people born in a year. Before the tables begin it
// halves every three years; after they end it stays.
func Year(year int) Share {
	s := Of(YearOfBirth, strconv.Itoa(min(max(year, FirstYear), LastYear)))
	if year < FirstYear {
		s += Share(min(FirstYear-year, 60)) * 8 / 3
	}
	return s
}

// rise is by how many steps a share grows when one that is rarer by the index
// is added to it: round(8 log2(1 + 2^(-index/8))).
var rise = [...]Share{8, 8, 7, 7, 6, 6, 5, 5, 5, 4, 4, 4, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}

// Either returns the share of those who are of one kind or of another, where
// nobody is of both.
func Either(a, b Share) Share {
	common, apart := min(a, b), max(a, b)-min(a, b)
	if int(apart) < len(rise) {
		return common - rise[apart]
	}
	return common
}
