package translog

import (
	"bytes"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var update = flag.Bool("update", false, "write the vectors anew")

const vectorPath = "../spec/vectors/ledger.json"

// hexBytes is a byte string that stands in hex in a vector file.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

type entryVector struct {
	Role       string   `json:"role"`
	Origin     string   `json:"origin"`
	Index      int64    `json:"index"`
	Kind       string   `json:"kind"`
	Ordinal    uint64   `json:"ordinal"`
	At         int64    `json:"at"`
	Ticket     hexBytes `json:"ticket"`
	Tau        hexBytes `json:"tau"`
	Salt       hexBytes `json:"salt"`
	Body       string   `json:"body"`
	Tag        hexBytes `json:"tag"`
	Commitment hexBytes `json:"commitment"`
	Leaf       hexBytes `json:"leaf"`
	KeyID      hexBytes `json:"key_id"`
	Key        hexBytes `json:"key"`
	Nonce      hexBytes `json:"nonce"`
	Blob       hexBytes `json:"blob"`
}

type witnessVector struct {
	Name  string   `json:"name"`
	Seed  hexBytes `json:"seed"`
	VKey  string   `json:"vkey"`
	Group string   `json:"group"`
	Time  int64    `json:"time"`
}

type groupVector struct {
	Name string `json:"name"`
	Need int    `json:"need"`
}

type inclusionVector struct {
	Index int64    `json:"index"`
	Proof []string `json:"proof"`
}

type consistencyVector struct {
	OldSize int64    `json:"old_size"`
	OldRoot string   `json:"old_root"`
	Proof   []string `json:"proof"`
}

type rootVector struct {
	Size int64  `json:"size"`
	Root string `json:"root"`
}

type refusedVector struct {
	Why        string `json:"why"`
	Checkpoint string `json:"checkpoint"`
}

type vectorFile struct {
	Comment string        `json:"comment"`
	Entries []entryVector `json:"entries"`
	// The log of the entries 0, 1, ... of the origin.
	Log struct {
		Origin      string            `json:"origin"`
		Seed        hexBytes          `json:"seed"`
		VKey        string            `json:"vkey"`
		Bundle      hexBytes          `json:"bundle"` // tile/entries/000.p/3
		Sealed      hexBytes          `json:"sealed"` // sealed/000.p/3, the second erased
		Tile        hexBytes          `json:"tile"`   // tile/0/000.p/3
		Witnesses   []witnessVector   `json:"witnesses"`
		Groups      []groupVector     `json:"groups"`
		Checkpoint  string            `json:"checkpoint"`
		Cosigned    int64             `json:"cosigned"`
		Inclusion   []inclusionVector `json:"inclusion"`
		Consistency consistencyVector `json:"consistency"`
		Refused     []refusedVector   `json:"refused"`
		Proof       json.RawMessage   `json:"proof"` // of entry 1
	} `json:"log"`
	Roots []rootVector `json:"roots"`
}

const vectorOrigin = "waypost.test/keyholder-1/1"

// vectorEntry is an entry of the vectors, with a ticket unless it is bare.
func vectorEntry(kind string, ordinal uint64, at int64, bare bool, body string) Entry {
	e := Entry{Kind: kind, Ordinal: ordinal, At: time.Unix(at, 0).UTC(), Body: []byte(body)}
	if !bare {
		copy(e.Ticket[:], seq(0x40, 32))
	}
	copy(e.Tau[:], seq(0x30, 32))
	copy(e.Salt[:], seq(0x80, 32))
	return e
}

func vectorDataKey() (k DataKey) {
	copy(k.ID[:], seq(0xa0, len(k.ID)))
	copy(k.Secret[:], seq(0xc0, 32))
	return k
}

func makeEntries(t *testing.T) (all []entryVector) {
	t.Helper()
	for _, v := range []struct {
		role, origin string
		index        int64
		Entry
	}{
		{"keyholder", vectorOrigin, 0, vectorEntry("started", 0, start.Unix(), true, `{"version":"1.0.0"}`)},
		{"keyholder", vectorOrigin, 1, vectorEntry("evaluate", 0, start.Unix()+1, false, `{"ticket":"d2F5cG9zdA=="}`)},
		{"keyholder", vectorOrigin, 2, vectorEntry("daily", 0, start.Unix()+86400, true, `{"day":"2026-01-01","evaluate":"1","started":"1"}`)},
		{"hub", "waypost.test/hub/1", 255, vectorEntry("deliver", 19, 0, false, `{"minute":"2026-01-01T00:00Z","owner":"CA","soi":"AZ"}`)},
		{"gateway", "h", 1 << 40, vectorEntry("hold", 1<<63, lastSecond, true, `{"id":"7","reason":"Peña v. \"State\" <&> \\ 木","scope":""}`)},
		{"witness", strings.Repeat("~", 255), maxSize, vectorEntry("x_9", 0, 1, true, `{}`)},
	} {
		k, nonce := vectorDataKey(), [24]byte(seq(0xe0, 24))
		leaf, blob, err := seal(k, nonce, v.role, v.origin, v.index, v.Entry)
		if err != nil {
			t.Fatal(err)
		}
		tag, commitment := Tag(v.Tau, v.role, v.origin, v.Kind, v.Ordinal), v.Commitment()
		all = append(all, entryVector{
			Role: v.role, Origin: v.origin, Index: v.index, Kind: v.Kind, Ordinal: v.Ordinal, At: v.At.Unix(),
			Ticket: v.Ticket[:], Tau: v.Tau[:], Salt: v.Salt[:], Body: string(v.Body),
			Tag: tag[:], Commitment: commitment[:], Leaf: leaf,
			KeyID: k.ID[:], Key: k.Secret[:], Nonce: nonce[:], Blob: blob,
		})
	}
	return all
}

func texts[H ~[32]byte](hashes []H) []string {
	s := []string{}
	for _, h := range hashes {
		s = append(s, base64.StdEncoding.EncodeToString(h[:]))
	}
	return s
}

func vectorSigners(t testing.TB) (log testSigner, w []testSigner) {
	t.Helper()
	return logSigner(t, vectorOrigin, 1), []testSigner{
		witness(t, "waypost/keyholder-2/witness", 2, start.Unix()+100),
		witness(t, "waypost/keyholder-3/witness", 3, start.Unix()+90),
		witness(t, "waypost/keyholder-4/witness", 4, start.Unix()+95),
		witness(t, "witness.example", 5, start.Unix()+97),
	}
}

func vectorPolicy(t testing.TB) Policy {
	t.Helper()
	log, w := vectorSigners(t)
	return Policy{Origin: vectorOrigin, Log: log.Verifier, Groups: []Group{
		{Name: "key holders", Need: 2, Witnesses: []note.Verifier{w[0].Verifier, w[1].Verifier, w[2].Verifier}},
		{Name: "outside witnesses", Need: 1, Witnesses: []note.Verifier{w[3].Verifier}},
	}}
}

func makeVectors(t *testing.T) (f vectorFile) {
	t.Helper()
	f.Comment = "Written by the tests of translog. Hex, but for what C2SP has in base64; secrets are bytes that count up. " +
		"The log is that of the first three entries. Leaf i of the roots is SHA-512 of i as 8 bytes."
	f.Entries = makeEntries(t)
	var stored storedHashes
	l := &f.Log
	for i, e := range f.Entries[:3] {
		stored.add(t, int64(i), e.Leaf)
		l.Bundle, _ = torchwood.AppendTileEntry(l.Bundle, e.Leaf)
		blob := e.Blob
		if i == 1 {
			blob = nil
		}
		l.Sealed = AppendSealed(l.Sealed, blob)
		h := tlog.RecordHash(e.Leaf)
		l.Tile = append(l.Tile, h[:]...)
	}
	tree := stored.tree(t, 3)
	log, w := vectorSigners(t)
	l.Origin, l.Seed = vectorOrigin, seq(1, 32)
	l.VKey, _ = note.NewEd25519VerifierKey(vectorOrigin, public(testKey(1)))
	for i, s := range w {
		group := "key holders"
		if i == 3 {
			group = "outside witnesses"
		}
		at := []int64{100, 90, 95, 97}[i]
		l.Witnesses = append(l.Witnesses, witnessVector{s.Name(), seq(byte(i+2), 32), WitnessKey(s.Name(), public(testKey(byte(i+2)))), group, start.Unix() + at})
	}
	l.Groups = []groupVector{{"key holders", 2}, {"outside witnesses", 1}}
	l.Checkpoint = string(signTree(t, vectorOrigin, tree, log, w[0], w[1], w[2], w[3]))
	l.Cosigned = start.Unix() + 95
	for i := range int64(3) {
		proof, err := tlog.ProveRecord(3, i, stored)
		if err != nil {
			t.Fatal(err)
		}
		l.Inclusion = append(l.Inclusion, inclusionVector{i, texts(proof)})
		if i != 1 {
			continue
		}
		entry := vectorEntry("evaluate", 0, start.Unix()+1, false, f.Entries[i].Body)
		if l.Proof, err = (Proof{vectorOrigin, i, f.Entries[i].Leaf, entry, proof, []byte(l.Checkpoint)}).Marshal(); err != nil {
			t.Fatal(err)
		}
	}
	proof, err := tlog.ProveTree(3, 2, stored)
	if err != nil {
		t.Fatal(err)
	}
	l.Consistency = consistencyVector{2, stored.tree(t, 2).Hash.String(), texts(proof)}
	l.Refused = makeRefused(t, tree, stored.tree(t, 2))
	f.Roots = makeRoots(t)
	return f
}

func makeRefused(t *testing.T, tree, other tlog.Tree) (refused []refusedVector) {
	t.Helper()
	log, w := vectorSigners(t)
	good := signTree(t, vectorOrigin, tree, log, w[0], w[1], w[3])
	text := torchwood.Checkpoint{Origin: vectorOrigin, Tree: tree}.String()
	stranger := logSigner(t, vectorOrigin, 9)
	zero := tlog.Tree{}
	add := func(why string, signed []byte) { refused = append(refused, refusedVector{why, string(signed)}) }
	add("a size that was altered", bytes.Replace(good, []byte("\n3\n"), []byte("\n4\n"), 1))
	add("signed by another key of the log's name", signTree(t, vectorOrigin, tree, stranger, w[0], w[1], w[3]))
	add("not signed by the log", signTree(t, vectorOrigin, tree, w[0], w[1], w[2], w[3]))
	add("of another log", signTree(t, "waypost.test/keyholder-1/2", tree, log, w[0], w[1], w[3]))
	add("one key holder too few", signTree(t, vectorOrigin, tree, log, w[0], w[3]))
	add("no outside witness", signTree(t, vectorOrigin, tree, log, w[0], w[1], w[2]))
	lines := bytes.SplitAfter(good, []byte("\n"))
	add("one key holder twice", bytes.Join(append(append([][]byte{}, lines[:6]...), lines[5], lines[7]), nil))
	late := witness(t, w[0].Name(), 2, lastSecond+1)
	add("a cosignature of the year 10000", signTree(t, vectorOrigin, tree, log, late, w[1], w[3]))
	plain := testSigner{w[0].Verifier, func(msg []byte) []byte { b, _ := logSigner(t, "x", 2).Sign(msg); return append(make([]byte, 8), b...) }}
	add("a cosignature without its header", signTree(t, vectorOrigin, tree, log, plain, w[1], w[3]))
	moved := testSigner{w[0].Verifier, func([]byte) []byte {
		b, _ := w[0].Sign([]byte(torchwood.Checkpoint{Origin: vectorOrigin, Tree: other}.String()))
		return b
	}}
	add("a cosignature of another tree", signTree(t, vectorOrigin, tree, log, moved, w[1], w[3]))
	add("a size with a leading zero", signText(t, strings.Replace(text, "\n3\n", "\n03\n", 1), log, w[0], w[1], w[3]))
	add("an empty tree with a root that is not that of nothing", signTree(t, vectorOrigin, zero, log, w[0], w[1], w[3]))
	add("more leaves than 2^48", signTree(t, vectorOrigin, tlog.Tree{N: maxSize + 1, Hash: tree.Hash}, log, w[0], w[1], w[3]))
	return refused
}

// rootLeaf is leaf i of the logs of which only the roots are in the file.
func rootLeaf(i int64) []byte {
	leaf := sha512.Sum512(binary.BigEndian.AppendUint64(nil, uint64(i)))
	return leaf[:]
}

func makeRoots(t *testing.T) (roots []rootVector) {
	t.Helper()
	sizes := []int64{0, 1, 2, 3, 255, 256, 257, 511, 512, 1000, 65535, 65536, 65537, 66000}
	var stored storedHashes
	for i := int64(0); len(sizes) > 0; i++ {
		if i == sizes[0] {
			roots = append(roots, rootVector{i, stored.tree(t, i).Hash.String()})
			sizes = sizes[1:]
		}
		stored.add(t, i, rootLeaf(i))
	}
	return roots
}

// TestVectors: the formats have not changed since the file was written. What
// others have built against it still works.
func TestVectors(t *testing.T) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(makeVectors(t)); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(vectorPath, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(vectorPath)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("what is written now differs from %s", vectorPath)
	}
}

func readVectors(t testing.TB) (f vectorFile) {
	t.Helper()
	raw, err := os.ReadFile(vectorPath)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestVectorsHold reads the file as another implementation would.
func TestVectorsHold(t *testing.T) {
	f := readVectors(t)
	for _, v := range f.Entries {
		k := DataKey{KeyID(v.KeyID), [32]byte(v.Key)}
		e, err := OpenSealed(k, v.Role, v.Origin, v.Index, v.Leaf, v.Blob)
		if err != nil || e.Kind != v.Kind || e.Ordinal != v.Ordinal || e.At.Unix() != v.At || string(e.Body) != v.Body ||
			!bytes.Equal(e.Ticket[:], v.Ticket) || !bytes.Equal(e.Tau[:], v.Tau) || !bytes.Equal(e.Salt[:], v.Salt) {
			t.Errorf("%s %d: %+v, %v", v.Origin, v.Index, e, err)
		}
		if _, err := ParseBody(e.Body); err != nil {
			t.Errorf("%s: %v", e.Body, err)
		}
	}
	p := vectorPolicy(t)
	cp, err := p.Verify([]byte(f.Log.Checkpoint))
	if err != nil || cp.N != 3 || cp.Cosigned.Unix() != f.Log.Cosigned {
		t.Errorf("%+v, %v", cp, err)
	}
	for _, r := range f.Log.Refused {
		if cp, err := p.Verify([]byte(r.Checkpoint)); err == nil {
			t.Errorf("%s: accepted, %+v", r.Why, cp)
		}
	}
}
