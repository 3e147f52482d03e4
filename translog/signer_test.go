package translog

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// seq is n bytes that count up from start.
func seq(start byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = start + byte(i)
	}
	return b
}

// testSigner signs notes with keys that the tests know, at times that they set.
type testSigner struct {
	note.Verifier
	sign func(msg []byte) []byte
}

func (s testSigner) Sign(msg []byte) ([]byte, error) { return s.sign(msg), nil }

func testKey(first byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(seq(first, ed25519.SeedSize))
}

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

func logSigner(t testing.TB, origin string, first byte) testSigner {
	t.Helper()
	key := testKey(first)
	v, err := LogVerifier(origin, public(key))
	if err != nil {
		t.Fatal(err)
	}
	return testSigner{v, func(msg []byte) []byte { return ed25519.Sign(key, msg) }}
}

func witness(t testing.TB, name string, first byte, at int64) testSigner {
	t.Helper()
	key := testKey(first)
	v, err := WitnessVerifier(WitnessKey(name, public(key)))
	if err != nil {
		t.Fatal(err)
	}
	return testSigner{v, func(msg []byte) []byte {
		signed := append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", at), msg...)
		return append(binary.BigEndian.AppendUint64(nil, uint64(at)), ed25519.Sign(key, signed)...)
	}}
}

func signText(t testing.TB, text string, signers ...note.Signer) []byte {
	t.Helper()
	signed, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func signTree(t testing.TB, origin string, tree tlog.Tree, signers ...note.Signer) []byte {
	t.Helper()
	return signText(t, torchwood.Checkpoint{Origin: origin, Tree: tree}.String(), signers...)
}

// storedHashes is a tree in memory, kept by x/mod's own code.
type storedHashes []tlog.Hash

func (s storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		hashes[i] = s[x]
	}
	return hashes, nil
}

func (s *storedHashes) add(t testing.TB, index int64, leaf []byte) {
	t.Helper()
	hashes, err := tlog.StoredHashes(index, leaf, *s)
	if err != nil {
		t.Fatal(err)
	}
	*s = append(*s, hashes...)
}

func (s storedHashes) tree(t testing.TB, size int64) tlog.Tree {
	t.Helper()
	root, err := tlog.TreeHash(size, s)
	if err != nil {
		t.Fatal(err)
	}
	return tlog.Tree{N: size, Hash: root}
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
