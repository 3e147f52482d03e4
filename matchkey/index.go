package matchkey

import "github.com/waypost/waypost"

// Index returns the ten keys to publish for a person, in the order of the
// kinds: six from names and date of birth, four from the SSN. secret is the
// gateway's own, 32 random bytes that never change within an epoch; what stands in
// for an absent SSN is derived under it, so that nobody else can compute it.
// Index panics if it is shorter, for then it could be told from an SSN.
func Index(p waypost.Person, secret []byte) [Slots]Slot {
	r := newReader(Normalize(p), secret)
	base := r.base()
	var out [Slots]Slot
	for i, c := range r.name(base) {
		out[i] = c.slot()
	}
	for i, c := range r.ssn(base) {
		out[NameSlots+i] = c.slot()
	}
	return out
}

func newReader(n Normal, secret []byte) *reader {
	checkSecret(secret)
	digits := n.standIn(secret, 0) // made for everybody: the time tells nothing
	if n.SSN5 != "" {
		digits = n.SSN5
	}
	return &reader{n: n, born: newDate(n.Born), secret: secret, digits: digits}
}

func checkSecret(secret []byte) {
	if len(secret) < secretSize {
		panic("matchkey: the secret must be 32 bytes")
	}
}

// base is the reading that is indexed: first given name, first surname.
func (r *reader) base() reading { return reading{given: first(r.n.Given), surname: first(r.n.Family)} }

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

func (c clue) slot() Slot {
	return Slot{Kind: c.kind, Key: c.key[:], Expected: c.expected(), Decoy: c.decoy}
}

// rare is the number of other people with the same key up to which agreement on
// that key alone is worth asking about in clear, whatever its kind. For A and B,
// which no change of name or of date reaches, more is allowed: unambiguous is
// above what a full date gives (about 0.15) and below what one whose day and
// month can be exchanged gives (about 0.25), docs/adr/0016 and 0043.
const (
	rare        = 0.04
	unambiguous = 0.18
)

// Continue is the rule of the first leg at the state of record: whether the
// slots of one of its own records that agree with a blinded question are enough
// to be shown the applicant in clear. They are if two agree; or one that has the
// whole SSN5 with the date or both names (A, B) and that at most 0.18 other
// people are expected to share; or any one that at most 0.04 are. Decoys count
// for nothing.
func Continue(agreed []Slot) bool {
	var kinds [Slots]bool
	n := 0
	for _, s := range agreed {
		if s.Decoy || int(s.Kind) >= Slots || kinds[s.Kind] {
			continue
		}
		kinds[s.Kind] = true
		n++
		if s.Expected <= rare || (s.Kind == A || s.Kind == B) && s.Expected <= unambiguous {
			return true
		}
	}
	return n >= 2
}
