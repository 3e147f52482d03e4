package ceremony

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/roster"
)

// release destroys the secrets of a ceremony that has its share.
func (v *Vault) release(slot string) error { return destroy(v.openPath(slot)) }

// forget destroys what an attempt has left that came to nothing. A finished share is
// not among it, whatever somebody has signed since or a database says: a roster may
// name it, or be about to. Only [Vault.Sweep] destroys shares.
func (v *Vault) forget(slot string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	kept, err := v.kept(slot)
	if err != nil {
		return err
	}
	if kept {
		return v.release(slot)
	}
	return v.destroyAll(slot)
}

// destroyAll destroys a slot: the identity first, without which the rest is nothing.
func (v *Vault) destroyAll(slot string) error {
	return errors.Join(destroy(v.identityPath(slot)), destroy(v.openPath(slot)), destroy(v.sharePath(slot)))
}

// Waits is how long a share is kept that no roster names yet: within it governance
// has to publish the roster that does.
const Waits = 30 * 24 * time.Hour

// Sweep destroys the shares that are over: those that a known version of the roster
// has named and no version names that is accepted now; and those that no version has
// named in time, as far as the known ones go. It returns their slots, and those it has
// kept though they are over, because the one that the newest version names here for
// the same epoch does not open: what went wrong in a ceremony must not become final.
func (v *Vault) Sweep(view *roster.View, name string) (destroyed, spared []string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, public := range v.over(view, name) {
		slot := v.opened[public].slot
		if v.lacks(view.Latest(), name, slotEpoch(slot)) {
			spared = append(spared, slot)
			continue
		}
		if err := v.destroyAll(slot); err != nil {
			return destroyed, spared, err
		}
		delete(v.opened, public)
		destroyed = append(destroyed, slot)
	}
	return destroyed, spared, nil
}

// over are the public shares that nobody asks for any more, in the order of their
// slots.
func (v *Vault) over(view *roster.View, name string) (publics []string) {
	for public, s := range v.opened {
		named, live := view.Names(name, []byte(public))
		if !live && (named || view.Latest().NotBefore.After(s.made.Add(Waits))) {
			publics = append(publics, public)
		}
	}
	slices.SortFunc(publics, func(a, b string) int { return strings.Compare(v.opened[a].slot, v.opened[b].slot) })
	return publics
}

// lacks reports whether the roster names a share of the epoch here that does not open.
func (v *Vault) lacks(r *roster.Roster, name string, epoch uint32) bool {
	key, served := r.KeyOf(epoch)
	me, _ := r.Member(name)
	if !served || me.Index == 0 || me.Index > len(key.Shares) {
		return false
	}
	_, opens := v.opened[string(key.Shares[me.Index-1])]
	return !opens
}
