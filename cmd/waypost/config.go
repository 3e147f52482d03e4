package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/install"
)

type configCommand struct {
	Check configCheckCommand `cmd:"" help:"Whether a role could start from its folder: config.json, keys, roster, databases."`
}

type configCheckCommand struct {
	Dir  string `help:"The role's folder, which holds its config.json." required:"" type:"existingdir"`
	JSON bool   `name:"json" help:"Print the result as JSON."`
}

// Help shows an example.
func (configCheckCommand) Help() string {
	return `Examples:
  waypost config check --dir D/hub
  waypost config check --dir D/gateway-CA --json
It reads the folder and asks the databases, and changes nothing. It ends with 1 if something is wrong.`
}

// Run checks and says what is wrong.
func (c configCheckCommand) Run(s *session) error {
	findings, ok := install.Check(s.ctx, c.Dir, time.Now)
	if c.JSON {
		encoder := json.NewEncoder(s.out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(struct {
			OK       bool              `json:"ok"`
			Findings []install.Finding `json:"findings"`
		}{ok, findings}); err != nil {
			return err
		}
	} else {
		for _, f := range findings {
			word := map[bool]string{true: "ok   ", false: "WRONG"}[f.OK]
			fmt.Fprintf(s.out, "%s  %-12s %s\n", word, f.What, strings.Join(f.Words, "; "))
		}
	}
	if !ok {
		return errors.New("the role could not start: see above")
	}
	return nil
}
