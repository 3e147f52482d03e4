package doctor

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/ceremony"
	"github.com/waypost/waypost/internal/roster"
)

// share looks at a key holder's shares: one of every key that the newest roster names for
// it must open here.
func (e *exam) share() {
	s, view := e.survey, e.view()
	if e.Role != roster.KeyHolder || view == nil {
		return
	}
	r := view.Latest()
	if e.me.Index == 0 {
		e.okf("share", "roster %d names no share of this key holder", r.Version)
		return
	}
	vault, err := ceremony.LookVault(s.Shares, s.Identities)
	if err != nil {
		e.wrongf("share", "chmod 700 the folders and 600 the files in them; think about a refresh (waypost ceremony refresh)", "the shares cannot be read: %v", err)
		return
	}
	closed := vault.Closed()
	lacks := vault.Lacks(r, e.Name)
	for _, epoch := range lacks {
		e.wrongf("share", "bring "+s.Shares+" and "+s.Identities+" back from their backups; if the share is lost, set without_share in config.json and have the key holders reshare (waypost ceremony reshare)",
			"roster %d names a share of key epoch %d for %s that is not held here", r.Version, epoch, e.Name)
	}
	for _, why := range closed {
		if len(lacks) > 0 {
			e.wrongf("share", "bring the identity back from the disk or the backup where it lies", "%s", why)
		} else {
			e.warnf("share", "no roster needs it: delete the file when you know what it was", "%s", why)
		}
	}
	if len(lacks) == 0 {
		e.okf("share", "the share of every key that roster %d names is held here", r.Version)
	}
	e.shareModes()
	e.apart(r)
}

// shareModes looks who else can read shares and identities. What opens a share and can be
// read by others is refused by the role itself.
func (e *exam) shareModes() {
	if runtime.GOOS == "windows" {
		return
	}
	for _, folder := range []string{e.survey.Shares, e.survey.Identities} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			continue // told as a share that is missing
		}
		for _, entry := range entries {
			if info, err := entry.Info(); err == nil && info.Mode().Perm()&0o077 != 0 {
				path := filepath.Join(folder, entry.Name())
				e.wrongf("share", "chmod 600 it, and have the key holders refresh (waypost ceremony refresh): a copy may have been made", "%s can be used by others (mode %o)", path, info.Mode().Perm())
			}
		}
	}
}

// apart looks whether shares and what opens them would be in one backup.
func (e *exam) apart(r *roster.Roster) {
	dir, err := filepath.EvalSymlinks(e.survey.Folder.Dir)
	identities, err2 := filepath.EvalSymlinks(e.survey.Identities)
	if err != nil || err2 != nil || !within(dir, identities) {
		return
	}
	level := Wrong
	if r.Environment == waypost.Test {
		level = Warning
	}
	e.addf("share", level, "name a folder on another disk or a token as share_identities in config.json, and move the files there; it must not be in the same backup",
		"the shares and the identities that open them lie under one folder: a copy of it has both, and a share that was destroyed is still in the copy")
}

// within reports whether a path lies in a folder, or is it.
func within(folder, path string) bool {
	relative, err := filepath.Rel(folder, path)
	return err == nil && relative != ".." && !strings.HasPrefix(relative, ".."+string(filepath.Separator))
}
