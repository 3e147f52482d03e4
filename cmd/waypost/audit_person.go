package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/audit"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/translog"
)

type personCommand struct {
	Gateway  string   `arg:"" name:"gateway-dir" help:"The state's gateway folder." type:"existingdir"`
	Record   string   `help:"The state's own id of the record." group:"Whose records" xor:"who"`
	Key      string   `help:"The key of one record, 64 hex digits, as --show-keys prints it: then the gateway need not run." group:"Whose records" xor:"who"`
	Family   string   `help:"Family name, as on the record." group:"Whose records" xor:"who"`
	Given    string   `help:"Given name, as on the record." group:"Whose records"`
	Dob      string   `help:"Date of birth, YYYY-MM-DD." group:"Whose records"`
	ShowKeys bool     `help:"Print the keys of the records, with which somebody who may open the ledger can do the same, and stop."`
	Identity []string `help:"age identity file that opens the ledger. Default: opener.key of the folder." type:"existingfile" sep:"none"`
	Proofs   string   `help:"Write a proof of each entry to this file, for waypost audit verify --proof." type:"path"`
	JSON     bool     `help:"Print the result as JSON."`
}

// Help shows examples.
func (personCommand) Help() string {
	return `All looks of other states at one person's records, from the state's own ledger.
Asks the running gateway, as one of its auditors, for what finds the entries about the records; the rest is read from the published log.
Examples:
  waypost audit person D/gateway-CA --record CA-000017 --proofs proofs.json
  waypost audit person D/gateway-CA --family ACHTERBERG --given DESMOND --dob 1984-03-17 --json
  waypost audit verify --dir D --proof proofs.json`
}

// Run finds the records, reads the ledger and prints.
func (c personCommand) Run(s *session) error {
	records, err := c.records(s)
	if err != nil {
		return err
	}
	if c.ShowKeys {
		for _, r := range records {
			fmt.Fprintf(s.out, "%s  %x\n", r.ID, r.Key)
		}
		return nil
	}
	o, err := audit.FromGateway(c.Gateway, c.Identity...)
	if err != nil {
		return err
	}
	var progress bar
	shown := false
	o.Progress = func(done, total int64) {
		if !shown {
			progress, shown = newBar(s, "reading the ledger", int(total)), true
		}
		progress.set(int(done))
	}
	accounting, proofs, err := audit.Person(s.ctx, o, records)
	progress.finish()
	if err == nil && c.Proofs != "" {
		err = writeProofs(c.Proofs, proofs)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, accounting)
	}
	return accounting.WriteText(s.out)
}

func (c personCommand) records(s *session) ([]audit.RecordKey, error) {
	if c.Key != "" {
		raw, err := hex.DecodeString(c.Key)
		if err != nil || len(raw) != 32 {
			return nil, errors.New("--key is 64 hex digits")
		}
		return []audit.RecordKey{{ID: "-", Key: [32]byte(raw)}}, nil
	}
	req := &waypostv1.FindRecordsRequest{Id: c.Record}
	if c.Record == "" {
		born, err := waypost.ParseDate(c.Dob)
		if c.Family == "" || err != nil {
			return nil, errors.New("say whose records: --record ID, or --family, --given and --dob")
		}
		req.Person = &waypostv1.Applicant{Family: c.Family, Given: c.Given, Born: born.String()}
	}
	auditor, err := dialAuditor(c.Gateway)
	if err != nil {
		return nil, err
	}
	res, err := auditor.FindRecords(s.ctx, req)
	if err != nil {
		return nil, notRunning(err, c.Gateway)
	}
	var records []audit.RecordKey
	for _, r := range res.Records {
		if len(r.Key) != 32 {
			return nil, errors.New("the gateway answered with a malformed key")
		}
		records = append(records, audit.RecordKey{ID: r.Id, Key: [32]byte(r.Key)})
	}
	return records, nil
}

// dialAuditor is install.DialAuditor, with what to do where there is none.
func dialAuditor(dir string) (waypostv1connect.CounterClient, error) {
	client, _, err := install.DialAuditor(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: a state's auditor has a certificate in auditors/ of the gateway's folder", err)
	}
	return client, nil
}

func notRunning(err error, dir string) error {
	if waypost.CodeOf(err) == waypost.Unavailable {
		return fmt.Errorf("%w: is the gateway of %s running?", err, dir)
	}
	return err
}

// writeProofs writes a file with entries in clear: for its owner only.
func writeProofs(path string, proofs []translog.Proof) error {
	all := []json.RawMessage{}
	for _, p := range proofs {
		one, err := p.Marshal()
		if err != nil {
			return err
		}
		all = append(all, one)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(all); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}
