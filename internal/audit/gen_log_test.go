package audit

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/translog"
)

// Real logs, made quickly: tiles, sealed bundles, wrapped keys, checkpoints
// signed and cosigned, without a database.

// objects are the objects of a log, in memory or in a folder.
type objects struct {
	dir string
	mem map[string][]byte
}

func (o *objects) put(t testing.TB, path string, b []byte) {
	if o.dir == "" {
		o.mem[path] = b
		return
	}
	name := filepath.Join(o.dir, filepath.FromSlash(path))
	if err := os.WriteFile(name, b, 0o644); err == nil {
		return
	}
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(t, os.WriteFile(name, b, 0o644))
}

func (o *objects) ReadEndpoint(_ context.Context, path string) ([]byte, error) {
	if o.dir != "" {
		return os.ReadFile(filepath.Join(o.dir, filepath.FromSlash(path)))
	}
	b, ok := o.mem[path]
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return b, nil
}

func (o *objects) ReadTiles(ctx context.Context, tiles []tlog.Tile) (data [][]byte, err error) {
	for _, t := range tiles {
		b, err := o.ReadEndpoint(ctx, torchwood.TilePath(t))
		if err != nil {
			whole := t
			whole.W = torchwood.TileWidth
			if b, err = o.ReadEndpoint(ctx, torchwood.TilePath(whole)); err != nil {
				return nil, err
			}
			b = b[:len(b)/torchwood.TileWidth*t.W]
		}
		data = append(data, b)
	}
	return data, nil
}

func (o *objects) SaveTiles([]tlog.Tile, [][]byte) {}

// genLog is one member's log.
type genLog struct {
	objects
	t      testing.TB
	member string
	role   string
	origin string
	signer note.Signer
	key    translog.DataKey
	size   int64 // committed

	queue    []queued // committed, not written
	written  int64
	levels   [][]tlog.Hash
	leaves   []byte // of the bundle that is being filled
	sealed   []byte
	tree     translog.Frontier
	cosigned int64
	blank    func(index int64) bool
}

type queued struct {
	at           int64 // when it was committed
	leaf, sealed []byte
}

func (l *genLog) place(index int64) string {
	return fmt.Sprintf("%s:%d", strings.TrimPrefix(l.origin, "waypost.test/"), index)
}

// reset begins the log.
func (l *genLog) reset(recipient age.Recipient) {
	l.key = translog.NewDataKey()
	if l.dir == "" {
		l.mem = make(map[string][]byte)
	}
	l.wrap(recipient)
}

func (l *genLog) wrap(recipient age.Recipient) {
	var out writer
	w, err := age.Encrypt(&out, recipient)
	must(l.t, err)
	_, err = w.Write(l.key.Secret[:])
	must(l.t, err)
	must(l.t, w.Close())
	l.put(l.t, l.key.ID.Path(), out)
}

type writer []byte

func (w *writer) Write(b []byte) (int, error) { *w = append(*w, b...); return len(b), nil }

// append commits an entry at the real time now; e.At is what its clock says.
func (l *genLog) append(now int64, e translog.Entry) int64 {
	leaf, sealed, err := translog.Seal(l.key, l.role, l.origin, l.size, e)
	must(l.t, err)
	l.queue = append(l.queue, queued{now, leaf, sealed})
	l.size++
	return l.size - 1
}

// write moves what was committed by the time into bundles and tiles.
func (l *genLog) write(until int64) {
	n := 0
	for ; n < len(l.queue) && l.queue[n].at <= until; n++ {
		q := l.queue[n]
		if l.blank != nil && l.blank(l.written) {
			q.sealed = nil
		}
		l.leaves = binary.BigEndian.AppendUint16(l.leaves, translog.LeafSize)
		l.leaves = append(l.leaves, q.leaf...)
		l.sealed = translog.AppendSealed(l.sealed, q.sealed)
		l.tree.Add(q.leaf)
		l.hash(0, tlog.RecordHash(q.leaf))
		if l.written++; l.written%torchwood.TileWidth == 0 {
			l.bundle(torchwood.TileWidth)
			l.leaves, l.sealed = nil, nil
		}
	}
	l.queue = append(l.queue[:0:0], l.queue[n:]...)
}

func (l *genLog) bundle(width int) {
	n := (l.written - 1) / torchwood.TileWidth
	l.put(l.t, torchwood.TilePath(tlog.Tile{H: torchwood.TileHeight, L: -1, N: n, W: width}), append([]byte(nil), l.leaves...))
	l.put(l.t, translog.SealedPath(n, width), append([]byte(nil), l.sealed...))
}

// hash adds one to the tiles of a level, and the root of a full one above.
func (l *genLog) hash(level int, h tlog.Hash) {
	if level == len(l.levels) {
		l.levels = append(l.levels, nil)
	}
	l.levels[level] = append(l.levels[level], h)
	if len(l.levels[level]) < torchwood.TileWidth {
		return
	}
	l.tile(level, l.written+1)
	var f translog.Frontier
	for _, h := range l.levels[level] {
		f.Push(h)
	}
	l.levels[level] = nil
	l.hash(level+1, f.Root())
}

func (l *genLog) tile(level int, leaves int64) {
	var data []byte
	for _, h := range l.levels[level] {
		data = append(data, h[:]...)
	}
	n := (leaves>>(torchwood.TileHeight*level) - 1) / torchwood.TileWidth
	l.put(l.t, torchwood.TilePath(tlog.Tile{H: torchwood.TileHeight, L: level, N: n, W: len(l.levels[level])}), data)
}

// publish shows what was committed by the time until, in a checkpoint that the
// witnesses sign at the time cosigned.
func (l *genLog) publish(until, cosigned int64, witnesses ...*genWitness) {
	l.write(until)
	if width := int(l.written % torchwood.TileWidth); width > 0 {
		l.bundle(width)
	}
	for level := range l.levels {
		if len(l.levels[level]) > 0 {
			l.tile(level, l.written)
		}
	}
	l.cosigned = cosigned
	l.put(l.t, "checkpoint", l.checkpoint(l.tree, cosigned, witnesses...))
}

func (l *genLog) checkpoint(tree translog.Frontier, cosigned int64, witnesses ...*genWitness) []byte {
	signers := []note.Signer{l.signer}
	for _, w := range witnesses {
		if w.member != l.member {
			signers = append(signers, w.at(cosigned))
		}
	}
	signed, err := note.Sign(&note.Note{Text: torchwood.Checkpoint{Origin: l.origin, Tree: tlog.Tree{N: tree.Size, Hash: tree.Root()}}.String()}, signers...)
	must(l.t, err)
	return signed
}

// genWitness cosigns at times that the test sets.
type genWitness struct {
	member string // the key holder it is in
	key    ed25519.PrivateKey
	vkey   string
	v      note.Verifier
}

func newWitness(t testing.TB, member, name string, key ed25519.PrivateKey) *genWitness {
	vkey := translog.WitnessKey(name, key.Public().(ed25519.PublicKey))
	v, err := translog.WitnessVerifier(vkey)
	must(t, err)
	return &genWitness{member, key, vkey, v}
}

func (w *genWitness) at(time int64) note.Signer {
	return noteSigner{w.v, func(msg []byte) []byte {
		signed := append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", time), msg...)
		return append(binary.BigEndian.AppendUint64(nil, uint64(time)), ed25519.Sign(w.key, signed)...)
	}}
}

type noteSigner struct {
	note.Verifier
	sign func([]byte) []byte
}

func (s noteSigner) Sign(msg []byte) ([]byte, error) { return s.sign(msg), nil }

func governanceSigner(t testing.TB, name string, key ed25519.PrivateKey) (note.Signer, string) {
	vkey, err := note.NewEd25519VerifierKey(name, key.Public().(ed25519.PublicKey))
	must(t, err)
	v, err := note.NewVerifier(vkey)
	must(t, err)
	return noteSigner{v, func(msg []byte) []byte { return ed25519.Sign(key, msg) }}, vkey
}

func must(t testing.TB, err error) {
	if err != nil {
		t.Helper()
		t.Fatal(err)
	}
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
