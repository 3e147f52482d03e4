// Package phonetic holds the two phonetic codes that match keys are made of:
// American Soundex and the primary code of Double Metaphone. Both read the
// letters A-Z of a normalised name and skip every other byte, so no input can
// make them fail.
//
// Sources: the Soundex indexing system of the US National Archives; Lawrence
// Philips, "The Double Metaphone Search Algorithm", C/C++ Users Journal,
// June 2000. The codes are part of match-key profile 1: a change of any result
// is a new profile.
package phonetic

// soundexDigit is the Soundex class of A-Z: '0' for a vowel, which separates
// equal digits, and '-' for H and W, which do not.
const soundexDigit = "01230120022455012623010202"

// Soundex returns the four-character American Soundex code of the letters A-Z
// in s, for example R163 for ROBERT, or "" when s has no such letter.
func Soundex(s string) string {
	var code [4]byte
	n := 0
	var last byte
	for i := 0; i < len(s) && n < len(code); i++ {
		c := s[i]
		if c < 'A' || c > 'Z' {
			continue
		}
		digit := soundexDigit[c-'A']
		switch {
		case n == 0:
			code[0], n = c, 1
		case c == 'H' || c == 'W':
			continue
		case digit != '0' && digit != last:
			code[n] = digit
			n++
		}
		last = digit
	}
	if n == 0 {
		return ""
	}
	for ; n < len(code); n++ {
		code[n] = '0'
	}
	return string(code[:])
}
