package rpctest

import (
	"bytes"
	"time"

	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

// Rotation is an exchange on its way from one key to the next.
type Rotation struct {
	*Exchange
	Next roster.Key
	// Shares are those of the next key, by key holder.
	Shares map[string]toprf.Share
}

// Announce makes a key and announces it; until Begin has gone by nothing is different.
func (x *Exchange) Announce() *Rotation {
	x.t.Helper()
	keys, shares, err := toprf.Generate(Threshold, Holders)
	x.must(err)
	group := keys.Group()
	r := &Rotation{Exchange: x, Shares: make(map[string]toprf.Share),
		Next: roster.Key{Epoch: x.View.Latest().Newest() + 1, Threshold: Threshold, GroupKey: group.Bytes()}}
	for i, h := range x.View.Latest().Holders() {
		public := shares[i].Public()
		r.Next.Shares = append(r.Next.Shares, bytes.Clone(public.Bytes()))
		r.Shares[h.Name] = shares[i]
	}
	x.Update(func(n *roster.Roster) {
		n.Announced = []roster.Announcement{{From: n.NotBefore.Add(roster.Delay), GroupKey: r.Next.GroupKey}}
	})
	return r
}

// Begin lets the delay go by, and serves the next key beside the roster's own. Each
// state may publish that many records once more.
func (r *Rotation) Begin(records int) {
	r.t.Helper()
	r.Update(func(n *roster.Roster) {
		for i := range n.Members {
			if m := &n.Members[i]; m.Role == roster.Gateway {
				m.Rise = roster.Rise{From: n.NotBefore.Add(roster.Delay), Quota: m.Quota}
				m.Rise.Quota.RepublishRecords = records
			}
		}
	})
	r.Advance(roster.Delay + time.Minute)
	r.Update(func(n *roster.Roster) { n.Beside = &r.Next })
}

// Switch makes the next key the roster's own.
func (r *Rotation) Switch() {
	r.t.Helper()
	was := r.View.Latest().Key()
	r.Update(func(n *roster.Roster) {
		n.Epoch, n.Threshold, n.GroupKey, n.Beside = r.Next.Epoch, r.Next.Threshold, r.Next.GroupKey, &was
		for i := range n.Members {
			if m := &n.Members[i]; m.Role == roster.KeyHolder {
				m.PublicShare = r.Next.Shares[m.Index-1]
			}
		}
	})
}

// End ends the key before, a day after the switch.
func (r *Rotation) End() {
	r.t.Helper()
	r.Advance(roster.Grace)
	r.Update(func(n *roster.Roster) { n.Beside = nil })
}
