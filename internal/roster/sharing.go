package roster

import (
	"bytes"
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/toprf"
)

// SetShares puts into a draft what a ceremony has made: holders[i] has share i+1 of
// the key of that epoch. Of the roster's own epoch, or where there is no key yet, the
// holders become those who are named; a key holder that is not named keeps its place
// without a share, and one that was removed leaves. Of the epoch beside it, or of the
// next one, the holders are those that there are.
func (r *Roster) SetShares(epoch uint32, holders []string, keys *toprf.PublicKeys, transcript Digest) error {
	if len(holders) != keys.Holders() || epoch == 0 {
		return invalid("the ceremony made %d shares of epoch %d for %d key holders", keys.Holders(), epoch, len(holders))
	}
	group := keys.Group()
	k := Key{Epoch: epoch, Threshold: keys.Threshold(), GroupKey: group.Bytes(), Ceremony: transcript}
	for i := range holders {
		share, err := keys.Share(i + 1)
		if err != nil {
			return err
		}
		k.Shares = append(k.Shares, share.Bytes())
	}
	if r.Epoch == 0 || epoch == r.Epoch {
		return r.setOwn(k, holders)
	}
	for i, h := range r.Holders() {
		if i >= len(holders) || h.Name != holders[i] {
			return invalid("the ceremony made shares for others than the key holders that there are")
		}
	}
	if r.Beside != nil && r.Beside.Epoch != epoch && epoch != r.Newest()+1 || r.Beside == nil && epoch != r.Epoch+1 {
		return invalid("it has no place for a key of epoch %d", epoch)
	}
	r.Beside = &k
	return nil
}

// setOwn makes k the roster's own key.
func (r *Roster) setOwn(k Key, holders []string) error {
	var members []Member
	for _, m := range r.Members {
		if m.Role == KeyHolder {
			m.Index, m.PublicShare = 0, nil
			if i := slices.Index(holders, m.Name); i >= 0 {
				m.Index, m.PublicShare = i+1, k.Shares[i]
			} else if m.Removed {
				continue
			}
		}
		members = append(members, m)
	}
	for _, name := range holders {
		if m, ok := r.Member(name); !ok || m.Role != KeyHolder || m.Removed {
			return invalid("%s got a share and is not a key holder", name)
		}
	}
	r.Members, r.Epoch, r.Threshold, r.GroupKey, r.Ceremony = members, k.Epoch, k.Threshold, k.GroupKey, k.Ceremony
	return nil
}

// index is the share index of a key holder, 0 if it has no share.
func (r *Roster) index(name string) int {
	m, _ := r.Member(name)
	return m.Index
}

// KeyOf is the key of an epoch, if the roster serves it.
func (r *Roster) KeyOf(epoch uint32) (Key, bool) {
	switch {
	case epoch == 0:
	case epoch == r.Epoch:
		return r.Key(), true
	case r.Beside != nil && epoch == r.Beside.Epoch:
		return *r.Beside, true
	}
	return Key{}, false
}

// reshares checks that shares change with a ceremony, whose transcript everybody can
// ask for, and not without one; only in a test environment may a later key come without.
// That the group key stays and that the shares belong
// to it is checked elsewhere; the delay for a lower threshold as well.
func (a *indexed) reshares(b *Roster) error {
	for _, now := range []*Key{{Epoch: b.Epoch}, b.Beside} {
		if now == nil || now.Epoch == 0 {
			continue
		}
		was, had := a.KeyOf(now.Epoch)
		is, _ := b.KeyOf(now.Epoch)
		changed := had && (was.Threshold != is.Threshold || !slices.EqualFunc(was.Shares, is.Shares, bytes.Equal))
		switch {
		case changed && (is.Ceremony == Digest{} || is.Ceremony == was.Ceremony):
			return invalid("the shares of epoch %d are others: name the transcript of the ceremony that made them", is.Epoch)
		case had && !changed && is.Ceremony != was.Ceremony:
			return invalid("it names another ceremony for the same shares of epoch %d", is.Epoch)
		case !had && is.Ceremony == Digest{} && (a.Epoch == 0 || b.Environment != waypost.Test):
			return invalid("name the transcript of the ceremony that made the key")
		}
	}
	return nil
}

// Names reports whether any version that is known here names this public share of the
// member, and whether one does that is good now: the current one, and the one before
// within its grace.
func (v *View) Names(member string, public []byte) (named, live bool) {
	c := v.chain()
	for _, x := range c {
		if x.names(member, public) {
			named = true
			live = live || v.Accepts(x.Version) == nil || x == c.last()
		}
	}
	return named, live
}

func (r *Roster) names(member string, public []byte) bool {
	m, ok := r.Member(member)
	if !ok || m.Index == 0 {
		return false
	}
	return bytes.Equal(m.PublicShare, public) ||
		r.Beside != nil && m.Index <= len(r.Beside.Shares) && bytes.Equal(r.Beside.Shares[m.Index-1], public)
}

// noKey refuses what needs a key, as long as there is none.
func (r *Roster) noKey() error {
	return waypost.Errorf(waypost.Unavailable, "roster version %d has no key yet: the key holders have to make one (waypost ceremony keygen), and governance to sign the roster that names it", r.Version)
}
