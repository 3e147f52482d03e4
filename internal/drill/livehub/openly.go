package livehub

import (
	"crypto/sha512"
	"fmt"

	"github.com/waypost/waypost/internal/drill"
)

// elsewhere is whom the operators of the baselines name, who write down the same visits.
type elsewhere struct {
	came          int // people who came to a counter
	plain         int // of them, by the plain index
	tried         int // of them, how many were tried on the unkeyed one
	unkeyed       int // and named
	hashes, lucky int // tried for it, and people with one hash: they have no SSN
}

func (e elsewhere) words() string {
	return fmt.Sprintf("plain: of the same visits the operator names %d of %d people, with the SSN; unkeyed: %d of %d that were tried, with %d hashes", e.plain, e.came, e.unkeyed, e.tried, e.hashes)
}

// openly plays the month again: each visit is a question to both indexes, and their
// operators write it down as it comes: the one a row, the other a hash.
func (l *listener) openly() {
	rows, asked := make(map[drill.PlainRow]bool), make(map[[sha512.Size]byte]bool)
	came := make(map[int]bool)
	for _, v := range l.visits {
		row := drill.RowOf(l.people[v.who].Person, "")
		rows[row], asked[row.Hash()], came[v.who] = true, true, true
	}
	l.than = elsewhere{came: len(came)}
	most := l.Size.Pick(4, 24, 200)
	for who, r := range l.people {
		if !came[who] {
			continue
		}
		row := drill.RowOf(r.Person, "")
		if rows[row] {
			l.than.plain++
		}
		if l.than.tried < most {
			l.than.try(row, asked)
		}
	}
	l.Add(drill.Line{Party: "the operator of a plain index, and of an unkeyed one", Attempted: "name who came, from what is written down of the same visits, with a list of names and dates",
		Obtained: fmt.Sprintf("%s; %d of them at once, who have no SSN", l.than.words(), l.than.lucky), Noticed: "by nobody, ever", Baseline: "these are they",
		Target: "the attack succeeds on the baselines", OK: l.than.plain == l.than.came && l.than.unkeyed == l.than.tried && l.than.tried > 0, Planted: true})
}

// try looks for a person of whom name and date are known: as without an SSN, then with
// every ending.
func (e *elsewhere) try(row drill.PlainRow, asked map[[sha512.Size]byte]bool) {
	e.tried++
	row.SSN5 = drill.NoSSN
	e.hashes++
	if asked[row.Hash()] {
		e.unkeyed++
		e.lucky++
		return
	}
	for n := range 100_000 {
		row.SSN5 = fmt.Sprintf("%05d", n)
		e.hashes++
		if asked[row.Hash()] {
			e.unkeyed++
			return
		}
	}
}
