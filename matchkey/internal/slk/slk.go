// Package slk holds the two parts of the name key of slot Q, after the
// statistical linkage key SLK-581 of the Australian Institute of Health and
// Welfare: letters 2, 3 and 5 of the surname, letters 2 and 3 of the given
// name. They survive odd misspellings because they skip most of the name.
package slk

// missing stands where a name has no such letter, as in SLK-581.
const missing = '2'

// Surname returns letters 2, 3 and 5 of a normalised surname.
func Surname(s string) string { return pick(s, 1, 2, 4) }

// Given returns letters 2 and 3 of a normalised given name.
func Given(s string) string { return pick(s, 1, 2) }

func pick(s string, at ...int) string {
	out := make([]byte, len(at))
	for i, p := range at {
		out[i] = missing
		if p < len(s) {
			out[i] = s[p]
		}
	}
	return string(out)
}
