package records

import (
	"bytes"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

// Bits of the slots.
const (
	allSlots  = 1<<matchkey.Slots - 1
	nameSlots = 1<<matchkey.NameSlots - 1
	ssnSlots  = allSlots &^ nameSlots
)

// someSSN stands in for an SSN where only its place matters.
const someSSN = "12345"

// same returns a bit for each slot that two people would share if both had the
// same SSN. It does not depend on whether they have one: what is done by it is
// done alike for those who have none.
func (f *File) same(a, b waypost.Person) (bits uint32) {
	a.SSN5, b.SSN5 = someSSN, someSSN
	left, right := matchkey.Index(a, f.decoySecret), matchkey.Index(b, f.decoySecret)
	for i := range left {
		if bytes.Equal(left[i].Key, right[i].Key) {
			bits |= 1 << i
		}
	}
	return bits
}

// sameKeys reports whether two people have the same ten keys.
func (f *File) sameKeys(a, b waypost.Person) bool {
	left, right := matchkey.Index(a, f.decoySecret), matchkey.Index(b, f.decoySecret)
	for i := range left {
		if !bytes.Equal(left[i].Key, right[i].Key) {
			return false
		}
	}
	return true
}

// newPointer is a main pointer in nobody's place: all its tokens are to be made.
func (f *File) newPointer(r waypost.Record, operator string) pointer {
	p := pointer{Pointer: Pointer{Record: r.ID, State: Wanted}, person: r.Person, todo: allSlots, operator: operator, tokens: blank()}
	randomise(p.Handle[:])
	p.markDecoys(matchkey.Index(r.Person, f.decoySecret))
	return p
}

func blank() []waypost.Token { return make([]waypost.Token, matchkey.Slots) }

// markDecoys notes which slots say nothing by their nature.
func (p *pointer) markDecoys(slots [matchkey.Slots]matchkey.Slot) {
	for i, s := range slots {
		if s.Decoy {
			p.decoys |= 1 << i
		}
	}
}

// fill puts random bytes where a token would be there twice, or is to say
// nothing: to the hub they look like any token.
func (p *pointer) fill(bits uint32) {
	for i := range p.tokens {
		if bits&(1<<i) != 0 {
			randomise(p.tokens[i][:])
		}
	}
	p.todo &^= bits
	p.decoys |= bits
}

// avoid leaves out the tokens that other pointers of the record have already: no
// token is there twice for one person.
func (f *File) avoid(p *pointer, others []pointer) {
	var taken uint32
	for _, o := range others {
		has := nameSlots &^ o.decoys
		if o.passed {
			has = allSlots // whatever is in them
		}
		taken |= f.same(p.person, o.person) & has
	}
	p.fill(taken & p.todo)
}

// alias makes a pointer for a former name. Its SSN slots say nothing, whoever it
// is for: those of the main pointer say it all.
func (f *File) alias(recordID string, former waypost.Person, others []pointer, operator string) pointer {
	p := f.newPointer(waypost.Record{ID: recordID, Person: former}, operator)
	p.Alias = true
	f.avoid(&p, others)
	p.fill(ssnSlots)
	return p
}

// successor makes the pointer that takes the place of another after a change of
// name, date of birth or SSN. As long as the SSN is the same, the SSN slots whose other
// parts are the same keep their tokens, decoys too: the hub sees tokens repeat in
// the same places whether there is an SSN or not.
func (f *File) successor(old pointer, before, after waypost.Record, aliases []pointer, operator string) pointer {
	p := f.newPointer(after, operator)
	p.supersedes = old.Handle
	if matchkey.SSN5(before.SSN5) == matchkey.SSN5(after.SSN5) {
		kept := f.same(old.person, after.Person) & ssnSlots
		for i := matchkey.NameSlots; i < matchkey.Slots; i++ {
			if kept&(1<<i) != 0 {
				p.tokens[i] = old.tokens[i]
			}
		}
		p.todo &^= kept
		p.decoys = p.decoys&^kept | old.decoys&kept
	}
	f.avoid(&p, aliases)
	return p
}

// beside makes the pointer of a changed name where the main one came from another
// state, whose SSN slots are not known here and so cannot be kept: it stays as it
// is, for the former name.
func (f *File) beside(old pointer, after waypost.Record, others []pointer, operator string) pointer {
	p := f.newPointer(after, operator)
	f.avoid(&p, append(others, old))
	p.fill(ssnSlots)
	return p
}
