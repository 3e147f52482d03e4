package publisher

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/translog"
)

// logSigner signs checkpoints as C2SP signed-note has it.
type logSigner struct {
	name string
	hash uint32
	key  ed25519.PrivateKey
}

func newSigner(origin string, key ed25519.PrivateKey) (note.Signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("publisher: there is no key to sign checkpoints with")
	}
	v, err := translog.LogVerifier(origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	return &logSigner{origin, v.KeyHash(), key}, nil
}

func (s *logSigner) Name() string                    { return s.name }
func (s *logSigner) KeyHash() uint32                 { return s.hash }
func (s *logSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// signedNote returns the checkpoint of a tree under the log's signature, with
// the cosignatures given.
func (p *Publisher) signedNote(tree tlog.Tree, cosignatures []note.Signature) ([]byte, error) {
	return signTree(p.signer, tree, cosignatures)
}

func signTree(signer note.Signer, tree tlog.Tree, cosignatures []note.Signature) ([]byte, error) {
	text := torchwood.Checkpoint{Origin: signer.Name(), Tree: tree}.String()
	return note.Sign(&note.Note{Text: text, Sigs: cosignatures}, signer)
}

// SignAgain returns the checkpoint of a tree of the log named origin, which the log has
// signed before, signed anew and with these cosignatures. Of a tree that it has not signed
// only [Publisher] makes one.
func SignAgain(origin string, key ed25519.PrivateKey, tree tlog.Tree, cosignatures ...note.Signature) ([]byte, error) {
	signer, err := newSigner(origin, key)
	if err != nil {
		return nil, err
	}
	return signTree(signer, tree, cosignatures)
}

// sign commits this log to a tree: from here on no other tree of its size, and
// no smaller one, is ever signed. The file "signed" is on disk before the
// signature leaves this process; it lies outside the database, so that an old
// copy of that is found out.
func (p *Publisher) sign(tree tlog.Tree) error {
	if tree.N < p.signed.N || tree.N == p.signed.N && tree != p.signed {
		return fmt.Errorf("publisher: %d entries are signed already, not signing a tree of %d", p.signed.N, tree.N)
	}
	signed, err := p.signedNote(tree, nil)
	if err != nil {
		return err
	}
	if err := p.folder.write("signed", signed); err != nil {
		return err
	}
	p.signed = tree
	return nil
}

// readCheckpoint reads one of the publisher's own files, or returns the empty
// tree. The signature is not looked at: the key may be another by now, and who
// can write here can write anything.
func (p *Publisher) readCheckpoint(path string) (tlog.Tree, []byte, error) {
	content, err := p.folder.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return tlog.Tree{}, nil, nil
	}
	if err != nil {
		return tlog.Tree{}, nil, err
	}
	tree, err := parseTree(content, p.config.Origin)
	if err != nil {
		return tlog.Tree{}, nil, fmt.Errorf("publisher: the file %s is damaged, nothing is signed until it is brought back: %w", p.folder.name(path), err)
	}
	return tree, content, nil
}

// parseTree reads the tree of a checkpoint without verifying it.
func parseTree(signed []byte, origin string) (tlog.Tree, error) {
	text, _, ok := strings.Cut(string(signed), "\n\n")
	if !ok {
		return tlog.Tree{}, errors.New("it is not a signed note")
	}
	c, err := torchwood.ParseCheckpoint(text + "\n")
	if err != nil {
		return tlog.Tree{}, err
	}
	if c.Origin != origin {
		return tlog.Tree{}, fmt.Errorf("it is of the log %q", c.Origin)
	}
	return c.Tree, nil
}
