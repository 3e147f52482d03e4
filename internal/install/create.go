package install

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

// Plan says which exchange to create.
type Plan struct {
	States    []waypost.Jurisdiction
	Holders   int // n
	Threshold int // t
	Quota     roster.Quota
	Now       time.Time
}

// rosterLife is how long a roster made here is valid.
const rosterLife = roster.MaxValidity

// Create makes the folders of a whole exchange under dir, which must not hold
// one: hub, keyholder-1..n, gateway-XX, and governance with the key that signs
// rosters. On one machine all key holders take part in the key generation in
// this process; each share goes to its own folder and nowhere else.
func Create(dir string, plan Plan) error {
	if _, err := os.Stat(filepath.Join(dir, "governance")); !errors.Is(err, fs.ErrNotExist) {
		return waypost.Errorf(waypost.AlreadyExists, "%s holds an exchange already", dir)
	}
	// Everything is made beside and moved in place last, so that a crash
	// leaves no half exchange.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	making, err := os.MkdirTemp(dir, ".making-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(making)
	b := builder{dir: making, plan: plan, taken: make(map[string]bool)}
	if err := b.build(); err != nil {
		return err
	}
	made, err := os.ReadDir(making)
	if err != nil {
		return err
	}
	for _, folder := range made { // governance, which marks it complete, is last
		if folder.Name() != "governance" {
			err = errors.Join(err, os.Rename(filepath.Join(making, folder.Name()), filepath.Join(dir, folder.Name())))
		}
	}
	return errors.Join(err, os.Rename(filepath.Join(making, "governance"), filepath.Join(dir, "governance")))
}

// FolderOf is the folder of a role under an exchange's folder.
func FolderOf(dir, name string) string {
	if len(name) == 2 {
		return filepath.Join(dir, "gateway-"+name)
	}
	return filepath.Join(dir, name)
}

type builder struct {
	dir     string
	plan    Plan
	members []roster.Member
	folders []string
	taken   map[string]bool // addresses given out
}

func (b *builder) build() error {
	outcomes, err := generateKey(b.plan.Threshold, b.plan.Holders)
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
	keys := outcomes[0].Keys
	group := keys.Group()
	return b.sign(&roster.Roster{
		Version: 1, Environment: waypost.Test, NotBefore: b.plan.Now.UTC().Truncate(time.Second),
		NotAfter: b.plan.Now.Add(rosterLife).UTC().Truncate(time.Second), Profile: 1, Epoch: 1,
		Threshold: b.plan.Threshold, GroupKey: group.Bytes(),
		Purposes: []waypost.Purpose{waypost.IssueLicence, waypost.IssuePermit, waypost.IssueID, waypost.IssueRealID,
			waypost.Renew, waypost.DuplicateResolution, waypost.PostConviction, waypost.MaintainPointer},
		Members: b.members,
	})
}

// generateKey runs the Feldman key generation among n holders.
func generateKey(threshold, n int) ([]*toprf.Outcome, error) {
	c := toprf.Ceremony{Threshold: threshold, Holders: n}
	_, _ = rand.Read(c.ID[:]) // never fails (Go 1.24)
	holders := make([]*toprf.Participant, n)
	commits, reveals := make([][]byte, n), make([][]byte, n)
	deals := make([][][]byte, n)
	var err error
	for i := range holders {
		if holders[i], commits[i], err = toprf.NewParticipant(c, i+1); err != nil {
			return nil, err
		}
	}
	for i, h := range holders {
		if reveals[i], err = h.Reveal(commits); err != nil {
			return nil, err
		}
	}
	for i, h := range holders {
		if deals[i], err = h.Deal(reveals); err != nil {
			return nil, err
		}
	}
	outcomes := make([]*toprf.Outcome, n)
	for i, h := range holders {
		mine := make([][]byte, n)
		for from := range deals {
			mine[from] = deals[from][i]
		}
		if outcomes[i], err = h.Finish(mine); err != nil {
			return nil, err
		}
		if sha256.Sum256(outcomes[i].Transcript) != sha256.Sum256(outcomes[0].Transcript) {
			return nil, errors.New("the key holders do not agree on the transcript of the key generation")
		}
	}
	return outcomes, nil
}

func (b *builder) hub() error {
	address, err := b.address()
	if err != nil {
		return err
	}
	m := roster.Member{Name: "hub", Role: roster.Hub, Operator: "Waypost demonstration hub", URL: "https://" + address}
	return b.role(m, Config{Database: "sqlite:hub.db"}, "label.key")
}

func (b *builder) holder(index int, o *toprf.Outcome) error {
	address, err := b.address()
	if err != nil {
		return err
	}
	name := "keyholder-" + strconv.Itoa(index)
	share, err := o.Share.MarshalBinary()
	if err != nil {
		return err
	}
	public := o.Share.Public()
	if err := writeHex(filepath.Join(b.dir, name, "share.key"), share); err != nil {
		return err
	}
	return b.role(roster.Member{
		Name: name, Role: roster.KeyHolder, Operator: "Demonstration key holder " + strconv.Itoa(index), URL: "https://" + address,
		Index: index, PublicShare: public.Bytes(),
	}, Config{Database: "sqlite:keyholder.db", Epoch: 1})
}

func (b *builder) gateway(state waypost.Jurisdiction) error {
	folder := FolderOf(b.dir, string(state))
	for _, door := range []string{"counter", "operator"} {
		if _, err := certificate(folder, door, string(state)+" "+door); err != nil {
			return err
		}
	}
	return b.role(roster.Member{
		Name: string(state), Role: roster.Gateway, Operator: string(state) + " licensing agency (demonstration)",
		Jurisdiction: state, Participation: roster.Full, Quota: b.plan.Quota,
		Capabilities: []roster.Capability{roster.Search, roster.Answer, roster.Publish, roster.RealID},
	}, Config{Database: "sqlite:gateway.db", People: "sqlite:people.db"}, "secret.key")
}

// role makes what every role has, and the secrets named.
func (b *builder) role(m roster.Member, c Config, secrets ...string) error {
	folder := FolderOf(b.dir, m.Name)
	for _, name := range append(secrets, "identity.key", "log.key") {
		seed := make([]byte, ed25519.SeedSize)
		_, _ = rand.Read(seed) // never fails (Go 1.24)
		if err := writeHex(filepath.Join(folder, name), seed); err != nil {
			return err
		}
		public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
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
	m.Protocol = roster.Protocol{Min: 1, Max: 1}
	c.Role, c.Name, c.Origin = m.Role, m.Name, "waypost.test/"+m.Name+"/1"
	if c.Listen = strings.TrimPrefix(m.URL, "https://"); c.Listen == "" {
		if c.Listen, err = b.address(); err != nil {
			return err
		}
	}
	b.members, b.folders = append(b.members, m), append(b.folders, folder)
	return writeJSON(filepath.Join(folder, "config.json"), c)
}

// certificate makes a key and a self-signed certificate; the roster or the
// gateway pins the key.
func certificate(folder, file, name string) ([32]byte, error) {
	const validity = 365 * 24 * time.Hour
	certPEM, keyPEM, spki, err := roster.NewCertificate(name, []string{"localhost", "127.0.0.1"}, validity)
	if err != nil {
		return spki, err
	}
	return spki, errors.Join(writeFile(filepath.Join(folder, file+".crt"), certPEM), writeFile(filepath.Join(folder, file+".key"), keyPEM))
}

// sign makes the governance key, signs the first roster and gives it to every
// role.
func (b *builder) sign(r *roster.Roster) error {
	secret, public, err := note.GenerateKey(rand.Reader, "waypost.test/governance")
	if err != nil {
		return err
	}
	r.Governance = roster.Governance{Threshold: 1, Keys: []string{public}}
	if err := writeFile(filepath.Join(b.dir, "governance", "governance.key"), []byte(secret+"\n")); err != nil {
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
		err = errors.Join(err, writeJSON(filepath.Join(folder, "governance.json"), r.Governance), writeRoster(folder, 1, signed))
	}
	return err
}

func writeRoster(folder string, version uint64, signed []byte) error {
	return writeFile(filepath.Join(folder, "roster", fmt.Sprintf("%06d", version)), signed)
}

// Renew signs the exchange's roster again if it has less than a day left, as
// governance does each week.
func Renew(dir string, now time.Time) error {
	folders, err := roleFolders(dir)
	if err != nil {
		return err
	}
	var trusted roster.Governance
	if err := readJSON(filepath.Join(folders[0], "governance.json"), &trusted); err != nil {
		return err
	}
	signed, err := Rosters(folders[0])
	if err != nil {
		return err
	}
	last := signed[len(signed)-1]
	current, err := roster.Parse(last, trusted, now)
	if err == nil && current.NotAfter.Sub(now) > 24*time.Hour {
		return nil
	}
	if current, err = roster.ParseExpired(last, trusted); err != nil {
		return err
	}
	next := *current
	next.Version++
	if next.Previous, err = current.Hash(); err != nil {
		return err
	}
	next.NotBefore, next.NotAfter = now.UTC().Truncate(time.Second), now.Add(rosterLife).UTC().Truncate(time.Second)
	secret, err := os.ReadFile(filepath.Join(dir, "governance", "governance.key"))
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(secret)))
	if err != nil {
		return err
	}
	renewed, err := next.Sign(signer)
	for _, folder := range folders {
		err = errors.Join(err, writeRoster(folder, next.Version, renewed))
	}
	return err
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

// address returns a loopback address that is free and that no other role of
// the exchange has. It lies below the range from which systems take the ports
// of outgoing connections, so that it is still free at the next start.
func (b *builder) address() (string, error) {
	const from, to = 20000, 32000
	for range 1000 {
		port, err := rand.Int(rand.Reader, big.NewInt(to-from))
		if err != nil {
			return "", err
		}
		address := net.JoinHostPort("127.0.0.1", strconv.FormatInt(from+port.Int64(), 10))
		if b.taken[address] {
			continue
		}
		if l, err := net.Listen("tcp", address); err == nil {
			b.taken[address] = true
			return address, l.Close()
		}
	}
	return "", errors.New("no free port between 20000 and 32000 on 127.0.0.1")
}
