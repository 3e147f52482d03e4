package matchkey

import "github.com/waypost/waypost/matchkey/internal/freq"

// GivenFrequency returns the share of people in the US, between 0 and 1, with a
// normalised given name (SSA births 1930-2010 and Census 1990). A name that is
// not listed has a small share, never 0.
func GivenFrequency(given string) float64 { return freq.Of(freq.Given, given).Float() }

// FamilyFrequency returns the share of people in the US, between 0 and 1, with
// a normalised surname (Census 2000). A name that is not listed has a small
// share, never 0.
func FamilyFrequency(family string) float64 { return freq.Of(freq.Surname, family).Float() }

// NameFrequency returns the share of people in the US, between 0 and 1, with
// exactly this pair of normalised given name and surname, corrected where the
// two are known to come together more or less often than apart (Maria Garcia is
// 7.6 times commoner than independence says). It is never 0.
func NameFrequency(given, family string) float64 {
	s := freq.Of(freq.Given, given) + freq.Of(freq.Surname, family) + freq.Together(given, family)
	return s.Float()
}
