package phonetic

// The four letters of Double Metaphone that have many readings.

func (m *metaphone) c() {
	switch {
	case m.hardCH():
		m.emit("K", 2)
	case m.first() && m.near(0, "CAESAR"):
		m.emit("S", 2)
	case m.near(0, "CH"):
		m.emit(m.ch(), 2)
	case m.near(0, "CZ") && !m.near(-2, "WICZ"):
		m.emit("S", 2) // Czerny
	case m.near(1, "CIA"):
		m.emit("X", 3) // focaccia
	case m.near(0, "CC") && !(m.pos == 1 && m.is(0, "M")):
		m.cc()
	case m.near(0, "CK", "CG", "CQ"):
		m.emit("K", 2)
	case m.near(0, "CI", "CE", "CY"):
		m.emit("S", 2)
	case m.oneOf(1, "CKQ") && !m.near(1, "CE", "CI"):
		m.emit("K", 2)
	default:
		m.emit("K", 1) // also the first C of McClellan
	}
}

// hardCH finds the Germanic -ACH- and the Italian CHIA.
func (m *metaphone) hardCH() bool {
	if m.near(0, "CHIA") {
		return true
	}
	if m.pos <= 1 || m.vowel(-2) || !m.near(-1, "ACH") {
		return false
	}
	return !m.oneOf(2, "IE") || m.near(-2, "BACHER", "MACHER")
}

// ch returns the sound of CH that hardCH has not explained.
func (m *metaphone) ch() string {
	greek := m.first() && m.near(1, "HARAC", "HARIS", "HOR", "HYM", "HIA", "HEM") && !m.is(0, "CHORE")
	germanic := m.is(0, "SCH") ||
		m.near(-2, "ORCHES", "ARCHIT", "ORCHID") ||
		m.oneOf(2, "TS") ||
		(m.first() || m.oneOf(-1, "AOUE")) && (m.oneOf(2, "LRNMBHFVW") || m.pos+1 == len(m.word)-1)
	switch {
	case m.pos > 0 && m.near(0, "CHAE"): // Michael
		return "K"
	case greek, germanic:
		return "K"
	case m.pos > 0 && m.is(0, "MC"): // McHugh
		return "K"
	}
	return "X"
}

// cc reads a double C that is not that of McClellan.
func (m *metaphone) cc() {
	switch {
	case !m.oneOf(2, "IEH") || m.near(2, "HU"):
		m.emit("K", 2) // Bacchus, Pucci is below
	case m.pos == 1 && m.letter(-1) == 'A', m.near(-1, "UCCEE", "UCCES"):
		m.emit("KS", 3) // accident, succeed
	default:
		m.emit("X", 3) // bellocchio, Bertucci
	}
}

func (m *metaphone) g() {
	switch {
	case m.letter(1) == 'H':
		m.gh()
	case m.letter(1) == 'N':
		m.gn()
	case m.near(1, "LI") && !m.slavic:
		m.emit("KL", 2) // tagliaro
	case m.first() && m.near(1, "Y", "ES", "EP", "EB", "EL", "EY", "IB", "IL", "IN", "IE", "EI", "ER"):
		m.emit("K", 2)
	case m.near(1, "ER", "Y") && !m.is(0, "DANGER", "RANGER", "MANGER") &&
		!m.oneOf(-1, "EI") && !m.near(-1, "RGY", "OGY"):
		m.emit("K", 2)
	case m.oneOf(1, "EIY"), m.near(-1, "AGGI", "OGGI"):
		if m.is(0, "SCH") || m.near(1, "ET") {
			m.emit("K", 2)
		} else {
			m.emit("J", 2)
		}
	default:
		m.single("K", "G")
	}
}

func (m *metaphone) gn() {
	switch {
	case m.pos == 1 && m.vowel(-1) && !m.slavic:
		m.emit("KN", 2)
	case !m.near(2, "EY") && !m.slavic:
		m.emit("N", 2) // Cagney is the exception
	default:
		m.emit("KN", 2)
	}
}

func (m *metaphone) gh() {
	switch {
	case m.pos > 0 && !m.vowel(-1):
		m.emit("K", 2)
	case m.first() && m.letter(2) == 'I':
		m.emit("J", 2) // Ghislane
	case m.first():
		m.emit("K", 2)
	case m.oneOf(-2, "BHD"), m.oneOf(-3, "BHD"), m.oneOf(-4, "BH"):
		m.pos += 2 // Hugh, bough, Broughton
	case m.pos > 2 && m.letter(-1) == 'U' && m.oneOf(-3, "CGLRT"):
		m.emit("F", 2) // laugh, McLaughlin
	case m.letter(-1) != 'I':
		m.emit("K", 2)
	default:
		m.pos += 2 // Wright
	}
}

func (m *metaphone) j() {
	switch {
	case m.near(0, "JOSE"):
		if len(m.word) == 4 {
			m.emit("H", 1) // José
		} else {
			m.emit("J", 1)
		}
	case m.first(), m.vowel(-1) && !m.slavic && m.oneOf(1, "AO"), m.last(),
		!m.oneOf(1, "LTKSNMBZ") && !m.oneOf(-1, "SKL"):
		m.single("J", "J")
	default:
		m.single("", "J")
	}
}

func (m *metaphone) s() {
	switch {
	case m.near(-1, "ISL", "YSL"):
		m.pos++ // Carlisle
	case m.first() && m.near(0, "SUGAR"):
		m.emit("X", 1)
	case m.near(0, "SHEIM", "SHOEK", "SHOLM", "SHOLZ"):
		m.emit("S", 2)
	case m.near(0, "SH"):
		m.emit("X", 2)
	case m.near(0, "SIO", "SIA"):
		m.emit("S", 3)
	case m.letter(1) == 'Z':
		m.emit("S", 2)
	case m.first() && m.oneOf(1, "MNLW"):
		m.emit("S", 1) // Smith, Snider
	case m.near(0, "SC"):
		m.emit(m.sc(), 3)
	case m.last() && m.near(-2, "AI", "OI"):
		m.pos++ // French Resnais
	default:
		m.single("S", "SZ")
	}
}

// sc returns the sound of SC and the letter after it.
func (m *metaphone) sc() string {
	switch {
	case m.letter(2) == 'H' && m.near(3, "ER", "EN"):
		return "X" // Schermerhorn, Schenker
	case m.letter(2) == 'H' && m.near(3, "OO", "UY", "ED", "EM"):
		return "SK" // school, schuyler
	case m.letter(2) == 'H':
		return "X"
	case m.oneOf(2, "IEY"):
		return "S"
	}
	return "SK"
}
