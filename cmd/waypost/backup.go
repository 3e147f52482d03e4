package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/recovery"
)

type backupCommand struct {
	Dir           string   `help:"The role's folder, which holds its config.json. The role may run." required:"" type:"existingdir"`
	To            string   `help:"The archive to write; it must not be there yet." required:"" type:"path"`
	Recipient     []string `help:"Who can open the archive: an age recipient that age-keygen -pq made, or a file of them. Without it: backup_recipients in config.json." placeholder:"age1pq1..."`
	Keys          bool     `help:"Copy the secrets of the folder, and nothing else. Keep them apart from the rest."`
	WithoutShares bool     `help:"With --keys: leave a key holder's shares and what opens them out."`
	JSON          bool     `name:"json" help:"Print the result as JSON."`
}

// Help shows an example.
func (backupCommand) Help() string {
	return `Examples:
  waypost backup --dir D/hub --to /backup/hub-2026-03-01.age --recipient age1pq1...
  waypost backup --dir D/hub --to /vault/hub-keys.age --keys --recipient keys-recipient.txt
The first has the database, as it is at one moment, the settings and the rosters; the second what signs and opens. Whoever gets one has nothing of the
other. The role's folder needs room for a copy of the database meanwhile; one on a server is copied by pg_dump. The archive is read back before it gets its name.`
}

// Run writes the archive and says what it holds.
func (c backupCommand) Run(s *session) error {
	texts := c.Recipient
	if len(texts) == 0 {
		folder, err := install.OpenFolder(c.Dir, time.Now)
		if err != nil {
			return err
		}
		texts = folder.Config.BackupRecipients
	}
	texts, err := recipientsIn(texts)
	if err != nil {
		return err
	}
	recipients, err := journal.ParseRecipients(texts...)
	if err != nil {
		return err
	}
	bars := &parts{s: s}
	rep, err := recovery.Backup(s.ctx, recovery.BackupOptions{
		Dir: c.Dir, To: c.To, Recipients: recipients, Keys: c.Keys, WithoutShares: c.WithoutShares, Now: time.Now, Progress: bars.set,
	})
	bars.finish()
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, rep)
	}
	fmt.Fprintf(s.out, "%s holds the %s of %s: %d files, %d bytes, read back and signed.\nSHA-256 %s\n", rep.File, rep.Kind, rep.Member, rep.Files, rep.Bytes, rep.SHA256)
	for _, l := range rep.Logs {
		fmt.Fprintf(s.out, "The log %s had %d entries, root %s.\n", l.Origin, l.Size, l.Root)
	}
	for _, words := range rep.LeftOut {
		fmt.Fprintf(s.out, "Not in it: %s\n", words)
	}
	return nil
}

// recipientsIn reads the recipients that stand in files, one a line.
func recipientsIn(texts []string) (all []string, err error) {
	for _, text := range texts {
		if strings.HasPrefix(text, "age1") {
			all = append(all, text)
			continue
		}
		raw, err := os.ReadFile(filepath.Clean(text))
		if err != nil {
			return nil, err
		}
		for lines := bufio.NewScanner(strings.NewReader(string(raw))); lines.Scan(); {
			if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "#") {
				all = append(all, line)
			}
		}
	}
	return all, nil
}

// parts shows the progress of work that has several parts.
type parts struct {
	s    *session
	what string
	bar  bar
}

func (p *parts) set(what string, done, total int64) {
	if what != p.what {
		p.finish()
		if total == 0 {
			total = -1 // nobody knows yet
		}
		p.what, p.bar = what, newBar(p.s, what, int(total))
	}
	p.bar.set(int(done))
}

func (p *parts) finish() { p.bar.finish() }
