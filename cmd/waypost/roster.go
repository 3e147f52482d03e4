package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
)

// rosterCommand is the work of governance: m of n officers sign, each on a
// machine of their own.
type rosterCommand struct {
	Keygen  rosterKeygenCommand  `cmd:"" help:"Make an officer's key."`
	Init    rosterInitCommand    `cmd:"" help:"Draft the next version of a roster, or a first one."`
	Sign    rosterSignCommand    `cmd:"" help:"Show what a draft changes, and sign it."`
	Verify  rosterVerifyCommand  `cmd:"" help:"Verify a chain of rosters: signatures, order, times, the 72 hour rule."`
	Show    rosterShowCommand    `cmd:"" help:"Show who takes part, and since or from when."`
	Diff    rosterDiffCommand    `cmd:"" help:"Say in words what changes from one version to another, and when."`
	Publish rosterPublishCommand `cmd:"" help:"Bring a signed roster to the public doors of the members."`
}

type rosterKeygenCommand struct {
	Name string `arg:"" help:"Name of the key, like gov.example/alice: no space, no plus."`
	Out  string `help:"The key file." default:"officer.key" type:"path"`
}

// Help shows an example.
func (rosterKeygenCommand) Help() string {
	return "Example: waypost roster keygen gov.example/alice --out alice.key\nPrints the verifier key, which goes into the governance of a roster. The file signs rosters: it stays with the officer, off line."
}

// Run makes a key file that nobody else may read, and never overwrites one.
func (c rosterKeygenCommand) Run(s *session) error {
	secret, public, err := note.GenerateKey(rand.Reader, c.Name)
	if err == nil {
		_, err = note.NewVerifier(public) // checks the name
	}
	if err != nil {
		return fmt.Errorf("%q is no name of a key: %w", c.Name, err)
	}
	f, err := os.OpenFile(c.Out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(secret + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	fmt.Fprintln(s.out, public)
	return nil
}

type rosterSignCommand struct {
	File     string `arg:"" help:"A draft, or a roster that others have signed." type:"existingfile"`
	Key      string `help:"Your key file." required:"" type:"existingfile"`
	Previous string `help:"The version before: a file, or a folder of a role or of rosters. Needed for all but version 1." type:"path"`
	Out      string `help:"Where to write it. Default: over FILE." type:"path"`
	Yes      bool   `help:"Sign what is shown. Without it nothing is signed."`
}

// Help shows an example.
func (rosterSignCommand) Help() string {
	return `Example:
  waypost roster sign draft.txt --key alice.key --previous hub/          (shows what changes)
  waypost roster sign draft.txt --key alice.key --previous hub/ --yes    (signs it)
  then the same file goes to the next officer.`
}

// Run adds one signature.
func (c rosterSignCommand) Run(s *session) error {
	content, next, err := readRoster(c.File)
	if err != nil {
		return err
	}
	previous, err := c.previous(next)
	if err != nil {
		return err
	}
	signer, err := readOfficer(c.Key)
	if err != nil {
		return err
	}
	printChanges(s.out, previous, next)
	if !c.Yes {
		fmt.Fprintln(s.out, "Nothing is signed. If this is what you mean, say it again with --yes.")
		return nil
	}
	signed, err := addSignature(content, next, signer)
	if err != nil {
		return err
	}
	if c.Out == "" {
		c.Out = c.File
	}
	if err := replaceFile(c.Out, signed); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "Signed by %s: %s\n", signer.Name(), c.Out)
	return printSigners(s.out, previous, next, signed)
}

// previous returns the version before, if there is one, and insists that next
// can follow it.
func (c rosterSignCommand) previous(next *roster.Roster) (*roster.Roster, error) {
	if next.Version == 1 {
		return nil, nil
	}
	if c.Previous == "" {
		return nil, errors.New("--previous is needed: what changes must be seen before it is signed")
	}
	_, previous, err := readRoster(c.Previous)
	if err != nil {
		return nil, err
	}
	return previous, previous.Precedes(next)
}

// addSignature signs the canonical text of a draft, or adds to the signatures
// that a roster has.
func addSignature(content []byte, r *roster.Roster, signer note.Signer) ([]byte, error) {
	if isSigned(content) {
		return roster.AddSignature(content, signer)
	}
	return r.Sign(signer)
}

func isSigned(content []byte) bool { return bytes.Contains(content, []byte("\n\n— ")) }

// printSigners says how many signatures there are and how many it takes.
func printSigners(out io.Writer, previous, next *roster.Roster, signed []byte) error {
	governances := []struct {
		of string
		g  roster.Governance
	}{{"its own governance", next.Governance}}
	if previous != nil {
		governances = append(governances, struct {
			of string
			g  roster.Governance
		}{fmt.Sprintf("the governance of version %d", previous.Version), previous.Governance})
	}
	for _, x := range governances {
		names, err := x.g.Signers(signed)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %d of %d signatures needed (%s)\n", x.of, len(names), x.g.Threshold, strings.Join(names, ", "))
	}
	return nil
}

type rosterVerifyCommand struct {
	Files      []string `arg:"" help:"Signed rosters, or a folder of a role or of rosters." type:"path"`
	Governance string   `help:"Who is trusted: a governance.json. Default: that in the folder." type:"path"`
	Previous   string   `help:"Who is trusted: the governance of this verified version." type:"path"`
	JSON       bool     `help:"Print the result as JSON."`
}

// Help shows an example.
func (rosterVerifyCommand) Help() string {
	return "Example: waypost roster verify hub/roster/ --governance hub/governance.json\nExit status: 0 every version follows from the one before and the last is valid now; 1 otherwise."
}

// Run verifies the chain and says what it amounts to.
func (c rosterVerifyCommand) Run(s *session) error {
	var signed [][]byte
	for _, file := range c.Files {
		contents, err := rosterFiles(file)
		if err != nil {
			return err
		}
		signed = append(signed, contents...)
	}
	trusted, err := c.trusted()
	if err != nil {
		return err
	}
	chain, err := roster.Chain(trusted, signed...)
	if err != nil {
		return err
	}
	view, err := roster.NewView(trusted, time.Now, signed...)
	if err != nil {
		return err
	}
	status, urgent := view.Status()
	first, last := chain[0], chain[len(chain)-1]
	hash, err := last.Hash()
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, map[string]any{"first": first.Version, "last": last.Version, "hash": hash, "not_before": last.NotBefore,
			"not_after": last.NotAfter, "status": status, "sign_now": urgent})
	}
	fmt.Fprintf(s.out, "versions %d to %d follow from one another and are signed\n%s\n", first.Version, last.Version, status)
	return nil
}

func (c rosterVerifyCommand) trusted() (g roster.Governance, err error) {
	if c.Previous != "" {
		_, previous, err := readRoster(c.Previous)
		if err != nil {
			return g, err
		}
		return previous.Governance, nil
	}
	if c.Governance == "" {
		c.Governance = governanceBeside(c.Files[0])
	}
	if c.Governance == "" {
		return g, errors.New("--governance or --previous is needed: a roster says itself who signs it, which proves nothing")
	}
	return readGovernance(c.Governance)
}

type rosterDiffCommand struct {
	Old  string `arg:"" help:"A roster, signed or not, or a folder." type:"path"`
	New  string `arg:"" help:"A later one." type:"path"`
	JSON bool   `help:"Print the changes as JSON."`
}

// Help shows an example.
func (rosterDiffCommand) Help() string { return "Example: waypost roster diff hub/ draft.txt" }

// Run prints one line for each change. Signatures are not looked at.
func (c rosterDiffCommand) Run(s *session) error {
	_, old, err := readRoster(c.Old)
	if err != nil {
		return err
	}
	_, next, err := readRoster(c.New)
	if err != nil {
		return err
	}
	var refused error
	if next.Version == old.Version+1 {
		refused = old.Precedes(next)
	}
	if c.JSON {
		list := roster.Changes(old, next)
		if list == nil {
			list = []roster.Change{}
		}
		result := map[string]any{"old": old.Version, "new": next.Version, "changes": list}
		if refused != nil {
			result["refused"] = refused.Error()
		}
		return printJSON(s.out, result)
	}
	printChanges(s.out, old, next)
	if refused != nil {
		fmt.Fprintln(s.out, "It cannot follow:", refused)
	}
	return nil
}

func printChanges(out io.Writer, old, next *roster.Roster) {
	fmt.Fprintf(out, "roster version %d (%s), valid from %s until %s\n", next.Version, next.Environment, clock(next.NotBefore), clock(next.NotAfter))
	changes := roster.Changes(old, next)
	for _, c := range changes {
		fmt.Fprintln(out, " ", c)
	}
	if len(changes) == 0 {
		fmt.Fprintln(out, "  changes nothing but its time")
	}
}

type rosterPublishCommand struct {
	File string   `arg:"" help:"A signed roster." type:"existingfile"`
	To   []string `help:"Public doors, https://host:port. Default: all that the roster names."`
}

// Help shows an example.
func (rosterPublishCommand) Help() string {
	return "Example: waypost roster publish draft.txt --to https://hub.example:7444\nOne door is enough: the others fetch it there within seconds."
}

// Run brings the roster to each door; one that takes it is enough.
func (c rosterPublishCommand) Run(s *session) error {
	content, r, err := readRoster(c.File)
	if err != nil {
		return err
	}
	if len(c.To) == 0 {
		for _, m := range r.Members {
			if m.Public != "" && !m.Removed {
				c.To = append(c.To, m.Public)
			}
		}
	}
	var failed []error
	for _, door := range c.To {
		if err := r.Publish(s.ctx, strings.TrimSuffix(door, "/"), content); err != nil {
			fmt.Fprintln(s.err, "waypost:", explain(err))
			failed = append(failed, err)
			continue
		}
		fmt.Fprintf(s.out, "%s has roster version %d\n", door, r.Version)
	}
	if len(failed) == len(c.To) {
		return waypost.Errorf(waypost.Unavailable, "roster version %d is published nowhere: name a door with --to", r.Version)
	}
	return nil
}

type rosterShowCommand struct {
	File string `arg:"" help:"A roster, signed or not, or a folder of a role or of rosters." type:"path"`
	JSON bool   `help:"Print it as JSON."`
}

// Help shows an example.
func (rosterShowCommand) Help() string {
	return "Example: waypost roster show hub/\nSignatures are not looked at: waypost roster verify does."
}

// Run prints a table of the members.
func (c rosterShowCommand) Run(s *session) error {
	_, r, err := readRoster(c.File)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, r)
	}
	fmt.Fprintf(s.out, "roster version %d (%s), valid from %s until %s\n", r.Version, r.Environment, clock(r.NotBefore), clock(r.NotAfter))
	fmt.Fprintf(s.out, "tokens: any %d of %d key holders, epoch %d; ledgers: cosigned by %s\n", r.Threshold, len(r.Holders()), r.Epoch, r.WitnessPolicy)
	fmt.Fprintf(s.out, "governance: any %d of %d keys\n\n", r.Governance.Threshold, len(r.Governance.Keys))
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MEMBER\tROLE\tIN FORCE\tCHECKS A DAY\tOPERATOR")
	for _, m := range r.Members {
		checks := ""
		if m.Role == roster.Gateway {
			checks = fmt.Sprint(m.Quota.TicketsPerDay)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", m.Name, m.Role, standing(m, time.Now()), checks, m.Operator)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, g := range r.Grants {
		fmt.Fprintf(s.out, "grant: %s %d more in class %s, %s until %s\n", g.Member, g.Extra, g.Class, clock(g.From), clock(g.Until))
	}
	return nil
}

// standing says whether a member is in force.
func standing(m roster.Member, now time.Time) string {
	switch {
	case m.Removed:
		return "removed"
	case m.From.IsZero():
		return "since the beginning"
	case now.Before(m.From):
		return "from " + clock(m.From)
	}
	return "since " + clock(m.From)
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func printJSON(out io.Writer, value any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(value)
}
