package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/roster"
)

type evidenceCommand struct {
	File       string `arg:"" help:"Evidence as a ledger publishes it: evidence/<id>.json." type:"existingfile"`
	Governance string `help:"governance.json, whose signatures on a roster count." required:"" type:"existingfile"`
	JSON       bool   `help:"Print the result as JSON."`
}

// Help shows an example.
func (evidenceCommand) Help() string {
	return `Verifies offline, from the file and the governance keys alone, that a member broke what it had signed.
Exit code 0 only if the evidence holds.
Example: waypost audit evidence D/gateway-AZ/log/AZ/1/evidence/0123456789abcdef0123456789abcdef.json --governance governance.json`
}

// Run verifies one file.
func (c evidenceCommand) Run(s *session) error {
	var trusted roster.Governance
	raw, err := os.ReadFile(c.Governance)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &trusted); err != nil {
		return fmt.Errorf("%s: %w", c.Governance, err)
	}
	if info, err := os.Stat(c.File); err != nil {
		return err
	} else if info.Size() > follow.MaxEvidence {
		return fmt.Errorf("%s is larger than any evidence", c.File)
	}
	if raw, err = os.ReadFile(c.File); err != nil {
		return err
	}
	e, err := follow.Parse(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	member, err := e.Verify(trusted)
	if err != nil {
		return fmt.Errorf("%s shows nothing: %w", c.File, err)
	}
	if c.JSON {
		enc := json.NewEncoder(s.out)
		enc.SetIndent("", "  ")
		return enc.Encode(map[string]string{"claim": string(e.Claim), "member": member, "id": e.ID(), "words": e.Words()})
	}
	fmt.Fprintf(s.out, "The evidence holds against %s:\n%s.\n", member, e.Words())
	return nil
}
