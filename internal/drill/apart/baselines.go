package apart

import (
	"context"
	"fmt"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/population"
	"github.com/waypost/waypost/matchkey"
)

// trial is a stage on which two kinds of people are told apart, beside the same attempt
// on the two baselines.
type trial struct {
	*drill.Stage
	plain, unkeyed verdict
}

// baselines tries both on people of whom half have no SSN, and says how it came out.
func baselines(ctx context.Context, s *drill.Stage) (*trial, error) {
	people, err := population.Generate(population.Config{States: drill.States[:2], PerState: s.Size.Pick(600, 6000, 60_000), Seed: s.Seed + 8, NoSSN: 0.5})
	if err != nil {
		return nil, err
	}
	holdings := make(map[waypost.Jurisdiction][]waypost.Record)
	for _, state := range drill.States[:2] {
		if err := people.Each(state, func(r waypost.Record) error {
			holdings[state] = append(holdings[state], r)
			return ctx.Err()
		}); err != nil {
			return nil, err
		}
	}
	p := &trial{Stage: s}
	plain, unkeyed := drill.NewBaselines(holdings)
	p.plain, p.unkeyed = tell(read(plain), p.chance(33)), tell(guessed(unkeyed, holdings), p.chance(34))
	found(s, "a copy of the plain index", "today's index: how often the last five digits stand there", p.plain, certain)
	found(s, "a copy of the unkeyed hashes", "unkeyed hashes: whether somebody whose name and date are known is there with 99999, one guess a person", p.unkeyed, certain)
	return p, nil
}

// read are the features of the plain index: how many rows have the same digits. It need
// not be told what 99999 means.
func read(plain *drill.Plain) (all []sample) {
	same := make(map[string]float64)
	for _, row := range plain.Rows {
		same[row.SSN5]++
	}
	for _, row := range plain.Rows {
		all = append(all, sample{ssn: row.SSN5 != drill.NoSSN, x: []float64{same[row.SSN5]}})
	}
	return all
}

// guessed are those of the unkeyed one, made by hashing each person as without an SSN.
func guessed(unkeyed *drill.Unkeyed, holdings map[waypost.Jurisdiction][]waypost.Record) (all []sample) {
	for _, state := range drill.States {
		for _, r := range holdings[state] {
			n, hit := matchkey.Normalize(r.Person), 0.0
			if _, ok := unkeyed.Find(strings.Join(n.Family, " "), strings.Join(n.Given, " "), r.Born.String(), drill.NoSSN); ok {
				hit = 1
			}
			all = append(all, sample{ssn: r.SSN5 != "", x: []float64{hit}})
		}
	}
	return all
}

// beside says what the same adversary has of the baselines.
func (p *trial) beside() string {
	return fmt.Sprintf("plain index: AUC %.3f, it says 99999; unkeyed hashes: AUC %.3f, one guess a person", p.plain.Value, p.unkeyed.Value)
}
