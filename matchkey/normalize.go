package matchkey

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/waypost/waypost"
)

// Normal is a person after normalisation: names in the letters A-Z, split where
// they can be read in more than one way. It is personal data.
type Normal struct {
	Given  []string     // tokens of the given name, in order; the first is the one that is indexed
	Middle []string     // tokens of the middle name, in order
	Family []string     // parts of the family name, in order, with particles joined to what follows; the first is the one that is indexed
	Suffix string       // JR, SR, II, III, IV, V or ""
	Born   waypost.Date // zero if unknown or not in the calendar
	SSN5   string       // five digits, or "" if there is none that means anything
}

// Limits that no real name reaches, so that no input costs more than another.
const (
	maxFieldBytes = 256
	maxTokens     = 12
)

// Normalize brings a person's names into the form that keys are made of and
// that names are compared in: Unicode NFKD with marks dropped, letters such as
// ß and Ø written out, upper case, apostrophes removed, everything else that is
// not a letter taken as a space. Generational suffixes leave the end of the
// names, particles (DE LA, VAN DER, MC, SAINT) join what follows, and texts that
// say that a name is unknown (FNU, LNU) become empty. It never fails: what cannot
// be read is empty.
func Normalize(p waypost.Person) Normal {
	n := Normal{SSN5: SSN5(p.SSN5)}
	if validDate(p.Born) {
		n.Born = p.Born
	}
	n.Suffix = suffixOf[strings.Join(tokens(p.Suffix), "")]
	given, s1 := cutSuffix(tokens(p.Given), false)
	family, s2 := cutSuffix(tokens(p.Family), true)
	middle, s3 := cutSuffix(tokens(p.Middle), false)
	for _, s := range []string{s2, s1, s3} {
		if n.Suffix == "" {
			n.Suffix = s
		}
	}
	n.Given, n.Middle = known(given), known(middle)
	n.Family = joinParticles(known(family))
	return n
}

func validDate(d waypost.Date) bool {
	parsed, err := waypost.ParseDate(d.String())
	return err == nil && parsed == d
}

// suffixOf maps what is written to the suffix that is meant.
var suffixOf = map[string]string{
	"JR": "JR", "JUNIOR": "JR", "JNR": "JR", "SR": "SR", "SENIOR": "SR", "SNR": "SR",
	"II": "II", "2ND": "II", "III": "III", "3RD": "III", "IV": "IV", "4TH": "IV", "V": "V", "5TH": "V",
}

// cutSuffix takes generational suffixes from the end of a name that has more
// than them. A single V, and the words JUNIOR and SENIOR, may be names or
// initials, so that only a family name loses the V and none loses the words.
func cutSuffix(t []string, family bool) (rest []string, suffix string) {
	for len(t) > 1 {
		last := t[len(t)-1]
		s := suffixOf[last]
		if s == "" || last == "JUNIOR" || last == "SENIOR" || last == "V" && !family {
			break
		}
		suffix, t = s, t[:len(t)-1]
	}
	return t, suffix
}

// unknownName lists what is typed where there is no name.
var unknownName = map[string]bool{
	"FNU": true, "LNU": true, "NFN": true, "NLN": true, "NMN": true, "NMI": true, "UNKNOWN": true,
}

// known drops tokens that stand for no name, and digits.
func known(t []string) []string {
	var out []string
	for _, w := range t {
		w = strings.Map(func(r rune) rune {
			if r < 'A' {
				return -1
			}
			return r
		}, w)
		if w != "" && !unknownName[w] {
			out = append(out, w)
		}
	}
	return out
}

// particle lists the words of a family name that belong to the word after them.
var particle = set(`DE DEL DELA DELLA DELOS DI DA DO DOS DAS DU LA LAS LE LES LO LOS VAN VON VANDER VANDEN VOM ZU
	ZUR DEN DER TER TEN HET MC MAC ST SAINT STE SAINTE SAN SANTA AL EL ABU BIN BINT IBN BEN O FITZ AP`)

// shortForm is how a particle is written in the joined name.
var shortForm = map[string]string{"SAINT": "ST", "SAINTE": "STE"}

// conjunction lists what Spanish and Portuguese put between two surnames.
var conjunction = set("Y E")

func set(words string) map[string]bool {
	m := make(map[string]bool)
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

// joinParticles makes the parts of a family name: DE LA CRUZ Y GARCIA becomes
// DELACRUZ and GARCIA.
func joinParticles(t []string) []string {
	var parts []string
	var prefix strings.Builder
	for i, w := range t {
		last := i == len(t)-1
		switch {
		case !last && i > 0 && conjunction[w] && prefix.Len() == 0:
		case !last && particle[w]:
			if s, ok := shortForm[w]; ok {
				w = s
			}
			prefix.WriteString(w)
		default:
			parts = append(parts, prefix.String()+w)
			prefix.Reset()
		}
	}
	return parts
}

// expansion writes out letters that no decomposition turns into A-Z.
var expansion = map[rune]string{
	'ß': "SS", 'ẞ': "SS", 'Æ': "AE", 'æ': "AE", 'Œ': "OE", 'œ': "OE", 'Ø': "O", 'ø': "O", 'Ł': "L", 'ł': "L",
	'Đ': "D", 'đ': "D", 'Ð': "D", 'ð': "D", 'Þ': "TH", 'þ': "TH", 'ı': "I", 'Ħ': "H", 'ħ': "H", 'Ŧ': "T", 'ŧ': "T",
	'Ŋ': "NG", 'ŋ': "NG", 'Ə': "A", 'ə': "A", 'Ƶ': "Z", 'ƶ': "Z", 'Ɨ': "I", 'ɨ': "I", 'Ʉ': "U", 'ʉ': "U",
}

// apostrophes vanish: O'BRIEN is OBRIEN.
const apostrophes = "'`\u00b4\u2018\u2019\u201b\u02b9\u02bb\u02bc\u02bd\u02be\u02bf\u02c8\u2032\uff07"

// tokens splits a field into words of A-Z and 0-9.
func tokens(field string) []string {
	if len(field) > maxFieldBytes {
		field = field[:maxFieldBytes]
	}
	var b strings.Builder
	for _, r := range field {
		switch text, ok := expansion[r]; {
		case ok:
			b.WriteString(text)
		case r < 0x80 && r != '\'' && r != '`':
			b.WriteByte(plain(byte(r)))
		case strings.ContainsRune(apostrophes, r):
		default:
			decompose(&b, r)
		}
	}
	t := strings.Fields(b.String())
	return t[:min(len(t), maxTokens)]
}

// plain maps an ASCII byte to a capital letter, a digit or a space.
func plain(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z':
		return c - 'a' + 'A'
	case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return c
	}
	return ' '
}

// decompose writes the letters of r's compatibility decomposition, drops its
// marks, and writes a space for anything else.
func decompose(b *strings.Builder, r rune) {
	for _, d := range norm.NFKD.String(string(r)) {
		switch {
		case d < 0x80:
			b.WriteByte(plain(byte(d)))
		case unicode.Is(unicode.Mn, d), unicode.Is(unicode.Cf, d):
		case expansion[d] != "":
			b.WriteString(expansion[d])
		default:
			b.WriteByte(' ')
		}
	}
}

// ssnPlaceholders are last fives that are typed where there is no number: the
// same digit five times. 99999 is the one that State-to-State prescribes.
var ssnPlaceholders = []string{
	"00000", "11111", "22222", "33333", "44444", "55555", "66666", "77777", "88888", "99999",
}

// SSN5 returns the last five digits of an SSN if they can mean a person, and ""
// if they are absent, malformed or a placeholder: the same digit five times, or a
// serial number 0000, which the SSA never issued (20 CFR 422.103; SSA POMS RM
// 10201.035). 12345 and its like are kept: one in 100,000 people has them.
func SSN5(s string) string {
	s = strings.TrimSpace(s)
	if len(s) != 5 || strings.Trim(s, "0123456789") != "" ||
		slices.Contains(ssnPlaceholders, s) || strings.HasSuffix(s, "0000") {
		return ""
	}
	return s
}
