package phonetic

import (
	"regexp"
	"strings"
	"testing"

	"github.com/antzucaro/matchr"
	"pgregory.net/rapid"
)

// word draws names made of the letter groups that have special readings, which
// random letters hardly ever meet, mixed with random letters.
func word(t *rapid.T) string {
	groups := strings.Fields(`SCH CH CIA CC CZ WICZ WITZ GN GH AUGH GE GI GLI GY GER DG DGE UMB IER EAUX AUX OIS
		ISL SUGAR SH HEIM HOLM SIO SIA SZ SC SCE TION TIA TCH TH THOM TTH WR WH OWSKI EWSKY X XX ZH ZZ JOSE J JJ
		ACH BACHER MC A E I O U Y B C D F G H K L LL M N P PH Q R RR S T V W UCCE ACC CHAE CHIA CHOR ORCHES ILLA`)
	return strings.Join(rapid.SliceOfN(rapid.OneOf(
		rapid.SampledFrom(groups), rapid.StringMatching(`[A-Z]{1,3}`)), 0, 5).Draw(t, "groups"), "")
}

func TestSoundexAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := word(t)
		if got, want := Soundex(w), matchr.Soundex(w); got != want {
			t.Fatalf("Soundex(%q) = %q, oracle %q", w, got, want)
		}
	})
}

func TestMetaphoneAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := word(t)
		want, _ := matchr.DoubleMetaphone(w)
		if got := Metaphone(w); got != want {
			t.Fatalf("Metaphone(%q) = %q, oracle %q", w, got, want)
		}
	})
}

// Examples from the National Archives' description and from Philips's paper.
func TestPublishedExamples(t *testing.T) {
	for name, want := range map[string]string{
		"WASHINGTON": "W252", "LEE": "L000", "GUTIERREZ": "G362", "PFISTER": "P236", "JACKSON": "J250",
		"TYMCZAK": "T522", "ASHCRAFT": "A261", "ROBERT": "R163", "RUPERT": "R163", "": "",
	} {
		if got := Soundex(name); got != want {
			t.Errorf("Soundex(%q) = %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"SMITH": "SM0", "SCHMIDT": "XMT", "THOMAS": "TMS", "MICHAEL": "MKL", "KNIGHT": "NT",
		"WRIGHT": "RT", "HUGH": "H", "MCLAUGHLIN": "MKLF", "EDGAR": "ATKR", "CZERNY": "SRN", "JOSE": "HS",
		"XAVIER": "SF", "FILIPOWICZ": "FLPT", "": "",
	} {
		if got := Metaphone(name); got != want {
			t.Errorf("Metaphone(%q) = %q, want %q", name, got, want)
		}
	}
}

var (
	soundexShape   = regexp.MustCompile(`^([A-Z][0-6]{3})?$`)
	metaphoneShape = regexp.MustCompile(`^[AFHJKLMNPRSTX0]{0,4}$`)
)

// FuzzPhonetic: any bytes at all give a code of the documented shape.
func FuzzPhonetic(f *testing.F) {
	for _, s := range []string{"", "SMITH", "ÇELİK", "\xff\xfeGH", "JOSE", "SCHWARZENEGGER", "X", "ghij"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if c := Soundex(s); !soundexShape.MatchString(c) {
			t.Errorf("Soundex(%q) = %q", s, c)
		}
		if c := Metaphone(s); !metaphoneShape.MatchString(c) {
			t.Errorf("Metaphone(%q) = %q", s, c)
		}
	})
}
