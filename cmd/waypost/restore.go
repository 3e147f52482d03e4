package main

import (
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/audit"
	"github.com/waypost/waypost/internal/recovery"
)

type restoreCommand struct {
	From      string   `help:"The archive that waypost backup made." required:"" type:"existingfile"`
	Keys      string   `help:"The role's secrets: an archive that waypost backup --keys made, or a folder that has them." required:"" type:"path"`
	Identity  []string `help:"age identity files that open the archives." required:"" type:"existingfile"`
	Dir       string   `help:"The role's folder, which must not be there yet." required:"" type:"path"`
	Database  string   `help:"An empty database on a server, where the backup's was on one." placeholder:"postgres://..."`
	People    string   `help:"The same for a gateway's own people." placeholder:"postgres://..."`
	Rosters   string   `help:"A folder with rosters that are newer than the backup, from another role's folder or a public door." type:"existingdir"`
	Newest    bool     `help:"Go on in the same log: nothing was done after this copy was made." xor:"choice"`
	Successor bool     `help:"Close the log for ever, say in public what is lost, and begin another." xor:"choice"`
	JSON      bool     `name:"json" help:"Print the result as JSON."`
}

// Help shows an example.
func (restoreCommand) Help() string {
	return `Examples:
  waypost restore --from hub-2026-03-01.age --keys hub-keys.age --identity backup.key --dir D/hub
  waypost restore --from ca.age --keys D/gateway-CA.old --identity backup.key --dir D/gateway-CA --successor
It overwrites nothing: move what is left of the folder away first. Before the folder gets its name, the position of the ledger is compared with what witnesses, the
other members and the hub have seen of it. A restore that would take the ledger back is refused, with the numbers.`
}

// Run restores and says what became of each log.
func (c restoreCommand) Run(s *session) error {
	identities, err := audit.ReadIdentities(c.Identity...)
	if err != nil {
		return err
	}
	choice := recovery.Ask
	switch {
	case c.Newest:
		choice = recovery.Newest
	case c.Successor:
		choice = recovery.Successor
	}
	bars := &parts{s: s}
	rep, err := recovery.Restore(s.ctx, recovery.RestoreOptions{
		From: c.From, Keys: c.Keys, Identities: identities, Dir: c.Dir, Database: c.Database, People: c.People, Rosters: c.Rosters,
		Choice: choice, Now: time.Now, Log: s.log, Progress: bars.set,
	})
	bars.finish()
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, rep)
	}
	fmt.Fprintf(s.out, "%s of %s is in %s, as of %s.\n", rep.Kind, rep.Member, rep.Dir, rep.Made.Format(time.RFC3339))
	for _, l := range rep.Logs {
		fmt.Fprintf(s.out, "%s: %d entries came back, others know of %d: %s.\n", l.Origin, l.Restored, l.Seen, l.Words)
		for _, who := range l.Silent {
			fmt.Fprintf(s.out, "  could not be asked: %s\n", who)
		}
	}
	for _, words := range rep.Then {
		fmt.Fprintf(s.out, "Then: %s.\n", words)
	}
	return nil
}
