package seal

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/waypost/waypost"
)

// golden reads the committed vector: a keyring of NV, its public key and
// message() sealed to it, in hex. With -update it makes a new one.
func golden(t testing.TB) (keys *Keyring, public, sealed []byte) {
	t.Helper()
	const path = "testdata/sealed-v1.hex"
	if *update {
		r := ring(t, "NV")
		file, err := r.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		lines := hex.EncodeToString(file) + "\n" + hex.EncodeToString(r.Current().Encode()) + "\n" +
			hex.EncodeToString(seal(t, message(), r.Current())) + "\n"
		if err := os.WriteFile(path, []byte(lines), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var parts [3][]byte
	for i, line := range strings.Fields(string(data)) {
		if parts[i], err = hex.DecodeString(line); err != nil {
			t.Fatal(err)
		}
	}
	if keys, err = ParseKeyring(parts[0], "NV"); err != nil {
		t.Fatal(err)
	}
	return keys, parts[1], parts[2]
}

// What an earlier build sealed, this one opens: the KEM is a draft, and a
// change of it in the standard library must not pass unseen.
func TestGoldenOpens(t *testing.T) {
	keys, encoded, sealed := golden(t)
	got, err := Open(sealed, keys, members, start)
	if err != nil {
		t.Fatal(err)
	}
	want := message()
	if got.ID != want.ID || got.Sender != want.Sender || got.Type != want.Type || got.Ticket != want.Ticket || !bytes.Equal(got.Body, want.Body) {
		t.Errorf("got %+v", got)
	}
	key, err := DecodePublicKey(encoded, "NV", public("NV"), start)
	if err != nil || key.ID != keys.Current().ID {
		t.Error("the public key does not fit the ring", err)
	}
}

func FuzzOpen(f *testing.F) {
	keys, _, sealed := golden(f)
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := Open(b, keys, members, start)
		if (err == nil) != bytes.Equal(b, sealed) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
	})
}

// FuzzUnpad feeds decrypted plaintexts, which a member can make at will: what
// is accepted is the only spelling of its content.
func FuzzUnpad(f *testing.F) {
	plain, err := pad(message(), make([]byte, ed25519.SignatureSize))
	if err != nil {
		f.Fatal(err)
	}
	content, _, _ := cutLength(plain)
	f.Add(uint32(len(content)), content, uint8(0))
	env := Envelope{Suite: suite, Recipient: "NV", ID: [16]byte{1}, Expiry: start}
	f.Fuzz(func(t *testing.T, length uint32, content []byte, class uint8) {
		plain := make([]byte, classes[int(class)%len(classes)])
		plain[0], plain[1], plain[2], plain[3] = byte(length>>24), byte(length>>16), byte(length>>8), byte(length)
		copy(plain[lengthSize:], content)
		m, signature, err := unpad(env, plain)
		if err != nil {
			return
		}
		again, err := pad(m, signature)
		if err != nil || !bytes.Equal(again, plain) {
			t.Fatal("two plaintexts for one message", err)
		}
	})
}

func FuzzPeekEnvelope(f *testing.F) {
	_, _, sealed := golden(f)
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, b []byte) {
		env, err := PeekEnvelope(b)
		if err != nil {
			return
		}
		if !bytes.HasPrefix(b, env.encode()) {
			t.Fatal("two headers for one envelope")
		}
	})
}

func FuzzDecodePublicKey(f *testing.F) {
	_, encoded, _ := golden(f)
	f.Add(encoded)
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := DecodePublicKey(b, "NV", public("NV"), start)
		if (err == nil) != bytes.Equal(b, encoded) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if p, err := parsePublicKey(b); err == nil && !bytes.Equal(p.Encode(), b) {
			t.Fatal("two encodings of one key")
		}
	})
}

func FuzzParseKeyring(f *testing.F) {
	keys, _, _ := golden(f)
	data, err := keys.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseKeyring(b, "NV")
		if err != nil {
			if waypost.CodeOf(err) != waypost.InvalidArgument {
				t.Fatal(err)
			}
			return
		}
		if again, err := r.MarshalBinary(); err != nil || !bytes.Equal(again, b) {
			t.Fatal("two files for one ring", err)
		}
	})
}
