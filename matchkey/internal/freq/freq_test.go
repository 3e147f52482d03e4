package freq

import (
	"bytes"
	"compress/flate"
	"maps"
	"math"
	"sort"
	"testing"

	"pgregory.net/rapid"
)

func pack(t interface{ Fatal(...any) }, raw []byte) []byte {
	var b bytes.Buffer
	z, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOfN(rapid.StringMatching(`[A-C]{1,6}[a-p]?`), rapid.Byte(), 0, 200).Draw(t, "table")
		var b bytes.Buffer
		if err := Encode(&b, map[string]map[string]byte{"x": want, "empty": nil}); err != nil {
			t.Fatal(err)
		}
		tables, err := Decode(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if got := maps.Collect(tables["x"].All()); !maps.Equal(got, want) {
			t.Fatalf("read %v, wrote %v", got, want)
		}
		for key, value := range want {
			if got, ok := tables["x"].Lookup(key); !ok || got != value {
				t.Fatalf("Lookup(%s) = %d, %v; want %d", key, got, ok, value)
			}
		}
		other := rapid.StringMatching(`[A-D]{0,7}`).Draw(t, "other")
		_, there := want[other]
		if _, ok := tables["x"].Lookup(other); ok != there {
			t.Fatalf("Lookup(%s) finds %v", other, ok)
		}
		if _, ok := tables["empty"].Lookup(other); ok {
			t.Fatal("an empty table has an entry")
		}
	})
}

func TestEmbeddedTables(t *testing.T) {
	if len(packed) > 1_500_000 {
		t.Errorf("the embedded file has %d bytes", len(packed))
	}
	for name, table := range embedded() {
		var keys []string
		for k := range table.All() {
			keys = append(keys, k)
		}
		if len(keys) == 0 || !sort.StringsAreSorted(keys) {
			t.Errorf("table %s is empty or out of order", name)
		}
		for i := 0; i < len(keys); i += 97 {
			if _, ok := table.Lookup(keys[i]); !ok {
				t.Errorf("table %s does not find its own %s", name, keys[i])
			}
		}
	}
	if common, rare := Of(Surname, "SMITH"), Of(Surname, "ZUSI"); common >= rare || rare >= Rare {
		t.Errorf("SMITH %d, ZUSI %d, unlisted %d: not in order of rarity", common, rare, Rare)
	}
	if then, now := Born(Given, "JENNIFER", 1975), Born(Given, "JENNIFER", 1932); then >= now {
		t.Errorf("JENNIFER is no commoner among those born 1975 (%d) than 1932 (%d)", then, now)
	}
	if Year(1900) <= Year(1930) || Year(2024) != Year(2010) {
		t.Error("years outside the tables")
	}
}

func TestEitherAddsShares(t *testing.T) {
	for a := range Share(256) {
		for b := range Share(256) {
			want := -8 * math.Log2(a.Float()+b.Float())
			if got := Either(a, b); math.Abs(float64(got)-want) > 0.5+1e-9 {
				t.Fatalf("Either(%d, %d) = %d, want %.2f", a, b, got, want)
			}
		}
	}
}

// FuzzDecode: no file makes Decode or a later Lookup fail.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x01x\x00\x00\x00\x05\x00\x02AB\x07"))
	f.Add([]byte("\x01x\x00\x00\x00\x05\x00\xffAB\x07"))
	f.Add([]byte("\x01x\xff\xff\xff\xff"))
	f.Add([]byte("\x01x\x00\x00\x00\x09\x00\x02AB\x07\x03\x01C\x07"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		tables, err := Decode(pack(t, raw))
		if err != nil {
			return
		}
		for _, table := range tables {
			for key := range table.All() {
				table.Lookup(key)
			}
			table.Lookup("AB")
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	t := Get(Surname)
	for b.Loop() {
		t.Lookup("KOWALCZYK")
	}
}

func BenchmarkDecode(b *testing.B) {
	for b.Loop() {
		if _, err := Decode(packed); err != nil {
			b.Fatal(err)
		}
	}
}
