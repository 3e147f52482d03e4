package records

import (
	"errors"
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/matchkey"
)

// Set is tokens of one epoch, in whatever order they are asked for.
type Set struct {
	Epoch  uint32
	Tokens []waypost.Token
}

// made is the ten tokens of a pointer under one key, in slot order.
type made struct {
	epoch  uint32
	tokens []waypost.Token
	todo   uint32 // bits of the slots whose token is not made yet
}

// maxSets is how many keys a pointer has tokens of: that of the roster and, while the
// index is rotated, that beside it.
const maxSets = 2

// under returns the pointer's tokens of an epoch, or nil.
func (p pointer) under(epoch uint32) *made {
	for i := range p.sets {
		if p.sets[i].epoch == epoch {
			return &p.sets[i]
		}
	}
	return nil
}

// ready reports whether all tokens of all its keys are made.
func (p pointer) ready() bool {
	return !slices.ContainsFunc(p.sets, func(m made) bool { return m.todo != 0 })
}

// The slots of which the token of one of its keys is not made yet.
func (p pointer) todo() (bits uint32) {
	for _, m := range p.sets {
		bits |= m.todo
	}
	return bits
}

// alien reports whether another state has made what the hub has of that epoch, or may
// have: what is in its SSN slots is not known here.
func (p pointer) alien(epoch uint32) bool { return p.PassedBy != "" && epoch <= p.passed }

// cover prepares tokens of each of the epochs, where it has none. What is random under
// one key is under each. What is under another key, and never was in the index or is
// one too many, gives way: nobody publishes under that any more.
func (p *pointer) cover(epochs []uint32) {
	sets := slices.DeleteFunc(slices.Clone(p.sets), func(m made) bool { return m.todo != 0 && !slices.Contains(epochs, m.epoch) })
	for _, epoch := range epochs {
		if !slices.ContainsFunc(sets, func(m made) bool { return m.epoch == epoch }) {
			m := made{epoch: epoch, tokens: make([]waypost.Token, matchkey.Slots), todo: allSlots}
			m.fill(p.decoys)
			sets = append(sets, m)
		}
	}
	if len(sets) > maxSets {
		sets = slices.DeleteFunc(sets, func(m made) bool { return !slices.Contains(epochs, m.epoch) })
	}
	slices.SortFunc(sets, func(a, b made) int { return int(a.epoch) - int(b.epoch) })
	p.sets = sets
}

// fill puts random bytes into slots: to the hub they look like any token.
func (m *made) fill(bits uint32) {
	for i := range m.tokens {
		if bits&(1<<i) != 0 {
			randomise(m.tokens[i][:])
		}
	}
	m.todo &^= bits
}

// copy takes over the tokens of slots.
func (m *made) copy(from made, bits uint32) {
	for i := range m.tokens {
		if bits&(1<<i) != 0 {
			m.tokens[i] = from.tokens[i]
		}
	}
	m.todo &^= bits
}

// take sets the tokens that are not made yet, from ten of the same epoch.
func (m *made) take(tokens []waypost.Token) {
	for i := range m.tokens {
		if m.todo&(1<<i) != 0 {
			m.tokens[i] = tokens[i]
		}
	}
	m.todo = 0
}

// setsOf makes whole sets of a pointer from tokens that are all made.
func setsOf(sets []Set) (all []made) {
	for _, s := range sets {
		all = append(all, made{epoch: s.Epoch, tokens: slices.Clone(s.Tokens)})
	}
	slices.SortFunc(all, func(a, b made) int { return int(a.epoch) - int(b.epoch) })
	return all
}

// epochsOf are the epochs of keys.
func epochsOf(keys []roster.Key) (epochs []uint32) {
	for _, k := range keys {
		epochs = append(epochs, k.Epoch)
	}
	return epochs
}

// joinSets is the tokens of some keys as they are stored, and the epochs beside them,
// 0 for none.
func joinSets(sets []made) (tokens []byte, epochs, todo [maxSets]uint32) {
	for i, m := range sets {
		tokens = append(tokens, JoinTokens(m.tokens)...)
		epochs[i], todo[i] = m.epoch, m.todo
	}
	return tokens, epochs, todo
}

// splitSets is the inverse of joinSets.
func splitSets(stored []byte, epochs, todo [maxSets]uint32) (sets []made, err error) {
	const size = matchkey.Slots * len(waypost.Token{})
	for i, epoch := range epochs {
		if epoch == 0 {
			break
		}
		if len(stored) < (i+1)*size {
			return nil, errDamaged
		}
		m := made{epoch: epoch, todo: todo[i], tokens: make([]waypost.Token, matchkey.Slots)}
		for slot := range m.tokens {
			m.tokens[slot] = waypost.Token(stored[i*size+slot*len(waypost.Token{}):])
		}
		sets = append(sets, m)
	}
	if len(sets) == 0 || len(stored) != len(sets)*size {
		return nil, errDamaged
	}
	return sets, nil
}

var errDamaged = errors.New("records: the tokens of a pointer are damaged")
