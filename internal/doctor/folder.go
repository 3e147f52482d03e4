package doctor

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
)

const (
	// soon is how long before its end a certificate is to be renewed.
	soon = 30 * 24 * time.Hour
	// rosterSoon is how long before its end governance must have signed the next roster.
	rosterSoon = 48 * time.Hour
)

// folder looks at the files of the folder, and at the roster.
func (e *exam) folder() {
	for _, t := range e.survey.Troubles {
		e.wrongf(t.What, e.remedy(t), "%v", t.Err)
	}
	c := e.survey.Folder.Config
	if c.Role == "" {
		return
	}
	if view := e.view(); view != nil {
		e.me, _ = view.Latest().Member(c.Name)
		e.rosterLife(view)
		if len(e.survey.Troubles) == 0 {
			e.okf("config.json", "the %s %s; its keys and certificate are those that roster %d names", c.Role, c.Name, view.Latest().Version)
		}
	}
	e.modes()
	for _, path := range e.survey.Certificates {
		e.certificate(path)
	}
}

// remedies are the next steps by the part that is wrong; a missing or unreadable key is
// answered for by lost.
var remedies = map[string]string{
	"config.json":     "correct config.json; docs/operations says what stands in it",
	"governance.json": "bring governance.json back from a backup: it says whose signatures on a roster count",
	"operators":       "put the certificate of each operator into operators/ as NAME.crt",
	"auditors":        "put the certificate of each auditor into auditors/ as NAME.crt",
	"unit":            "put the certificate of each official into unit/ as NAME.crt",
}

// lost are the next steps where a key is gone.
var lost = map[string]string{
	"identity.key": "bring it back from a backup; if it is lost, have governance name a new one in the roster, which takes 72 hours",
	"log.key":      "bring it back from a backup; if it is lost, have governance name a new one in the roster, which takes 72 hours",
	"witness.key":  "bring it back from a backup; if it is lost, have governance name a new one in the roster, which takes 72 hours",
	"tls.crt":      "bring tls.crt and tls.key back from a backup, or make new ones and have governance name the new key",
	"counter.crt":  "bring counter.crt and counter.key back from a backup, or make new ones and give the certificate to the counters",
	"label.key":    "bring it back from its own backup: without it no label can be found, and every state has to publish again",
	"secret.key":   "bring it back from its own backup: without it the message keys do not open, the rows of pointers cannot be used, and what stands in for an SSN is drawn anew",
}

// remedy is what to do about a part of the folder.
func (e *exam) remedy(t install.Trouble) string {
	dir := e.survey.Folder.Dir
	switch code := waypost.CodeOf(t.Err); {
	case t.What == "config.json" && errors.Is(t.Err, fs.ErrNotExist), t.What == "config.json" && code == waypost.NotFound:
		return "name the folder of a role with --dir, or of a whole exchange with --exchange"
	case t.What == "roster" && code == waypost.Expired:
		return "put the successor into " + filepath.Join(dir, "roster") + ": the public doors of the hub and the key holders serve it at /roster/<version>; if there is none, governance must sign it"
	case t.What == "roster":
		return "bring " + filepath.Join(dir, "roster") + " back from a backup or another member: every version since the first, in order"
	case code == waypost.PermissionDenied:
		return "chmod 600 it; whoever has an account on this machine may have read it"
	}
	if next, ok := remedies[t.What]; ok {
		return next
	}
	return lost[t.What]
}

// rosterLife says for how long the newest roster is good.
func (e *exam) rosterLife(view *roster.View) {
	r, now := view.Latest(), e.Now()
	switch left := r.NotAfter.Sub(now); {
	case left <= 0 || now.Before(r.NotBefore):
		// It stands among the troubles.
	case left < rosterSoon:
		e.warnf("roster", "governance must sign its successor now (waypost roster sign, waypost roster publish): without one nobody is admitted any more",
			"roster %d is good for %s only, until %s", r.Version, about(left), day(r.NotAfter))
	default:
		e.okf("roster", "roster %d is good for %s, until %s", r.Version, about(left), day(r.NotAfter))
	}
	if e.me.Removed {
		e.wrongf("roster", "ask governance: a removed member is admitted nowhere", "roster %d has removed %s", r.Version, e.Name)
	}
	if e.me.From.After(now) {
		e.warnf("roster", "wait", "roster %d admits %s from %s on", r.Version, e.Name, day(e.me.From))
	}
}

// modes looks who else can read or change what only the role's own user may.
func (e *exam) modes() {
	if runtime.GOOS == "windows" {
		return
	}
	dir := e.survey.Folder.Dir
	mode := func(path string) fs.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			return 0 // what is missing is told elsewhere
		}
		return info.Mode().Perm()
	}
	if m := mode(dir); m&0o022 != 0 {
		e.wrongf(dir, "chmod 700 it", "others can put files into the folder (mode %o), and so other keys or another roster", m)
	}
	if mode(dir)&0o011 != 0 { // else nobody gets at what is in it
		e.trusted(mode)
	}
	for _, path := range e.survey.Secrets {
		// What everybody can read is among the troubles where the role reads it.
		switch m := mode(path); {
		case m&0o007 != 0 && filepath.Base(path) == "opener.key":
			e.wrongf("opener.key", "chmod 600 it, and think about another one: it opens this role's ledger", "%s can be read by everybody on this machine", path)
		case m&0o007 == 0 && m&0o070 != 0:
			e.warnf(filepath.Base(path), "chmod 600 it", "%s can be used by its group (mode %o)", path, m)
		}
	}
	for _, url := range []string{e.survey.Database, e.survey.People} {
		if path, ok := strings.CutPrefix(url, "sqlite:"); ok && mode(path)&0o077 != 0 {
			e.wrongf(filepath.Base(path), "chmod 600 it", "%s can be used by others (mode %o)", path, mode(path))
		}
	}
	path := filepath.Join(dir, "config.json")
	if m := mode(path); m&0o077 != 0 && (hasPassword(e.survey.Database) || hasPassword(e.survey.People)) {
		e.wrongf("config.json", "chmod 600 it, and change the password", "it has the password of a database and can be read by others (mode %o)", m)
	}
	if view := e.view(); view != nil && view.Latest().Environment == waypost.Prod && mode(filepath.Join(dir, "opener.key")) != 0 {
		e.warnf("opener.key", "keep it offline, with the auditor who opens the ledger", "what opens the ledger lies beside it")
	}
}

// trusted looks who else can change what says whom the role believes: its settings, the
// rosters, the people at its counter, the plans that its operator has accepted.
func (e *exam) trusted(mode func(path string) fs.FileMode) {
	paths := []string{"config.json", "governance.json"}
	for _, folder := range []string{"roster", "operators", "auditors", "unit", "accepted"} {
		paths = append(paths, folder)
		entries, _ := os.ReadDir(filepath.Join(e.survey.Folder.Dir, folder)) // not every role has all
		for _, entry := range entries {
			paths = append(paths, filepath.Join(folder, entry.Name()))
		}
	}
	for _, path := range paths {
		if m := mode(filepath.Join(e.survey.Folder.Dir, path)); m&0o022 != 0 {
			e.wrongf(path, "chmod go-w it, and look at what is in it", "others can change %s (mode %o), and so whom this role believes", path, m)
		}
	}
}

// hasPassword reports whether a URL of a database has one in it.
func hasPassword(url string) bool {
	rest, ok := strings.CutPrefix(url, "postgres://")
	user, _, at := strings.Cut(rest, "@")
	return ok && (at && strings.Contains(user, ":") || strings.Contains(url, "password="))
}

// certificate looks at the dates of one. Whether it can be read at all is for the role.
func (e *exam) certificate(path string) {
	cert := readCertificate(path)
	if cert == nil {
		return
	}
	what, err := filepath.Rel(e.survey.Folder.Dir, path)
	if err != nil {
		what = path
	}
	next := "make another one for the same key, so that the roster needs no change, and restart the role"
	if strings.Contains(what, string(filepath.Separator)) {
		next = "have whoever holds its key make another one, and put it here"
	}
	switch left := cert.NotAfter.Sub(e.Now()); {
	case e.Now().Before(cert.NotBefore):
		e.wrongf(what, "set this machine's clock; or make the certificate again", "it is valid only from %s, and it is %s here", day(cert.NotBefore), day(e.Now()))
	case left <= 0:
		e.wrongf(what, next, "it expired on %s", day(cert.NotAfter))
	case left < soon:
		e.warnf(what, next, "it expires in %s, on %s", about(left), day(cert.NotAfter))
	default:
		e.okf(what, "valid until %s", day(cert.NotAfter))
	}
}

func readCertificate(path string) *x509.Certificate {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return cert
}
