package roster

import (
	"os"
	"testing"
)

// FuzzParse feeds whole notes. Only the golden text may pass, since only it was
// ever signed.
func FuzzParse(f *testing.F) {
	golden, err := os.ReadFile("testdata/roster-v1.note")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	want, err := sample(f).text()
	if err != nil {
		f.Fatal(err)
	}
	trusted := sample(f).Governance
	f.Fuzz(func(t *testing.T, signed []byte) {
		r, err := Parse(signed, trusted, start)
		if err != nil {
			return
		}
		if text, err := r.text(); err != nil || text != want {
			t.Fatal("a roster that nobody signed was accepted")
		}
	})
}

// FuzzDecode feeds texts, as if governance had signed them: what is accepted is
// valid and is the only spelling of itself.
func FuzzDecode(f *testing.F) {
	for _, r := range []*Roster{sample(f), full(f)} {
		text, err := r.text()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := decode(text)
		if err != nil {
			return
		}
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		if again, err := r.text(); err != nil || again != text {
			t.Fatal("two texts for one roster")
		}
		x, err := index(r, nil) // whatever is valid can be put in force
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range x.phases {
			_ = p.Hub()
			if _, err := p.Keys(); err != nil {
				t.Fatal(err)
			}
		}
		_ = Changes(nil, r)
		_ = tooSoon(r, r, r.NotBefore, r.NotAfter)
	})
}
