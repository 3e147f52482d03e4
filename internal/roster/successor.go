package roster

import (
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost"
)

// Successor drafts the version after r, valid for the time given: the same
// members with what they have at its beginning. What is over is left out.
func (r *Roster) Successor(notBefore, notAfter time.Time) (*Roster, error) {
	hash, err := r.Hash()
	if err != nil {
		return nil, err
	}
	n := *r
	n.Version, n.Previous = r.Version+1, hash
	n.NotBefore, n.NotAfter = notBefore.UTC().Truncate(time.Second), notAfter.UTC().Truncate(time.Second)
	n.Members = slices.Clone(r.Members)
	for i := range n.Members {
		n.Members[i] = n.Members[i].at(n.NotBefore)
	}
	n.Grants = slices.DeleteFunc(slices.Clone(r.Grants), func(g Grant) bool { return !g.Until.After(n.NotBefore) })
	return &n, nil
}

// Add adds a member to a draft. In any version but the first it joins no
// sooner than Delay after the version begins.
func (r *Roster) Add(m Member) error {
	if _, ok := r.Member(m.Name); ok {
		return waypost.Errorf(waypost.AlreadyExists, "%s is in the roster", m.Name)
	}
	if due := r.NotBefore.Add(Delay); r.Version > 1 && m.From.Before(due) {
		m.From = due
	}
	r.Members = append(slices.Clone(r.Members), m)
	return nil
}

// Remove removes a member from a draft, at once, with the grants to it.
func (r *Roster) Remove(name string) error {
	i := slices.IndexFunc(r.Members, func(m Member) bool { return m.Name == name })
	if i < 0 {
		return waypost.Errorf(waypost.NotFound, "%s is not in the roster", name)
	}
	r.Members = slices.Clone(r.Members)
	if r.Members[i].Role == Gateway {
		r.Members = slices.Delete(r.Members, i, i+1)
	} else {
		r.Members[i].Removed = true
	}
	r.Grants = slices.DeleteFunc(slices.Clone(r.Grants), func(g Grant) bool { return g.Member == name })
	return nil
}

// SetQuota sets a field of a member's quota in a draft, by its name in the
// roster. It is lowered at once and raised Delay after the version begins.
func (r *Roster) SetQuota(name, field string, value int) error {
	i := slices.IndexFunc(r.Members, func(m Member) bool { return m.Name == name && m.Role == Gateway })
	if i < 0 {
		return waypost.Errorf(waypost.NotFound, "%s is not a state of the roster", name)
	}
	r.Members = slices.Clone(r.Members)
	m := &r.Members[i]
	j := slices.IndexFunc(m.Quota.fields(), func(l limit) bool { return l.name == field })
	if j < 0 {
		return waypost.Errorf(waypost.InvalidArgument, "a quota has no %q: see waypost roster show --json", field)
	}
	rising := m.Rise.Quota != (Quota{})
	now, later := m.Quota.fields()[j].limit, m.Rise.Quota.fields()[j].limit
	wanted := m.Quota
	*wanted.fields()[j].limit = value
	was, will := spelledOut(m.Quota, wanted)
	if *will.fields()[j].limit <= *was.fields()[j].limit || r.Version == 1 {
		*now = value
		if rising {
			*later = value
		}
		return nil
	}
	if !rising {
		m.Rise.Quota = m.Quota
	}
	*later = value
	if due := r.NotBefore.Add(Delay); m.Rise.From.Before(due) {
		m.Rise.From = due
	}
	return nil
}

// Precedes says in words why the roster next, whoever signed it, cannot follow
// r; nil if it can. See [View] for the rules.
func (r *Roster) Precedes(next *Roster) error {
	if err := next.Validate(); err != nil {
		return err
	}
	a, err := index(r, nil)
	if err != nil {
		return err
	}
	b, err := index(next, nil)
	if err != nil {
		return err
	}
	return a.precedes(b)
}

// Text is the text that is signed: a draft, as long as nobody has.
func (r *Roster) Text() (string, error) {
	if err := r.Validate(); err != nil {
		return "", err
	}
	return r.text()
}

// Read reads a draft, or a signed roster without looking at the signatures, for
// tools that show what is before them: no role may act on it. The JSON of a
// draft may be spelled freely, so that it can be edited.
func Read(b []byte) (*Roster, error) {
	text := string(b)
	if n, err := readNote(b, note.VerifierList()); err == nil {
		return decode(n.Text)
	}
	if len(text) > maxText {
		return nil, invalid("larger than %d bytes", maxText)
	}
	r, err := decodeLoosely(strings.TrimPrefix(text, header))
	if err != nil {
		return nil, err
	}
	return r, r.Validate()
}

// Signers returns the names of the governance keys whose signatures a signed
// roster carries, none for a draft.
func (g Governance) Signers(signed []byte) ([]string, error) {
	verifiers, err := g.verifiers()
	if err != nil {
		return nil, err
	}
	n, err := readNote(signed, note.VerifierList(verifiers...))
	if waypost.CodeOf(err) == waypost.InvalidArgument {
		return nil, nil // a draft
	}
	if err != nil {
		return nil, err
	}
	names := make([]string, len(n.Sigs))
	for i, s := range n.Sigs {
		names[i] = s.Name
	}
	return names, nil
}

// Chain verifies signed rosters in order of version without a gap, as [NewView]
// does, whether or not they are still valid: for auditors and officers.
func Chain(trusted Governance, signed ...[]byte) ([]*Roster, error) {
	var all []*Roster
	var c chain
	for _, s := range signed {
		if c == nil {
			first, err := verify(s, trusted)
			if err != nil {
				return nil, err
			}
			x, err := index(first, s)
			if err != nil {
				return nil, err
			}
			c = chain{x}
		} else {
			longer, err := c[len(c)-1:].extend([][]byte{s})
			if err != nil {
				return nil, err
			}
			c = longer
		}
		if n := len(all); n == 0 || all[n-1].Version < c.last().Version {
			all = append(all, c.last().Roster)
		}
	}
	return all, nil
}
