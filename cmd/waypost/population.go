package main

import (
	"fmt"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/population"
)

type populationCommand struct {
	People int    `help:"People in each state." default:"5000"`
	Seed   uint64 `help:"The same seed makes the same people." default:"1"`
	States string `help:"States, separated by commas." default:"CA,AZ,NV,NY"`
	Out    string `help:"Folder to write to: CA.csv, AZ.csv, ... and truth.csv." required:"" type:"path"`
}

// Help shows an example.
func (populationCommand) Help() string {
	return "Example: waypost population --people 5000 --seed 1 --out people\nThe people are made up. truth.csv says which records of two states are one person, and why they may look different."
}

// Run writes the files.
func (c populationCommand) Run(s *session) error {
	states, err := parseStates(c.States)
	if err != nil {
		return err
	}
	bar := newBar(s, "writing people", c.People*len(states))
	config := population.Config{States: states, PerState: c.People, Seed: c.Seed}
	if err := population.Write(s.ctx, config, c.Out, func(done, _ int) { bar.set(done) }); err != nil {
		return err
	}
	bar.finish()
	fmt.Fprintf(s.out, "%d people in each of %s, and truth.csv, are in %s\n", c.People, c.States, c.Out)
	return nil
}

func parseStates(list string) ([]waypost.Jurisdiction, error) {
	var states []waypost.Jurisdiction
	for text := range strings.SplitSeq(list, ",") {
		j, err := waypost.ParseJurisdiction(text)
		if err != nil {
			return nil, fmt.Errorf("--states: %w", err)
		}
		states = append(states, j)
	}
	return states, nil
}
