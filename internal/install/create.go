package install

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/durable"
	"github.com/waypost/waypost/internal/loopback"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
	"github.com/waypost/waypost/translog"
)

// Plan says which exchange to create.
type Plan struct {
	States    []waypost.Jurisdiction
	Holders   int // n
	Threshold int // t
	Quota     roster.Quota
	// Witnesses are outside witnesses that others run; every checkpoint needs them
	// besides the one that Create makes.
	Witnesses []roster.Witness
	Now       time.Time
	// Databases, if set, names the database for what kind of thing ("hub", "keyholder",
	// "gateway", "people", "witness") of whom; without it each is a file in the folder.
	Databases func(name, kind string) (url string, err error)
	// Processes is how many processes share a database, of the hub and of gateways by
	// their names; one each where it is not said.
	Processes map[string]int
}

// rosterLife is how long a roster made here is valid.
const rosterLife = roster.MaxValidity

// The folder in which an exchange is built, and its name once it is complete.
// A crash leaves one of them or neither: what is being built is thrown away,
// what is built is put in place.
const (
	building = ".making"
	built    = ".made"
	mark     = "governance" // put in place last: where it is, an exchange is
)

// Create makes the folders of a whole exchange under dir, which must not hold
// one: hub, keyholder-1..n, gateway-XX, and governance with the key that signs
// rosters and the one of an auditor, whom the roster names. On one machine all key holders take part in the key generation in
// this process; each share goes to its own folder and nowhere else. After a
// crash at any point Create can be called again.
func Create(dir string, plan Plan) error {
	if _, err := os.Stat(filepath.Join(dir, mark)); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, waypost.Errorf(waypost.AlreadyExists, "%s holds an exchange already", dir))
	}
	if _, err := os.Stat(filepath.Join(dir, built)); err == nil {
		return place(dir)
	}
	if err := os.RemoveAll(filepath.Join(dir, building)); err != nil {
		return err
	}
	if err := errors.Join(plan.checkProcesses(), vacant(dir, plan)); err != nil {
		return err
	}
	b := builder{dir: filepath.Join(dir, building), plan: plan}
	if err := b.build(); err != nil {
		return errors.Join(err, os.RemoveAll(b.dir))
	}
	if err := durable.SyncTree(b.dir); err != nil {
		return err
	}
	if err := os.Rename(b.dir, filepath.Join(dir, built)); err != nil {
		return err
	}
	return errors.Join(durable.SyncFolder(dir), place(dir))
}

// vacant refuses to make an exchange where one of its folders would lie on top
// of another.
func vacant(dir string, plan Plan) error {
	names := []string{"hub", witnessName}
	for i := range plan.Holders {
		names = append(names, "keyholder-"+strconv.Itoa(i+1))
	}
	for _, state := range plan.States {
		names = append(names, string(state))
	}
	for name, n := range plan.Processes {
		for ; n > 1; n-- {
			names = append(names, ProcessName(name, n))
		}
	}
	for _, name := range names {
		if _, err := os.Stat(FolderOf(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(err, waypost.Errorf(waypost.AlreadyExists, "%s exists, but no exchange: choose another folder", FolderOf(dir, name)))
		}
	}
	return nil
}

// place moves what is built to where it belongs.
func place(dir string) error {
	from := filepath.Join(dir, built)
	folders, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if folder.Name() != mark {
			if err := os.Rename(filepath.Join(from, folder.Name()), filepath.Join(dir, folder.Name())); err != nil {
				return err
			}
		}
	}
	return errors.Join(os.Rename(filepath.Join(from, mark), filepath.Join(dir, mark)), os.Remove(from), durable.SyncFolder(dir))
}

// FolderOf is the folder of a role under an exchange's folder.
func FolderOf(dir, name string) string {
	if IsGateway(name) {
		return filepath.Join(dir, "gateway-"+name)
	}
	return filepath.Join(dir, name)
}

type builder struct {
	dir     string
	plan    Plan
	members []roster.Member
	folders []string
}

func (b *builder) build() error {
	// A rehearsal: nobody but this machine has to trust it, and no transcript is signed.
	outcomes, err := toprf.Ceremony{Kind: toprf.Keygen, ID: toprf.NewSeed(), Epoch: 1, Threshold: b.plan.Threshold, Holders: b.plan.Holders}.Rehearse(nil)
	if err != nil {
		return err
	}
	if err := b.hub(); err != nil {
		return err
	}
	for i, o := range outcomes {
		if err := b.holder(i+1, o); err != nil {
			return err
		}
	}
	for _, state := range b.plan.States {
		if err := b.gateway(state); err != nil {
			return err
		}
	}
	auditor, err := identity(filepath.Join(b.dir, mark, auditorKey))
	if err != nil {
		return err
	}
	outside, err := b.witness()
	if err != nil {
		return err
	}
	keys := outcomes[0].Keys
	group := keys.Group()
	return b.sign(&roster.Roster{
		Version: 1, Environment: waypost.Test, NotBefore: b.plan.Now.UTC().Truncate(time.Second),
		NotAfter: b.plan.Now.Add(rosterLife).UTC().Truncate(time.Second), Profile: 1, Epoch: 1,
		Threshold: b.plan.Threshold, GroupKey: group.Bytes(),
		Purposes: []waypost.Purpose{waypost.IssueLicence, waypost.IssuePermit, waypost.IssueID, waypost.IssueRealID,
			waypost.Renew, waypost.DuplicateResolution, waypost.PostConviction, waypost.AcceptAsID, waypost.ChangeSOR,
			waypost.ResolvePossibleMatch, waypost.DriverHistory, waypost.MaintainPointer},
		Members: b.members, Auditors: []string{auditor}, Witnesses: append([]roster.Witness{outside}, b.plan.Witnesses...),
		// As many key holders as an evaluation needs besides the one whose log it is:
		// what stands still with fewer stands still anyway.
		WitnessPolicy: roster.WitnessPolicy{Holders: b.plan.Threshold - 1, Outside: 1 + len(b.plan.Witnesses)},
	})
}

func (b *builder) hub() error {
	address, err := loopback.Address()
	if err != nil {
		return err
	}
	public, err := loopback.Address()
	if err != nil {
		return err
	}
	m := roster.Member{Name: "hub", Role: roster.Hub, Operator: "Waypost demonstration hub", URL: "https://" + address, Public: "https://" + public}
	return b.role(m, Config{}, "label.key")
}

// witnessName is the witness outside the key holders. In a demonstration it
// runs on the same machine as everything else; it knows nothing but rosters and
// checkpoints all the same.
const witnessName = "witness-1"

func (b *builder) witness() (roster.Witness, error) {
	folder := FolderOf(b.dir, witnessName)
	address, err := loopback.Address()
	if err != nil {
		return roster.Witness{}, err
	}
	key, err := newKey(filepath.Join(folder, witnessKey))
	if err != nil {
		return roster.Witness{}, err
	}
	w := roster.Witness{Key: translog.WitnessKey("waypost.test/"+witnessName, key), URL: "https://" + address}
	if w.CertKey, err = certificate(folder, "tls", witnessName); err != nil {
		return w, err
	}
	b.folders = append(b.folders, folder)
	url, err := b.database(witnessName, string(Witness))
	if err != nil {
		return w, err
	}
	return w, writeJSON(filepath.Join(folder, "config.json"), Config{
		Role: Witness, Name: witnessName, Listen: address, Database: url, Origin: "waypost.test/" + witnessName,
	})
}

// newKey makes an Ed25519 key file and returns the public key.
func newKey(path string) (ed25519.PublicKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails (Go 1.24)
	return ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey), writeHex(path, seed)
}

func (b *builder) holder(index int, o *toprf.Outcome) error {
	address, err := loopback.Address()
	if err != nil {
		return err
	}
	name := "keyholder-" + strconv.Itoa(index)
	public := o.Share.Public()
	vault, err := (&Folder{Dir: filepath.Join(b.dir, name)}).vault()
	if err != nil {
		return err
	}
	if err := vault.Put(1, o.Share); err != nil {
		return err
	}
	door, err := loopback.Address()
	if err != nil {
		return err
	}
	cosigns, err := newKey(filepath.Join(b.dir, name, witnessKey))
	if err != nil {
		return err
	}
	return b.role(roster.Member{
		Name: name, Role: roster.KeyHolder, Operator: "Demonstration key holder " + strconv.Itoa(index), URL: "https://" + address,
		Public: "https://" + door, Index: index, PublicShare: public.Bytes(), WitnessKey: cosigns,
	}, Config{})
}

func (b *builder) gateway(state waypost.Jurisdiction) error {
	folder := FolderOf(b.dir, string(state))
	for _, file := range []string{"counter", filepath.Join(operatorsFolder, firstOperator), filepath.Join(auditorsFolder, firstAuditor),
		filepath.Join(unitFolder, firstOfUnit)} {
		if _, err := certificate(folder, file, string(state)+" "+filepath.Base(file)); err != nil {
			return err
		}
	}
	people, err := b.database(string(state), "people")
	if err != nil {
		return err
	}
	return b.role(roster.Member{
		Name: string(state), Role: roster.Gateway, Operator: string(state) + " licensing agency (demonstration)",
		Jurisdiction: state, Participation: roster.Full, Quota: b.plan.Quota,
		Capabilities: []roster.Capability{roster.Search, roster.Answer, roster.Publish, roster.History, roster.RealID},
	}, Config{People: people}, "secret.key")
}

func (b *builder) database(name, kind string) (url string, err error) {
	if b.plan.Databases == nil {
		return "sqlite:" + kind + ".db", nil
	}
	return b.plan.Databases(name, kind)
}

// role makes what every role has, and the secrets named.
func (b *builder) role(m roster.Member, c Config, secrets ...string) error {
	folder := FolderOf(b.dir, m.Name)
	for _, name := range append(secrets, "identity.key", "log.key") {
		public, err := newKey(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		switch name {
		case "identity.key":
			m.Identity = public
		case "log.key":
			m.LogKey = public
		}
	}
	var err error
	if m.CertKey, err = certificate(folder, "tls", m.Name); err != nil {
		return err
	}
	if c.Database, err = b.database(m.Name, string(m.Role)); err != nil {
		return err
	}
	if err := b.doors(&m); err != nil {
		return err
	}
	m.Protocol = roster.Protocol{Min: 1, Max: 1}
	opener, err := identity(filepath.Join(folder, openerKey))
	if err != nil {
		return err
	}
	c.Openers = []string{opener}
	c.Role, c.Name, c.Origin = m.Role, m.Name, "waypost.test/"+m.Name+"/1"
	c.Public = strings.TrimPrefix(m.Public, "https://")
	if c.Listen = strings.TrimPrefix(m.URL, "https://"); c.Listen == "" {
		if c.Listen, err = loopback.Address(); err != nil {
			return err
		}
	}
	b.members, b.folders = append(b.members, m), append(b.folders, folder)
	return errors.Join(writeJSON(filepath.Join(folder, "config.json"), c), b.further(m, c))
}

// certificate makes a key and a self-signed certificate; the roster or the
// gateway pins the key.
func certificate(folder, file, name string) ([32]byte, error) {
	const validity = 365 * 24 * time.Hour
	certPEM, keyPEM, spki, err := roster.NewCertificate(name, []string{"localhost", "127.0.0.1"}, validity)
	if err != nil {
		return spki, err
	}
	return spki, errors.Join(durable.WriteFile(filepath.Join(folder, file+".crt"), certPEM), durable.WriteFile(filepath.Join(folder, file+".key"), keyPEM))
}

// sign makes the governance key, signs the first roster and gives it to every
// role.
func (b *builder) sign(r *roster.Roster) error {
	secret, public, err := note.GenerateKey(rand.Reader, "waypost.test/governance")
	if err != nil {
		return err
	}
	r.Governance = roster.Governance{Threshold: 1, Keys: []string{public}}
	if err := durable.WriteFile(filepath.Join(b.dir, "governance", "governance.key"), []byte(secret+"\n")); err != nil {
		return err
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return err
	}
	signed, err := r.Sign(signer)
	if err != nil {
		return err
	}
	for _, folder := range b.folders {
		err = errors.Join(err, writeJSON(filepath.Join(folder, "governance.json"), r.Governance), durable.WriteFile(rosterFile(folder, 1), signed))
	}
	return err
}
