package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/audit"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/journal"
)

type sampleCommand struct {
	trust
	Rate     string   `help:"The share of checks to draw." default:"0.005"`
	Since    string   `help:"The sample before: only what was evaluated after it is drawn from." type:"existingfile"`
	Out      string   `help:"Where to write the sample, which goes to the states." type:"path" xor:"what"`
	Redraw   string   `help:"Instead: draw again by the checkpoints in this sample, and compare." type:"existingfile" xor:"what"`
	Check    []string `help:"Instead: check what states show about the tickets of --sample, as waypost audit open writes it." type:"existingfile" sep:"none" xor:"what" placeholder:"OPENINGS"`
	Sample   string   `help:"With --check: the sample." type:"existingfile"`
	Names    bool     `help:"With --check: say who the applicants were."`
	Identity []string `help:"age identity file: for a draw the auditor's, with --dir known; for --check the one that the openings are encrypted to." type:"existingfile" sep:"none"`
	JSON     bool     `help:"Print the result as JSON."`
}

// Help shows examples.
func (sampleCommand) Help() string {
	return `Draws some of the checks by checkpoints that nobody could foresee; the states then show that each was for one applicant of a case.
Exit code of --check and --redraw: 0 only if everything holds.
Examples:
  waypost audit sample --dir D --out sample.json
  waypost audit sample --dir D --since sample.json --out next.json
  waypost audit sample --dir D --redraw sample.json
  waypost audit open D/gateway-AZ --sample sample.json --recipient age1pq1... --out az.openings
  waypost audit sample --dir D --sample sample.json --check az.openings --identity my.key`
}

// Run draws, draws again, or checks.
func (c sampleCommand) Run(s *session) error {
	if len(c.Check) > 0 {
		return c.check(s)
	}
	o, err := c.options(s)
	if err != nil {
		return err
	}
	var progress bar
	shown := false
	o.Progress = func(done, total int64) {
		if !shown {
			progress, shown = newBar(s, "reading the key holders' ledgers", int(total)), true
		}
		progress.set(int(done))
	}
	defer func() { progress.finish() }()
	if c.Redraw != "" {
		sample, err := readSample(c.Redraw)
		if err != nil {
			return err
		}
		if err := sample.Redraw(s.ctx, o); err != nil {
			return fmt.Errorf("%s: %w", c.Redraw, err)
		}
		return c.print(s, sample)
	}
	if c.Out == "" {
		return errors.New("say where the sample goes: --out sample.json")
	}
	var before *audit.Sample
	if c.Since != "" {
		if before, err = readSample(c.Since); err != nil {
			return err
		}
	}
	sample, err := audit.Draw(s.ctx, o, c.Rate, before)
	if err != nil {
		return err
	}
	raw, err := json.MarshalIndent(sample, "", "  ")
	if err == nil {
		err = os.WriteFile(c.Out, append(raw, '\n'), 0o600)
	}
	if err != nil {
		return err
	}
	return c.print(s, sample)
}

func (c sampleCommand) options(s *session) (audit.Options, error) {
	if c.Dir != "" {
		return audit.FromDir(c.Dir)
	}
	if c.Governance == "" || len(c.Identity) == 0 {
		return audit.Options{}, errors.New("--roster needs --governance governance.json and --identity auditor.key")
	}
	return audit.FromWeb(s.ctx, c.Governance, c.Roster, c.Identity)
}

func (c sampleCommand) print(s *session, sample *audit.Sample) error {
	if c.JSON {
		return printJSON(s.out, sample)
	}
	drawn := 0
	for _, tickets := range sample.Drawn {
		drawn += len(tickets)
	}
	fmt.Fprintf(s.out, "%d evaluations of checks read, %d checks drawn at a rate of %s, by %d checkpoints.\n", sample.Evaluations, drawn, sample.Rate, len(sample.Beacon))
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, state := range slices.Sorted(maps.Keys(sample.Drawn)) {
		fmt.Fprintf(t, "%s\t%d\n", state, len(sample.Drawn[state]))
	}
	return t.Flush()
}

// check judges what states show.
func (c sampleCommand) check(s *session) error {
	if c.Sample == "" || len(c.Identity) == 0 {
		return errors.New("--check needs --sample and --identity")
	}
	rosters, err := c.rosters()
	if err != nil {
		return err
	}
	sample, err := readSample(c.Sample)
	if err != nil {
		return err
	}
	all := []audit.Verdict{}
	for _, file := range c.Check {
		raw, err := decrypted(file, c.Identity, audit.MaxOpenings)
		if err != nil {
			return err
		}
		openings, err := audit.ParseOpenings(raw)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		verdicts, err := openings.Check(rosters, sample, c.Names)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, verdicts...)
	}
	audit.SortVerdicts(all)
	bad := 0
	for _, v := range all {
		if v.Result != audit.ForThePerson {
			bad++
		}
	}
	if c.JSON {
		err = printJSON(s.out, all)
	} else {
		t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		fmt.Fprintf(t, "STATE\tTICKET\tRESULT\tPURPOSE\tCASE\tOPERATOR\tAPPLICANT\n")
		for _, v := range all {
			fmt.Fprintf(t, "%s\t%.16s\t%s\t%s\t%s\t%s\t%s\n", v.State, v.Ticket, v.Words, v.Purpose, v.Case, v.Operator, v.Applicant)
		}
		err = t.Flush()
	}
	if err == nil && bad > 0 {
		return fmt.Errorf("%d of the %d checks drawn do not hold", bad, len(all))
	}
	return err
}

type openCommand struct {
	Gateway   string   `arg:"" name:"gateway-dir" help:"Folder of the state's running gateway." type:"existingdir"`
	Sample    string   `help:"The sample, as waypost audit sample writes it." required:"" type:"existingfile"`
	Recipient []string `help:"age recipient of the state's own auditor, to whom the file is encrypted." required:"" sep:"none"`
	Out       string   `help:"Where to write the encrypted openings." required:"" type:"path"`
	JSON      bool     `help:"Print the result as JSON."`
}

// Help shows an example.
func (openCommand) Help() string {
	return `Shows the state's own auditor, and nobody else, for whom and why each check was that a sample drew of this state.
Each opening is an entry of the gateway's ledger.
Example:
  waypost audit open D/gateway-AZ --sample sample.json --recipient age1pq1... --out az.openings`
}

// Run has the gateway open its drawn tickets.
func (c openCommand) Run(s *session) error {
	state, err := install.NameOf(c.Gateway)
	if err != nil {
		return err
	}
	recipients, err := journal.ParseRecipients(c.Recipient...)
	if err != nil {
		return err
	}
	sample, err := readSample(c.Sample)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(c.Gateway, "roster", "[0-9]*"))
	if err != nil {
		return err
	}
	rosters, err := audit.ReadTrusted(filepath.Join(c.Gateway, "governance.json"), files)
	if err != nil {
		return err
	}
	if err := sample.Verify(rosters); err != nil {
		return fmt.Errorf("%s: %w: nothing is opened", c.Sample, err)
	}
	auditor, err := dialAuditor(c.Gateway)
	if err != nil {
		return err
	}
	openings, unknown := audit.NewOpenings(state, sample), 0
	progress := newBar(s, "opening", len(sample.Drawn[state]))
	defer progress.finish()
	for i, ticket := range sample.Drawn[state] {
		one, err := auditor.OpenTicket(s.ctx, &waypostv1.OpenTicketRequest{Ticket: ticket})
		switch {
		case waypost.CodeOf(err) == waypost.NotFound:
			unknown++
		case err != nil:
			return notRunning(err, c.Gateway)
		default:
			if err := openings.Add(one); err != nil {
				return err
			}
		}
		progress.set(i + 1)
	}
	content, err := json.Marshal(openings)
	if err != nil {
		return err
	}
	sealed, err := encrypted(content, recipients)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.Out, sealed, 0o600); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, map[string]any{"state": state, "opened": len(openings.Openings), "unknown": unknown, "file": c.Out})
	}
	fmt.Fprintf(s.out, "%d of the %d checks drawn of %s are opened, to be read by the recipient only: %s\n", len(openings.Openings), len(sample.Drawn[state]), state, c.Out)
	if unknown > 0 {
		return fmt.Errorf("the gateway knows nothing of %d checks that bear its signature", unknown)
	}
	return nil
}

func readSample(path string) (*audit.Sample, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	sample, err := audit.ParseSample(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return sample, nil
}
