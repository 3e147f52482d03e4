package phonetic

import "strings"

// MetaphoneLength is the length at which a Metaphone code is cut.
const MetaphoneLength = 4

// Metaphone returns the primary Double Metaphone code of the letters A-Z in s,
// at most MetaphoneLength characters out of A F H J K L M N P R S T X 0, where
// 0 stands for the sound of TH. The alternate code is not computed: a match key
// has one value.
func Metaphone(s string) string {
	m := metaphone{word: onlyLetters(s)}
	m.slavic = strings.ContainsAny(m.word, "WK") || strings.Contains(m.word, "CZ")
	if m.is(0, "GN", "KN", "PN", "WR", "PS") {
		m.pos = 1 // a silent first letter
	}
	for m.pos < len(m.word) && m.n < len(m.code) {
		m.step()
	}
	return string(m.code[:m.n])
}

func onlyLetters(s string) string {
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return strings.Map(func(r rune) rune {
				if r < 'A' || r > 'Z' {
					return -1
				}
				return r
			}, s)
		}
	}
	return s
}

// metaphone is the state of one encoding: pos is the letter being read.
type metaphone struct {
	word   string
	pos    int
	slavic bool // looks Slavic or Germanic
	code   [MetaphoneLength]byte
	n      int
}

// emit adds sounds to the code and moves on by skip letters.
func (m *metaphone) emit(sounds string, skip int) {
	m.n += copy(m.code[m.n:], sounds)
	m.pos += skip
}

// is reports whether any of the texts stands at an absolute position.
func (m *metaphone) is(at int, texts ...string) bool {
	if at < 0 || at > len(m.word) {
		return false
	}
	for _, t := range texts {
		if strings.HasPrefix(m.word[at:], t) {
			return true
		}
	}
	return false
}

// near is is, relative to the letter being read.
func (m *metaphone) near(offset int, texts ...string) bool { return m.is(m.pos+offset, texts...) }

// letter returns the letter at an offset from the one being read, or 0.
func (m *metaphone) letter(offset int) byte {
	if i := m.pos + offset; i >= 0 && i < len(m.word) {
		return m.word[i]
	}
	return 0
}

// oneOf reports whether the letter at an offset is one of set.
func (m *metaphone) oneOf(offset int, set string) bool {
	c := m.letter(offset)
	return c != 0 && strings.IndexByte(set, c) >= 0
}

func (m *metaphone) vowel(offset int) bool { return m.oneOf(offset, "AEIOUY") }
func (m *metaphone) first() bool           { return m.pos == 0 }
func (m *metaphone) last() bool            { return m.pos == len(m.word)-1 }

// single emits a sound and swallows the next letter if it is one of doubled.
func (m *metaphone) single(sound, doubled string) {
	skip := 1
	if m.oneOf(1, doubled) {
		skip = 2
	}
	m.emit(sound, skip)
}

// step reads one letter, or a group that sounds as one.
func (m *metaphone) step() {
	switch m.letter(0) {
	case 'A', 'E', 'I', 'O', 'U', 'Y':
		if m.first() {
			m.emit("A", 1)
		} else {
			m.pos++
		}
	case 'B':
		m.single("P", "B")
	case 'C':
		m.c()
	case 'D':
		m.d()
	case 'F':
		m.single("F", "F")
	case 'G':
		m.g()
	case 'H':
		if (m.first() || m.vowel(-1)) && m.vowel(1) {
			m.emit("H", 2)
		} else {
			m.pos++
		}
	case 'J':
		m.j()
	case 'K':
		m.single("K", "K")
	case 'L':
		m.single("L", "L")
	case 'M':
		m.m()
	case 'N':
		m.single("N", "N")
	case 'P':
		if m.letter(1) == 'H' {
			m.emit("F", 2)
		} else {
			m.single("P", "PB")
		}
	case 'Q':
		m.single("K", "Q")
	case 'R':
		m.r()
	case 'S':
		m.s()
	case 'T':
		m.t()
	case 'V':
		m.single("F", "V")
	case 'W':
		m.w()
	case 'X':
		m.x()
	case 'Z':
		if m.letter(1) == 'H' {
			m.emit("J", 1) // Mandarin Zhao; the H after it is silent
		} else {
			m.single("S", "Z")
		}
	}
}

func (m *metaphone) d() {
	switch {
	case m.near(0, "DGI", "DGE", "DGY"):
		m.emit("J", 3) // edge
	case m.near(0, "DG"):
		m.emit("TK", 2) // Edgar
	default:
		m.single("T", "TD")
	}
}

func (m *metaphone) m() {
	silentB := m.near(-1, "UMB") && (m.pos+1 == len(m.word)-1 || m.near(2, "ER"))
	if silentB || m.letter(1) == 'M' { // thumb, Plumber
		m.emit("M", 2)
	} else {
		m.emit("M", 1)
	}
}

func (m *metaphone) r() {
	sound := "R"
	if m.last() && !m.slavic && m.near(-2, "IE") && !m.near(-4, "ME", "MA") {
		sound = "" // French Rogier
	}
	m.single(sound, "R")
}

func (m *metaphone) t() {
	switch {
	case m.near(0, "TIO") && m.letter(3) == 'N', m.near(0, "TIA", "TCH"):
		m.emit("X", 3)
	case m.near(0, "TH", "TTH"):
		sound := "0"
		if m.near(2, "OM", "AM") || m.is(0, "SCH") {
			sound = "T" // Thomas
		}
		m.emit(sound, 2)
	default:
		m.single("T", "TD")
	}
}

func (m *metaphone) w() {
	switch {
	case m.near(0, "WR"):
		m.emit("R", 2)
	case m.first() && (m.vowel(1) || m.letter(1) == 'H'):
		m.emit("A", 1) // Wasserman, Whitney
	case m.last() && m.vowel(-1), m.near(-1, "EWSKI", "EWSKY", "OWSKI", "OWSKY"), m.is(0, "SCH"):
		m.pos++ // silent in the primary code
	case m.near(0, "WICZ", "WITZ"):
		m.emit("TS", 4) // Filipowicz
	default:
		m.pos++
	}
}

func (m *metaphone) x() {
	switch {
	case m.first():
		m.emit("S", 1) // Xavier
	case m.last() && (m.near(-3, "IAU", "EAU") || m.near(-2, "AU", "OU")):
		m.pos++ // French Breaux
	default:
		m.single("KS", "CX")
	}
}
