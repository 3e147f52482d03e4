package ceremony

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/durable"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

// Vault is where a key holder keeps its shares: each in a file of its own, encrypted
// to an age identity of its own.
//
//	<shares>/EPOCH-ID.age       a share of the key of that epoch
//	<shares>/EPOCH-ID.open      the secrets of a ceremony that is to make it
//	<identities>/EPOCH-ID.key   the age identity that opens both
//
// ID is of the ceremony's: no two shares ever have one name, so that what is destroyed
// by name is never another's.
//
// The identities can lie on another disk or a token: without them what is copied of
// the shares opens nothing, and once one is destroyed its share is gone wherever
// copies of it lie. A share file begins with a line that says whose share it is, in
// public; so a share without its identity is missed by name.
type Vault struct {
	shares, identities string

	mu     sync.Mutex
	opened map[string]stored // by public share
	closed []string          // share files that do not open, as they are to be told
}

// stored is one share at rest.
type stored struct {
	slot  string
	share toprf.Share
	made  time.Time
}

// slotShape is the name of the files of a share: EPOCH-ID.
var slotShape = regexp.MustCompile(`^([1-9][0-9]{0,9})-[0-9a-f]{32}$`)

// slotName is the slot of what is known by 32 bytes that never come again.
func slotName(epoch uint32, id []byte) string { return fmt.Sprintf("%d-%x", epoch, id[:16]) }

// slotEpoch is the epoch of a slot.
func slotEpoch(slot string) uint32 {
	m := slotShape.FindStringSubmatch(slot)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseUint(m[1], 10, 32)
	return uint32(n)
}

// errDamaged is of a file that is not what was written there.
var errDamaged = errors.New("it is damaged")

// shareHeader begins a share file.
const shareHeader = "waypost share v1 "

// OpenVault opens all shares that open; [Vault.Closed] tells of the others, of which
// only the key holder knows whether they are needed. What a process before was
// destroying is destroyed. Neither folder must exist.
func OpenVault(shares, identities string) (*Vault, error) {
	if err := errors.Join(finish(shares), finish(identities)); err != nil {
		return nil, err
	}
	return LookVault(shares, identities)
}

// LookVault is OpenVault that changes nothing: for who looks from beside.
func LookVault(shares, identities string) (*Vault, error) {
	v := &Vault{shares: shares, identities: identities, opened: make(map[string]stored)}
	slots, err := slotsIn(v.shares, ".age")
	if err != nil {
		return nil, err
	}
	for _, slot := range slots {
		err := v.load(slot)
		if errors.Is(err, errDamaged) || errors.Is(err, fs.ErrNotExist) {
			v.closed = append(v.closed, err.Error())
		} else if err != nil {
			return nil, err
		}
	}
	return v, nil
}

// slotsIn are those that have a file with the extension in a folder.
func slotsIn(folder, extension string) (slots []string, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if slot, ok := strings.CutSuffix(e.Name(), extension); ok && slotShape.MatchString(slot) {
			slots = append(slots, slot)
		}
	}
	return slots, nil
}

func (v *Vault) load(slot string) error {
	path := v.sharePath(slot)
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	public, sealed, err := cutShare(raw)
	if err != nil {
		return fmt.Errorf("%s is not a share file: %w", path, err)
	}
	identity, err := v.identity(slot)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s (public share %s) cannot be opened: its identity is not there: %w", path, public, err)
	}
	if err != nil {
		return err
	}
	var share toprf.Share
	if plain, err := decrypt(identity, sealed); err != nil || share.UnmarshalBinary(plain) != nil || encode(share) != public {
		return fmt.Errorf("%s does not open with %s: %w", path, v.identityPath(slot), errDamaged)
	}
	v.opened[string(share.Public().Bytes())] = stored{slot, share, info.ModTime()}
	return nil
}

func encode(s toprf.Share) string { return base64.StdEncoding.EncodeToString(s.Public().Bytes()) }

// cutShare separates the public line of a share file from what is encrypted.
func cutShare(raw []byte) (public string, sealed []byte, err error) {
	line, sealed, ok := bytes.Cut(raw, []byte("\n"))
	public, headed := strings.CutPrefix(string(line), shareHeader)
	if key, err := base64.StdEncoding.DecodeString(public); !ok || !headed || err != nil || len(key) != toprf.ElementSize || len(sealed) > 1<<16 {
		return "", nil, errDamaged
	}
	return public, sealed, nil
}

// Share returns the share whose public share that is, 32 bytes.
func (v *Vault) Share(public []byte) (toprf.Share, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, ok := v.opened[string(public)]
	return s.share, ok
}

// Lacks are the key epochs for which a roster names a share of the key holder that does not
// open here.
func (v *Vault) Lacks(r *roster.Roster, name string) (epochs []uint32) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, k := range []*roster.Key{{Epoch: r.Epoch}, r.Beside} {
		if k != nil && v.lacks(r, name, k.Epoch) {
			epochs = append(epochs, k.Epoch)
		}
	}
	return epochs
}

// Closed says which shares cannot be used, because their identities are missing or
// they are damaged.
func (v *Vault) Closed() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.closed)
}

// Put keeps a share that was made elsewhere than in a [Holder]: in a rehearsal.
func (v *Vault) Put(epoch uint32, share toprf.Share) error {
	slot := slotName(epoch, share.Public().Bytes())
	if err := v.begin(slot); err != nil {
		return err
	}
	return v.keep(slot, share)
}

// begin makes the identity of a slot. A slot with a share has had its ceremony, though
// the database, come back from a backup, may not know.
func (v *Vault) begin(slot string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	kept, err := v.kept(slot)
	if err != nil {
		return err
	}
	if kept {
		return waypost.Errorf(waypost.AlreadyExists, "%s is there: this ceremony was held, begin another", v.sharePath(slot))
	}
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		return err
	}
	return durable.WriteFile(v.identityPath(slot), []byte("# public key: "+identity.Recipient().String()+"\n"+identity.String()+"\n"))
}

// kept reports whether a slot has a finished share.
func (v *Vault) kept(slot string) (bool, error) {
	_, err := os.Stat(v.sharePath(slot))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// keep writes a share, durably, before it counts.
func (v *Vault) keep(slot string, share toprf.Share) error {
	plain, err := share.MarshalBinary()
	if err != nil {
		return err
	}
	sealed, err := v.encrypt(slot, plain)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(v.sharePath(slot), append([]byte(shareHeader+encode(share)+"\n"), sealed...)); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.load(slot)
}

// hold writes the secrets of a ceremony: the seed, then the identities, one a line.
func (v *Vault) hold(slot string, s secrets) error {
	plain := slices.Clone(s.seed[:])
	for _, id := range s.identities {
		plain = append(plain, id.String()+"\n"...)
	}
	sealed, err := v.encrypt(slot, plain)
	if err != nil {
		return err
	}
	return durable.WriteFile(v.openPath(slot), sealed)
}

// held reads what hold wrote.
func (v *Vault) held(slot string) (s secrets, err error) {
	sealed, err := os.ReadFile(v.openPath(slot))
	if err != nil {
		return s, err
	}
	identity, err := v.identity(slot)
	if err != nil {
		return s, err
	}
	damaged := fmt.Errorf("%s is damaged", v.openPath(slot))
	plain, err := decrypt(identity, sealed)
	if err != nil || len(plain) < len(s.seed) {
		return s, damaged
	}
	copy(s.seed[:], plain)
	for line := range strings.Lines(string(plain[len(s.seed):])) {
		id, err := age.ParseX25519Identity(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return s, damaged
		}
		s.identities = append(s.identities, id)
	}
	return s, nil
}

func (v *Vault) sharePath(slot string) string    { return filepath.Join(v.shares, slot+".age") }
func (v *Vault) openPath(slot string) string     { return filepath.Join(v.shares, slot+".open") }
func (v *Vault) identityPath(slot string) string { return filepath.Join(v.identities, slot+".key") }

// identity reads the age identity of a slot, which nobody but the owner may read.
func (v *Vault) identity(slot string) (*age.HybridIdentity, error) {
	path := v.identityPath(slot)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, waypost.Errorf(waypost.PermissionDenied, "%s can be read by others: chmod 600 it, and think about a refresh", path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	ids, err := age.ParseIdentities(bytes.NewReader(raw))
	if err == nil && len(ids) == 1 {
		if id, ok := ids[0].(*age.HybridIdentity); ok {
			return id, nil
		}
	}
	return nil, fmt.Errorf("%s holds no age identity: %w", path, errDamaged) // not the cause: it might quote the key
}

func (v *Vault) encrypt(slot string, plain []byte) ([]byte, error) {
	identity, err := v.identity(slot)
	if err != nil {
		return nil, err
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, identity.Recipient())
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	err = w.Close()
	return sealed.Bytes(), err
}

func decrypt(identity age.Identity, sealed []byte) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, 1<<16))
}
