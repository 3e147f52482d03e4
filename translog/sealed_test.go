package translog

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func drawArray(t *rapid.T, name string) (a [32]byte) {
	copy(a[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, name))
	return a
}

func drawEntry(t *rapid.T) Entry {
	fields := rapid.MapOfN(rapid.StringMatching(`[a-z_0-9]{1,32}`), rapid.StringMatching(`[ -~äöü木]{0,20}`), 0, 5).Draw(t, "body")
	body, err := FormatBody(fields)
	if err != nil {
		t.Fatal(err)
	}
	return Entry{
		Kind:    rapid.StringMatching(`[a-z_0-9]{1,32}`).Draw(t, "kind"),
		Ordinal: rapid.Uint64().Draw(t, "ordinal"),
		At:      time.Unix(rapid.Int64Range(0, lastSecond).Draw(t, "at"), 0).UTC(),
		Ticket:  drawArray(t, "ticket"), Tau: drawArray(t, "tau"), Salt: drawArray(t, "salt"),
		Body: body,
	}
}

func drawPlace(t *rapid.T) (role, origin string, index int64) {
	return rapid.SampledFrom([]string{"gateway", "hub", "keyholder", "witness"}).Draw(t, "role"),
		rapid.StringMatching(`[!-*,-~]{1,255}`).Draw(t, "origin"), rapid.Int64Min(0).Draw(t, "index")
}

// A sealed entry opens at its place under its key, and nowhere else; whatever
// byte is altered.
func TestSealRapid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, k := drawEntry(t), NewDataKey()
		role, origin, index := drawPlace(t)
		leaf, blob, err := Seal(k, role, origin, index, e)
		if err != nil || !bytes.Equal(leaf, e.Leaf(role, origin)) {
			t.Fatal(err)
		}
		if got, err := OpenSealed(k, role, origin, index, leaf, blob); err != nil || !cmp.Equal(got, e) {
			t.Fatal(cmp.Diff(got, e), err)
		}
		if id, err := SealedKey(blob); err != nil || id != k.ID {
			t.Fatal(id, err)
		}
		flip := func(b []byte) []byte {
			bad := append([]byte{}, b...)
			bad[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= byte(1 << rapid.IntRange(0, 7).Draw(t, "bit"))
			return bad
		}
		_, second, err := Seal(k, role, origin, index, e)
		if err != nil || bytes.Equal(second, blob) {
			t.Fatal("a nonce came twice", err)
		}
		otherKey := k
		otherKey.Secret[0] ^= 1
		for name, err := range map[string]error{
			"blob":   second1(OpenSealed(k, role, origin, index, leaf, flip(blob))),
			"longer": second1(OpenSealed(k, role, origin, index, leaf, append(slices.Clip(blob), 0))),
			"cut":    second1(OpenSealed(k, role, origin, index, leaf, blob[:len(blob)-1])),
			"leaf":   second1(OpenSealed(k, role, origin, index, flip(leaf), blob)),
			"index":  second1(OpenSealed(k, role, origin, index^1, leaf, blob)),
			"origin": second1(OpenSealed(k, role, origin+"x", index, leaf, blob)),
			"role":   second1(OpenSealed(k, "auditor", origin, index, leaf, blob)),
			"key":    second1(OpenSealed(otherKey, role, origin, index, leaf, blob)),
			"id":     second1(OpenSealed(NewDataKey(), role, origin, index, leaf, blob)),
		} {
			if !errors.Is(err, ErrSealed) && !(name == "origin" && len(origin) == 255 && err != nil) {
				t.Fatalf("with another %s: %v", name, err)
			}
		}
		if _, err := OpenSealed(k, role, origin, index, leaf, nil); !errors.Is(err, ErrErased) {
			t.Fatal(err)
		}
	})
}

func second1(_ Entry, err error) error { return err }

// Who has the data key can seal anything; it still opens only as its leaf.
func TestSealedForLeaf(t *testing.T) {
	k := vectorDataKey()
	e := vectorEntry("ask", 0, 1, false, `{}`)
	other := e
	other.Body = []byte(`{"soi":"AZ"}`)
	leaf := e.Leaf("gateway", "o")
	nonce := seq(0, 24)
	blob := append(append(append([]byte{}, k.ID[:]...), nonce...), k.aead().Seal(nil, nonce, other.appendPlain(nil), sealedData("o", 3, leaf))...)
	if _, err := OpenSealed(k, "gateway", "o", 3, leaf, blob); !errors.Is(err, ErrSealed) {
		t.Error(err)
	}
}

func TestSealRefuses(t *testing.T) {
	good := vectorEntry("ask", 0, 1, false, `{}`)
	for name, change := range map[string]func(*Entry){
		"no kind":     func(e *Entry) { e.Kind = "" },
		"bad kind":    func(e *Entry) { e.Kind = "Ask" },
		"long kind":   func(e *Entry) { e.Kind = "a23456789012345678901234567890123" },
		"before 1970": func(e *Entry) { e.At = time.Unix(-1, 0) },
		"no time":     func(e *Entry) { e.At = time.Time{} },
		"after 9999":  func(e *Entry) { e.At = time.Unix(lastSecond+1, 0) },
		"large body":  func(e *Entry) { e.Body = make([]byte, MaxBody+1) },
	} {
		e := good
		change(&e)
		if _, _, err := Seal(NewDataKey(), "hub", "o", 0, e); err == nil {
			t.Error(name)
		}
	}
	for name, err := range map[string]error{
		"role": third(Seal(NewDataKey(), "", "o", 0, good)), "origin": third(Seal(NewDataKey(), "hub", "", 0, good)), "index": third(Seal(NewDataKey(), "hub", "o", -1, good)),
	} {
		if err == nil {
			t.Error(name)
		}
	}
	good.Body = make([]byte, MaxBody)
	leaf, blob, err := Seal(NewDataKey(), "hub", "o", 0, good)
	if err != nil || len(leaf) != LeafSize || len(blob) != MaxBlob {
		t.Error(len(blob), err)
	}
}

func third(_, _ []byte, err error) error { return err }

func TestParseSealed(t *testing.T) {
	var bundle []byte
	for i := range int64(256) {
		bundle = AppendSealed(bundle, testBlob(i))
	}
	blobs, err := ParseSealed(bundle, 256)
	if err != nil || len(blobs) != 256 || len(blobs[0]) != 0 || !bytes.Equal(blobs[255], testBlob(255)) {
		t.Error(len(blobs), err)
	}
	for _, width := range []int{-1, 0, 255, 257} {
		if _, err := ParseSealed(bundle, width); err == nil {
			t.Error("width", width)
		}
	}
	if _, err := ParseSealed(AppendSealed(nil, make([]byte, MaxBlob+1)), 1); err == nil {
		t.Error("a blob that is too large")
	}
	for _, size := range []int{overhead, overhead + 1, overhead + padTo - 1, overhead + padTo + 1} {
		if _, err := ParseSealed(AppendSealed(nil, make([]byte, size)), 1); err == nil {
			t.Errorf("a blob of %d bytes", size)
		}
	}
}

// TestPadding: entries of all kinds are sealed to one size, and nothing but
// zeros, and no more than needed, pads them.
func TestPadding(t *testing.T) {
	k, nonce := NewDataKey(), seq(0, 24)
	e := vectorEntry("ask", 0, 1, false, `{"purpose":"renew"}`)
	leaf, blob, err := Seal(k, "hub", "o", 0, e)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{`{}`, `{"purpose":"issue_real_id"}`, `{"x":"` + strings.Repeat("x", 800) + `"}`} {
		if _, other, err := Seal(k, "hub", "o", 0, vectorEntry("search_first", 0, 1, false, body)); err != nil || len(other) != len(blob) {
			t.Errorf("%d bytes for a body of %d (%v), %d for another", len(other), len(body), err, len(blob))
		}
	}
	plain := e.appendPlain(nil)
	for name, bad := range map[string][]byte{
		"a byte that is not zero": append(plain[:len(plain)-1:len(plain)-1], 1), "a block too many": append(slices.Clip(plain), make([]byte, padTo)...),
		"no padding": bytes.TrimRight(plain, "\x00"), "a byte less": plain[:len(plain)-1],
	} {
		sealed := slices.Concat(k.ID[:], nonce, k.aead().Seal(nil, nonce, bad, sealedData("o", 0, leaf)))
		if _, err := OpenSealed(k, "hub", "o", 0, leaf, sealed); !errors.Is(err, ErrSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzSealedBundle: a bundle has one form.
func FuzzSealedBundle(f *testing.F) {
	vectors := readVectors(f)
	f.Add([]byte(vectors.Log.Sealed), 3)
	f.Add([]byte(vectors.Log.Sealed[1:]), 3)
	f.Add([]byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, 2)
	f.Fuzz(func(t *testing.T, bundle []byte, width int) {
		blobs, err := ParseSealed(bundle, width)
		if err != nil {
			return
		}
		var again []byte
		for _, blob := range blobs {
			again = AppendSealed(again, blob)
		}
		if len(blobs) != width || !bytes.Equal(again, bundle) {
			t.Fatal("it reads as another")
		}
	})
}

// FuzzPlain: what a member has sealed has one form.
func FuzzPlain(f *testing.F) {
	f.Add(vectorEntry("ask", 1, 1, false, `{"soi":"AZ"}`).appendPlain(nil))
	f.Add(vectorEntry("started", 0, lastSecond, true, `{}`).appendPlain(nil))
	f.Add([]byte{0, 0, 0, 1, 'a'})
	f.Fuzz(func(t *testing.T, plain []byte) {
		if e, ok := parsePlain(plain); ok && !bytes.Equal(e.appendPlain(nil), plain) {
			t.Fatalf("%+v", e)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	k, e := NewDataKey(), vectorEntry("ask", 0, 1, false, `{"case":"92604e8280cb834a11d5efe416b28230a1d1c95cb8f21d3310cde326aa35f62b","class":"attended"}`)
	leaf, blob, err := Seal(k, "gateway", vectorOrigin, 7, e)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := Seal(k, "gateway", vectorOrigin, 7, e); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := OpenSealed(k, "gateway", vectorOrigin, 7, leaf, blob); err != nil {
				b.Fatal(err)
			}
		}
	})
}
