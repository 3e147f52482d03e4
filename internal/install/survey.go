package install

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
)

// A Survey is what there is in a role's folder, read piece by piece: one part that is
// wrong does not hide the others.
type Survey struct {
	// Folder has what could be read. Where the newest roster has run out, its View takes
	// it for valid: no role may act on it.
	Folder   *Folder
	Troubles []Trouble

	Governance         roster.Governance
	Logs               string   // the folder of the published logs
	Database, People   string   // URLs; People is empty but for a gateway
	Shares, Identities string   // of a key holder, else empty
	Secrets            []string // files that nobody else may read
	Certificates       []string // certificates in PEM
}

// A Trouble is a part of a folder, a file or a setting, with which the role does not start.
type Trouble struct {
	What string
	Err  error
}

// Look surveys a folder and changes nothing in it.
func Look(dir string, now func() time.Time) *Survey {
	s := &Survey{Folder: &Folder{Dir: dir}}
	f := s.Folder
	if err := readJSON(f.path("config.json"), &f.Config); err != nil {
		s.add("config.json", err)
		return s
	}
	s.Logs, s.Database = f.logs(), f.database(f.Config.Database)
	s.keys()
	s.rosters(now)
	s.settings()
	switch f.Config.Role {
	case roster.Gateway:
		s.People = f.database(f.Config.People)
	case roster.KeyHolder:
		s.Shares, s.Identities = f.ShareFolders()
	}
	return s
}

func (s *Survey) add(what string, err error) {
	if err != nil {
		s.Troubles = append(s.Troubles, Trouble{what, err})
	}
}

// keys reads the keys and certificates that every role of its kind has.
func (s *Survey) keys() {
	f := s.Folder
	pairs, names := []string{"tls"}, []string{"identity.key", "log.key"}
	switch f.Config.Role {
	case Witness:
		names = []string{witnessKey}
	case roster.KeyHolder:
		names = append(names, witnessKey)
	case roster.Hub:
		names = append(names, "label.key")
	case roster.Gateway:
		names, pairs = append(names, "secret.key"), append(pairs, "counter")
	}
	for _, name := range names {
		key, err := f.ed25519Key(name) // all of them are 32 bytes
		s.add(name, err)
		if name == "identity.key" && err == nil {
			f.Identity = key
		}
		s.Secrets = append(s.Secrets, f.path(name))
	}
	for _, name := range pairs {
		cert, err := loadCertificate(f.path(name))
		s.add(name+".crt", err)
		if name == "tls" {
			f.Cert = cert
		}
		s.Secrets, s.Certificates = append(s.Secrets, f.path(name+".key")), append(s.Certificates, f.path(name+".crt"))
	}
	if _, err := os.Stat(f.path(openerKey)); err == nil {
		s.Secrets = append(s.Secrets, f.path(openerKey))
	}
}

// rosters reads the chain, and whether the folder is of a member that it names.
func (s *Survey) rosters(now func() time.Time) {
	f := s.Folder
	if err := readJSON(f.path("governance.json"), &s.Governance); err != nil {
		s.add("governance.json", err)
		return
	}
	signed, err := Rosters(f.Dir)
	if err != nil {
		s.add("roster", err)
		return
	}
	f.Roster, err = roster.NewView(s.Governance, now, signed...)
	if waypost.CodeOf(err) == waypost.Expired {
		s.add("roster", err)
		f.Roster, err = overdue(s.Governance, signed)
	}
	if err != nil {
		s.add("roster", err)
		return
	}
	had := make(map[string]bool)
	for _, t := range s.Troubles {
		had[t.What] = true
	}
	for _, t := range f.strangers() {
		if !had[t.What] { // what is missing or damaged is nobody's
			s.add(t.What, t.Err)
		}
	}
}

// overdue is the view at the last moment at which the newest roster was valid.
func overdue(trusted roster.Governance, signed [][]byte) (*roster.View, error) {
	var last *roster.Roster
	for governance, i := trusted, 0; i < len(signed); governance, i = last.Governance, i+1 {
		var err error
		if last, err = roster.ParseExpired(signed[i], governance); err != nil {
			return nil, err
		}
	}
	at := last.NotAfter.Add(-time.Second)
	return roster.NewView(trusted, func() time.Time { return at }, signed...)
}

// settings looks at what config.json says beyond names.
func (s *Survey) settings() {
	f, c := s.Folder, s.Folder.Config
	if _, err := c.instance(); err != nil {
		s.add("config.json", err)
	}
	s.add("config.json", c.Retention.Validate())
	if c.Role != Witness && f.Roster != nil {
		_, err := f.readers()
		s.add("config.json", err)
		if parts := strings.Split(c.Origin, "/"); len(parts) != 3 || parts[1] != c.Name {
			s.add("config.json", waypost.Errorf(waypost.InvalidArgument, "the origin of a log is <domain>/<member>/<instance>, of this one <domain>/%s/1, not %q", c.Name, c.Origin))
		}
	}
	if c.Role != roster.Gateway {
		return
	}
	for _, folder := range []string{operatorsFolder, auditorsFolder, unitFolder} {
		named, err := f.operators(folder)
		if err == nil && len(named) == 0 && folder == operatorsFolder {
			err = waypost.Errorf(waypost.NotFound, "%s holds no operator's certificate: nobody could use the counter door", f.path(folder))
		}
		s.add(folder, err)
		files, _ := filepath.Glob(f.path(filepath.Join(folder, "*.crt"))) // the pattern is well formed
		s.Certificates = append(s.Certificates, files...)
	}
}
