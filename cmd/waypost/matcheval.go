package main

import (
	"encoding/json"

	"github.com/waypost/waypost/internal/matcheval"
)

type matchevalCommand struct {
	A     string `arg:"" help:"CSV of the people who are asked about." type:"existingfile"`
	B     string `arg:"" help:"CSV of the people whose keys are published; the same file twice looks for duplicates." type:"existingfile"`
	Truth string `help:"CSV with columns a,b: the ids of records that are one person." required:"" type:"existingfile"`
	NoSSN bool   `name:"no-ssn" help:"As if nobody had an SSN."`
	JSON  bool   `help:"Print the figures as JSON."`
}

// Help shows an example.
func (matchevalCommand) Help() string {
	return `Columns: id,family,given,middle,suffix,dob,sex,ssn5 in any order (dob YYYY-MM-DD or YYYYMMDD); columns and values may be missing.
Example: waypost matcheval a.csv b.csv --truth truth.csv --json`
}

// Run measures and prints.
func (c matchevalCommand) Run(s *session) error {
	report, err := matcheval.Run(s.ctx, matcheval.Options{A: c.A, B: c.B, Truth: c.Truth, NoSSN: c.NoSSN})
	if err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(s.out)
		e.SetIndent("", "  ")
		return e.Encode(report)
	}
	return report.WriteText(s.out)
}
