package bench

import (
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

// TestPeople: every applicant has the candidates that their phase is about, by
// the match keys themselves.
func TestPeople(t *testing.T) {
	const perState, crowded = 25, 20
	p, err := newPeople(perState, crowded)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.crowded) != crowded {
		t.Fatalf("%d applicants have look-alikes, want %d", len(p.crowded), crowded)
	}
	secret := make([]byte, 32)
	index := make(map[string][]waypost.Jurisdiction) // key -> state, once for each record
	own := make(map[waypost.Person]waypost.Jurisdiction)
	for _, state := range states {
		for _, r := range p.records[state] {
			if err := r.Validate(); err != nil {
				t.Errorf("%s: %v", r.ID, err)
			}
			own[r.Person] = state
			for _, slot := range matchkey.Index(r.Person, secret) {
				index[string(slot.Key)] = append(index[string(slot.Key)], waypost.Jurisdiction(r.ID))
			}
		}
	}
	asked := make(map[waypost.Person]bool)
	for i, a := range append(p.crowded, p.one...) {
		if asked[a.who.Person] {
			t.Errorf("applicant %d is asked about twice", i)
		}
		asked[a.who.Person] = true
		if own[a.who.Person] != a.holder || a.ask == a.holder {
			t.Errorf("applicant %d: asked at %s, held by %s", i, a.ask, a.holder)
		}
		found := make(map[waypost.Jurisdiction]bool) // record ids in other states
		for _, key := range matchkey.NewQuery(a.who.Person, secret).Keys {
			for _, id := range index[string(key)] {
				if id[:2] != a.ask {
					found[id] = true
				}
			}
		}
		want := 1
		if i < len(p.crowded) {
			want += falseCandidates
		}
		if len(found) != want {
			t.Errorf("applicant %d has %d candidates, want %d", i, len(found), want)
		}
	}
}
