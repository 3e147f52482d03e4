package records

import (
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

// TestAlienUnderOneKey: what another state has offered under the older key leaves no slot
// empty under the newer one, under which this state has made it itself. Nothing is there
// twice under either.
func TestAlienUnderOneKey(t *testing.T) {
	f := &File{decoySecret: make([]byte, 32)}
	who := waypost.Person{Family: "Ferrante", Given: "Ludmila", Sex: "F", Born: waypost.Date{Year: 1961, Month: 4, Day: 17}}
	sets := func() []made {
		return []made{
			{epoch: 1, tokens: make([]waypost.Token, matchkey.Slots), todo: allSlots},
			{epoch: 2, tokens: make([]waypost.Token, matchkey.Slots), todo: allSlots},
		}
	}
	// A former name that came from another state, by now under the next key too.
	alias := pointer{Pointer: Pointer{Alias: true, State: Live, PassedBy: "AZ"}, person: who, sets: sets(), passed: 1, reached: 2, decoys: ssnSlots}

	p := pointer{person: who, sets: sets()}
	f.avoid(&p, []pointer{alias})
	if older, newer := p.sets[0].todo, p.sets[1].todo; older != 0 || newer != ssnSlots || p.decoys != nameSlots {
		t.Errorf("a new pointer: to be made are %010b and %010b, decoys are %010b", older, newer, p.decoys)
	}

	main := pointer{Pointer: Pointer{State: Live, PassedBy: "AZ"}, person: who, sets: sets()[:1], passed: 1, reached: 1}
	main.sets[0].todo = 0
	f.renew(&main, []pointer{alias}, 2, []uint32{1, 2})
	if m := main.under(2); m == nil || m.todo != ssnSlots || main.decoys != nameSlots {
		t.Errorf("one that came from another state: %+v, decoys are %010b", m, main.decoys)
	}
}
