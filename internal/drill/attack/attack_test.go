package attack_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill/attack"
	"github.com/waypost/waypost/matchkey"
	"github.com/waypost/waypost/toprf"
)

// rehearse makes a key of five shares, any three of which are enough.
func rehearse(t *testing.T) (*toprf.PublicKeys, []toprf.Share) {
	t.Helper()
	outcomes, err := toprf.Ceremony{Kind: toprf.Keygen, ID: toprf.NewSeed(), Epoch: 1, Threshold: 3, Holders: 5}.Rehearse(nil)
	if err != nil {
		t.Fatal(err)
	}
	var shares []toprf.Share
	for _, o := range outcomes {
		shares = append(shares, o.Share)
	}
	return outcomes[0].Keys, shares
}

func points(t *testing.T, shares ...toprf.Share) attack.Points {
	t.Helper()
	p, err := attack.PointsOf(shares...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func key(t *testing.T, secret *big.Int) attack.Key {
	t.Helper()
	k, err := attack.NewKey(secret, 1)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestShares: any three make the key, no two do, whatever is tried; the third is known
// among guesses.
func TestShares(t *testing.T) {
	keys, shares := rehearse(t)
	for _, three := range [][]toprf.Share{{shares[0], shares[1], shares[2]}, {shares[4], shares[1], shares[3]}} {
		if got := key(t, points(t, three...).Secret()).Public(); !got.Equal(keys.Group()) {
			t.Error("three shares do not make the key")
		}
	}
	two := points(t, shares[0], shares[3])
	guesses := two.Guesses(5)
	if len(guesses) < 6 {
		t.Errorf("only %d guesses", len(guesses))
	}
	for _, g := range guesses {
		if got := key(t, g.Secret).Public(); got.Equal(keys.Group()) {
			t.Errorf("two shares make the key: %s", g.Why)
		}
	}
	third := points(t, shares[4])[5]
	for planted, want := range map[*big.Int]bool{nil: false, third: true} {
		secret, err := two.Missing(5, 40, 1, keys.Group(), planted)
		if err != nil || (secret != nil) != want {
			t.Fatalf("planted %v: found %v, %v", want, secret != nil, err)
		}
		if want && !key(t, secret).Public().Equal(keys.Group()) {
			t.Error("what was found is not the key")
		}
	}
}

// TestTokens: the attacker's tokens are those that gateway and key holders make.
func TestTokens(t *testing.T) {
	keys, shares := rehearse(t)
	inputs := [][]byte{[]byte("one key"), []byte("another"), bytes.Repeat([]byte{7}, 32)}
	blinding, err := toprf.BlindAll(inputs, toprf.NewSeed())
	if err != nil {
		t.Fatal(err)
	}
	var answers []toprf.Verified
	for _, s := range shares[1:4] {
		e, err := s.Evaluate(blinding.Elements(), make([]byte, toprf.HedgeSize))
		if err != nil {
			t.Fatal(err)
		}
		v, err := keys.Verify(s.Index(), blinding.Elements(), e)
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, v)
	}
	combined, err := keys.Combine(answers)
	if err != nil {
		t.Fatal(err)
	}
	outputs, err := blinding.Finalize(combined)
	if err != nil {
		t.Fatal(err)
	}
	got, err := key(t, points(t, shares[:3]...).Secret()).Tokens(inputs)
	if err != nil {
		t.Fatal(err)
	}
	for i := range outputs {
		if want := waypost.NewToken(1, outputs[i]); got[i] != want {
			t.Errorf("token %d differs", i)
		}
	}
}

// TestFind: an index that is made of tokens is searched along the counters, and gives
// only who is in it.
func TestFind(t *testing.T) {
	_, shares := rehearse(t)
	k, h := key(t, points(t, shares[:3]...).Secret()), [32]byte{1}
	x := &attack.Index{Labels: make(map[[16]byte]int64), Pointers: make(map[int64]*attack.Pointer)}
	ann := waypost.Person{Family: "ACHTERBERG", Given: "ANN", Born: waypost.Date{Year: 1984, Month: 3, Day: 17}, SSN5: "52096"}
	bob := waypost.Person{Family: "BALDERRAMA", Given: "BOB", Born: waypost.Date{Year: 1972, Month: 7, Day: 31}}
	for counter, owner := range []waypost.Jurisdiction{"CA", "NY"} {
		id := int64(counter + 1)
		x.Pointers[id] = &attack.Pointer{ID: id, Owner: owner}
		for _, slot := range matchkey.Index(ann, make([]byte, 32)) {
			token, err := k.Tokens([][]byte{slot.Key})
			if err != nil {
				t.Fatal(err)
			}
			x.Labels[attack.Label(h, 1, token[0], uint8(counter))] = id
		}
	}
	finder := attack.Finder{Index: x, H: h, Key: k}
	claims, err := finder.Find(t.Context(), []waypost.Person{bob, ann})
	if err != nil || len(claims) != 2 || claims[0].Person != 1 || claims[0].Owner != "CA" || claims[1].Owner != "NY" || claims[0].Names != matchkey.NameSlots || claims[0].SSN != matchkey.SSNSlots {
		t.Errorf("%+v, %v", claims, err)
	}
	for want, ssn := range map[bool]string{true: "52096", false: "11111"} {
		guess := ann
		guess.SSN5 = ssn
		if got, tried, err := finder.AnySSN(t.Context(), []waypost.Person{bob, guess}); err != nil || got != want || tried != 2 {
			t.Errorf("SSN %v is found: %v, %v", want, got, err)
		}
	}
	finder.H[0]++
	if claims, err := finder.Find(t.Context(), []waypost.Person{ann}); err != nil || len(claims) > 0 {
		t.Errorf("with another h: %+v, %v", claims, err)
	}
}

// TestUnpack: an archive is opened by who has the identity, and by nobody else, and writes
// nothing outside the folder.
func TestUnpack(t *testing.T) {
	right, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	archive := func(names ...string) string {
		var b bytes.Buffer
		sealed, err := age.Encrypt(&b, right.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		files := tar.NewWriter(sealed)
		for _, name := range names {
			err = errors.Join(err, files.WriteHeader(&tar.Header{Name: name, Size: int64(len(name)), Mode: 0o600}))
			_, failed := files.Write([]byte(name))
			err = errors.Join(err, failed)
		}
		file := filepath.Join(t.TempDir(), "archive.age")
		if err := errors.Join(err, files.Close(), sealed.Close(), os.WriteFile(file, b.Bytes(), 0o600)); err != nil {
			t.Fatal(err)
		}
		return file
	}
	dir := t.TempDir()
	if err := attack.Unpack(archive("top", "below/file"), right, dir); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "below", "file")); err != nil || string(raw) != "below/file" {
		t.Errorf("%q, %v", raw, err)
	}
	if attack.Unpack(archive("top"), other, t.TempDir()) == nil || attack.Unpack(archive("../out"), right, filepath.Join(dir, "below")) == nil {
		t.Error("opened by a stranger, or written outside the folder")
	}
}

// TestPieces: what stands in a file is found, wherever it stands.
func TestPieces(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "below"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "below", "file"), []byte("..ACHTERBERG..1984-03-17"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := attack.NewPieces([][]byte{[]byte("ACHTERBERG"), []byte("1984-03-17"), []byte("BALDERRAMA"), []byte("ACHTERBERG"), []byte("ANN")})
	hits, err := p.Under(dir)
	if err != nil || p.Len() != 3 || len(hits) != 2 {
		t.Errorf("%d of %d pieces, %v", len(hits), p.Len(), err)
	}
}

// TestFilesGo: one file that goes away meanwhile does not hide those after it, and a
// folder that is not there is not one in which nothing was found.
func TestFilesGo(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var read string
	err := attack.Files(dir, func(content []byte) {
		read += string(content)
		if err := os.RemoveAll(filepath.Join(dir, "b")); err != nil {
			t.Error(err)
		}
	})
	if err != nil || read != "ac" {
		t.Errorf("read %q, %v", read, err)
	}
	if err := attack.Files(filepath.Join(dir, "none"), func([]byte) {}); err == nil {
		t.Error("a folder that is not there was searched")
	}
}
