package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var start = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func identity(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("seal test " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(name string) ed25519.PublicKey { return identity(name).Public().(ed25519.PublicKey) }

// members is the roster of these tests: version 7 names everybody but Mallory.
func members(version uint64, name string) (ed25519.PublicKey, error) {
	if version != 7 || name == "Mallory" {
		return nil, waypost.Errorf(waypost.PermissionDenied, "not a member")
	}
	return public(name), nil
}

func ring(t testing.TB, owner string) *Keyring {
	t.Helper()
	r, err := NewKeyring(owner, identity(owner), start)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func message() Message {
	return Message{
		ID: [16]byte{1, 2, 3}, Sender: "CA", Recipient: "NV", Type: "first_leg", Ticket: [32]byte{4, 5},
		RosterVersion: 7, Expiry: start.Add(time.Hour), Body: []byte("thirty-two tags"),
	}
}

func seal(t testing.TB, m Message, to *PublicKey) []byte {
	t.Helper()
	sealed, err := Seal(m, identity(m.Sender), to)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
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

func TestRoundTrip(t *testing.T) {
	nv := ring(t, "NV")
	rapid.Check(t, func(rt *rapid.T) {
		m := Message{
			Sender:        rapid.SampledFrom([]string{"CA", "hub", "keyholder-1"}).Draw(rt, "sender"),
			Recipient:     "NV",
			Type:          rapid.StringMatching(`[a-z][a-z0-9_.]{0,39}`).Draw(rt, "type"),
			RosterVersion: 7,
			Expiry:        start.Add(time.Duration(rapid.Int64Range(1, int64(destroyAfter/time.Second)).Draw(rt, "life")) * time.Second),
			MinSize:       rapid.SampledFrom(append([]SizeClass{0}, classes...)).Draw(rt, "class"),
			Body:          bytes.Repeat([]byte{0xa5}, rapid.IntRange(0, 70_000).Draw(rt, "body")),
		}
		m.ID[0] = 1
		copy(m.Ticket[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(rt, "ticket"))
		sealed := seal(t, m, nv.Current())
		got, err := Open(sealed, nv, members, start)
		if err != nil {
			rt.Fatal(err)
		}
		if got.ID != m.ID || got.Sender != m.Sender || got.Recipient != m.Recipient || got.Type != m.Type || got.Ticket != m.Ticket ||
			got.RosterVersion != m.RosterVersion || !got.Expiry.Equal(m.Expiry) || !bytes.Equal(got.Body, m.Body) || got.MinSize < m.MinSize {
			rt.Fatalf("got %+v", got)
		}
		env, err := PeekEnvelope(sealed)
		want := Envelope{Suite: 1, Recipient: "NV", ID: m.ID, Expiry: m.Expiry, KeyID: nv.Current().ID}
		if err != nil || env != want {
			rt.Fatalf("envelope %+v: %v", env, err)
		}
	})
}

// The length tells the class, and nothing else about the content.
func TestSizes(t *testing.T) {
	nv := ring(t, "NV").Current()
	overhead := 2 + 1 + len("NV") + 16 + 8 + 32 + encapsulatedSize + tagSize
	for _, c := range []struct {
		body int
		min  SizeClass
		want SizeClass
	}{
		{0, 0, Size4K}, {1, 0, Size4K}, {3900, 0, Size4K}, {4096, 0, Size16K}, {20_000, 0, Size64K}, {70_000, 0, Size256K},
		{0, Size16K, Size16K}, {15_000, Size16K, Size16K}, {0, Size256K, Size256K},
	} {
		m := message()
		m.Body, m.MinSize = make([]byte, c.body), c.min
		if got := len(seal(t, m, nv)) - overhead; got != int(c.want) {
			t.Errorf("a body of %d bytes, at least %d: padded to %d, want %d", c.body, c.min, got, c.want)
		}
	}
	// A first leg's answer, refusal and error look alike, whoever sends them.
	var lengths []int
	for sender, kind := range map[string]string{"CA": "first_answer", "keyholder-1": "error", "hub": "refused"} {
		m := message()
		m.Sender, m.Type, m.MinSize, m.Body = sender, kind, Size4K, make([]byte, 100*len(kind))
		lengths = append(lengths, len(seal(t, m, nv)))
	}
	if slices.Min(lengths) != slices.Max(lengths) {
		t.Errorf("lengths %v differ", lengths)
	}
	// The exact limit.
	m := message()
	room := int(Size256K) - lengthSize - ed25519.SignatureSize - (1 + len(m.Sender)) - (1 + len(m.Type)) - 32 - 8
	m.Body = make([]byte, room)
	seal(t, m, nv)
	for _, n := range []int{room + 1, int(Size256K) + 1} {
		m.Body = make([]byte, n)
		_, err := Seal(m, identity("CA"), nv)
		wantError(t, err, waypost.InvalidArgument, "does not fit into 256 KiB")
	}
}

// Any change of any bit is noticed: every bit of the header and the KEM share's
// edges, and random ones elsewhere.
func TestAlteredMessage(t *testing.T) {
	nv := ring(t, "NV")
	sealed := seal(t, message(), nv.Current())
	if _, err := Open(sealed, nv, members, start); err != nil {
		t.Fatal(err)
	}
	header := len(sealed) - int(Size4K) - tagSize - encapsulatedSize
	flip := func(bit int) error {
		changed := slices.Clone(sealed)
		changed[bit/8] ^= 1 << (bit % 8)
		_, err := Open(changed, nv, members, start)
		return err
	}
	for bit := range 8 * header {
		if flip(bit) == nil {
			t.Fatalf("bit %d of the header does not matter", bit)
		}
	}
	// X25519 ignores the top bit of a public key; the combined KEM must not.
	for bit := 8 * (header + encapsulatedSize - 1); bit < 8*(header+encapsulatedSize); bit++ {
		if flip(bit) == nil {
			t.Fatalf("bit %d of the KEM share does not matter", bit)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		if bit := rapid.IntRange(0, 8*len(sealed)-1).Draw(rt, "bit"); flip(bit) == nil {
			rt.Fatalf("bit %d does not matter", bit)
		}
		cut := rapid.IntRange(0, len(sealed)-1).Draw(rt, "length")
		if _, err := Open(sealed[:cut], nv, members, start); err == nil {
			rt.Fatalf("accepted when cut to %d bytes", cut)
		}
	})
	if _, err := Open(append(slices.Clone(sealed), 0), nv, members, start); err == nil {
		t.Fatal("accepted with a byte more")
	}
}

// reseal opens a sealed message like its recipient and encrypts the very same
// signed plaintext under another envelope, which any recipient could do.
func reseal(t *testing.T, sealed []byte, from *Keyring, to *PublicKey, change func(*Envelope, []byte)) []byte {
	t.Helper()
	plain, env := plaintext(t, sealed, from)
	env.Recipient, env.KeyID = to.Recipient, to.ID
	change(&env, plain)
	return encrypt(t, env, plain, to)
}

func TestSignatureBindsEverything(t *testing.T) {
	nv, az := ring(t, "NV"), ring(t, "AZ")
	sealed := seal(t, message(), nv.Current())
	none := func(*Envelope, []byte) {}
	// Offsets in the plaintext of message(): length 4, signature 64, "CA" with its
	// length 3, "first_leg" 10, ticket 32, version 8, then the body.
	const sender, kind, ticket, version, body = 68, 71, 81, 113, 121
	for _, c := range []struct {
		name   string
		to     *Keyring
		change func(*Envelope, []byte)
		code   waypost.Code
		words  string
	}{
		{"unchanged", nv, none, "", ""},
		{"passed on to a third party", az, none, waypost.PermissionDenied, "signature of CA"},
		{"another id", nv, func(e *Envelope, _ []byte) { e.ID[0] ^= 1 }, waypost.PermissionDenied, "signature"},
		{"a later expiry", nv, func(e *Envelope, _ []byte) { e.Expiry = e.Expiry.Add(time.Second) }, waypost.PermissionDenied, "signature"},
		{"another sender", nv, func(_ *Envelope, p []byte) { p[sender+2] = 'O' }, waypost.PermissionDenied, "signature of CO"},
		{"another type", nv, func(_ *Envelope, p []byte) { p[kind+1] = 'g' }, waypost.PermissionDenied, "signature"},
		{"another ticket", nv, func(_ *Envelope, p []byte) { p[ticket] ^= 1 }, waypost.PermissionDenied, "signature"},
		{"another version", nv, func(_ *Envelope, p []byte) { p[version+7] = 8 }, waypost.PermissionDenied, "not a member"},
		{"another body", nv, func(_ *Envelope, p []byte) { p[body] ^= 1 }, waypost.PermissionDenied, "signature"},
		{"another signature", nv, func(_ *Envelope, p []byte) { p[4] ^= 1 }, waypost.PermissionDenied, "signature"},
		{"a longer body", nv, func(_ *Envelope, p []byte) { p[3]++ }, waypost.PermissionDenied, "signature"},
		{"something in the padding", nv, func(_ *Envelope, p []byte) { p[len(p)-1] = 1 }, waypost.InvalidArgument, "padding"},
		{"a length beyond the end", nv, func(_ *Envelope, p []byte) { p[0] = 1 }, waypost.InvalidArgument, "padding"},
		{"a boundary moved", nv, func(_ *Envelope, p []byte) { p[sender] = 3 }, waypost.InvalidArgument, ""},
		{"a length too small", nv, func(_ *Envelope, p []byte) { clear(p) }, waypost.InvalidArgument, "cut short"},
		{"a sender outside the alphabet", nv, func(_ *Envelope, p []byte) { p[sender+1] = '\n' }, waypost.InvalidArgument, "named as in the roster"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(reseal(t, sealed, nv, c.to.Current(), c.change), c.to, members, start)
			if c.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantError(t, err, c.code, c.words)
		})
	}
}

func TestOpenRefusals(t *testing.T) {
	nv, az := ring(t, "NV"), ring(t, "AZ")
	sealed := seal(t, message(), nv.Current())
	open := func(s []byte, r *Keyring, at time.Time) error {
		_, err := Open(s, r, members, at)
		return err
	}
	wantError(t, open(sealed, az, start), waypost.InvalidArgument, "it is for NV, not for AZ")
	wantError(t, open(sealed, ring(t, "NV"), start), waypost.KeyRetired, "seal it again")
	wantError(t, open(sealed, nv, start.Add(time.Hour)), waypost.Expired, "expired on 2026-03-02 13:00 UTC")
	if err := open(sealed, nv, start.Add(time.Hour-time.Second)); err != nil {
		t.Fatal(err)
	}
	suite2 := slices.Clone(sealed)
	suite2[1] = 2
	wantError(t, open(suite2, nv, start), waypost.InvalidArgument, "suite 2 is not known here")
	wantError(t, open(nil, nv, start), waypost.InvalidArgument, "cut short")
	wantError(t, open(sealed[:len(sealed)-1], nv, start), waypost.InvalidArgument, "size classes")

	// Everything in order, but the sender is nobody, or signed with a wrong key.
	m := message()
	m.Sender = "Mallory"
	wantError(t, open(seal(t, m, nv.Current()), nv, start), waypost.PermissionDenied, "not a member")
	forged, err := Seal(message(), identity("Mallory"), nv.Current())
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, open(forged, nv, start), waypost.PermissionDenied, "the signature of CA does not verify")

	// A message that claims to live longer than its key. Seal refuses to make one.
	long := reseal(t, sealed, nv, nv.Current(), func(e *Envelope, _ []byte) { e.Expiry = start.Add(destroyAfter + time.Second) })
	wantError(t, open(long, nv, start), waypost.InvalidArgument, "outlive its key")
}

func TestSealRefusals(t *testing.T) {
	nv := ring(t, "NV").Current()
	for _, c := range []struct {
		words  string
		code   waypost.Code
		change func(*Message)
	}{
		{"id is zero", waypost.InvalidArgument, func(m *Message) { m.ID = [16]byte{} }},
		{"named as in the roster", waypost.InvalidArgument, func(m *Message) { m.Sender = "" }},
		{"named as in the roster", waypost.InvalidArgument, func(m *Message) { m.Sender = strings.Repeat("a", 33) }},
		{"belongs to NV, not to AZ", waypost.InvalidArgument, func(m *Message) { m.Recipient = "AZ" }},
		{"type is", waypost.InvalidArgument, func(m *Message) { m.Type = "First Leg" }},
		{"expiry", waypost.InvalidArgument, func(m *Message) { m.Expiry = time.Time{} }},
		{"no size class", waypost.InvalidArgument, func(m *Message) { m.MinSize = 5000 }},
		{"outlive the key of NV", waypost.KeyRetired, func(m *Message) { m.Expiry = start.Add(destroyAfter + time.Second) }},
	} {
		m := message()
		c.change(&m)
		_, err := Seal(m, identity("CA"), nv)
		wantError(t, err, c.code, c.words)
	}
	_, err := Seal(message(), nil, nv)
	wantError(t, err, waypost.InvalidArgument, "needed")
	_, err = Seal(message(), identity("CA"), nil)
	wantError(t, err, waypost.InvalidArgument, "needed")
	_, err = Seal(message(), identity("CA"), &PublicKey{Recipient: "NV"})
	wantError(t, err, waypost.InvalidArgument, "needed")
	m := message()
	m.Recipient = "" // is taken from the key
	if env, err := PeekEnvelope(seal(t, m, nv)); err != nil || env.Recipient != "NV" {
		t.Fatal(env, err)
	}
}

// Nothing that is meant to be inside shows outside, and sealing twice gives
// unrelated bytes.
func TestHidden(t *testing.T) {
	nv := ring(t, "NV").Current()
	m := message()
	m.Sender, m.Type = "keyholder-1", "very_special_type"
	copy(m.Ticket[:], "ticket id that is 32 bytes long.")
	m.Body = []byte("a body to look for")
	first, second := seal(t, m, nv), seal(t, m, nv)
	for _, secret := range []string{m.Sender, m.Type, string(m.Ticket[:16]), string(m.Body)} {
		if bytes.Contains(first, []byte(secret)) {
			t.Errorf("%q can be read", secret)
		}
	}
	header := len(first) - int(Size4K) - tagSize - encapsulatedSize
	if !bytes.Equal(first[:header], second[:header]) {
		t.Error("headers differ")
	}
	equal := 0
	for i := header; i < len(first); i++ {
		if first[i] == second[i] {
			equal++
		}
	}
	// 5232 bytes agree by chance in 20; 80 has a probability below 1e-20.
	if equal > 80 {
		t.Errorf("%d of %d bytes repeat", equal, len(first)-header)
	}
}

// The signed bytes are a format that others implement: they must not change.
func TestSignedBytesGolden(t *testing.T) {
	m := message()
	env := Envelope{Suite: suite, Recipient: m.Recipient, ID: m.ID, Expiry: m.Expiry, KeyID: [32]byte{6, 7, 8}}
	signed := signedBytes(env, m)
	got := hex.EncodeToString(signed) + "\n" + hex.EncodeToString(ed25519.Sign(identity("CA"), signed)) + "\n" +
		hex.EncodeToString(env.encode()) + "\n"
	const path = "testdata/signed-message-v1.hex" // signed bytes, signature, header
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// Two different messages never have the same signed bytes.
func TestSignedBytesInjective(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(label string) (Envelope, Message) {
			s := rapid.StringMatching(`[a-c]{0,3}`)
			return Envelope{Suite: suite, Expiry: start}, Message{Sender: s.Draw(rt, label+" sender"),
				Type: s.Draw(rt, label+" type"), Body: []byte(s.Draw(rt, label+" body"))}
		}
		e1, m1 := draw("first")
		e2, m2 := draw("second")
		same := m1.Sender == m2.Sender && m1.Type == m2.Type && bytes.Equal(m1.Body, m2.Body)
		if bytes.Equal(signedBytes(e1, m1), signedBytes(e2, m2)) != same {
			rt.Fatalf("%+v and %+v", m1, m2)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	nv := ring(b, "NV").Current()
	m, key := message(), identity("CA")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Seal(m, key, nv); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	nv := ring(b, "NV")
	sealed := seal(b, message(), nv.Current())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(sealed, nv, members, start); err != nil {
			b.Fatal(err)
		}
	}
}
