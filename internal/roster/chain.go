package roster

import (
	"bytes"
	"time"

	"github.com/waypost/waypost"
)

// chain is a run of consecutive rosters, oldest first. It is never modified.
type chain []*indexed

// indexed is a roster as signed, and what it amounts to in each of the phases
// that its own times divide it into, the earliest first.
type indexed struct {
	lookup
	signed []byte
	hash   Digest
	phases []phase
}

// phase is what is in force from a time until the next phase.
type phase struct {
	lookup
	from time.Time
}

// lookup is a roster whose members can be found by name and by certificate.
type lookup struct {
	*Roster
	byName map[string]*Member
	byCert map[Digest]*Member
}

func (c chain) last() *indexed { return c[len(c)-1] }

func (c chain) version(n uint64) *indexed {
	if n < c[0].Version || n > c.last().Version {
		return nil
	}
	return c[n-c[0].Version]
}

// inGrace returns the previous roster while it is still good, or nil.
func (c chain) inGrace(now time.Time) *indexed {
	current := c.last()
	previous := c.version(current.Version - 1)
	if previous == nil || previous.Version < current.RevokedBefore || !now.Before(current.NotBefore.Add(Grace)) {
		return nil
	}
	return previous
}

// extend returns the chain with the signed rosters appended.
func (c chain) extend(signed [][]byte) (chain, error) {
	longer := append(chain(nil), c...)
	for _, s := range signed {
		current := longer.last()
		r, err := verify(s, current.Governance)
		if err != nil {
			return nil, err
		}
		next, err := index(r, s)
		if err != nil {
			return nil, err
		}
		if known := longer.version(r.Version); known != nil {
			if known.hash != next.hash {
				return nil, waypost.Errorf(waypost.AlreadyExists, "there are two different rosters with version %d: keep both and tell governance", r.Version)
			}
			continue
		}
		if err := current.precedes(next); err != nil {
			return nil, err
		}
		longer = append(longer, next)
	}
	return longer[max(0, len(longer)-keptVersions):], nil
}

// precedes checks what may not change, or only in one direction, from one
// version to the next.
func (a *indexed) precedes(b *indexed) error {
	switch {
	case b.Version != a.Version+1:
		return invalid("version %d cannot follow version %d", b.Version, a.Version)
	case b.Previous != a.hash:
		return invalid("version %d does not continue the version %d known here", b.Version, a.Version)
	case b.Environment != a.Environment:
		return invalid("the environment cannot change")
	case b.NotBefore.Before(a.NotBefore):
		return invalid("version %d begins before version %d", b.Version, a.Version)
	case b.RevokedBefore < a.RevokedBefore:
		return invalid("a revoked version cannot come back")
	case b.Epoch < a.Epoch:
		return invalid("the epoch cannot go back")
	case b.Epoch == a.Epoch && string(b.GroupKey) != string(a.GroupKey):
		return invalid("the group key changes only with the epoch")
	}
	if err := a.rotates(b); err != nil {
		return err
	}
	if err := a.reshares(b.Roster); err != nil {
		return err
	}
	for name, m := range a.byName {
		later, ok := b.byName[name]
		switch {
		case !ok:
		case later.Role != m.Role:
			return invalid("%s cannot change its role", name)
		case m.inForce(b.NotBefore) && later.inForce(b.NotBefore) && !later.From.Equal(m.From):
			return invalid("the time from which %s is a member cannot change while it is one", name)
		}
	}
	return tooSoon(a.Roster, b.Roster, b.NotBefore, b.NotBefore.Add(Delay))
}

func index(r *Roster, signed []byte) (*indexed, error) {
	hash, err := r.Hash()
	if err != nil {
		return nil, err
	}
	x := &indexed{signed: bytes.Clone(signed), hash: hash, lookup: r.lookup(func(Member) bool { return true })}
	for _, from := range append([]time.Time{{}}, r.moments()...) {
		x.phases = append(x.phases, phase{r.InForce(from).lookup(func(m Member) bool { return m.inForce(from) }), from})
	}
	return x, nil
}

// lookup finds those members who are wanted.
func (r *Roster) lookup(wanted func(Member) bool) lookup {
	l := lookup{Roster: r, byName: make(map[string]*Member), byCert: make(map[Digest]*Member)}
	for i := range r.Members {
		if m := &r.Members[i]; wanted(*m) {
			l.byName[m.Name], l.byCert[m.CertKey] = m, m
		}
	}
	return l
}

// inForce is what counts at the time.
func (a *indexed) inForce(at time.Time) lookup {
	i := len(a.phases) - 1
	for i > 0 && at.Before(a.phases[i].from) {
		i--
	}
	return a.phases[i].lookup
}
