package attack

import (
	"cmp"
	"context"
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

// Finder looks people up with what the attacker has, or takes for it.
type Finder struct {
	Index *Index
	H     [32]byte
	Key   Key
}

// Claim is what the attacker says of somebody: which state has a record, and how many
// of the six keys from name and date and of the four from the SSN it agrees on.
type Claim struct {
	Person     int // in the list that was looked up
	Owner      waypost.Jurisdiction
	Pointer    int64
	Names, SSN int
}

// enough of the keys from name and date are agreed on by who is not another person.
const enough = 3

// atOnce is how many people are looked up between two looks at the context.
const atOnce = 2000

// Find looks up everybody of a list, first each by one key, the exact name and date;
// and who is found by that, by all. Claims come in the order of the list.
func (f *Finder) Find(ctx context.Context, people []waypost.Person) (claims []Claim, err error) {
	for lo := 0; lo < len(people); lo += atOnce {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		part := people[lo:min(lo+atOnce, len(people))]
		tokens, err := f.Key.Tokens(NameKeys(part))
		if err != nil {
			return nil, err
		}
		for i, t := range tokens {
			if len(f.Index.At(f.H, f.Key.epoch, t)) == 0 {
				continue
			}
			some, err := f.whole(part[i])
			if err != nil {
				return nil, err
			}
			for _, c := range some {
				c.Person = lo + i
				claims = append(claims, c)
			}
		}
	}
	return claims, nil
}

// NameKeys are the keys of the exact names and dates of birth of people.
func NameKeys(people []waypost.Person) [][]byte {
	keys := make([][]byte, len(people))
	for i, p := range people {
		keys[i] = slots(p)[matchkey.H].Key
	}
	return keys
}

// whole looks one person up by all keys.
func (f *Finder) whole(p waypost.Person) ([]Claim, error) {
	var keys [][]byte
	for _, s := range slots(p) {
		keys = append(keys, s.Key)
	}
	tokens, err := f.Key.Tokens(keys)
	if err != nil {
		return nil, err
	}
	found := make(map[int64]*Claim)
	for i, t := range tokens {
		for _, at := range f.Index.At(f.H, f.Key.epoch, t) {
			c := found[at.ID]
			if c == nil {
				c = &Claim{Owner: at.Owner, Pointer: at.ID}
				found[at.ID] = c
			}
			if i < matchkey.NameSlots {
				c.Names++
			} else {
				c.SSN++
			}
		}
	}
	var claims []Claim
	for _, c := range found {
		if c.Names >= enough {
			claims = append(claims, *c)
		}
	}
	slices.SortFunc(claims, func(a, b Claim) int {
		return cmp.Or(cmp.Compare(b.Names+b.SSN, a.Names+a.SSN), cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Pointer, b.Pointer))
	})
	return claims, nil
}

// AnySSN reports whether a record is found by the SSN and date of birth of anybody in a
// list: of one person under many SSNs. It stops soon after the first that is, and says
// how many it has tried.
func (f *Finder) AnySSN(ctx context.Context, list []waypost.Person) (found bool, tried int, err error) {
	for part := range slices.Chunk(list, atOnce) {
		if err := ctx.Err(); err != nil {
			return false, tried, err
		}
		var keys [][]byte
		for _, p := range part {
			if s := slots(p)[matchkey.A]; !s.Decoy {
				keys = append(keys, s.Key)
			}
		}
		tried += len(part)
		tokens, err := f.Key.Tokens(keys)
		if err != nil {
			return false, tried, err
		}
		for _, t := range tokens {
			if len(f.Index.At(f.H, f.Key.epoch, t)) > 0 {
				return true, tried, nil
			}
		}
	}
	return false, tried, nil
}

// slots are the ten keys of a person. Where there is no SSN the last four are of digits
// that are the attacker's own guess: those of the state are under its secret.
func slots(p waypost.Person) [matchkey.Slots]matchkey.Slot {
	return matchkey.Index(p, make([]byte, 32))
}
