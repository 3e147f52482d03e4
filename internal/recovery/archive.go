package recovery

import (
	"archive/tar"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
)

// An archive is a tar file inside an age file: head.json, then files, then manifest.json
// and manifest.sig, the signature of the member's identity key over it. What a reader has
// taken is worth something only once the manifest has come and holds.
const (
	archiveType  = "waypost backup v1"
	signedDomain = "waypost backup manifest v1\n"

	headName      = "head.json"
	manifestName  = "manifest.json"
	signatureName = "manifest.sig"

	maxHead     = 64 << 10
	maxManifest = 64 << 20
	maxFiles    = 200_000
	maxSize     = 1 << 44 // of one file, in bytes
)

// What an archive holds. Never both: who gets hold of one is to have nothing of the other.
const (
	Data = "data" // databases, rosters, settings: nothing that signs or opens anything
	Keys = "keys" // the secrets that lie beside them
)

// Head is the first thing in an archive.
type Head struct {
	Type   string      `json:"type"` // "waypost backup v1"
	Kind   string      `json:"kind"` // Data or Keys
	Role   roster.Role `json:"role"`
	Member string      `json:"member"`
	Made   time.Time   `json:"made"` // UTC, when it was begun
}

// File is one file of an archive.
type File struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // hex
}

// Log is the position of one of the role's logs in the copy of its database.
type Log struct {
	Origin string `json:"origin"`
	Size   int64  `json:"size"` // entries; at least as many where the database is on a server
	Root   string `json:"root"` // over them, hex
	// Checkpoint is what the log had published: signed by it and cosigned. Empty before the
	// first.
	Checkpoint []byte `json:"checkpoint,omitempty"`
}

// Manifest is the last thing in an archive.
type Manifest struct {
	Head  string `json:"head"` // hex of SHA-256 of head.json
	Files []File `json:"files"`
	Logs  []Log  `json:"logs,omitempty"`
}

// writer writes an archive.
type writer struct {
	tar      *tar.Writer
	head     Head
	manifest Manifest
	made     time.Time
}

func newWriter(w io.Writer, head Head) (*writer, error) {
	raw, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(raw)
	a := &writer{tar: tar.NewWriter(w), head: head, manifest: Manifest{Head: hex.EncodeToString(digest[:]), Files: []File{}}, made: head.Made}
	return a, a.put(headName, raw)
}

// put writes a small file that is not listed.
func (a *writer) put(name string, content []byte) error {
	if err := a.begin(name, int64(len(content))); err != nil {
		return err
	}
	_, err := a.tar.Write(content)
	return err
}

func (a *writer) begin(name string, size int64) error {
	return a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: a.made, Format: tar.FormatPAX})
}

// add writes a file of exactly that size.
func (a *writer) add(name string, size int64, content io.Reader) error {
	if err := checkPath(a.head.Kind, name); err != nil {
		return err
	}
	if err := a.begin(name, size); err != nil {
		return err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(a.tar, h), io.LimitReader(content, size))
	if err == nil && n != size {
		err = fmt.Errorf("%s became shorter while it was copied", name)
	}
	a.manifest.Files = append(a.manifest.Files, File{name, size, hex.EncodeToString(h.Sum(nil))})
	return err
}

// finish writes the manifest and its signature.
func (a *writer) finish(key ed25519.PrivateKey) error {
	raw, err := json.Marshal(a.manifest)
	if err != nil {
		return err
	}
	signature := ed25519.Sign(key, signedText(raw))
	return errors.Join(a.put(manifestName, raw), a.put(signatureName, []byte(hex.EncodeToString(signature))), a.tar.Close())
}

func signedText(manifest []byte) []byte {
	digest := sha256.Sum256(manifest)
	return append([]byte(signedDomain), digest[:]...)
}

// archive is what was read of one.
type archive struct {
	Head
	Manifest
	raw, signature []byte
}

// verify checks that the member made the archive.
func (a *archive) verify(key ed25519.PublicKey) error {
	if !ed25519.Verify(key, signedText(a.raw), a.signature) {
		return waypost.Errorf(waypost.InvalidArgument, "the archive was not made by %s: its signature is not by the identity key of that member", a.Member)
	}
	return nil
}

// read reads an archive to its end. begun is given its head, which may refuse it; take is
// given each file, and need not read it. Nothing that take did counts before read returns
// nil and the archive is verified.
func read(r io.Reader, begun func(Head) error, take func(name string, size int64, content io.Reader) error) (*archive, error) {
	t := tar.NewReader(r)
	a := new(archive)
	raw, err := small(t, headName, maxHead)
	if err != nil {
		return nil, err
	}
	if err := strictly(raw, &a.Head); err != nil || a.Type != archiveType || a.Kind != Data && a.Kind != Keys {
		return nil, damaged("it does not begin as one")
	}
	if err := begun(a.Head); err != nil {
		return nil, err
	}
	digest := sha256.Sum256(raw)
	var files []File
	seen := make(map[string]bool)
	for {
		h, err := t.Next()
		if err != nil {
			return nil, damaged("it is cut off")
		}
		if h.Name == manifestName {
			if a.raw, err = content(t, h, maxManifest); err != nil {
				return nil, err
			}
			break
		}
		if err := checkPath(a.Kind, h.Name); err != nil || !whole(h) || h.Size < 0 || h.Size > maxSize || seen[h.Name] || len(files) == maxFiles {
			return nil, damaged("a file in it is not one of a role's folder")
		}
		seen[h.Name] = true
		sum := sha256.New()
		if err := take(h.Name, h.Size, io.TeeReader(t, sum)); err != nil {
			return nil, err
		}
		if _, err := io.Copy(sum, io.LimitReader(t, h.Size)); err != nil {
			return nil, damaged("it is cut off")
		}
		files = append(files, File{h.Name, h.Size, hex.EncodeToString(sum.Sum(nil))})
	}
	signature, err := small(t, signatureName, 4*ed25519.SignatureSize)
	if err != nil {
		return nil, err
	}
	if a.signature, err = hex.DecodeString(string(signature)); err != nil {
		return nil, damaged("its signature is none")
	}
	if _, err := t.Next(); err != io.EOF {
		return nil, damaged("something follows its end")
	}
	if err := strictly(a.raw, &a.Manifest); err != nil || a.Manifest.Head != hex.EncodeToString(digest[:]) || !slices.Equal(a.Files, files) {
		return nil, damaged("its files are not those that it lists")
	}
	return a, nil
}

// small reads the next file, which must have that name.
func small(t *tar.Reader, name string, limit int64) ([]byte, error) {
	h, err := t.Next()
	if err != nil || h.Name != name {
		return nil, damaged("%s is not where it should be", name)
	}
	return content(t, h, limit)
}

func content(t *tar.Reader, h *tar.Header, limit int64) ([]byte, error) {
	if !whole(h) || h.Size > limit {
		return nil, damaged("%s is longer than any can be", h.Name)
	}
	raw, err := io.ReadAll(io.LimitReader(t, limit))
	if err != nil {
		return nil, damaged("it is cut off")
	}
	return raw, nil
}

// whole reports whether all bytes of a file lie in the archive, so that no more comes out
// of it than went in. A sparse file, which looks like any other to who reads it, only says
// how many zeros it has: a few bytes could fill a disk.
func whole(h *tar.Header) bool {
	for record := range h.PAXRecords {
		if strings.HasPrefix(record, "GNU.sparse.") {
			return false
		}
	}
	return h.Typeflag == tar.TypeReg
}

func strictly(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows")
	}
	return nil
}

func damaged(format string, args ...any) error {
	return waypost.Errorf(waypost.InvalidArgument, "this is not an archive of waypost backup, or it is damaged: "+format, args...)
}

// checkPath accepts the files of a role's folder of which a kind of archive may have some.
func checkPath(kind, name string) error {
	ok := fs.ValidPath(name) && len(name) <= 255 && name != "."
	for part := range strings.SplitSeq(name, "/") {
		ok = ok && !strings.HasPrefix(part, ".") && !strings.ContainsAny(part, "\\:\x00")
	}
	if top := path.Base(name); top == headName || top == manifestName || top == signatureName {
		ok = false
	}
	if !ok || secret(name) != (kind == Keys) {
		return fmt.Errorf("%.100q is no file for an archive of %s", name, kind)
	}
	return nil
}

// secret holds for files that belong among the keys: what signs, what opens, and the
// shares.
func secret(name string) bool {
	top, _, deep := strings.Cut(name, "/")
	return strings.HasSuffix(name, ".key") || deep && (top == "share" || top == "identities")
}
