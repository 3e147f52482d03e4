// Package install is what a role has on its disk: a folder with its config
// file, keys, certificate, rosters and databases. Create makes the folders of a
// whole exchange on one machine; the Open functions start a role from its
// folder, whether it runs alone or with all others in one process.
//
//	config.json        what to run and where to listen
//	identity.key       signs tickets, receipts, messages
//	log.key            signs the ledger's checkpoints
//	log/               the published ledger; at the hub those of the gateways too.
//	                   Several processes of one role share it: see Config.Logs
//	witness.key        with which a key holder, or a witness, cosigns checkpoints
//	tls.crt tls.key    its TLS certificate, pinned by the roster
//	governance.json    whose signatures on a roster count
//	roster/000001      every roster since the beginning
//	share/             a key holder's shares of the OPRF key, each encrypted
//	identities/        the age identities that open them; may lie elsewhere
//	label.key          the hub's secret h, outside its database
//	secret.key         a gateway's secret for decoys and operator tags; its message
//	                   keys rest in its database under it
//	opener.key         opens the ledger's entries; in production it is kept offline
//	counter.crt counter.key  a gateway's door for its own counters
//	operators/NAME.crt  who may use that door, named after the file
//	auditors/NAME.crt   who may have tickets opened and canaries planted there
//	*.db               SQLite databases
package install

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/duplicate"
	"github.com/waypost/waypost/internal/durable"
	"github.com/waypost/waypost/internal/move"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/translog"
)

// Config is config.json. Relative paths are relative to the folder.
type Config struct {
	Role     roster.Role `json:"role"`             // hub, keyholder, gateway or witness
	Name     string      `json:"name"`             // in the roster
	Listen   string      `json:"listen"`           // host:port; a gateway's is for its own counters only
	Database string      `json:"database"`         // "sqlite:hub.db", or "postgres://user@host/name"
	People   string      `json:"people,omitempty"` // a gateway's own state system, "sqlite:people.db"
	Origin   string      `json:"origin"`           // name of its log
	// Instance is the number of this process among those of the role that share its
	// database on a server, which takes the place of the last part of Origin: 0 for the
	// lowest that is free, absent for 1.
	Instance *int `json:"instance,omitempty"`
	// Logs is the folder of the published logs, "log" if empty. The processes of one role
	// share it.
	Logs string `json:"logs,omitempty"`
	// Public is the host:port of a hub's or key holder's public door: its log,
	// the rosters, and at a key holder its witness.
	Public string `json:"public,omitempty"`
	// ShareIdentities is the folder with the age identities that open a key holder's
	// shares; empty: identities. It may lie on another disk or a token.
	ShareIdentities string `json:"share_identities,omitempty"`
	// WithoutShare has a key holder start that has lost its share, to get another one
	// in a ceremony.
	WithoutShare bool `json:"without_share,omitempty"`
	// Openers are the age recipients to whom the member itself opens its ledger;
	// the auditors of the roster are entitled besides.
	Openers []string `json:"openers,omitempty"`
	// BackupRecipients are the age recipients who can open the role's backups.
	BackupRecipients []string `json:"backup_recipients,omitempty"`
	// Metrics is the loopback host:port where metrics are served; empty: nowhere.
	Metrics string `json:"metrics,omitempty"`
	// Moves are a gateway's periods of what moves, ends and waits.
	Moves *move.Config `json:"moves,omitempty"`
	// Retention is for how many years a gateway's records stay findable after they
	// got a status; a status that is not there stays for ever.
	Retention records.Retention `json:"retention_years,omitempty"`
	// Cases are a gateway's rules for possible duplicates.
	Cases Cases `json:"cases,omitzero"`
}

// Cases says how a gateway treats possible duplicates. What is zero is as
// duplicate.Defaults has it.
type Cases struct {
	// AcceptClearing has the state agree at once when another state says that what
	// this state called possible is somebody else.
	AcceptClearing bool `json:"accept_clearing,omitempty"`
	PerMinute      int  `json:"campaign_per_minute,omitempty"` // records of a campaign
	PerDay         int  `json:"campaign_per_day,omitempty"`
	Checks         int  `json:"frequent_checks,omitempty"` // from how many checks of one record on it is told
	States         int  `json:"frequent_states,omitempty"` // or from how many states
}

func (c Cases) config() duplicate.Config {
	return duplicate.Config{
		AcceptClearing: c.AcceptClearing, Campaign: duplicate.Throttle{PerMinute: c.PerMinute, PerDay: c.PerDay},
		Frequent: duplicate.Frequency{Checks: c.Checks, States: c.States},
	}
}

// Folder is an opened role folder.
type Folder struct {
	Dir      string
	Config   Config
	Identity ed25519.PrivateKey
	Cert     tls.Certificate
	Roster   *roster.View
}

// Witness is the role of a witness outside the key holders. It is no member:
// the roster names its key.
const Witness roster.Role = "witness"

// OpenFolder reads what every role has. Unknown fields in config.json are
// errors, so that a misspelt setting does not pass unnoticed.
func OpenFolder(dir string, now func() time.Time) (*Folder, error) {
	f := &Folder{Dir: dir}
	if err := readJSON(f.path("config.json"), &f.Config); err != nil {
		return nil, err
	}
	var err error
	if f.Config.Role != Witness {
		if f.Identity, err = f.ed25519Key("identity.key"); err != nil {
			return nil, err
		}
	}
	if f.Cert, err = loadCertificate(f.path("tls")); err != nil {
		return nil, err
	}
	var trusted roster.Governance
	if err := readJSON(f.path("governance.json"), &trusted); err != nil {
		return nil, err
	}
	signed, err := Rosters(dir)
	if err != nil {
		return nil, err
	}
	if f.Roster, err = roster.NewView(trusted, now, signed...); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return f, f.belongs()
}

// belongs checks that config, keys and certificate are those of one member: a
// file that was copied from another role's folder is found here, and not by the
// first message that nobody believes.
func (f *Folder) belongs() error {
	if strange := f.strangers(); len(strange) > 0 {
		return strange[0].Err
	}
	return nil
}

// strangers are the files that are not of the member that the config names.
func (f *Folder) strangers() (all []Trouble) {
	if f.Config.Role == Witness {
		if err := f.isNamed(); err != nil {
			all = append(all, Trouble{witnessKey, err})
		}
		return all
	}
	me, ok := f.Roster.Member(f.Config.Name)
	switch {
	case !ok:
		return []Trouble{{"config.json", waypost.Errorf(waypost.InvalidArgument, "%s: %q is not in the roster", f.path("config.json"), f.Config.Name)}}
	case me.Role != f.Config.Role:
		return []Trouble{{"config.json", waypost.Errorf(waypost.InvalidArgument, "%s: in the roster %s is a %s, not a %s", f.path("config.json"), me.Name, me.Role, f.Config.Role)}}
	}
	named := []struct {
		file string
		key  ed25519.PublicKey
	}{{"identity.key", me.Identity}, {"log.key", me.LogKey}}
	if me.Role == roster.KeyHolder {
		named = append(named, struct {
			file string
			key  ed25519.PublicKey
		}{witnessKey, me.WitnessKey})
	}
	for _, n := range named {
		key, err := f.ed25519Key(n.file)
		if err == nil && !n.key.Equal(key.Public()) {
			err = waypost.Errorf(waypost.InvalidArgument, "%s is not the key that the roster names for %s", f.path(n.file), me.Name)
		}
		if err != nil {
			all = append(all, Trouble{n.file, err})
		}
	}
	if f.Cert.Leaf == nil || roster.Digest(pin(f.Cert)) != me.CertKey {
		all = append(all, Trouble{"tls.crt", waypost.Errorf(waypost.InvalidArgument, "%s is not the certificate that the roster names for %s", f.path("tls.crt"), me.Name)})
	}
	return all
}

// isNamed checks that the roster counts the cosignatures of a witness.
func (f *Folder) isNamed() error {
	key, err := f.ed25519Key(witnessKey)
	if err != nil {
		return err
	}
	vkey := translog.WitnessKey(f.Config.Origin, key.Public().(ed25519.PublicKey))
	for _, w := range f.Roster.Current().Witnesses {
		if w.Key == vkey {
			return nil
		}
	}
	return waypost.Errorf(waypost.InvalidArgument, "%s is not the key of any witness in the roster", f.path(witnessKey))
}

// Rosters returns the signed rosters of a folder, oldest first.
func Rosters(dir string) ([][]byte, error) {
	names, err := filepath.Glob(filepath.Join(dir, "roster", "[0-9]*"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("%s has no roster: this folder is not a Waypost role's", dir)
	}
	sort.Strings(names)
	signed := make([][]byte, len(names))
	for i, name := range names {
		if signed[i], err = os.ReadFile(name); err != nil {
			return nil, err
		}
	}
	return signed, nil
}

func (f *Folder) path(name string) string { return filepath.Join(f.Dir, name) }

// logs is the folder of the published logs.
func (f *Folder) logs() string {
	switch dir := f.Config.Logs; {
	case dir == "":
		return f.path(logFolder)
	case filepath.IsAbs(dir):
		return dir
	default:
		return f.path(dir)
	}
}

// instance is the number that the process asks for.
func (c Config) instance() (int, error) {
	switch {
	case c.Instance == nil:
		return 1, nil
	case c.Role == roster.KeyHolder && *c.Instance == 0:
		return 0, waypost.Errorf(waypost.InvalidArgument, "a key holder is one process: its instance cannot be any that is free")
	case *c.Instance < 0 || *c.Instance > store.MaxProcess:
		return 0, waypost.Errorf(waypost.InvalidArgument, "instances are numbered from 1 to %d; 0 takes one that is free", store.MaxProcess)
	}
	return *c.Instance, nil
}

// logOf is the name of the log of another process of the role.
func (c Config) logOf(instance int64) string {
	return c.Origin[:strings.LastIndexByte(c.Origin, '/')+1] + strconv.FormatInt(instance, 10)
}

// database returns a database URL with its path made absolute to the folder.
func (f *Folder) database(url string) string {
	const scheme = "sqlite:"
	if path, ok := bytes.CutPrefix([]byte(url), []byte(scheme)); ok && !filepath.IsAbs(string(path)) {
		return scheme + f.path(string(path))
	}
	return url
}

// Look reads the role's database on a snapshot, beside the processes that have it, and
// where none has. It changes nothing.
func (f *Folder) Look(ctx context.Context, look func(tx *store.Tx) error) error {
	looked := false
	_, err := store.Check(ctx, f.database(f.Config.Database), string(f.Config.Role), func(tx *store.Tx) error {
		looked = true
		return look(tx)
	})
	if err == nil && !looked {
		err = waypost.Errorf(waypost.NotFound, "%s has no database yet: its first start makes it", f.Config.Name)
	}
	return err
}

// secret reads a key file: 32 bytes in hex.
func (f *Folder) secret(name string) (key [32]byte, err error) {
	raw, err := f.hexFile(name)
	if err != nil {
		return key, err
	}
	if len(raw) != len(key) {
		return key, fmt.Errorf("%s must hold 64 hex digits", f.path(name))
	}
	copy(key[:], raw)
	return key, nil
}

func (f *Folder) ed25519Key(name string) (ed25519.PrivateKey, error) {
	seed, err := f.secret(name)
	return ed25519.NewKeyFromSeed(seed[:]), err
}

func (f *Folder) hexFile(name string) ([]byte, error) {
	raw, err := readPrivate(f.path(name))
	if err != nil {
		return nil, err
	}
	decoded, err := hex.DecodeString(string(bytes.TrimSpace(raw)))
	if err != nil {
		// Not the cause: it would quote a part of the key.
		return nil, fmt.Errorf("%s is not in hex", f.path(name))
	}
	return decoded, nil
}

// loadCertificate reads the pair file.crt and file.key.
func loadCertificate(file string) (tls.Certificate, error) {
	key, err := readPrivate(file + ".key")
	if err != nil {
		return tls.Certificate{}, err
	}
	public, err := os.ReadFile(file + ".crt")
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("a certificate is missing: %w", err)
	}
	cert, err := tls.X509KeyPair(public, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s.crt and .key: %w", file, err)
	}
	return cert, nil
}

// readPrivate reads a file that nobody but its owner may read.
func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("a key is missing: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		return nil, waypost.Errorf(waypost.PermissionDenied, "%s can be read by everybody on this machine: chmod 600 it, and think about replacing the key", path)
	}
	return os.ReadFile(path)
}

func readJSON(path string, into any) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return waypost.Errorf(waypost.NotFound, "%s does not exist", path)
	}
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func writeJSON(path string, value any) error {
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(raw, '\n'))
}

func writeHex(path string, secret []byte) error {
	return durable.WriteFile(path, []byte(hex.EncodeToString(secret)+"\n"))
}

// pin is how a roster names a certificate.
func pin(cert tls.Certificate) [32]byte {
	return sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo)
}
