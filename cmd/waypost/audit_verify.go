package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/waypost/waypost/internal/audit"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// trust is where the signed rosters are, and whose signatures on them count.
type trust struct {
	Dir        string   `help:"An exchange's folder, running or stopped." xor:"where" required:"" type:"existingdir"`
	Roster     []string `help:"The signed rosters, oldest first: they say whose ledgers there are and where." xor:"where" required:"" type:"existingfile" sep:"none"`
	Governance string   `help:"With --roster: governance.json, whose signatures on the first roster count." type:"existingfile"`
}

// rosters reads and verifies them.
func (t trust) rosters() ([]*roster.Roster, error) {
	governance, files := t.Governance, t.Roster
	if t.Dir != "" {
		hub := install.FolderOf(t.Dir, "hub")
		governance = filepath.Join(hub, "governance.json")
		var err error
		if files, err = filepath.Glob(filepath.Join(hub, "roster", "[0-9]*")); err != nil {
			return nil, err
		}
	} else if governance == "" {
		return nil, errors.New("--roster needs --governance governance.json")
	}
	return audit.ReadTrusted(governance, files)
}

type verifyCommand struct {
	trust
	Log      []string      `help:"Verify only this copy of a log: a folder, or a URL. Default: all logs of the exchange, where the rosters say." sep:"none" xor:"what" placeholder:"PLACE"`
	Proof    string        `help:"Verify offline the proofs in this file, as waypost audit person writes them." type:"existingfile" xor:"what"`
	Identity []string      `help:"age identity file: also open every sealed entry that is for it, and hold it against its leaf. With --dir: the auditor's, unless given." type:"existingfile" sep:"none"`
	MaxAge   time.Duration `help:"How long ago a log in use may have been cosigned; 0 allows any time." default:"10m"`
	Now      time.Time     `help:"Judge by this time instead of the clock, for example 2026-03-02T12:00:00Z." format:"2006-01-02T15:04:05Z07:00"`
	JSON     bool          `help:"Print the result as JSON."`
}

// Help shows examples.
func (verifyCommand) Help() string {
	return `Verifies logs from nothing: every tile, bundle and signature, the witnesses, and how fresh they are.
Exit code 0 only if everything holds.
Examples:
  waypost audit verify --dir D
  waypost audit verify --roster roster/000001 --governance governance.json
  waypost audit verify --roster roster/000001 --governance governance.json --log https://mirror.example/log/CA/1/
  waypost audit verify --roster roster/000001 --governance governance.json --proof proofs.json`
}

// Run reads, judges and prints.
func (c verifyCommand) Run(s *session) error {
	rosters, err := c.rosters()
	if err != nil {
		return err
	}
	if c.Proof != "" {
		return c.proofs(s, rosters)
	}
	o, err := c.options(s, rosters)
	if err != nil {
		return err
	}
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
	logs, err := audit.Verify(s.ctx, o, c.MaxAge)
	progress.finish()
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(s.out, logs)
	} else {
		err = audit.WriteVerified(s.out, logs)
	}
	bad := 0
	for _, l := range logs {
		if l.Problem != "" {
			bad++
		}
	}
	if err == nil && bad > 0 {
		return fmt.Errorf("%d of %d ledgers do not hold", bad, len(logs))
	}
	return err
}

func (c verifyCommand) options(s *session, rosters []*roster.Roster) (o audit.Options, err error) {
	switch {
	case len(c.Log) > 0:
		o, err = audit.FromPlaces(s.ctx, rosters, c.Log)
	case c.Dir != "":
		if o, err = audit.FromDir(c.Dir); len(c.Identity) == 0 {
			return o, err
		}
	default:
		o, err = audit.FromWeb(s.ctx, c.Governance, c.Roster, c.Identity)
	}
	if err == nil {
		o.Identities, err = audit.ReadIdentities(c.Identity...)
	}
	return o, err
}

// proven is one proof that holds.
type proven struct {
	Member     string          `json:"member"`
	Origin     string          `json:"origin"`
	Index      int64           `json:"index"`
	Checkpoint int64           `json:"checkpoint"` // entries of the tree that shows it
	Cosigned   time.Time       `json:"cosigned"`
	Entry      json.RawMessage `json:"entry"`
}

// proofs verifies a file with one proof or a list of them.
func (c verifyCommand) proofs(s *session, rosters []*roster.Roster) error {
	raw, err := os.ReadFile(c.Proof)
	if err != nil {
		return err
	}
	list := []json.RawMessage{raw}
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		if err := json.Unmarshal(raw, &list); err != nil {
			return fmt.Errorf("%s: %w", c.Proof, err)
		}
	}
	if len(list) == 0 {
		return fmt.Errorf("%s has no proof in it", c.Proof)
	}
	results := make([]proven, len(list))
	for i, one := range list {
		p, err := translog.ParseProof(one)
		if err != nil {
			return fmt.Errorf("%s: proof %d: %w", c.Proof, i+1, err)
		}
		member, e, cp, err := audit.VerifyProof(rosters, p)
		if err != nil {
			return fmt.Errorf("%s: proof %d shows nothing: %w", c.Proof, i+1, err)
		}
		entry, err := translog.FormatEntry(e)
		if err != nil {
			return err
		}
		results[i] = proven{member, p.Origin, p.Index, cp.N, cp.Cosigned, entry}
		if !c.JSON {
			fmt.Fprintf(s.out, "%s committed at %s, as number %d of its ledger: %s under ticket %s. Witnessed by %s.\n", member, e.At.Format(time.RFC3339),
				p.Index, e.Kind, hex.EncodeToString(e.Ticket[:8]), cp.Cosigned.UTC().Format(time.RFC3339))
		}
	}
	if c.JSON {
		return printJSON(s.out, results)
	}
	fmt.Fprintf(s.out, "%d proofs hold.\n", len(results))
	return nil
}
