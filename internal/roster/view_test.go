package roster

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost"
)

// clock is a hand-set clock that several goroutines may read.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

func genesis(t testing.TB, r *Roster, c *clock) *View {
	t.Helper()
	v, err := NewView(r.Governance, c.now, signedBy(t, r, "gov.example/a", "gov.example/b"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func install(t testing.TB, v *View, r *Roster) {
	t.Helper()
	if err := v.Update(signedBy(t, r, "gov.example/b", "gov.example/c")); err != nil {
		t.Fatal(err)
	}
}

func drop(r *Roster, name string) {
	r.Members = slices.DeleteFunc(r.Members, func(m Member) bool { return m.Name == name })
}

func change(r *Roster, name string, f func(*Member)) {
	for i := range r.Members {
		if r.Members[i].Name == name {
			f(&r.Members[i])
		}
	}
}

func TestGrace(t *testing.T) {
	one, c := sample(t), &clock{at: start}
	one.Announced = []Announcement{{From: start.Add(Delay), Keys: []KeyChange{{Member: "CA", Identity: testPublic("CA identity 2")}}}}
	v := genesis(t, one, c)
	wantError(t, v.Accepts(2), waypost.Unavailable, "not known here yet")

	two := next(t, one)
	oldCert := one.Members[4].CertKey
	newCert := Digest{9}
	change(two, "CA", func(m *Member) { m.CertKey, m.Identity = newCert, testPublic("CA identity 2") })
	drop(two, "NV")
	nvCert := one.Members[5].CertKey
	c.set(two.NotBefore)
	install(t, v, two)

	for _, step := range []struct {
		after    time.Duration
		accepted bool
	}{{0, true}, {Grace - time.Second, true}, {Grace, false}} {
		c.set(two.NotBefore.Add(step.after))
		if err := v.Accepts(2); err != nil {
			t.Fatal(err)
		}
		if err := v.Accepts(1); (err == nil) != step.accepted {
			t.Fatalf("%s after the change, version 1: %v", step.after, err)
		}
		m, ok := v.ByCert(oldCert)
		if ok != step.accepted {
			t.Fatalf("%s after the change, the old certificate: %v", step.after, ok)
		}
		if ok && (v.Allowed(m) != nil || !m.Identity.Equal(testPublic("CA identity 2"))) {
			t.Fatal("the old certificate should lead to the present member")
		}
		if m, ok := v.ByCert(newCert); !ok || v.Allowed(m) != nil {
			t.Fatal("the new certificate does not work")
		}
		if _, ok := v.ByCert(nvCert); ok {
			t.Fatal("a removed member is still admitted")
		}
	}
	wantError(t, v.Accepts(1), waypost.Expired, "use version 2")

	// A stored message verifies against the version it names, while its sender
	// is a member.
	for version, want := range map[uint64]string{1: "CA identity", 2: "CA identity 2"} {
		key, err := v.SenderKey(version, "CA")
		if err != nil || !key.Equal(testPublic(want)) {
			t.Fatalf("version %d: %v", version, err)
		}
	}
	_, err := v.StateKey(1, "NV")
	wantError(t, err, waypost.PermissionDenied, "NV is not a member now")
	_, err = v.HolderKey(1, "CA")
	wantError(t, err, waypost.PermissionDenied, "not in roster version 1 in that role")
	_, err = v.StateKey(1, "hub")
	wantError(t, err, waypost.PermissionDenied, "in that role")
	_, err = v.SenderKey(3, "CA")
	wantError(t, err, waypost.Unavailable, "not known here")
	if n, err := v.Threshold(1); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	for _, version := range []uint64{0, 1 << 63, 1<<64 - 1} {
		if _, err := v.Threshold(version); err == nil {
			t.Fatalf("version %d is known", version)
		}
	}
}

func TestRevokeNow(t *testing.T) {
	one, c := sample(t), &clock{at: start}
	v := genesis(t, one, c)
	two := next(t, one)
	two.RevokedBefore = 2
	oldCert := one.Members[4].CertKey
	change(two, "CA", func(m *Member) { m.CertKey = Digest{9} })
	c.set(two.NotBefore)
	install(t, v, two)
	wantError(t, v.Accepts(1), waypost.Expired, "use version 2")
	if _, ok := v.ByCert(oldCert); ok {
		t.Error("the old certificate outlived the revocation")
	}
	_, err := v.SenderKey(1, "CA")
	wantError(t, err, waypost.PermissionDenied, "revoked")
	_, err = v.Threshold(1)
	wantError(t, err, waypost.PermissionDenied, "revoked")
}

func TestExpiredRosterAdmitsNobody(t *testing.T) {
	one, c := sample(t), &clock{at: start}
	v := genesis(t, one, c)
	m, _ := v.Member("CA")
	c.set(one.NotAfter)
	for _, err := range []error{
		v.Allowed(m), v.Accepts(1),
		second(v.SenderKey(1, "CA")), second(v.Threshold(1)),
	} {
		wantError(t, err, waypost.Expired, "ran out")
	}
}

func second[T any](_ T, err error) error { return err }

func TestChain(t *testing.T) {
	one := sample(t)
	two := next(t, one)
	three := next(t, two)
	three.NotBefore, three.NotAfter = two.NotBefore.Add(time.Hour), two.NotAfter
	a, b := "gov.example/a", "gov.example/b"
	signed1, signed2, signed3 := signedBy(t, one, a, b), signedBy(t, two, a, b), signedBy(t, three, a, b)
	c := &clock{at: three.NotBefore}

	t.Run("restart with history", func(t *testing.T) {
		c := &clock{at: two.NotAfter.Add(time.Second)} // one and two have run out
		late := next(t, two)
		late.NotBefore = c.at.Truncate(time.Second)
		late.NotAfter = late.NotBefore.Add(time.Hour)
		v, err := NewView(one.Governance, c.now, signed1, signed2, signedBy(t, late, a, b))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.SenderKey(1, "NV"); err != nil || v.Current().Version != 3 {
			t.Fatal(err)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		_, err := NewView(one.Governance, c.now)
		wantError(t, err, waypost.InvalidArgument, "none given")
	})
	t.Run("only an old one", func(t *testing.T) {
		_, err := NewView(one.Governance, (&clock{at: one.NotAfter}).now, signed1)
		wantError(t, err, waypost.Expired, "ran out")
	})
	t.Run("several at once, then again", func(t *testing.T) {
		v := genesis(t, one, c)
		for range 2 {
			if err := v.Update(signed1, signed2, signed3); err != nil {
				t.Fatal(err)
			}
		}
		if v.Current().Version != 3 {
			t.Fatal(v.Current().Version)
		}
	})
	t.Run("gap", func(t *testing.T) {
		v := genesis(t, one, c)
		wantError(t, v.Update(signed3), waypost.InvalidArgument, "version 3 cannot follow version 1")
	})
	t.Run("fork", func(t *testing.T) {
		v := genesis(t, one, c)
		fork := sample(t)
		fork.Profile = 2
		wantError(t, v.Update(signedBy(t, fork, a, b)), waypost.AlreadyExists, "two different rosters")
	})
	t.Run("governance changes hands", func(t *testing.T) {
		v := genesis(t, one, c)
		handed := next(t, one)
		handed.Governance = governance(t, 1, "gov.example/n")
		wantError(t, v.Update(signedBy(t, handed, a, b)), waypost.PermissionDenied, "carries 0")
		wantError(t, v.Update(signedBy(t, handed, "gov.example/n")), waypost.PermissionDenied, "carries 0")
		if err := v.Update(signedBy(t, handed, a, b, "gov.example/n")); err != nil {
			t.Fatal(err)
		}
		after := next(t, handed)
		after.NotBefore, after.NotAfter = handed.NotBefore, handed.NotAfter
		wantError(t, v.Update(signedBy(t, after, a, b)), waypost.PermissionDenied, "carries 0")
		if err := v.Update(signedBy(t, after, "gov.example/n")); err != nil {
			t.Fatal(err)
		}
	})
	for _, bad := range []struct {
		words  string
		change func(r *Roster)
	}{
		{"does not continue", func(r *Roster) { r.Previous[0] ^= 1 }},
		{"environment", func(r *Roster) { r.Environment = waypost.Prod }},
		{"begins before", func(r *Roster) { r.NotBefore = start.Add(-time.Hour); r.NotAfter = start.Add(time.Hour) }},
		{"epoch cannot go back", func(r *Roster) { r.Epoch-- }},
		{"only with the epoch", func(r *Roster) {
			same := r.Holders()[0].PublicShare
			r.Threshold, r.GroupKey = 1, same
			for _, name := range []string{"keyholder-1", "keyholder-2", "keyholder-3"} {
				change(r, name, func(m *Member) { m.PublicShare = same })
			}
		}},
		{"cannot change its role", func(r *Roster) {
			holder := r.Holders()[2]
			change(r, "hub", func(m *Member) {
				m.Role, m.Index, m.PublicShare = KeyHolder, 3, holder.PublicShare
			})
			change(r, "keyholder-3", func(m *Member) { m.Role, m.Index, m.PublicShare = Hub, 0, nil })
		}},
		{"cannot come back", func(r *Roster) { r.RevokedBefore = 0 }},
	} {
		t.Run(bad.words, func(t *testing.T) {
			first := sample(t)
			first.Epoch, first.RevokedBefore = 2, 1
			v := genesis(t, first, &clock{at: start})
			r := next(t, first)
			bad.change(r)
			wantError(t, v.Update(signedBy(t, r, a, b)), waypost.InvalidArgument, bad.words)
			if v.Current().Version != 1 {
				t.Fatal("a refused update was installed")
			}
		})
	}
}

func TestHistoryIsBounded(t *testing.T) {
	r, c := sample(t), &clock{at: start}
	v := genesis(t, r, c)
	for range keptVersions + 5 {
		n := next(t, r)
		n.NotBefore, n.NotAfter = r.NotBefore, r.NotAfter
		install(t, v, n)
		r = n
	}
	if len(v.chain()) != keptVersions {
		t.Fatalf("%d versions kept", len(v.chain()))
	}
	if _, err := v.SenderKey(r.Version-keptVersions+1, "CA"); err != nil {
		t.Fatal(err)
	}
	_, err := v.SenderKey(r.Version-keptVersions, "CA")
	wantError(t, err, waypost.Unavailable, "not known here")
}

func TestConcurrentUse(t *testing.T) {
	r, c := sample(t), &clock{at: start}
	v := genesis(t, r, c)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for seen := uint64(0); ; {
				select {
				case <-stop:
					return
				default:
				}
				m, ok := v.Member("CA")
				version := v.Current().Version
				if !ok || v.Allowed(m) != nil || version < seen {
					t.Error("a member was refused during an update, or a version went back")
					return
				}
				seen = version
			}
		})
	}
	for range 10 {
		n := next(t, r)
		n.NotBefore, n.NotAfter = r.NotBefore, r.NotAfter
		install(t, v, n)
		r = n
	}
	close(stop)
	readers.Wait()
}
