package roster

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
)

// besideKey is the key of the polynomial x -> p(x+shift) of oprfKeys.
func besideKey(t testing.TB, epoch uint32, shift int) *Key {
	_, shares := oprfKeys(t, 3+shift)
	return &Key{Epoch: epoch, Threshold: 2, GroupKey: shares[shift-1], Shares: shares[shift : shift+3]}
}

// announced has the keys announced from its beginning.
func announced(r *Roster, keys ...*Key) *Roster {
	for _, k := range keys {
		r.Announced = append(r.Announced, Announcement{From: r.NotBefore, GroupKey: k.GroupKey})
	}
	return r
}

// become makes a key the roster's own.
func become(r *Roster, k *Key) {
	r.Epoch, r.Threshold, r.GroupKey = k.Epoch, k.Threshold, k.GroupKey
	for i := range r.Members {
		if m := &r.Members[i]; m.Role == KeyHolder {
			m.PublicShare = k.Shares[m.Index-1]
		}
	}
}

// A rotation: a key comes beside, becomes the own one, and the old one goes.
func TestKeyRotation(t *testing.T) {
	second, third := besideKey(t, 2, 1), besideKey(t, 3, 2)
	one := announced(sample(t), second, third)
	first := one.Key()
	two := next(t, one)
	two.Beside = second
	three := next(t, two)
	become(three, second)
	three.Beside = &first
	four := next(t, three)
	four.Beside = nil
	five := next(t, four)
	five.Beside = third
	now := &clock{at: five.NotBefore}
	v := genesis(t, one, &clock{at: start})
	v.now = now.now
	var signed [][]byte
	for _, r := range []*Roster{two, three, four, five} {
		signed = append(signed, signedBy(t, r, "gov.example/a", "gov.example/b"))
	}
	if err := v.Update(signed...); err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		version              uint64
		kind                 waypost.Kind
		epochs               []uint32
		newest               uint32
		quorum               int
		what                 string
		republish, oldestNow uint32
	}{
		{1, waypost.KindCheck, []uint32{1}, 1, 2, "adds", 1, 1},
		{2, waypost.KindCheck, []uint32{1, 2}, 2, 2, "serves the key of epoch 2 beside its own (2 of 3)", 2, 1},
		{3, waypost.KindPublish, []uint32{2, 1}, 2, 2, "serves the key of epoch 1 beside its own", 2, 1},
		{4, waypost.KindChange, []uint32{2}, 2, 2, "serves the key of epoch 1 no more", 2, 2},
		{5, waypost.KindCheck, []uint32{2, 3}, 3, 2, "serves the key of epoch 3 beside its own (2 of 3)", 3, 2},
	} {
		r := v.Version(c.version)
		var epochs []uint32
		keys, err := v.KeysFor(waypost.Ticket{Kind: c.kind, RosterVersion: c.version, Epoch: c.epochs[0]})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			epochs = append(epochs, k.Epoch)
			if _, err := k.Public(); err != nil {
				t.Error(err)
			}
		}
		if !slices.Equal(epochs, c.epochs) || r.Newest() != c.newest || r.Quorum() != c.quorum {
			t.Errorf("version %d: a %s under %v, newest %d, quorum %d", c.version, c.kind, epochs, r.Newest(), r.Quorum())
		}
		if again := r.KeysFor(waypost.KindRepublish); len(again) != 1 || again[0].Epoch != c.republish {
			t.Errorf("version %d: a re-publication under %v", c.version, again)
		}
		if bare := r.KeysFor(waypost.KindStatus); len(bare) != 1 || bare[0].Epoch != r.Epoch {
			t.Errorf("version %d: an errand under %v", c.version, bare)
		}
		if c.version > 1 && !slices.ContainsFunc(Changes(v.Version(c.version-1), r), func(d Change) bool { return d.What == c.what }) {
			t.Errorf("version %d: %v does not say %q", c.version, Changes(v.Version(c.version-1), r), c.what)
		}
		if got := v.OldestEpoch(r.NotBefore.Add(Grace)); got > c.oldestNow {
			t.Errorf("version %d: the oldest epoch is %d", c.version, got)
		}
		if keys, err := v.KeysFor(waypost.Ticket{Kind: c.kind, RosterVersion: c.version, Epoch: 9}); err == nil {
			t.Errorf("version %d: a ticket of epoch 9 under %v", c.version, keys)
		}
	}
	if got := v.OldestEpoch(five.NotBefore); got != 2 {
		t.Errorf("a day after the key went its epoch is still counted: %d", got)
	}
	if got := v.OldestEpoch(four.NotBefore.Add(Grace - time.Second)); got != 1 {
		t.Errorf("in the grace of the version that had it the epoch is forgotten: %d", got)
	}
}

// Steps that are not those of a rotation are refused.
func TestKeyRotationRefused(t *testing.T) {
	second, third := besideKey(t, 2, 1), besideKey(t, 3, 2)
	waiting := func() *Roster {
		r := announced(sample(t), third)
		r.Beside = second
		return r
	}
	switched := func() *Roster {
		r := announced(sample(t), third)
		first := r.Key()
		become(r, second)
		r.Beside = &first
		return r
	}
	for _, c := range []struct {
		name   string
		from   *Roster
		change func(r *Roster)
		words  string
	}{
		{"unannounced", sample(t), func(r *Roster) { r.Beside = second }, "serves a key beside its own that replaces the group key"},
		{"weaker", announced(sample(t), second), func(r *Roster) {
			weak := *second
			weak.Threshold, weak.Shares = 1, [][]byte{second.GroupKey, second.GroupKey, second.GroupKey}
			r.Beside = &weak
		}, "lowers the threshold from 2 to 1"},
		{"an older key comes", announced(switched(), besideKey(t, 1, 3)), func(r *Roster) { become(r, third); r.Beside = nil }, "the next key is the one"},
		{"dropped while it waits", waiting(), func(r *Roster) { r.Beside = nil }, "waits beside the roster's own"},
		{"another key for its epoch", announced(waiting(), besideKey(t, 2, 2)), func(r *Roster) { r.Beside = besideKey(t, 2, 2) }, "does not change"},
		{"another becomes the own one", waiting(), func(r *Roster) { become(r, third); r.Beside = nil }, "the next key is the one"},
		{"a third stays beside it", waiting(), func(r *Roster) { become(r, second); r.Beside = third }, "stays the one before it"},
		{"back", switched(), func(r *Roster) { k := r.Key(); become(r, r.Beside); r.Beside = &k }, "the epoch cannot go back"},
		{"a newer one too soon", switched(), func(r *Roster) { r.Beside = third }, "no longer served"},
		{"an old one again", announced(func() *Roster { r := switched(); r.Beside = nil; return r }(), besideKey(t, 1, 3)),
			func(r *Roster) { r.Beside = besideKey(t, 1, 3) }, "does not come back"},
		{"more records at once", waiting(), func(r *Roster) {
			change(r, "CA", func(m *Member) { m.Quota.RepublishRecords = 100 })
		}, "raises republish_records of CA from 0 to 100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			two := next(t, c.from)
			c.change(two)
			err := c.from.Precedes(two)
			if err == nil || !strings.Contains(err.Error(), c.words) {
				t.Fatalf("%v; want %q", err, c.words)
			}
		})
	}
	t.Run("given up for a newer one", func(t *testing.T) {
		two := next(t, waiting())
		two.Beside = third
		if err := waiting().Precedes(two); err != nil {
			t.Fatal(err)
		}
	})
	for name, spoil := range map[string]func(k *Key){
		"same epoch": func(k *Key) { k.Epoch = 1 }, "no threshold": func(k *Key) { k.Threshold = 0 }, "too few shares": func(k *Key) { k.Shares = k.Shares[:2] },
		"another polynomial": func(k *Key) { k.Shares[2] = k.Shares[1] }, "no element": func(k *Key) { k.Shares[0] = make([]byte, 31) },
	} {
		r, k := sample(t), besideKey(t, 2, 1)
		spoil(k)
		if r.Beside = k; r.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// allLoading says of every state that it is not searched in full.
func allLoading(r *Roster) {
	for i := range r.Members {
		if m := &r.Members[i]; m.Role == Gateway {
			m.Participation = Loading
		}
	}
}

// The own key changes only to the one beside it, and the one before stays for a day:
// under any other nothing is published, and every search would say that there is
// nobody. Where a key is lost, coverage says that no state is searched in full.
func TestKeyComesBeside(t *testing.T) {
	second := besideKey(t, 2, 1)
	alone := announced(sample(t), second)
	waiting := announced(sample(t), second)
	waiting.Beside = second
	for name, a := range map[string]*Roster{"never beside": alone, "the one before goes at once": waiting} {
		b := next(t, a)
		become(b, second)
		b.Beside = nil
		if err := a.Precedes(b); err == nil || !strings.Contains(err.Error(), "stays beside it for a day") {
			t.Errorf("%s: %v", name, err)
		}
		allLoading(b)
		if err := a.Precedes(b); err != nil {
			t.Errorf("%s, and the key is lost: %v", name, err)
		}
	}

	switched := next(t, waiting)
	first := waiting.Key()
	become(switched, second)
	switched.Beside = &first
	if err := waiting.Precedes(switched); err != nil {
		t.Fatal(err)
	}
	over := next(t, switched)
	over.Beside = nil
	over.NotBefore, over.NotAfter = switched.NotBefore.Add(Grace-time.Second), switched.NotAfter
	if err := switched.Precedes(over); err == nil || !strings.Contains(err.Error(), "a day after version") {
		t.Errorf("before the day is over: %v", err)
	}
	over.NotBefore = switched.NotBefore.Add(Grace)
	if err := switched.Precedes(over); err != nil {
		t.Errorf("after the day: %v", err)
	}
}

// Nobody publishes once more but while two keys are served, and a state that is late.
func TestRepublishes(t *testing.T) {
	r := sample(t)
	if r.republishes("CA") || r.republishes("XX") {
		t.Error("without a rotation")
	}
	r.Beside = besideKey(t, 2, 1)
	if !r.republishes("CA") {
		t.Error("not in a rotation")
	}
	r.Beside = nil
	change(r, "CA", func(m *Member) { m.Participation = Loading })
	if !r.republishes("CA") || r.republishes("NV") {
		t.Error("not, or not only, a state that is loading")
	}
}
