package translog

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

func group(name string, need int, w ...testSigner) Group {
	g := Group{Name: name, Need: need}
	for _, s := range w {
		g.Witnesses = append(g.Witnesses, s.Verifier)
	}
	return g
}

func testTree() tlog.Tree { return tlog.Tree{N: 1, Hash: tlog.RecordHash([]byte("leaf"))} }

// Cosigned is the time at which the last group was satisfied.
func TestCosigned(t *testing.T) {
	log := logSigner(t, vectorOrigin, 1)
	at := func(first byte, at int64) testSigner { return witness(t, fmt.Sprintf("w%d", first), first, at) }
	a, b, c, d := at(2, 100), at(3, 300), at(4, 200), at(5, 50)
	signed := signTree(t, vectorOrigin, testTree(), log, a, b, c, d)
	for _, tc := range []struct {
		name   string
		groups []Group
		want   int64 // -1: unwitnessed; 0: no time
	}{
		{"no groups", nil, 0},
		{"none needed", []Group{group("x", 0, a, b)}, 0},
		{"none needed of none", []Group{group("x", 0)}, 0},
		{"latest", []Group{group("x", 1, a, b, c)}, 300},
		{"second latest", []Group{group("x", 2, a, b, c)}, 200},
		{"all", []Group{group("x", 3, c, b, a)}, 100},
		{"too many needed", []Group{group("x", 4, a, b, c)}, -1},
		{"both groups", []Group{group("x", 2, a, b), group("y", 1, c)}, 100},
		{"the slower group", []Group{group("x", 1, a, b), group("y", 1, d)}, 50},
		{"one with no need", []Group{group("x", 0, d), group("y", 1, c)}, 200},
		{"one unsatisfied", []Group{group("x", 1, a), group("y", 1, at(6, 1))}, -1},
	} {
		p := Policy{vectorOrigin, log.Verifier, tc.groups}
		cp, err := p.Verify(signed)
		if cp.Tree != testTree() || cp.Origin != vectorOrigin || string(cp.Note) != string(signed) {
			t.Errorf("%s: %+v", tc.name, cp)
		}
		switch {
		case tc.want < 0 && (!errors.Is(err, ErrUnwitnessed) || !cp.Cosigned.IsZero()):
			t.Errorf("%s: %v, %v", tc.name, cp.Cosigned, err)
		case tc.want == 0 && (err != nil || !cp.Cosigned.IsZero()):
			t.Errorf("%s: %v, %v", tc.name, cp.Cosigned, err)
		case tc.want > 0 && (err != nil || !cp.Cosigned.Equal(time.Unix(tc.want, 0))):
			t.Errorf("%s: %v, %v", tc.name, cp.Cosigned, err)
		}
	}
}

// A policy under which a witness could count twice is no policy.
func TestPolicyRefused(t *testing.T) {
	log, a, b := logSigner(t, vectorOrigin, 1), witness(t, "a", 2, 1), witness(t, "b", 3, 1)
	again, alias := witness(t, "a", 2, 1), witness(t, "alias", 2, 1)
	signed := signTree(t, vectorOrigin, testTree(), log, a, b, alias)
	if _, err := (Policy{vectorOrigin, log.Verifier, []Group{group("x", 2, a, b)}}).Verify(signed); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]Policy{
		"no log key":               {Origin: vectorOrigin},
		"the key of another log":   {"waypost.test/hub/1", log.Verifier, nil},
		"a negative need":          {vectorOrigin, log.Verifier, []Group{group("x", -1, a)}},
		"a witness twice":          {vectorOrigin, log.Verifier, []Group{group("x", 2, a, again)}},
		"a witness by two names":   {vectorOrigin, log.Verifier, []Group{group("x", 2, a, alias)}},
		"a witness in two groups":  {vectorOrigin, log.Verifier, []Group{group("x", 1, a), group("y", 1, again)}},
		"by two names, two groups": {vectorOrigin, log.Verifier, []Group{group("x", 1, a), group("y", 1, alias)}},
		"a key without a time":     {vectorOrigin, log.Verifier, []Group{group("x", 1, logSigner(t, "a", 2))}},
		"nobody":                   {vectorOrigin, log.Verifier, []Group{{Name: "x", Need: 1, Witnesses: []note.Verifier{nil}}}},
	} {
		if cp, err := p.Verify(signed); err == nil || errors.Is(err, ErrUnwitnessed) || cp.N != 0 {
			t.Errorf("%s: %+v, %v", name, cp, err)
		}
	}
}

func TestVerifyNotes(t *testing.T) {
	log, a, b := logSigner(t, vectorOrigin, 1), witness(t, "a", 2, 7), witness(t, "b", 3, 8)
	p := Policy{vectorOrigin, log.Verifier, []Group{group("x", 1, a)}}
	text := torchwood.Checkpoint{Origin: vectorOrigin, Tree: testTree()}.String()
	good := string(signText(t, text, log, a))
	lines := strings.SplitAfter(good, "\n") // origin, size, root, "", log, a
	var strangers []note.Signer
	for i := range 90 {
		strangers = append(strangers, witness(t, fmt.Sprint("s", i), byte(i+20), 1))
	}
	resigned := signText(t, text, witness(t, "a", 2, 9))
	for _, tc := range []struct {
		name, signed string
		want         error // nil: accepted
	}{
		{"as it was signed", good, nil},
		{"witness before log", lines[0] + lines[1] + lines[2] + lines[3] + lines[5] + lines[4], nil},
		{"with a signature of a stranger", string(signText(t, text, log, b, a)), nil},
		{"with many strangers", string(signText(t, text, append(strangers, log, a)...)), nil},
		{"with a bad signature of a stranger", good + strings.Replace(lines[5], " a ", " other ", 1), nil},
		{"with a future kind of signature", good + "— a AAAAAAAA\n", nil},
		{"with extension lines", string(signText(t, text+"anything\nelse\n", log, a)), nil},
		{"with more signatures than anybody reads", string(signText(t, text, append(append(strangers, strangers[:20]...), log, a)...)) + strings.Repeat("— z AAAAAAAA\n", 20), ErrUnsigned},
		{"too large", good + strings.Repeat("— z "+strings.Repeat("A", 1<<14)+"\n", 4), ErrUnsigned},
		{"empty", "", ErrUnsigned},
		{"without signatures", text + "\n", ErrUnsigned},
		{"without the last newline", good[:len(good)-1], ErrUnsigned},
		{"with a newline more", good + "\n", ErrUnsigned},
		{"signed by nobody known", string(signText(t, text, b)), ErrUnsigned},
		{"signed by witnesses only", string(signText(t, text, a)), ErrUnsigned},
		{"not witnessed", string(signText(t, text, log)), ErrUnwitnessed},
		{"witnessed by others only", string(signText(t, text, log, b)), ErrUnwitnessed},
		{"with an empty extension line", string(signText(t, text+"\nx\n", log, a)), ErrUnsigned},
		{"of another origin", string(signText(t, strings.Replace(text, "/1\n", "/2\n", 1), log, a)), ErrUnsigned},
		{"with a padded root", string(signText(t, strings.Replace(text, "=\n", "==\n", 1), log, a)), ErrUnsigned},
		{"with a negative size", string(signText(t, strings.Replace(text, "\n1\n", "\n-1\n", 1), log, a)), ErrUnsigned},
		{"with a size like +1", string(signText(t, strings.Replace(text, "\n1\n", "\n+1\n", 1), log, a)), ErrUnsigned},
		{"with a carriage return", strings.Replace(good, "\n", "\r\n", 1), ErrUnsigned},
	} {
		cp, err := p.Verify([]byte(tc.signed))
		if tc.want == nil && (err != nil || cp.Tree != testTree() || cp.Cosigned.Unix() != 7) || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: %+v, %v", tc.name, cp, err)
		}
	}
	// A second cosignature of one witness adds nothing: the first one counts.
	twice := good + string(resigned[strings.LastIndex(string(resigned), "— "):])
	if cp, err := p.Verify([]byte(twice)); err != nil || cp.Cosigned.Unix() != 7 {
		t.Errorf("a witness twice: %v, %v", cp.Cosigned, err)
	}
	p.Groups[0].Need = 2
	if _, err := p.Verify([]byte(twice)); !errors.Is(err, ErrUnwitnessed) {
		t.Errorf("a witness counts twice: %v", err)
	}
}

// Whoever alters a checkpoint anywhere has one that is refused.
func TestAlteredCheckpoint(t *testing.T) {
	p, good := vectorPolicy(t), []byte(readVectors(t).Log.Checkpoint)
	p.Groups[0].Need = 3
	if _, err := p.Verify(good); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bit := i % 8
		if good[i] == '=' || i+1 < len(good) && good[i+1] == '=' {
			bit = 0 // base64 may not use it
		}
		bad := append([]byte{}, good...)
		bad[i] ^= 1 << bit
		if _, err := p.Verify(bad); err == nil {
			t.Fatalf("bit %d of byte %d", bit, i)
		}
	}
}

// torchwood's verifier is the peer: what it accepts under the same policy is
// accepted, and nothing else.
func TestPolicyPeer(t *testing.T) {
	log, other := logSigner(t, vectorOrigin, 1), logSigner(t, vectorOrigin, 9)
	var w []testSigner
	var singles []torchwood.Policy
	for i := range 6 {
		key := testKey(byte(i + 2))
		s, err := torchwood.NewCosignatureSigner(fmt.Sprint("w", i), key)
		if err != nil {
			t.Fatal(err)
		}
		v, err := WitnessVerifier(WitnessKey(s.Name(), key.Public().(ed25519.PublicKey)))
		if err != nil || v.KeyHash() != s.KeyHash() || WitnessKey(s.Name(), public(key)) != s.Verifier().String() {
			t.Fatal("the key of a witness is not torchwood's", err)
		}
		w = append(w, testSigner{v, func(msg []byte) []byte { b, _ := s.Sign(msg); return b }})
		singles = append(singles, torchwood.SingleVerifierPolicy(s.Verifier()))
	}
	rapid.Check(t, func(rt *rapid.T) {
		needA, needB := rapid.IntRange(0, 4).Draw(rt, "need of 4"), rapid.IntRange(0, 2).Draw(rt, "need of 2")
		p := Policy{vectorOrigin, log.Verifier, []Group{group("four", needA, w[:4]...), group("two", needB, w[4:]...)}}
		peer := torchwood.ThresholdPolicy(4, torchwood.OriginPolicy(vectorOrigin), torchwood.SingleVerifierPolicy(log.Verifier),
			torchwood.ThresholdPolicy(needA, singles[:4]...), torchwood.ThresholdPolicy(needB, singles[4:]...))
		origin := rapid.SampledFrom([]string{vectorOrigin, vectorOrigin, vectorOrigin, "x"}).Draw(rt, "origin")
		signers := []note.Signer{rapid.SampledFrom([]testSigner{log, log, log, other}).Draw(rt, "log")}
		for i := range w {
			if rapid.IntRange(0, 3).Draw(rt, fmt.Sprint("w", i)) > 0 {
				signers = append(signers, w[i])
			}
		}
		signed := signTree(t, origin, testTree(), rapid.Permutation(signers).Draw(rt, "order")...)
		_, _, want := torchwood.VerifyCheckpoint(signed, peer)
		cp, err := p.Verify(signed)
		if (want == nil) != (err == nil) {
			rt.Fatalf("torchwood: %v; here: %v", want, err)
		}
		if err == nil && needA+needB > 0 && time.Since(cp.Cosigned).Abs() > time.Hour {
			rt.Fatal("cosigned at", cp.Cosigned)
		}
	})
}

func TestKeys(t *testing.T) {
	key := public(testKey(1))
	good := WitnessKey("witness.example/a", key)
	if v, err := WitnessVerifier(good); err != nil || v.Name() != "witness.example/a" {
		t.Fatal(err)
	}
	signed, _ := note.NewEd25519VerifierKey("witness.example/a", key)
	for _, bad := range []string{
		"", "a", signed, good + "\n", good + " ", good[:len(good)-1], strings.ToUpper(good), "b" + good, WitnessKey("a b", key), WitnessKey("", key),
		WitnessKey("a+b", key), WitnessKey("a", key[:31]), WitnessKey("a", append(key[:32:32], 0)), WitnessKey(strings.Repeat("a", 500), key),
	} {
		if _, err := WitnessVerifier(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	for _, origin := range []string{"", "a b", "a+b", "é", "a\n", strings.Repeat("a", 256)} {
		if _, err := LogVerifier(origin, key); err == nil {
			t.Errorf("a log named %q", origin)
		}
	}
	if _, err := LogVerifier("a", key[:31]); err == nil {
		t.Error("a key that is too short")
	}
}

func FuzzVerify(f *testing.F) {
	p := vectorPolicy(f)
	vectors := readVectors(f)
	f.Add([]byte(vectors.Log.Checkpoint))
	for _, r := range vectors.Log.Refused {
		f.Add([]byte(r.Checkpoint))
	}
	good, err := p.Verify([]byte(vectors.Log.Checkpoint))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, signed []byte) {
		// Signatures can be left out and strangers' added; the tree is the same.
		if cp, err := p.Verify(signed); err == nil && cp.Tree != good.Tree {
			t.Fatalf("a forgery: %+v", cp)
		}
	})
}
