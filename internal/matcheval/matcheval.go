// Package matcheval measures the match keys on two files of people whose true
// matches are known: who is found, who is found only to be turned away by the
// first leg, which groups fare worse, and what the same keys would cost at the
// size of the United States. It is the engine of `waypost matcheval`.
//
// File B is published: each of its records gets the ten slots of
// matchkey.Index. File A asks: each of its records is looked up by the 32 keys
// of matchkey.NewQuery. The two sides are different states, so their
// secrets differ. A pair agrees if any key of the question is a published,
// comparable slot of the record, and continues if matchkey.Continue says so.
//
// The same file given twice is searched for duplicates: no record pairs with
// itself, and two records are one pair, whichever of them asks; a slot agrees
// if it does in either direction.
package matcheval

import (
	"bytes"
	"context"
	"os"

	"github.com/waypost/waypost/matchkey"
)

// Options says what to measure.
type Options struct {
	A, B  string // CSV files of people; the README of this package has the columns
	Truth string // CSV file with columns a and b: ids of records that are one person
	NoSSN bool   // treat every SSN as absent
	// Sample is how many records of A, evenly spaced, the expectations at
	// national size are averaged over; 0 means 1000.
	Sample int
}

// defaultSample is the number of records that Options.Sample 0 stands for.
const defaultSample = 1000

// outcome is what is known of a pair of which some key agrees.
type outcome struct {
	kinds     uint16 // bit i: slot of kind i agrees
	continues bool
}

// Run measures. Its errors name the file, line and column at fault, never what
// is written there. It stops early, with ctx's error, when ctx is done.
func Run(ctx context.Context, o Options) (Report, error) {
	in, err := read(o)
	if err != nil {
		return Report{}, err
	}
	agreeing, err := in.agreeing(ctx)
	if err != nil {
		return Report{}, err
	}
	rep := in.count(agreeing)
	if err := rep.expect(ctx, in.a.people, o.Sample); err != nil {
		return Report{}, err
	}
	return rep, nil
}

// input is the files of one run.
type input struct {
	a, b      *people
	dedup     bool // a and b are one file
	truth     map[pair]int
	truthList []pair
	elsewhere int // pairs of the truth that are not between these files
}

// pair holds the positions of a record of A and one of B; in de-duplication the
// smaller first.
type pair struct{ a, b int32 }

func (in *input) pair(a, b int32) pair {
	if in.dedup && a > b {
		a, b = b, a
	}
	return pair{a, b}
}

func read(o Options) (*input, error) {
	in := &input{dedup: sameFile(o.A, o.B)}
	var err error
	if in.a, err = readPeople(o.A, o.NoSSN); err != nil {
		return nil, err
	}
	in.b = in.a
	if !in.dedup {
		if in.b, err = readPeople(o.B, o.NoSSN); err != nil {
			return nil, err
		}
	}
	if err := in.readTruth(o.Truth); err != nil {
		return nil, err
	}
	return in, nil
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// Secrets of the two sides. They are constants because nothing here is
// secret and a run must repeat; what matters is that they differ.
var (
	secretA = bytes.Repeat([]byte{'A'}, 32)
	secretB = bytes.Repeat([]byte{'B'}, 32)
)

// posting is one published slot.
type posting struct {
	person   int32
	next     int32 // the posting before it with the same key, or -1
	expected float32
	kind     matchkey.Kind
}

// published is the index of file B.
type published struct {
	last     map[[32]byte]int32 // the newest posting of a key
	postings []posting
}

func (in *input) publish(ctx context.Context) (*published, error) {
	p := &published{last: make(map[[32]byte]int32)}
	for i, person := range in.b.people {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, slot := range matchkey.Index(person, secretB) {
			if slot.Decoy {
				continue // agrees with nobody by intent
			}
			key := [32]byte(slot.Key)
			next, ok := p.last[key]
			if !ok {
				next = -1
			}
			p.last[key] = int32(len(p.postings))
			p.postings = append(p.postings, posting{int32(i), next, float32(slot.Expected), slot.Kind})
		}
	}
	return p, nil
}

// agreeing asks about everyone in A and returns every pair of which a key
// agrees.
func (in *input) agreeing(ctx context.Context) (map[pair]outcome, error) {
	index, err := in.publish(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[pair]outcome)
	for i, person := range in.a.people {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for b, slots := range index.ask(matchkey.NewQuery(person, secretA)) {
			if in.dedup && b == int32(i) {
				continue
			}
			key := in.pair(int32(i), b)
			o := out[key]
			for _, s := range slots {
				o.kinds |= 1 << s.Kind
			}
			o.continues = o.continues || matchkey.Continue(slots)
			out[key] = o
		}
	}
	return out, nil
}

// ask returns, for each record that any key of a query meets, its slots that
// agree.
func (p *published) ask(q matchkey.Query) map[int32][]matchkey.Slot {
	var found map[int32][]matchkey.Slot
	for _, key := range q.Keys {
		at, ok := p.last[[32]byte(key)]
		if !ok {
			continue
		}
		if found == nil {
			found = make(map[int32][]matchkey.Slot)
		}
		for ; at >= 0; at = p.postings[at].next {
			x := p.postings[at]
			found[x.person] = append(found[x.person],
				matchkey.Slot{Kind: x.kind, Key: key, Expected: float64(x.expected)})
		}
	}
	return found
}
