package roster

import (
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/toprf"
)

// sharings are a key and what a refresh and a reshare make of it.
type sharings struct {
	first, refreshed, reshared *toprf.PublicKeys // 2 of 3, 2 of 3, 3 of 4
}

func makeSharings(t *testing.T) (s sharings) {
	t.Helper()
	keys, shares, err := toprf.Generate(2, 3)
	if err != nil {
		t.Fatal(err)
	}
	s.first = keys
	for _, x := range []struct {
		c    toprf.Ceremony
		into **toprf.PublicKeys
	}{
		{toprf.Ceremony{Kind: toprf.Refresh, Threshold: 2, Holders: 3}, &s.refreshed},
		{toprf.Ceremony{Kind: toprf.Reshare, Threshold: 3, Holders: 4, Dealers: []int{1, 3}}, &s.reshared},
	} {
		x.c.ID, x.c.Epoch, x.c.Old = toprf.NewSeed(), 1, keys
		outcomes, err := x.c.Rehearse(shares)
		if err != nil {
			t.Fatal(err)
		}
		*x.into = outcomes[0].Keys
	}
	return s
}

var threeHolders = []string{"keyholder-1", "keyholder-2", "keyholder-3"}

// keyless is the sample as it is before there is a key, with a fourth key holder.
func keyless(t *testing.T) *Roster {
	t.Helper()
	r := sample(t)
	for i := range r.Members {
		r.Members[i].Index, r.Members[i].PublicShare = 0, nil
	}
	fourth := *at(r, "keyholder-3")
	fourth.Name, fourth.URL, fourth.Public, fourth.WitnessKey = "keyholder-4", "https://kh4.example:443", "", nil
	fourth.CertKey[0] ^= 1
	fourth.Identity, fourth.LogKey = testPublic("kh4 identity"), testPublic("kh4 log")
	r.Members = append(r.Members, fourth)
	r.Epoch, r.Threshold, r.GroupKey = 0, 0, nil
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	return r
}

// after is a successor with the change.
func after(t *testing.T, r *Roster, change func(*Roster) error) *Roster {
	t.Helper()
	n, err := r.Successor(r.NotBefore.Add(time.Hour), r.NotAfter.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := change(n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSharing follows the shares of one key through their life: from a roster without
// a key over a refresh to other holders, where one leaves and one comes.
func TestSharing(t *testing.T) {
	s := makeSharings(t)
	r := keyless(t)
	if r.HolderShare(100) != 0 || len(r.Holders()) != 0 || len(r.KeyHolders()) != 4 {
		t.Error("a roster without a key has shares")
	}
	next := after(t, r, func(n *Roster) error { return n.SetShares(1, threeHolders, s.first, Digest{1}) })
	if err := r.Precedes(next); err != nil {
		t.Fatalf("the first key: %v", err)
	}
	r = next
	next = after(t, r, func(n *Roster) error { return n.SetShares(1, threeHolders, s.refreshed, Digest{2}) })
	if err := r.Precedes(next); err != nil {
		t.Fatalf("a refresh: %v", err)
	}
	if string(next.GroupKey) != string(r.GroupKey) || string(at(next, "keyholder-2").PublicShare) == string(at(r, "keyholder-2").PublicShare) {
		t.Error("a refresh changes the key, or no share")
	}
	r = next
	four := []string{"keyholder-4", "keyholder-1", "keyholder-3", "hub"}
	if err := after(t, r, func(*Roster) error { return nil }).SetShares(1, four, s.reshared, Digest{3}); err == nil {
		t.Error("the hub gets a share")
	}
	five := after(t, r, func(n *Roster) error { n.Members = append(n.Members, fifth(t, n)); return nil })
	four[3] = "keyholder-5"
	if err := five.SetShares(1, four, s.reshared, Digest{3}); err != nil {
		t.Fatal(err)
	}
	if m := at(five, "keyholder-2"); m.Index != 0 || m.PublicShare != nil || five.Threshold != 3 || at(five, "keyholder-4").Index != 1 {
		t.Errorf("after a reshare: %+v", m)
	}
	if err := five.Validate(); err != nil {
		t.Error(err)
	}
}

func fifth(t *testing.T, r *Roster) Member {
	m := *at(r, "keyholder-4")
	m.Name, m.URL, m.Identity, m.LogKey = "keyholder-5", "https://kh5.example:443", testPublic("kh5 identity"), testPublic("kh5 log")
	m.CertKey[0] ^= 2
	m.From = r.NotBefore.Add(Delay)
	return m
}

// TestSharingRefused: shares change with a ceremony and with nothing else.
func TestSharingRefused(t *testing.T) {
	s := makeSharings(t)
	first := after(t, keyless(t), func(n *Roster) error { return n.SetShares(1, threeHolders, s.first, Digest{1}) })
	for _, c := range []struct {
		want   string
		change func(n *Roster) error
	}{
		{"name the transcript", func(n *Roster) error { return n.SetShares(1, threeHolders, s.refreshed, Digest{}) }},
		{"name the transcript", func(n *Roster) error { return n.SetShares(1, threeHolders, s.refreshed, Digest{1}) }},
		{"another ceremony for the same shares", func(n *Roster) error { n.Ceremony = Digest{9}; return nil }},
		{"combine", func(n *Roster) error {
			n.Ceremony, at(n, "keyholder-2").PublicShare = Digest{2}, at(n, "keyholder-3").PublicShare
			return nil
		}},
		{"lowers the threshold", func(n *Roster) error { return n.SetShares(1, threeHolders[:1], single(t), Digest{2}) }},
		{"the group key changes", func(n *Roster) error { return n.SetShares(1, threeHolders, makeSharings(t).first, Digest{2}) }},
		{"the epoch cannot go back", func(n *Roster) error {
			*n = *after(t, first, func(*Roster) error { return nil })
			n.Members = keyless(t).Members
			n.Epoch, n.Threshold, n.GroupKey, n.Ceremony = 0, 0, nil, Digest{}
			return nil
		}},
	} {
		err := first.Precedes(after(t, first, c.change))
		if waypost.CodeOf(err) != waypost.InvalidArgument || !strings.Contains(err.Error(), c.want) && c.want != "lowers the threshold" {
			t.Errorf("%s: %v", c.want, err)
		}
	}
	if err := keyless(t).Precedes(after(t, keyless(t), func(n *Roster) error { return n.SetShares(1, threeHolders, s.first, Digest{}) })); err == nil {
		t.Error("a first key without a ceremony is accepted")
	}
}

// single is a key of which one holder has all.
func single(t *testing.T) *toprf.PublicKeys {
	keys, _, err := toprf.Generate(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestKeyless: under a roster without a key no ticket is good, and no chain is long
// enough: that nobody is named does not mean that nobody is needed.
func TestKeyless(t *testing.T) {
	r := keyless(t)
	c := &clock{at: r.NotBefore.Add(time.Hour)}
	v := genesis(t, r, c)
	if _, err := v.Threshold(r.Version); waypost.CodeOf(err) != waypost.Unavailable {
		t.Errorf("a threshold of no key: %v", err)
	}
	if _, err := v.KeysFor(waypost.Ticket{Kind: waypost.KindCheck, RosterVersion: r.Version}); waypost.CodeOf(err) != waypost.Unavailable {
		t.Errorf("keys without a key: %v", err)
	}
}

// TestNames: a share is live while a version that names it is good: the newest one,
// and the one before for a day. What a version once named it has named for good.
func TestNames(t *testing.T) {
	s := makeSharings(t)
	first := sample(t)
	if err := first.SetShares(1, threeHolders, s.first, Digest{1}); err != nil {
		t.Fatal(err)
	}
	c := &clock{at: first.NotBefore.Add(time.Minute)}
	v := genesis(t, first, c)
	next := after(t, first, func(n *Roster) error { return n.SetShares(1, threeHolders, s.refreshed, Digest{2}) })
	old, fresh := at(first, "keyholder-2").PublicShare, at(next, "keyholder-2").PublicShare
	want := func(when string, share []byte, named, live bool) {
		t.Helper()
		if n, l := v.Names("keyholder-2", share); n != named || l != live {
			t.Errorf("%s: named %v, live %v; want %v, %v", when, n, l, named, live)
		}
	}
	want("before", old, true, true)
	want("before", fresh, false, false)
	c.set(next.NotBefore.Add(time.Minute))
	install(t, v, next)
	if got := v.Settled().Version; got != first.Version {
		t.Errorf("at once tickets name version %d", got)
	}
	want("in the grace", old, true, true)
	want("in the grace", fresh, true, true)
	if n, _ := v.Names("keyholder-1", fresh); n {
		t.Error("another's share is one's own")
	}
	c.set(next.NotBefore.Add(2 * time.Minute))
	if got := v.Settled().Version; got != next.Version {
		t.Errorf("after a minute tickets name version %d", got)
	}
	c.set(next.NotBefore.Add(Grace))
	want("after the grace", old, true, false)
	want("after the grace", fresh, true, true)
}

// TestKeyNeedsCeremony: a key that comes, beside the own one or in place of one that
// is lost, names the transcript that made it. One dealer may make those of a test.
func TestKeyNeedsCeremony(t *testing.T) {
	second := besideKey(t, 2, 1)
	for name, come := range map[string]func(r *Roster, k *Key){
		"beside":     func(r *Roster, k *Key) { r.Beside = k },
		"in place":   func(r *Roster, k *Key) { become(r, k); r.Ceremony = k.Ceremony; allLoading(r) },
		"of a newer": func(r *Roster, k *Key) { r.Beside = k },
	} {
		for _, where := range []waypost.Environment{waypost.Prod, waypost.Test} {
			r, k := sample(t), *second
			if name == "of a newer" {
				waits := *besideKey(t, 2, 2)
				waits.Ceremony = Digest{2}
				r.Beside, k.Epoch = &waits, 3
			}
			r.Environment = where
			r = announced(r, &k)
			bare := after(t, r, func(n *Roster) error { come(n, &k); return nil })
			if err := r.Precedes(bare); (err == nil) != (where == waypost.Test) || err != nil && !strings.Contains(err.Error(), "name the transcript") {
				t.Errorf("%s in %s: %v", name, where, err)
			}
			named := k
			named.Ceremony = Digest{3}
			if err := r.Precedes(after(t, r, func(n *Roster) error { come(n, &named); return nil })); err != nil {
				t.Errorf("%s with a ceremony in %s: %v", name, where, err)
			}
		}
	}
}
