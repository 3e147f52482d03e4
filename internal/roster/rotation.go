package roster

import (
	"bytes"
	"slices"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/toprf"
)

// Key is an OPRF key that is served beside the roster's own while the index is
// rotated from one to the other.
type Key struct {
	Epoch     uint32 `json:"epoch"`
	Threshold int    `json:"threshold"` // key holders that make a token
	GroupKey  []byte `json:"group_key"` // ristretto255, 32 bytes
	// Shares are the public shares by share index, one of each key holder.
	Shares [][]byte `json:"shares"`
	// Ceremony is the hash of the transcript with which the shares were made.
	Ceremony Digest `json:"ceremony,omitzero"`
}

// Public returns the key for verifying and combining.
func (k Key) Public() (*toprf.PublicKeys, error) {
	group, err := toprf.DecodeElement(k.GroupKey)
	if err != nil {
		return nil, invalid("epoch %d: the group key is not a group element", k.Epoch)
	}
	shares := make([]toprf.Element, len(k.Shares))
	for i, s := range k.Shares {
		if shares[i], err = toprf.DecodeElement(s); err != nil {
			return nil, invalid("epoch %d: public share %d is not a group element", k.Epoch, i+1)
		}
	}
	keys, err := toprf.NewPublicKeys(k.Threshold, group, shares)
	if err != nil {
		return nil, invalid("epoch %d: the key holders' public shares do not combine to the group key", k.Epoch).WithCause(err)
	}
	return keys, nil
}

// Key is the roster's own key. It includes the shares of key holders that are not
// in force.
func (r *Roster) Key() Key {
	k := Key{Epoch: r.Epoch, Threshold: r.Threshold, GroupKey: r.GroupKey, Ceremony: r.Ceremony}
	holders := r.shares
	if holders == nil {
		holders = r.Holders()
	}
	for _, h := range holders {
		k.Shares = append(k.Shares, h.PublicShare)
	}
	return k
}

// Newest is the newest epoch that the roster serves: the one into which states
// publish their records once more.
func (r *Roster) Newest() uint32 {
	if r.Beside != nil {
		return max(r.Epoch, r.Beside.Epoch)
	}
	return r.Epoch
}

// Quorum is how many key holders a ticket needs that names this version: enough
// for each of the keys under which it is evaluated.
func (r *Roster) Quorum() int {
	if r.Beside != nil {
		return max(r.Threshold, r.Beside.Threshold)
	}
	return r.Threshold
}

// Switch makes the key beside a draft's own its own, and leaves the one before beside
// it.
func (r *Roster) Switch() error {
	if r.Beside == nil || r.Beside.Epoch < r.Epoch {
		return invalid("no newer key is served beside its own")
	}
	was, is := r.Key(), *r.Beside
	r.Epoch, r.Threshold, r.GroupKey, r.Ceremony, r.Beside = is.Epoch, is.Threshold, is.GroupKey, is.Ceremony, &was
	r.Members = slices.Clone(r.Members)
	for i := range r.Members {
		if m := &r.Members[i]; m.Role == KeyHolder && m.Index > 0 {
			m.PublicShare = is.Shares[m.Index-1]
		}
	}
	return nil
}

// KeysFor are the keys under which a ticket of the kind is evaluated that names
// this version. The first is that of the ticket's own epoch. A search uses its own
// alone; what is published goes into the index under all, so that whoever searches
// under either finds it. A re-publication is under the newest alone: under the
// other the record is there.
func (r *Roster) KeysFor(kind waypost.Kind) []Key {
	switch {
	case r.Beside == nil || kind.Takes(0):
		return []Key{r.Key()}
	case kind == waypost.KindRepublish && r.Beside.Epoch > r.Epoch:
		return []Key{*r.Beside}
	case kind == waypost.KindRepublish:
		return []Key{r.Key()}
	}
	return []Key{r.Key(), *r.Beside}
}

// republishes reports whether a state publishes once more: while two keys are served,
// and after that as long as it is loading, because it is late, or because the key
// before was lost. At any other time that would be evaluations under the key in force
// that belong to no pointer.
func (r *Roster) republishes(state waypost.Jurisdiction) bool {
	if r.Beside != nil {
		return true
	}
	m, ok := r.Member(string(state))
	return ok && m.Participation == Loading
}

// KeysFor returns the keys under which a ticket is evaluated, by the version that
// it names: see [Roster.KeysFor]. A ticket of another epoch is refused, and so is a
// re-publication that nobody waits for: see [Roster.republishes].
func (v *View) KeysFor(t waypost.Ticket) ([]Key, error) {
	named, err := v.named(t.RosterVersion)
	if err != nil {
		return nil, err
	}
	if named.Epoch == 0 {
		return nil, named.noKey()
	}
	if t.Kind == waypost.KindRepublish && !named.republishes(t.SOI) {
		return nil, waypost.Errorf(waypost.PermissionDenied, "by roster version %d there is one key, and %s is not loading: nothing is published once more, what is left is published by a change", t.RosterVersion, t.SOI)
	}
	keys := named.KeysFor(t.Kind)
	if keys[0].Epoch != t.Epoch {
		return nil, waypost.Errorf(waypost.Expired, "the ticket is for key epoch %d, by roster version %d a %s is for epoch %d",
			t.Epoch, t.RosterVersion, t.Kind, keys[0].Epoch)
	}
	return keys, nil
}

// OldestEpoch is the oldest epoch of a version that was good at that time or later:
// of what is older nobody makes a token any more.
func (v *View) OldestEpoch(since time.Time) uint32 {
	c := v.chain()
	oldest := c.last().Oldest()
	for i := len(c) - 1; i > 0 && c[i].NotBefore.Add(Grace).After(since); i-- {
		oldest = min(oldest, c[i-1].Oldest())
	}
	return oldest
}

// Oldest is the older of the epochs that the roster serves.
func (r *Roster) Oldest() uint32 {
	if r.Beside != nil {
		return min(r.Epoch, r.Beside.Epoch)
	}
	return r.Epoch
}

func (r *Roster) checkBeside() error {
	b := r.Beside
	if b == nil {
		return nil
	}
	switch {
	case b.Epoch == 0 || b.Epoch == r.Epoch:
		return invalid("the key beside its own has another epoch, from 1")
	case len(b.GroupKey) != toprf.ElementSize || bytes.Equal(b.GroupKey, r.GroupKey):
		return invalid("the key beside its own has another group key, of %d bytes", toprf.ElementSize)
	case len(b.Shares) != len(r.Holders()):
		return invalid("the key beside its own has a public share for each key holder")
	case b.Threshold < 1 || b.Threshold > len(b.Shares):
		return invalid("the threshold of the key beside its own is 1 to the number of key holders, %d", len(b.Shares))
	}
	_, err := b.Public()
	return err
}

// rotates checks that keys come, change places and go in order: a newer one comes
// beside the roster's own; then it is the own one, and what was its own stays beside
// it for a day; then that goes. One that waits can only be given up for a newer one:
// some pointers may be under it, and its epoch is used up.
func (a *indexed) rotates(b *indexed) error {
	was, is := a.Beside, b.Beside
	waits := was != nil && was.Epoch > a.Epoch
	switch {
	case b.Epoch != a.Epoch:
		return a.switches(b)
	case waits && (is == nil || is.Epoch < was.Epoch):
		return invalid("the key of epoch %d waits beside the roster's own: it can only come, or be given up for a newer one", was.Epoch)
	case is != nil && was != nil && is.Epoch == was.Epoch && !bytes.Equal(is.GroupKey, was.GroupKey):
		return invalid("the group key of an epoch does not change")
	case is != nil && is.Epoch < a.Epoch && (was == nil || is.Epoch != was.Epoch):
		return invalid("a key that was over does not come back")
	case is != nil && is.Epoch > a.Epoch && was != nil && !waits:
		return invalid("a newer key comes when the one before is no longer served")
	case was != nil && !waits && is == nil && b.NotBefore.Before(a.NotBefore.Add(Grace)):
		return invalid("the key of epoch %d goes a day after version %d began at the earliest: who goes by the version before that would not find what is new", was.Epoch, a.Version)
	}
	return nil
}

// switches checks that the roster's own key becomes the one beside it, and that the
// one before stays: under one that was never beside nothing is published, and every
// search would say that there is nobody. Where the key before is lost there is nothing
// else to do: then no state is said to be searched in full.
func (a *indexed) switches(b *indexed) error {
	was, is := a.Beside, b.Beside
	switch {
	case a.Epoch == 0:
		return nil
	case was != nil && (was.Epoch < a.Epoch || b.Epoch != was.Epoch || !bytes.Equal(b.GroupKey, was.GroupKey)):
		return invalid("the next key is the one that is served beside the roster's own")
	case is != nil && (is.Epoch != a.Epoch || !bytes.Equal(is.GroupKey, a.GroupKey)):
		return invalid("beside a key that has just come stays the one before it")
	case was != nil && is != nil:
		return nil
	}
	for _, m := range b.Members {
		if m.Participation == Full {
			return invalid("the key of epoch %d comes beside the roster's own first, and that of epoch %d stays beside it for a day; if that is lost every state is loading, and %s is not", b.Epoch, a.Epoch, m.Name)
		}
	}
	return nil
}

// withKey is the roster as a version would see it that has that epoch's key as its
// own: what it may contain is measured by that.
func (r *Roster) withKey(epoch uint32) *Roster {
	if r.Beside == nil || r.Beside.Epoch != epoch {
		return r
	}
	c := *r
	c.Epoch, c.Threshold, c.GroupKey, c.Beside = r.Beside.Epoch, r.Beside.Threshold, r.Beside.GroupKey, nil
	return &c
}

// besideExceeds says in words what the key beside b's own grants that a had not, and
// had not announced by the time.
func (r *Roster) besideExceeds(b *Roster, at time.Time) string {
	if b.Beside == nil {
		return ""
	}
	known := r.withKey(b.Beside.Epoch)
	if known == r && b.Beside.Epoch != r.Epoch && r.Beside != nil {
		known = r.withKey(r.Beside.Epoch) // a third: as strong as either
		if known.Threshold < r.Threshold {
			known = r
		}
	}
	if what := known.exceededBy(Announcement{GroupKey: b.Beside.GroupKey, Threshold: b.Beside.Threshold}, at); what != "" {
		return "serves a key beside its own that " + what
	}
	return ""
}

// rotation words what changes about the key beside the roster's own.
func (c *changes) rotation(old, next *Roster) {
	was, is := old.Beside, next.Beside
	at := time.Time{}
	switch {
	case is == nil && was == nil:
	case was == nil:
		c.addf("", at, "serves the key of epoch %d beside its own (%d of %d)", is.Epoch, is.Threshold, len(is.Shares))
	case is == nil && next.Epoch == old.Epoch:
		c.addf("", at, "serves the key of epoch %d no more", was.Epoch)
	case is == nil:
		c.addf("", at, "serves the key of epoch %d no more", old.Epoch)
	case was.Epoch != is.Epoch && next.Epoch == old.Epoch:
		c.addf("", at, "gives up the key of epoch %d and serves that of epoch %d beside its own", was.Epoch, is.Epoch)
	case was.Epoch != is.Epoch:
		c.addf("", at, "serves the key of epoch %d beside its own", is.Epoch)
	case was.Threshold != is.Threshold || !slices.EqualFunc(was.Shares, is.Shares, bytes.Equal):
		c.addf("", at, "replaces the shares of epoch %d", is.Epoch)
	}
}
