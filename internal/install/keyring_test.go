package install

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// TestKeyringInDatabase: two processes have the same message keys, one takes up what
// the other has stored, and under another secret there are none.
func TestKeyringInDatabase(t *testing.T) {
	db, err := store.Open(t.Context(), "sqlite:"+t.TempDir()+"/gateway.db", "gateway")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	identity, now := ed25519.NewKeyFromSeed(make([]byte, 32)), time.Now()
	rings := ringStore{db: db, member: "CA", key: ringKey([32]byte{1})}
	open := func() *seal.Keyring {
		t.Helper()
		ring, err := rings.open(t.Context(), identity, now)
		if err != nil {
			t.Fatal(err)
		}
		return ring
	}
	current := func(r *seal.Keyring) []byte { return r.Current().Encode() }
	first, second := open(), open()
	if !bytes.Equal(current(first), current(second)) {
		t.Error("two processes have two keys")
	}
	if changed, err := first.Rotate(identity, now.Add(8*24*time.Hour)); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if err := rings.save(first); err != nil {
		t.Fatal(err)
	}
	if err := rings.take(t.Context(), second); err != nil || !bytes.Equal(current(first), current(second)) {
		t.Errorf("what one process has stored is not the other's: %v", err)
	}
	raw, err := first.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var sealed []byte
	if err := db.Read(t.Context(), func(tx *store.Tx) error { return tx.Row("SELECT sealed FROM keyring").Scan(&sealed) }); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, raw[20:60]) {
		t.Error("the keys rest in clear")
	}
	for name, other := range map[string]ringStore{
		"another secret": {db: db, member: "CA", key: ringKey([32]byte{2})},
		"another member": {db: db, member: "NV", key: rings.key},
	} {
		if _, err := other.load(t.Context()); err == nil {
			t.Errorf("%s opens them", name)
		}
	}
}

// TestInstance: what number a process asks for.
func TestInstance(t *testing.T) {
	n := func(i int) *int { return &i }
	for _, c := range []struct {
		config Config
		want   int
		fault  string
	}{
		{Config{Role: roster.Hub}, 1, ""},
		{Config{Role: roster.Hub, Instance: n(2)}, 2, ""},
		{Config{Role: roster.Gateway, Instance: n(0)}, 0, ""},
		{Config{Role: roster.KeyHolder, Instance: n(0)}, 0, "one process"},
		{Config{Role: roster.Gateway, Instance: n(-1)}, 0, "numbered from 1"},
		{Config{Role: roster.Gateway, Instance: n(1000)}, 0, "numbered from 1"},
	} {
		got, err := c.config.instance()
		if got != c.want || (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%+v: %d, %v", c.config.Instance, got, err)
		}
	}
	if log := (Config{Origin: "waypost.test/hub/1"}).logOf(12); log != "waypost.test/hub/12" {
		t.Error(log)
	}
}

// TestKeysOnlyWhileLeading: a process has the message keys in its memory only while it
// reads the mail for all, so that what that one destroys is destroyed for all.
func TestKeysOnlyWhileLeading(t *testing.T) {
	dir := create(t)
	var ring *seal.Keyring
	r, err := Open(t.Context(), FolderOf(dir, "CA"), time.Now, quiet, WithGateway(func(d *gateway.Deps) { ring = d.Keyring }))
	if err != nil {
		t.Fatal(err)
	}
	if ring.Current() != nil {
		t.Error("it has keys before it leads")
	}
	if _, err := ring.MarshalBinary(); err == nil {
		t.Error("no keys can be stored in place of those that there are")
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	for deadline := time.Now().Add(2 * time.Minute); ring.Current() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("it leads without keys")
			break
		}
	}
	stop()
	if err := errors.Join(<-done, r.Close()); err != nil {
		t.Error(err)
	}
	if ring.Current() != nil {
		t.Error("it has keys though it leads no more")
	}
}
