package records

import (
	"bytes"
	"slices"

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

// sameKeys reports whether the index need not change between two states of one
// person: the SSN is the same, and so would be all keys with any SSN.
func (f *File) sameKeys(a, b waypost.Person) bool {
	return matchkey.SSN5(a.SSN5) == matchkey.SSN5(b.SSN5) && f.same(a, b) == allSlots
}

// newPointer is a pointer for a name, all of whose tokens are to be made. history is
// what else the record has or had: the first draws the digits.
func (f *File) newPointer(recordID string, name waypost.Person, history []pointer, operator string) pointer {
	p := pointer{Pointer: Pointer{Record: recordID, State: Wanted}, person: name, operator: operator}
	if len(history) > 0 {
		p.digits = history[0].digits
	} else {
		p.digits = f.mask(recordID, matchkey.StandIn(name, f.decoySecret, 0))
	}
	p.cover(epochsOf(f.Roster.Settled().KeysFor(waypost.KindPublish)))
	p.person.SSN5 = ""
	randomise(p.Handle[:])
	return p
}

// main makes the main pointer of a record. history is all that the record has and
// had in the index. As long as the SSN is the same, SSN slots whose other parts are
// as they were before have the tokens that they had, whether they are made of an
// SSN or are decoys: the hub sees tokens repeat in the same places for everybody. Under
// a key under which another state has offered a pointer of the record, no others are
// made of the SSN: the hub would see them repeat that state's only where there is one.
func (f *File) main(recordID string, name waypost.Person, era int, history []pointer, operator string) pointer {
	p := f.newPointer(recordID, name, history, operator)
	p.era = era
	for _, old := range history {
		if old.era != era {
			continue
		}
		same := f.same(old.person, name) & ssnSlots &^ old.decoys
		for i := range p.sets {
			m := &p.sets[i]
			if was := old.under(m.epoch); was != nil && !old.alien(m.epoch) && old.hidden != m.epoch {
				m.copy(*was, same&m.todo&^was.todo)
			}
		}
	}
	for i := range p.sets {
		m := &p.sets[i]
		if slices.ContainsFunc(history, func(old pointer) bool { return old.era == era && old.alien(m.epoch) }) {
			m.fill(m.todo & ssnSlots)
		}
	}
	return p
}

// era is that of a new main pointer.
func era(history []pointer, sameSSN bool) (now int) {
	for _, p := range history {
		now = max(now, p.era)
	}
	if len(history) > 0 && !sameSSN {
		now++
	}
	return now
}

// fill puts random bytes where a token would be there twice, or is to say
// nothing: to the hub they look like any token.
func (p *pointer) fill(bits uint32) {
	for i := range p.sets {
		p.sets[i].fill(bits)
	}
	p.decoys |= bits
}

// avoid leaves out the tokens that other pointers of the record have already: no
// token is there twice for one person. A slot that is random under one key only, because
// another state has made theirs, is no decoy: under the other it says what it can.
func (f *File) avoid(p *pointer, others []pointer) {
	under := uint32(allSlots)
	for i := range p.sets {
		taken := f.taken(*p, p.sets[i].epoch, others)
		p.sets[i].fill(taken)
		under &= taken
	}
	p.decoys |= under
}

// taken are the slots of which others have the token of the epoch already.
func (f *File) taken(p pointer, epoch uint32, others []pointer) (taken uint32) {
	for _, o := range others {
		has := uint32(allSlots) &^ o.decoys
		if o.alien(epoch) {
			has = allSlots // whatever is in them
		}
		taken |= f.same(p.person, o.person) & has
	}
	return taken
}

// alias makes a pointer for a former name. Its SSN slots say nothing, whoever it
// is for: those of the main pointer say it all.
func (f *File) alias(recordID string, former waypost.Person, others []pointer, operator string) pointer {
	p := f.newPointer(recordID, former, others, operator)
	p.Alias = true
	f.avoid(&p, others)
	p.fill(ssnSlots)
	return p
}

// beside makes the main pointer of a changed name where the one before came from
// another state, whose SSN slots are not known here and so cannot be kept: that one
// stays as it is, for the former name.
func (f *File) beside(old pointer, after waypost.Record, others []pointer, operator string) pointer {
	p := f.newPointer(after.ID, after.Person, []pointer{old}, operator)
	p.era = old.era
	f.avoid(&p, append(others, old))
	p.fill(ssnSlots)
	return p
}
