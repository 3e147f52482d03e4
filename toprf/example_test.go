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
	outcomes := must(toprf.Ceremony{Kind: toprf.Keygen, ID: toprf.NewSeed(), Threshold: 3, Holders: 5}.Rehearse(nil))
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

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
