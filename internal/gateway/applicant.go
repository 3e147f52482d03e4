package gateway

import (
	"unicode"
	"unicode/utf8"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// maxCardNumber is more than the AAMVA standard prints (25 characters).
const maxCardNumber = 40

// validate checks what comes from a counter or from another state. The error
// names the field, never its content.
func (a Applicant) validate() error {
	if err := a.Validate(); err != nil {
		return err
	}
	for _, text := range []string{a.Family, a.Given, a.Middle, a.Suffix, a.CardNumber} {
		if !printable(text) {
			return waypost.Errorf(waypost.InvalidArgument, "a name or the card number holds something else than printable text")
		}
	}
	if len(a.CardNumber) > maxCardNumber {
		return waypost.Errorf(waypost.InvalidArgument, "the card number is longer than %d bytes", maxCardNumber)
	}
	if a.CardState != "" {
		if _, err := waypost.ParseJurisdiction(string(a.CardState)); err != nil {
			return err
		}
	}
	return nil
}

// printable reports whether the text can be stored by every engine and shown
// on every terminal.
func printable(text string) bool {
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return utf8.ValidString(text)
}

// readable makes a text from another member fit for a clerk's screen.
func readable(text string) string {
	const limit = 200 // characters
	clean := make([]rune, 0, limit)
	for _, r := range text {
		if !unicode.IsPrint(r) {
			r = ' '
		}
		if clean = append(clean, r); len(clean) == limit {
			break
		}
	}
	return string(clean)
}

// toProto leaves the SSN out: it has no place in an Applicant message.
func toProto(a Applicant) *waypostv1.Applicant {
	return &waypostv1.Applicant{
		Family: a.Family, Given: a.Given, Middle: a.Middle, Suffix: a.Suffix,
		Born: a.Born.String(), Sex: string(a.Sex), CardNumber: a.CardNumber, CardState: string(a.CardState),
	}
}

// fromProto reads an applicant, who has no SSN in this form.
func fromProto(p *waypostv1.Applicant) (Applicant, error) {
	born, err := waypost.ParseDate(p.GetBorn())
	if err != nil {
		return Applicant{}, err
	}
	sex, err := waypost.ParseSex(p.GetSex())
	if err != nil {
		return Applicant{}, err
	}
	a := Applicant{CardNumber: p.GetCardNumber(), CardState: waypost.Jurisdiction(p.GetCardState()), Person: waypost.Person{
		Family: p.GetFamily(), Given: p.GetGiven(), Middle: p.GetMiddle(), Suffix: p.GetSuffix(), Born: born, Sex: sex,
	}}
	return a, a.validate()
}
