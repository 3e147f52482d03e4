package toprf_test

import (
	"bytes"
	"crypto/rand"
	"fmt"

	"github.com/waypost/waypost/toprf"
)

// Five holders generate a key that nobody holds; a gateway asks three of them
// about two inputs, and later three others: the outputs are the same.
func Example() {
	outcomes := generate(toprf.Ceremony{ID: [32]byte{1}, Threshold: 3, Holders: 5})
	inputs := [][]byte{[]byte("a match key"), []byte("another")}
	first := check(outcomes, []int{1, 2, 3}, inputs)
	second := check(outcomes, []int{5, 4, 2}, inputs)
	fmt.Println(bytes.Equal(first[0], second[0]), bytes.Equal(first[1], second[1]), len(first[0]))
	fmt.Println(outcomes[0].Share)
	// Output:
	// true true 64
	// [redacted]
}

// check is the gateway's side of an exchange, with the holders called directly.
func check(outcomes []*toprf.Outcome, holders []int, inputs [][]byte) [][]byte {
	keys := outcomes[0].Keys // from the roster
	var seed [32]byte        // secret, fresh for each ticket
	_, _ = rand.Read(seed[:])
	blinding := must(toprf.BlindAll(inputs, seed))

	var answers []toprf.Verified
	for _, index := range holders {
		hedge := make([]byte, toprf.HedgeSize) // the holder's, stored with the ticket
		_, _ = rand.Read(hedge)
		evaluation := must(outcomes[index-1].Share.Evaluate(blinding.Elements(), hedge))
		answers = append(answers, must(keys.Verify(index, blinding.Elements(), evaluation)))
	}
	return must(blinding.Finalize(must(keys.Combine(answers))))
}

// generate runs a ceremony in which every message arrives.
func generate(c toprf.Ceremony) (outcomes []*toprf.Outcome) {
	parts := make([]*toprf.Participant, c.Holders)
	commits, reveals := make([][]byte, c.Holders), make([][]byte, c.Holders)
	deals := make([][][]byte, c.Holders) // deals[to][from], each sealed to one holder
	for i := range parts {
		var err error
		if parts[i], commits[i], err = toprf.NewParticipant(c, i+1); err != nil {
			panic(err)
		}
	}
	for i, p := range parts {
		reveals[i] = must(p.Reveal(commits))
	}
	for _, p := range parts {
		for to, deal := range must(p.Deal(reveals)) {
			deals[to] = append(deals[to], deal)
		}
	}
	for i, p := range parts {
		outcomes = append(outcomes, must(p.Finish(deals[i])))
	}
	return outcomes
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
