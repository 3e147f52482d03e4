package compelled

import (
	"context"
	"path/filepath"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/drill/attack"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
)

// keys are the ten tokens of somebody as a state keeps them, in the order of the slots:
// of its own records, and for a while of who stood at its counters.
type keys struct {
	who    *person
	ssn5   string // that the state knows, empty if none
	tokens []waypost.Token
}

// sameNames are as many keys from name and date as records of one person share, and
// hardly any others.
const sameNames = 3

// numbersOf are the SSNs of a state's records.
func numbersOf(ctx context.Context, dir string) (map[string]string, error) {
	numbers := make(map[string]string)
	err := open(ctx, filepath.Join(dir, "people.db"), "people", func(tx *store.Tx) error {
		return tx.Query(`SELECT id, ssn5 FROM person`, nil, func(scan func(dest ...any) error) error {
			var id, ssn5 string
			err := scan(&id, &ssn5)
			numbers[id] = ssn5
			return err
		})
	})
	return numbers, err
}

// pointers takes the tokens of a state's own records.
func (o *holding) pointers(tx *store.Tx, numbers map[string]string) error {
	return tx.Query(`SELECT record, person, tokens FROM pointer`, nil, func(scan func(dest ...any) error) error {
		var record string
		var raw, tokens []byte
		err := scan(&record, &raw, &tokens)
		var who waypostv1.Applicant
		if proto.Unmarshal(raw, &who) == nil {
			o.keep(o.find(&who), numbers[record], tokens)
		}
		return err
	})
}

// keep takes tokens of somebody as they are stored, ten for each key of an epoch.
func (o *holding) keep(p *person, ssn5 string, stored []byte) {
	const size = len(waypost.Token{})
	for p != nil && len(stored) >= matchkey.Slots*size {
		k := keys{who: p, ssn5: ssn5}
		for range matchkey.Slots {
			k.tokens, stored = append(k.tokens, waypost.Token(stored)), stored[size:]
		}
		o.kept = append(o.kept, k)
	}
}

// join puts together what several have: tokens whose person a state knows with a hub's
// index, and shares with it.
func (o *holding) join(ctx context.Context) error {
	if o.index == nil {
		return nil
	}
	for _, k := range o.kept {
		o.look(k)
	}
	points, err := attack.PointsOf(o.shares...)
	if err != nil || len(points) == 0 {
		return err
	}
	guesses := points.Guesses(5)
	if len(points) >= o.c.threshold {
		guesses = []attack.Guess{{Why: "the key", Secret: points.Secret()}}
	}
	list := make([]waypost.Person, len(o.c.people))
	for i, p := range o.c.people {
		list[i] = p.Person
	}
	for _, g := range guesses {
		key, err := attack.NewKey(g.Secret, 1)
		if err != nil {
			return err
		}
		finder := attack.Finder{Index: o.index, H: o.h, Key: key}
		claims, err := finder.Find(ctx, list)
		if err != nil {
			return err
		}
		for _, c := range claims {
			o.confirm(o.c.people[c.Person], c.Owner)
		}
	}
	return nil
}

// look looks somebody up by all ten tokens. Whose record it leads to has a card of that
// state; and where it is the same person by name and date, the tokens in the places of an
// SSN lead there too if that state made them from the same SSN, and do not if it knows
// none or another. Where the state that is served knows no SSN, they never do: digits that
// stand in for one are each state's own.
func (o *holding) look(k keys) {
	type hits struct{ names, ssn int }
	found := make(map[*attack.Pointer]hits)
	for slot, t := range k.tokens {
		for _, at := range o.index.At(o.h, 1, t) {
			n := found[at]
			if slot < matchkey.NameSlots {
				n.names++
			} else {
				n.ssn++
			}
			found[at] = n
		}
	}
	for at, n := range found {
		o.confirm(k.who, at.Owner)
		if n.names >= sameNames && k.ssn5 != "" {
			if o.alike[k.who] == nil {
				o.alike[k.who] = make(map[waypost.Jurisdiction]bool)
			}
			o.alike[k.who][at.Owner] = o.alike[k.who][at.Owner] || n.ssn > 0
		}
	}
}

// verdicts are counts of records of other states, of people whose SSN the state that is
// served knows: which are said to have that SSN, and which another or none.
type verdicts struct {
	same, other int
	none        int // of other, those that have none
	wrong       int
}

// compared counts what a holding says about the SSNs of other states' records.
func (o *holding) compared() (v verdicts) {
	for p, states := range o.alike {
		for state, alike := range states {
			ssn5 := p.records[state]
			if !p.holds(state) || o.serves(state) {
				continue
			}
			known := slices.ContainsFunc(o.kept, func(k keys) bool { return k.who == p && k.ssn5 != "" && k.ssn5 == ssn5 })
			switch {
			case alike != known:
				v.wrong++
			case alike:
				v.same++
			default:
				v.other++
				if ssn5 == "" {
					v.none++
				}
			}
		}
	}
	return v
}
