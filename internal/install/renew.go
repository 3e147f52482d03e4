package install

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/durable"
	"github.com/waypost/waypost/internal/roster"
)

// Renew signs the exchange's roster again if it has less than a day left, as
// governance does each week, and gives every role what it lacks. Roles that run
// take the new one up by themselves. After a crash at any point Renew can be
// called again: no version is ever signed twice.
func Renew(dir string, now time.Time) error {
	folders, err := roleFolders(dir)
	if err != nil {
		return err
	}
	signed, err := longest(folders)
	if err != nil {
		return err
	}
	if err := give(folders, signed); err != nil {
		return err
	}
	var trusted roster.Governance
	if err := readJSON(filepath.Join(folders[0], "governance.json"), &trusted); err != nil {
		return err
	}
	current, err := roster.ParseExpired(signed[len(signed)-1], trusted)
	if err != nil {
		return err
	}
	if current.NotAfter.Sub(now) > 24*time.Hour {
		return nil
	}
	renewed, err := sign(dir, current, now, func(*roster.Roster) error { return nil })
	if err != nil {
		return err
	}
	return give(folders, append(signed, renewed))
}

// Govern signs a successor of the exchange's newest roster with a change, as its
// governance would, and gives it to nobody: it is published at a public door.
func Govern(dir string, now time.Time, change func(draft *roster.Roster) error) ([]byte, error) {
	folders, err := roleFolders(dir)
	if err != nil {
		return nil, err
	}
	signed, err := longest(folders)
	if err != nil {
		return nil, err
	}
	var trusted roster.Governance
	if err := readJSON(filepath.Join(folders[0], "governance.json"), &trusted); err != nil {
		return nil, err
	}
	current, err := roster.ParseExpired(signed[len(signed)-1], trusted)
	if err != nil {
		return nil, err
	}
	return sign(dir, current, now, change)
}

// longest returns the rosters of the role that has most of them: a crash may
// have kept the last one from the others.
func longest(folders []string) ([][]byte, error) {
	var all [][]byte
	for _, folder := range folders {
		signed, err := Rosters(folder)
		if err != nil {
			return nil, err
		}
		if len(signed) > len(all) {
			all = signed
		}
	}
	return all, nil
}

// give writes to every role the rosters that it lacks, oldest first.
func give(folders []string, signed [][]byte) error {
	for _, folder := range folders {
		for i, one := range signed {
			path := rosterFile(folder, uint64(i+1))
			if _, err := os.Stat(path); err == nil {
				continue
			}
			if err := durable.WriteFile(path, one); err != nil {
				return err
			}
		}
	}
	return nil
}

func rosterFile(folder string, version uint64) string {
	return filepath.Join(folder, "roster", fmt.Sprintf("%06d", version))
}

// sign makes the successor of a roster, valid from now.
func sign(dir string, current *roster.Roster, now time.Time, change func(*roster.Roster) error) ([]byte, error) {
	from := now.UTC().Truncate(time.Second)
	next, err := current.Successor(from, from.Add(rosterLife))
	if err != nil {
		return nil, err
	}
	if err := change(next); err != nil {
		return nil, err
	}
	secret, err := os.ReadFile(filepath.Join(dir, mark, "governance.key"))
	if err != nil {
		return nil, err
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(secret)))
	if err != nil {
		return nil, errors.New("governance.key cannot be read") // not the cause: it might quote the key
	}
	return next.Sign(signer)
}

// roleFolders are the folders under dir that hold a role.
func roleFolders(dir string) ([]string, error) {
	configs, err := filepath.Glob(filepath.Join(dir, "*", "config.json"))
	if err == nil && len(configs) == 0 {
		err = waypost.Errorf(waypost.NotFound, "%s holds no exchange: make one with waypost demo --dir %s", dir, dir)
	}
	for i, c := range configs {
		configs[i] = filepath.Dir(c)
	}
	return configs, err
}
