package roster

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"flag"
	"fmt"
	"math/big"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/toprf"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var start = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// testKey derives an Ed25519 key from a label, so that golden files are stable.
func testKey(label string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("roster test " + label))
	return ed25519.NewKeyFromSeed(seed[:])
}

func testPublic(label string) ed25519.PublicKey {
	return testKey(label).Public().(ed25519.PublicKey)
}

// officer is a governance signer with a key derived from its name.
func officer(t testing.TB, name string) (note.Signer, string) {
	t.Helper()
	key := testKey(name)
	vkey, err := note.NewEd25519VerifierKey(name, key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	hash := vkey[len(name)+1 : len(name)+9]
	seed := base64.StdEncoding.EncodeToString(append([]byte{1}, key.Seed()...))
	signer, err := note.NewSigner("PRIVATE+KEY+" + name + "+" + hash + "+" + seed)
	if err != nil {
		t.Fatal(err)
	}
	return signer, vkey
}

func governance(t testing.TB, threshold int, names ...string) Governance {
	g := Governance{Threshold: threshold}
	for _, name := range names {
		_, vkey := officer(t, name)
		g.Keys = append(g.Keys, vkey)
	}
	return g
}

func signedBy(t testing.TB, r *Roster, names ...string) []byte {
	t.Helper()
	var signers []note.Signer
	for _, name := range names {
		s, _ := officer(t, name)
		signers = append(signers, s)
	}
	signed, err := r.Sign(signers...)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// oprfKeys is a group key with public shares of a fixed polynomial a + b x.
func oprfKeys(t testing.TB, n int) (group []byte, shares [][]byte) {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	at := func(x int64) []byte {
		k := new(big.Int).Add(big.NewInt(1_000_003), new(big.Int).Mul(big.NewInt(x), big.NewInt(77_777)))
		b := k.Mod(k, order).FillBytes(make([]byte, 32))
		slices.Reverse(b)
		scalar, err := toprf.DecodeScalar(b)
		if err != nil {
			t.Fatal(err)
		}
		share, err := toprf.NewShare(1, scalar)
		if err != nil {
			t.Fatal(err)
		}
		return share.Public().Bytes()
	}
	for i := 1; i <= n; i++ {
		shares = append(shares, at(int64(i)))
	}
	return at(0), shares
}

func sample(t testing.TB) *Roster {
	t.Helper()
	group, shares := oprfKeys(t, 3)
	r := &Roster{
		Version: 1, Environment: waypost.Test,
		NotBefore: start, NotAfter: start.Add(MaxValidity),
		Profile: 1, Epoch: 1, Threshold: 2, GroupKey: group,
		Purposes:   []waypost.Purpose{waypost.IssueRealID, waypost.MaintainPointer},
		Governance: governance(t, 2, "gov.example/a", "gov.example/b", "gov.example/c"),
	}
	add := func(m Member) {
		m.Operator = "Operator of " + m.Name
		m.CertKey = sha256.Sum256([]byte("cert " + m.Name))
		m.Identity, m.LogKey = testPublic(m.Name+" identity"), testPublic(m.Name+" log")
		m.Protocol = Protocol{1, 1}
		r.Members = append(r.Members, m)
	}
	add(Member{Name: "hub", Role: Hub, URL: "https://hub.example:7443"})
	for i, share := range shares {
		name := fmt.Sprintf("keyholder-%d", i+1)
		add(Member{Name: name, Role: KeyHolder, URL: "https://" + name + ".example:7443", Index: i + 1, PublicShare: share})
	}
	for _, j := range []waypost.Jurisdiction{"CA", "NV"} {
		add(Member{Name: string(j), Role: Gateway, Jurisdiction: j, Participation: Full,
			Capabilities: []Capability{Search, Answer, Publish, RealID},
			Quota:        Quota{TicketsPerDay: 1000, TicketsPerOperatorHour: 60, Operators: 40, PublishElementsPerDay: 5000}})
	}
	return r
}

// next is the following version, re-signed three days later.
func next(t testing.TB, r *Roster) *Roster {
	t.Helper()
	hash, err := r.Hash()
	if err != nil {
		t.Fatal(err)
	}
	n := *r
	n.Members = slices.Clone(r.Members)
	n.Version, n.Previous = r.Version+1, hash
	n.NotBefore = r.NotBefore.Add(3 * 24 * time.Hour)
	n.NotAfter = n.NotBefore.Add(MaxValidity)
	return &n
}

func wantError(t *testing.T, err error, code waypost.Code, words string) {
	t.Helper()
	if err == nil {
		t.Fatalf("accepted; want an error with %q", words)
	}
	if waypost.CodeOf(err) != code || !strings.Contains(err.Error(), words) {
		t.Fatalf("got %s %q; want %s with %q", waypost.CodeOf(err), err, code, words)
	}
}

func TestGolden(t *testing.T) {
	for file, r := range map[string]*Roster{"testdata/roster-v1": sample(t), "../../spec/vectors/roster": full(t)} {
		t.Run(file, func(t *testing.T) { golden(t, r, file) })
	}
}

func golden(t *testing.T, r *Roster, file string) {
	signed := signedBy(t, r, "gov.example/a", "gov.example/b")
	hash, err := r.Hash()
	if err != nil {
		t.Fatal(err)
	}
	path, hashPath := file+".note", file+".hash"
	if *update {
		if err := os.WriteFile(path, signed, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(hashPath, []byte(hex.EncodeToString(hash[:])+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(signed) {
		t.Fatalf("the signed roster differs from %s: the format changed", path)
	}
	wantHash, err := os.ReadFile(hashPath)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(hash[:]) + "\n"; got != string(wantHash) {
		t.Fatalf("the hash is %swant %s", got, wantHash)
	}
	parsed, err := Parse(want, r.Governance, start)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(parsed, r) {
		t.Fatal("something got lost")
	}
}

func TestSignatures(t *testing.T) {
	r := sample(t)
	a, _ := officer(t, "gov.example/a")
	b, _ := officer(t, "gov.example/b")
	signed := func(names ...string) []byte { return signedBy(t, r, names...) }
	one := signed("gov.example/a")
	two, err := AddSignature(one, b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(two, r.Governance, start); err != nil {
		t.Fatalf("two of three, added in turn: %v", err)
	}

	again, err := AddSignature(one, a)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(one), "\n")
	doubled := []byte(string(one) + lines[len(lines)-2]) // the same signature line twice
	other := sample(t)
	other.Threshold = 1 // inconsistent with the shares, only to get another text
	_, err = other.Sign(a)
	wantError(t, err, waypost.InvalidArgument, "combine")
	other = sample(t)
	other.Profile = 2
	foreign := signedBy(t, other, "gov.example/b")
	foreignLine := foreign[strings.LastIndex(string(foreign), "\n\n")+2:]
	for _, c := range []struct {
		name   string
		signed []byte
		words  string
	}{
		{"one of two", one, "carries 1 signatures"},
		{"the same officer twice", again, "carries 1 signatures"},
		{"one line twice", doubled, "carries 1 signatures"},
		{"one known, one stranger", signed("gov.example/a", "gov.example/x"), "carries 1 signatures"},
		{"strangers only", signed("gov.example/x", "gov.example/y"), "carries 0 signatures"},
		{"a signature from another roster", append(slices.Clone(one), foreignLine...), "does not verify"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.signed, r.Governance, start)
			wantError(t, err, waypost.PermissionDenied, c.words)
		})
	}
	t.Run("own governance must sign too", func(t *testing.T) {
		_, err := Parse(signed("gov.example/x", "gov.example/y"), governance(t, 2, "gov.example/x", "gov.example/y"), start)
		wantError(t, err, waypost.PermissionDenied, "carries 0 signatures")
	})
	t.Run("not a note", func(t *testing.T) {
		_, err := Parse([]byte("waypost roster v1\n"), r.Governance, start)
		wantError(t, err, waypost.InvalidArgument, "not a signed note")
	})
	t.Run("huge", func(t *testing.T) {
		_, err := Parse(make([]byte, maxNote+1), r.Governance, start)
		wantError(t, err, waypost.InvalidArgument, "larger than")
	})
}

func TestValidityInTime(t *testing.T) {
	r := sample(t)
	signed := signedBy(t, r, "gov.example/a", "gov.example/b")
	for _, c := range []struct {
		at    time.Duration
		words string
	}{
		{-6 * time.Minute, "valid only from 2026-03-02 12:00 UTC"},
		{-4 * time.Minute, ""},
		{0, ""},
		{MaxValidity - time.Second, ""},
		{MaxValidity, "ran out on 2026-03-09 12:00 UTC"},
	} {
		_, err := Parse(signed, r.Governance, start.Add(c.at))
		if c.words == "" {
			if err != nil {
				t.Errorf("at %s: %v", c.at, err)
			}
			continue
		}
		wantError(t, err, waypost.Expired, c.words)
	}
}

func TestStrictText(t *testing.T) {
	text, err := sample(t).text()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decode(text); err != nil {
		t.Fatal(err)
	}
	identity := base64.StdEncoding.EncodeToString(testPublic("CA identity"))
	loose := strings.TrimSuffix(identity, "=") // 32 bytes leave two spare bits in the last character
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", loose[len(loose)-1])
	spare := loose[:len(loose)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[last^1]) + "="
	for _, c := range []struct{ name, old, new string }{
		{"another header", "waypost roster v1", "waypost roster v2"},
		{"unknown field", `"version": 1,`, `"version": 1, "colour": 3,`},
		{"unknown field of a member", `"role": "hub",`, `"role": "hub", "note": "x",`},
		{"duplicate field", `"version": 1,`, "\"version\": 1,\n  \"version\": 1,"},
		{"field in other case", `"version"`, `"Version"`},
		{"spacing", `"version": 1`, `"version":  1`},
		{"escaped letter", `"name": "hub"`, `"name": "\u0068ub"`},
		{"number as text", `"version": 1`, `"version": "1"`},
		{"fraction", `"version": 1`, `"version": 1.0`},
		{"too large a number", `"version": 1`, `"version": 18446744073709551616`},
		{"negative", `"version": 1`, `"version": -1`},
		{"time zone", "2026-03-02T12:00:00Z", "2026-03-02T12:00:00+00:00"},
		{"spare bits in base64", identity, spare},
		{"unpadded base64", identity, loose},
		{"line break in base64", identity, identity[:10] + `\n` + identity[10:]},
		{"null list", `"purposes": [`, `"witnesses": null, "purposes": [`},
		{"trailing data", "}\n", "}\n{}\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := strings.Replace(text, c.old, c.new, 1)
			if c.name == "trailing data" {
				changed = text + "{}\n"
			}
			if changed == text {
				t.Fatal("the case changes nothing")
			}
			if _, err := decode(changed); waypost.CodeOf(err) != waypost.InvalidArgument {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// Whatever happens to the bytes of a signed roster, nobody accepts a text that
// was not signed.
func TestAlteredNote(t *testing.T) {
	r := sample(t)
	signed := signedBy(t, r, "gov.example/a", "gov.example/b")
	text, err := r.text()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		at := rapid.IntRange(0, len(signed)-1).Draw(rt, "at")
		changed := slices.Clone(signed)
		changed[at] ^= byte(1 << rapid.IntRange(0, 7).Draw(rt, "bit"))
		got, err := Parse(changed, r.Governance, start)
		if err != nil {
			return
		}
		if again, _ := got.text(); at < len(text) || again != text {
			rt.Fatalf("accepted with byte %d changed", at)
		}
	})
}

func TestHolderShare(t *testing.T) {
	r := sample(t) // any 2 of 3
	if got := r.HolderShare(900); got != 900 {
		t.Errorf("2 of 3: got %d; 900 x 3/3 plus a third is capped at the quota", got)
	}
	for i := 4; i <= 10; i++ {
		r.Members = append(r.Members, Member{Name: fmt.Sprint("k", i), Role: KeyHolder, Index: i})
	}
	if got := r.HolderShare(900); got != 360 {
		t.Errorf("2 of 10: got %d, want 900 x 3/10 x 4/3 = 360", got)
	}
	if got := r.HolderShare(0); got != 0 {
		t.Errorf("no quota grew to %d", got)
	}
}

func vkey(t testing.TB, name string, key ed25519.PublicKey) string {
	t.Helper()
	v, err := note.NewEd25519VerifierKey(name, key)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
