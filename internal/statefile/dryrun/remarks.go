package dryrun

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

// Ages that no card holder has.
const (
	oldest          = 115 // years; about the age of the oldest person alive
	youngestLicence = 14  // South Dakota's instruction permit; no state licenses sooner
)

// mojibake begins what UTF-8 looks like when it was read as Latin-1.
var mojibake = []string{"Ã", "Â", "â€"}

// remarks says what is odd about a record that can be loaded. Nothing depends on
// an SSN.
func remarks(r waypost.Record, today waypost.Date) (out []string) {
	switch years := age(r.Born, today); {
	case years < 0:
		out = append(out, "dob: the date lies in the future")
	case years > oldest:
		out = append(out, "dob: older than anybody alive")
	case years < youngestLicence && r.Kind != waypost.IDCard:
		out = append(out, "dob: too young for anything but an ID card")
	}
	n := matchkey.Normalize(r.Person)
	for _, name := range []struct {
		field, written string
		read           []string
	}{{"family", r.Family, n.Family}, {"given", r.Given, n.Given}} {
		if reason := oddName(name.written, name.read); reason != "" {
			out = append(out, name.field+": "+reason)
		}
	}
	return out
}

// oddName says what is odd about a name as written, of which read is left.
func oddName(written string, read []string) string {
	switch {
	case strings.TrimSpace(written) == "":
		return "there is none"
	case strings.ContainsRune(written, unicode.ReplacementChar):
		return "there is a character that was lost before: it shows as U+FFFD"
	case broken(written):
		return "accents look broken: is the file's encoding what the layout says?"
	case strings.ContainsFunc(written, unicode.IsDigit):
		return "there is a digit in it"
	case len(read) == 0:
		return "it says that there is none, or has no letter that can be compared"
	case strings.ContainsAny(written, `@#$%^&*_=+[]{}<>|\/?!~;:"`):
		return "there is a character in it that no name has"
	}
	return ""
}

func broken(written string) bool {
	for _, m := range mojibake {
		_, after, _ := strings.Cut(written, m)
		if next, _ := utf8.DecodeRuneInString(after); after != "" && next >= utf8.RuneSelf && !unicode.IsLetter(next) {
			return true
		}
	}
	return false
}

// age is in whole years, less than zero before birth.
func age(born, today waypost.Date) int {
	years := today.Year - born.Year
	if today.Month < born.Month || today.Month == born.Month && today.Day < born.Day {
		years--
	}
	return years
}
