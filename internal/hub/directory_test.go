package hub_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/seal"
)

// Another process of the hub seals to the key that replaced one within a minute, also
// where the member went back to an older one.
func TestReplacedKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	keyOf, err := hub.Keys(r.deps())
	must(t, err)
	seals := func(what string, ring *seal.Keyring) {
		t.Helper()
		got, err := keyOf(t.Context(), "CA")
		must(t, err)
		if !bytes.Equal(got, ring.Current().Encode()) {
			t.Errorf("%s: it seals to another key", what)
		}
	}
	old := r.ring["CA"]
	seals("at first", old)
	r.Advance(10 * time.Second)
	fresh, err := seal.NewKeyring("CA", r.Party("CA").Identity, r.Now())
	must(t, err)
	for _, ring := range []*seal.Keyring{fresh, old} {
		r.ring["CA"] = ring
		r.announce("CA")
		r.Advance(time.Minute)
		seals("a minute after a key was replaced", ring)
	}
}
