package main

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/audit"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/population"
)

// canaryCommand is how states hold synthetic people of each other, so that a hub
// that hides a pointer is found out.
type canaryCommand struct {
	Plant plantCommand     `cmd:"" help:"Publish a synthetic person of this state, for another state to look for."`
	Add   addCanaryCommand `cmd:"" help:"Have this state look for a synthetic person of another state."`
}

type plantCommand struct {
	Gateway   string   `arg:"" name:"gateway-dir" help:"Folder of the running gateway that is to own the synthetic person." type:"existingdir"`
	For       string   `help:"The state that is to look for it." required:""`
	Recipient []string `help:"age recipient of that state, to whom the file is encrypted." required:"" sep:"none"`
	Out       string   `help:"Where to write the encrypted file, which goes to that state by another way than the exchange." required:"" type:"path"`
	ID        string   `help:"The id of the record, made like those of real ones. Default: the state and nine digits."`
	JSON      bool     `help:"Print the result as JSON."`
}

// Help shows an example.
func (plantCommand) Help() string {
	return `Nobody but the two states may know who is synthetic, least of all the hub.
Example:
  waypost canary plant D/gateway-CA --for AZ --recipient age1pq1... --out ca-for-az.canary`
}

// Run draws a person, publishes it and writes the file.
func (c plantCommand) Run(s *session) error {
	name, err := install.NameOf(c.Gateway)
	if err != nil {
		return err
	}
	owner, err := waypost.ParseJurisdiction(name)
	if err != nil {
		return fmt.Errorf("%s is the folder of %s, not of a state's gateway", c.Gateway, name)
	}
	state, err := waypost.ParseJurisdiction(c.For)
	if err != nil {
		return err
	}
	recipients, err := journal.ParseRecipients(c.Recipient...)
	if err != nil {
		return err
	}
	record, err := synthetic(owner, state)
	if err != nil {
		return err
	}
	if c.ID != "" {
		record.ID = c.ID
	}
	ask := gateway.CheckToProto(gateway.Applicant{Person: record.Person}, "", "")
	file, err := protojson.Marshal(&waypostv1.AddCanaryRequest{Owner: string(owner), Applicant: ask.Applicant, Ssn5: ask.Ssn5})
	if err != nil {
		return err
	}
	sealed, err := encrypted(file, recipients)
	if err != nil {
		return err
	}
	auditor, err := dialAuditor(c.Gateway)
	if err != nil {
		return err
	}
	if _, err := auditor.PlantCanary(s.ctx, &waypostv1.PlantCanaryRequest{Record: gateway.RecordToProto(record), LookedForBy: string(state)}); err != nil {
		return notRunning(err, c.Gateway)
	}
	if err := os.WriteFile(c.Out, sealed, 0o600); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, map[string]string{"owner": string(owner), "for": string(state), "record": record.ID, "file": c.Out})
	}
	fmt.Fprintf(s.out, "The synthetic person %s of %s is published. Give %s to %s, by another way than the exchange; there: waypost canary add\n", record.ID, owner, c.Out, state)
	return nil
}

// synthetic draws somebody like the people of a state, with a valid licence.
func synthetic(owner, other waypost.Jurisdiction) (waypost.Record, error) {
	var seed [8]byte
	_, _ = rand.Read(seed[:]) // never fails (Go 1.24)
	now := time.Now()
	people, err := population.Generate(population.Config{States: []waypost.Jurisdiction{owner, other}, PerState: 2 * population.MinPerState,
		Seed: binary.BigEndian.Uint64(seed[:]), Now: waypost.Date{Year: now.Year(), Month: int(now.Month()), Day: now.Day()}})
	if err != nil {
		return waypost.Record{}, err
	}
	var last waypost.Record // the first are those of the demonstration's scenarios
	if err := people.Each(owner, func(r waypost.Record) error { last = r; return nil }); err != nil {
		return last, err
	}
	number, err := rand.Int(rand.Reader, big.NewInt(1_000_000_000))
	if err != nil {
		return last, err
	}
	last.ID = fmt.Sprintf("%s-%09d", owner, number)
	last.Kind, last.Status, last.Protected = waypost.Licence, waypost.Valid, false
	return last, nil
}

func encrypted(content []byte, recipients []age.Recipient) ([]byte, error) {
	var b bytes.Buffer
	w, err := age.Encrypt(&b, recipients...)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(content)
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}

// decrypted reads a file encrypted to one of the identities, of at most limit
// bytes.
func decrypted(path string, identityFiles []string, limit int64) ([]byte, error) {
	identities, err := audit.ReadIdentities(identityFiles...)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := age.Decrypt(f, identities...)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be decrypted with this identity: %w", path, err)
	}
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("%s holds more than %d bytes", path, limit)
	}
	return content, err
}

type addCanaryCommand struct {
	Gateway  string   `arg:"" name:"gateway-dir" help:"Folder of the running gateway that is to look." type:"existingdir"`
	File     string   `arg:"" help:"The file that the other state wrote with waypost canary plant." type:"existingfile"`
	Identity []string `help:"age identity file that opens it. Default: opener.key of the folder." type:"existingfile" sep:"none"`
	JSON     bool     `help:"Print the result as JSON."`
}

// Help shows an example.
func (addCanaryCommand) Help() string {
	return `The gateway looks for the person by ordinary checks, at times that nobody foresees, and writes in its ledger whether it was found.
Example:
  waypost canary add D/gateway-AZ ca-for-az.canary --identity az.key`
}

// Run hands the synthetic person to the gateway.
func (c addCanaryCommand) Run(s *session) error {
	if len(c.Identity) == 0 {
		c.Identity = []string{filepath.Join(c.Gateway, "opener.key")}
	}
	content, err := decrypted(c.File, c.Identity, 64<<10)
	if err != nil {
		return err
	}
	var req waypostv1.AddCanaryRequest
	if protojson.Unmarshal(content, &req) != nil {
		return fmt.Errorf("%s is not what waypost canary plant writes", c.File) // the cause could quote it
	}
	auditor, err := dialAuditor(c.Gateway)
	if err != nil {
		return err
	}
	if _, err := auditor.AddCanary(s.ctx, &req); err != nil {
		return notRunning(err, c.Gateway)
	}
	if c.JSON {
		return printJSON(s.out, map[string]string{"owner": req.Owner, "added": c.File})
	}
	fmt.Fprintf(s.out, "From now on this state looks for that synthetic person of %s now and then. Delete %s.\n", req.Owner, c.File)
	return nil
}
