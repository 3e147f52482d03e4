package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/waypost/waypost/internal/audit"
)

// auditCommand is what can be shown from the published ledgers.
type auditCommand struct {
	Reconcile reconcileCommand `cmd:"" help:"Reconcile the ledgers of all members with each other, and name who has to answer for what does not add up."`
	Verify    verifyCommand    `cmd:"" help:"Verify ledgers from nothing, or a proof about an entry offline."`
	Person    personCommand    `cmd:"" help:"All looks at one person's records, with proofs."`
	Sample    sampleCommand    `cmd:"" help:"Draw checks to be opened, and check what states show about them."`
	Open      openCommand      `cmd:"" help:"At a state: show its own auditor the checks that a sample drew."`
	Evidence  evidenceCommand  `cmd:"" help:"Verify offline that a member broke what it had signed."`
}

type reconcileCommand struct {
	Dir        string    `help:"An exchange's folder, running or stopped." xor:"where" required:"" type:"existingdir"`
	URL        []string  `help:"Read the ledgers over HTTPS: the signed rosters, oldest first, which say where they are." xor:"where" required:"" type:"existingfile" placeholder:"ROSTER" sep:"none"`
	Governance string    `help:"With --url: governance.json, whose signatures on the first roster count." type:"existingfile"`
	Identity   []string  `help:"With --url: age identity file of an auditor whom the roster names." type:"existingfile" sep:"none"`
	State      string    `help:"Remember in this file how far the ledgers were read; the next run reads only what is new, and notices what was changed." type:"path"`
	Work       string    `help:"Folder for the temporary file, of about 80 bytes an entry." type:"existingdir"`
	Now        time.Time `help:"Judge by this time instead of the clock, for example 2026-03-02T12:00:00Z." format:"2006-01-02T15:04:05Z07:00"`
	JSON       bool      `help:"Print the report as JSON."`
}

// Help shows examples.
func (reconcileCommand) Help() string {
	return `Exit code 0 only if nothing was found. Only published files are read, so a running exchange is not disturbed.
Examples:
  waypost audit reconcile --dir D
  waypost audit reconcile --dir D --state audit.state --json
  waypost audit reconcile --url roster/000001 --url roster/000002 --governance governance.json --identity auditor.key`
}

// Run reads, judges and prints.
func (c reconcileCommand) Run(s *session) error {
	o, err := c.options(s)
	if err != nil {
		return err
	}
	o.State, o.WorkDir = c.State, c.Work
	if !c.Now.IsZero() {
		o.Now = c.Now
	}
	var progress bar
	shown := false
	o.Progress = func(done, total int64) {
		if !shown {
			progress, shown = newBar(s, "reading the ledgers", int(total)), true
		}
		progress.set(int(done))
	}
	debug.SetGCPercent(audit.GCPercent)
	report, err := audit.Reconcile(s.ctx, o)
	progress.finish()
	if err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(s.out)
		e.SetIndent("", "  ")
		err = e.Encode(report)
	} else {
		err = report.WriteText(s.out)
	}
	if n := int64(len(report.Findings)) + report.Omitted; err == nil && n > 0 {
		return fmt.Errorf("the ledgers do not add up: %d findings", n)
	}
	return err
}

func (c reconcileCommand) options(s *session) (audit.Options, error) {
	if c.Dir != "" {
		return audit.FromDir(c.Dir)
	}
	if c.Governance == "" || len(c.Identity) == 0 {
		return audit.Options{}, errors.New("--url needs --governance governance.json and --identity auditor.key")
	}
	return audit.FromWeb(s.ctx, c.Governance, c.URL, c.Identity)
}
