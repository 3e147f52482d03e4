package matchkey

import (
	_ "embed"
	"strings"
	"sync"

	"github.com/waypost/waypost/matchkey/internal/phonetic"
)

//go:generate go run ./internal/gentables -data ../../shared/data -out .

//go:embed nicknames.txt
var nicknameText string

// formalNames maps a nickname to the names it stands for, likeliest first.
var formalNames = sync.OnceValue(func() map[string][]string {
	m := make(map[string][]string)
	for line := range strings.Lines(nicknameText) {
		if f := strings.Fields(line); len(f) > 1 && f[0] != "#" {
			m[f[0]] = f[1:]
		}
	}
	return m
})

// NicknameRoot returns the formal name that a normalised given name is most
// likely short for (ROBERT for BOB), or the name itself.
func NicknameRoot(given string) string {
	if formal := formalNames()[given]; len(formal) > 0 {
		return formal[0]
	}
	return given
}

// Soundex returns the American Soundex code of a normalised name, for example
// R163 for ROBERT, or "" for an empty name.
func Soundex(s string) string { return phonetic.Soundex(s) }

// DoubleMetaphone returns the primary Double Metaphone code of a normalised
// name, at most four characters (Philips 2000).
func DoubleMetaphone(s string) string { return phonetic.Metaphone(s) }
