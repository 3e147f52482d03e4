package seal

import (
	"bytes"
	"crypto/hpke"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost"
)

// plaintext decrypts without checking anything inside.
func plaintext(t *testing.T, sealed []byte, keys *Keyring) ([]byte, Envelope) {
	t.Helper()
	env, header, box, err := split(sealed)
	if err != nil {
		t.Fatal(err)
	}
	key, err := keys.find(env, start)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info(header), box)
	if err != nil {
		t.Fatal(err)
	}
	return plain, env
}

// encrypt seals any plaintext under any envelope.
func encrypt(t *testing.T, env Envelope, plain []byte, to *PublicKey) []byte {
	t.Helper()
	header := env.encode()
	box, err := hpke.Seal(to.key, hpke.HKDFSHA256(), hpke.AES256GCM(), info(header), plain)
	if err != nil {
		t.Fatal(err)
	}
	return append(header, box...)
}

func TestPublicKey(t *testing.T) {
	nv := ring(t, "NV").Current()
	encoded := nv.Encode()
	got, err := DecodePublicKey(encoded, "NV", public("NV"), start)
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != nv.ID || got.Recipient != "NV" || !bytes.Equal(got.Encode(), encoded) {
		t.Fatal("the key changed on its way")
	}
	decode := func(b []byte, recipient, signer string, at time.Time) error {
		_, err := DecodePublicKey(b, recipient, public(signer), at)
		return err
	}
	wantError(t, decode(encoded, "AZ", "NV", start), waypost.InvalidArgument, "belongs to NV, not to AZ")
	wantError(t, decode(encoded, "NV", "AZ", start), waypost.PermissionDenied, "not signed by NV")
	wantError(t, decode(encoded, "NV", "NV", start.Add(-6*time.Minute)), waypost.Expired, "not valid now")
	wantError(t, decode(encoded, "NV", "NV", start.Add(sealFor)), waypost.Expired, "fetch its current key")
	if err := decode(encoded, "NV", "NV", start.Add(sealFor-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := DecodePublicKey(encoded, "NV", nil, start); waypost.CodeOf(err) != waypost.PermissionDenied {
		t.Fatal(err)
	}
	for i := range encoded { // one bit of every byte
		changed := slices.Clone(encoded)
		changed[i] ^= 1 << (i % 8)
		if decode(changed, "NV", "NV", start) == nil {
			t.Fatalf("byte %d does not matter", i)
		}
	}
	for _, wrong := range [][]byte{nil, encoded[:len(encoded)-1], append(slices.Clone(encoded), 0)} {
		wantError(t, decode(wrong, "NV", "NV", start), waypost.InvalidArgument, "length is wrong")
	}
	noncanonical := slices.Clone(encoded)
	at := 2 + 1 + len("NV") + 16
	noncanonical[at], noncanonical[at+1] = 0xff, 0xff // a coefficient of 4095 is above the modulus 3329
	wantError(t, decode(noncanonical, "NV", "NV", start), waypost.InvalidArgument, "not an encapsulation key")
}

func TestRotation(t *testing.T) {
	nv, day := ring(t, "NV"), 24*time.Hour
	first := nv.Current()
	rotate := func(at time.Time) bool {
		t.Helper()
		changed, err := nv.Rotate(identity("NV"), at)
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	if rotate(start.Add(7*day - time.Second)) {
		t.Fatal("rotated before a week was over")
	}
	if !rotate(start.Add(7*day)) || nv.Current().ID == first.ID {
		t.Fatal("not rotated after a week")
	}
	// A message sealed on the last day that the first key may be used.
	m := message()
	m.Expiry = start.Add(21 * day)
	sealed := seal(t, m, first)
	if _, err := Open(sealed, nv, members, start.Add(20*day)); err != nil {
		t.Fatal(err)
	}
	if rotate(start.Add(7*day+time.Hour)) || len(nv.keys) != 2 {
		t.Fatal("rotated twice")
	}
	rotate(start.Add(14 * day))
	if len(nv.keys) != 3 {
		t.Fatalf("%d keys after two weeks", len(nv.keys))
	}
	if !rotate(start.Add(21*day)) || len(nv.keys) != 3 {
		t.Fatalf("%d keys after three weeks", len(nv.keys))
	}
	_, err := Open(sealed, nv, members, start.Add(20*day)) // even with the clock put back
	wantError(t, err, waypost.KeyRetired, "seal it again to the current key")

	// A key that is not destroyed for want of a Rotate is dead all the same.
	idle := ring(t, "NV")
	env := Envelope{Recipient: "NV", KeyID: idle.Current().ID}
	_, err = idle.find(env, start.Add(21*day))
	wantError(t, err, waypost.KeyRetired, "no longer has")

	// Another identity key signs another encryption key.
	before := nv.Current().ID
	if changed, err := nv.Rotate(identity("NV 2"), start.Add(21*day)); err != nil || !changed || nv.Current().ID == before {
		t.Fatal("the new identity key was ignored", err)
	}
	if _, err := DecodePublicKey(nv.Current().Encode(), "NV", public("NV 2"), start.Add(21*day)); err != nil {
		t.Fatal(err)
	}
	if _, err := nv.Rotate(nil, start.Add(40*day)); err == nil {
		t.Fatal("rotated without an identity key")
	}
	if nv.Current() == nil {
		t.Fatal("a failed rotation emptied the ring")
	}
}

func TestKeyringFile(t *testing.T) {
	nv := ring(t, "NV")
	sealed := seal(t, message(), nv.Current())
	if _, err := nv.Rotate(identity("NV"), start.Add(RotateAfter)); err != nil {
		t.Fatal(err)
	}
	data, err := nv.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseKeyring(data, "NV")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(sealed, again, members, start); err != nil {
		t.Fatal(err)
	}
	if again.Current().ID != nv.Current().ID || !bytes.Equal(again.Current().Encode(), nv.Current().Encode()) {
		t.Fatal("the current key changed on its way")
	}
	if back, err := again.MarshalBinary(); err != nil || !bytes.Equal(back, data) {
		t.Fatal("the file changed on its way", err)
	}

	az, err := ring(t, "AZ").MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	other, err := ring(t, "NV").MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	body := len(ringHeader)
	privateLength := 2 + int(data[body])<<8 + int(data[body+1])
	swapped := append(slices.Clone(other[:body+privateLength]), data[body+privateLength:]...)
	for _, c := range []struct {
		name, words string
		data        []byte
	}{
		{"empty file", "not a keyring", nil},
		{"another file", "not a keyring", []byte("hello, this is some other file")},
		{"header only", "empty", []byte(ringHeader)},
		{"cut", "cut short", data[:len(data)-1]},
		{"another member's", "belongs to AZ", az},
		{"out of order", "out of order", append(slices.Clone(data), data[body:]...)},
		{"private key of another", "do not belong together", swapped},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseKeyring(c.data, "NV")
			wantError(t, err, waypost.InvalidArgument, c.words)
		})
	}
	_, err = NewKeyring("not a name", identity("NV"), start)
	wantError(t, err, waypost.InvalidArgument, "named as in the roster")
	_, err = NewKeyring("NV", nil, start)
	wantError(t, err, waypost.InvalidArgument, "identity key")
}

// Opening goes on while keys rotate.
func TestConcurrentRotation(t *testing.T) {
	nv := ring(t, "NV")
	sealed := seal(t, message(), nv.Current())
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 20 {
				if _, err := Open(sealed, nv, members, start); err != nil {
					t.Error(err)
				}
				_ = nv.Current().Encode()
			}
		})
	}
	for week := range 2 {
		if _, err := nv.Rotate(identity("NV"), start.Add(time.Duration(week+1)*RotateAfter)); err != nil {
			t.Fatal(err)
		}
	}
	readers.Wait()
}
