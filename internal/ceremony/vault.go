package ceremony

import (
	"bytes"
	"crypto/rand"
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
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

// Vault is where a key holder keeps its shares: each in a file of its own, encrypted
// to an age identity of its own.
//
//	<shares>/EPOCH-N.age       the N-th share of the key of that epoch
//	<shares>/EPOCH-N.open      the secrets of a ceremony that is to make it
//	<identities>/EPOCH-N.key   the age identity that opens both
//
// The identities can lie on another disk or a token: without them what is copied of
// the shares opens nothing, and once one is destroyed its share is gone wherever
// copies of it lie. A share file begins with a line that says whose share it is, in
// public; so a share without its identity is missed by name.
type Vault struct {
	shares, identities string

	mu     sync.Mutex
	opened map[string]stored // by public share
	closed []string          // share files whose identity is not there, as they are to be told
}

// stored is one share at rest.
type stored struct {
	slot  string
	share toprf.Share
	made  time.Time
}

// slotShape is the name of the files of a share: EPOCH-N.
var slotShape = regexp.MustCompile(`^([1-9][0-9]{0,9})-([1-9][0-9]{0,5})$`)

// shareHeader begins a share file.
const shareHeader = "waypost share v1 "

// OpenVault opens all shares whose identities are there. Neither folder must exist.
func OpenVault(shares, identities string) (*Vault, error) {
	v := &Vault{shares: shares, identities: identities, opened: make(map[string]stored)}
	slots, err := v.slots(".age")
	if err != nil {
		return nil, err
	}
	for _, slot := range slots {
		if err := v.load(slot); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// slots are those that have a file with the extension among the shares.
func (v *Vault) slots(extension string) (slots []string, err error) {
	entries, err := os.ReadDir(v.shares)
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
		return fmt.Errorf("%s: %w", path, err)
	}
	identity, err := v.identity(slot)
	if errors.Is(err, fs.ErrNotExist) {
		v.closed = append(v.closed, fmt.Sprintf("%s (public share %s) cannot be opened: its identity %s is not there", path, public, v.identityPath(slot)))
		return nil
	}
	if err != nil {
		return err
	}
	var share toprf.Share
	if plain, err := decrypt(identity, sealed); err != nil || share.UnmarshalBinary(plain) != nil || encode(share) != public {
		return fmt.Errorf("%s is damaged, or %s is not its identity", path, v.identityPath(slot))
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
		return "", nil, errors.New("this is not a share file")
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

// Closed says which shares cannot be used because their identities are missing.
func (v *Vault) Closed() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.closed)
}

// Put keeps a share that was made elsewhere than in a [Holder]: in a rehearsal.
func (v *Vault) Put(epoch uint32, share toprf.Share) error {
	slot, err := v.begin(epoch)
	if err != nil {
		return err
	}
	return v.keep(slot, share)
}

// begin takes the next free slot of an epoch and makes its identity.
func (v *Vault) begin(epoch uint32) (slot string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	taken, err := filepath.Glob(filepath.Join(v.shares, fmt.Sprintf("%d-*", epoch)))
	if err != nil {
		return "", err
	}
	keys, err := filepath.Glob(filepath.Join(v.identities, fmt.Sprintf("%d-*", epoch)))
	if err != nil {
		return "", err
	}
	last := 0
	for _, path := range append(taken, keys...) {
		if m := slotShape.FindStringSubmatch(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))); m != nil {
			n, _ := strconv.Atoi(m[2])
			last = max(last, n)
		}
	}
	slot = fmt.Sprintf("%d-%d", epoch, last+1)
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		return "", err
	}
	return slot, writeFile(v.identityPath(slot), []byte("# public key: "+identity.Recipient().String()+"\n"+identity.String()+"\n"))
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
	if err := writeFile(v.sharePath(slot), append([]byte(shareHeader+encode(share)+"\n"), sealed...)); err != nil {
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
	return writeFile(v.openPath(slot), sealed)
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

// release destroys the secrets of a ceremony that has its share.
func (v *Vault) release(slot string) error { return destroy(v.openPath(slot)) }

// forget destroys a slot: the identity first, without which the rest is nothing.
func (v *Vault) forget(slot string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for public, s := range v.opened {
		if s.slot == slot {
			delete(v.opened, public)
		}
	}
	return errors.Join(destroy(v.identityPath(slot)), destroy(v.openPath(slot)), destroy(v.sharePath(slot)))
}

// Waits is how long a share is kept that no roster names yet: within it governance
// has to publish the roster that does.
const Waits = 30 * 24 * time.Hour

// Sweep destroys the shares that are over: those that a known version of the roster
// has named and no version names that is accepted now; and those that no version has
// named in time, as far as the known ones go. It returns their slots.
func (v *Vault) Sweep(view *roster.View, name string) (destroyed []string, err error) {
	v.mu.Lock()
	var over []string
	for public, s := range v.opened {
		named, live := view.Names(name, []byte(public))
		if !live && (named || view.Latest().NotBefore.After(s.made.Add(Waits))) {
			over = append(over, s.slot)
		}
	}
	v.mu.Unlock()
	slices.Sort(over)
	for _, slot := range over {
		if err := v.forget(slot); err != nil {
			return destroyed, err
		}
		destroyed = append(destroyed, slot)
	}
	return destroyed, nil
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
	return nil, fmt.Errorf("%s holds no age identity", path) // not the cause: it might quote the key
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

// writeFile writes a file durably and whole, for the owner alone.
func writeFile(path string, content []byte) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(folder, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(content)
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	return syncFolder(folder)
}

// destroy overwrites a file, as far as the disk does that in place, and removes it.
// One that is not there is destroyed already.
func destroy(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	noise := make([]byte, info.Size())
	_, _ = rand.Read(noise) // never fails (Go 1.24)
	_, err = f.Write(noise)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(os.Remove(path), syncFolder(filepath.Dir(path)))
}

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	err = folder.Sync()
	if runtime.GOOS == "windows" {
		err = nil // folders cannot be synced there
	}
	return errors.Join(err, folder.Close())
}
