package roster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waypost/waypost"
)

// role is what a role does with its intake: it keeps versions and records them.
type role struct {
	view     *View
	intake   *Intake
	mu       sync.Mutex
	saved    map[uint64]string
	recorded []string
	fail     error // of the next record
}

func newRole(t testing.TB, first *Roster, c *clock) *role {
	r := &role{view: genesis(t, first, c), saved: make(map[uint64]string)}
	r.intake = NewIntake(r.view, func(version uint64, signed []byte) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.view.Latest().Version >= version {
			t.Errorf("version %d was in force before it was kept", version)
		}
		r.saved[version] = string(signed)
		return nil
	}, func(n *Roster, changes []Change) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if err := r.fail; err != nil {
			r.fail = nil
			return err
		}
		for _, c := range changes {
			r.recorded = append(r.recorded, c.String())
		}
		return nil
	})
	return r
}

func (r *role) records() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.recorded, "; ")
}

func (r *role) keeps(version uint64) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.saved[version]
}

// door is a public door over real TLS.
func door(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for limit := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("in vain: " + what)
		}
	}
}

// A removal that is published at one door is in force everywhere soon, though
// one door withholds, one hangs, one lies and one is away.
func TestFollow(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { // runs last
		for end := time.Now().Add(time.Minute); goleak.Find(before) != nil && time.Now().Before(end); {
		}
		goleak.VerifyNone(t, before)
	})
	now := &clock{at: start}
	one := witnessed(t)
	var honest atomic.Pointer[Intake]
	stuck := make(chan struct{})
	withholds := door(t, http.NotFoundHandler())
	hangs := door(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stuck:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(stuck) })
	forged := next(t, one)
	forged.Profile = 2
	lie := signedBy(t, forged, "gov.example/a", "gov.example/x")
	lies := door(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(lie) }))
	good := door(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { honest.Load().Handler().ServeHTTP(w, r) }))
	for name, url := range map[string]string{"hub": withholds, "keyholder-1": hangs, "keyholder-2": lies, "keyholder-3": good} {
		change(one, name, func(m *Member) { m.Public = url })
	}
	holder, gateway := newRole(t, one, now), newRole(t, one, now)
	honest.Store(holder.intake)
	gateway.fail = errors.New("the disk is full")

	var log lockedBuffer
	f := patient(NewFollower(gateway.intake, "CA", 20*time.Millisecond, slog.New(slog.NewTextHandler(&log, nil))))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		f.Run(ctx)
		close(done)
	}()
	two := next(t, one)
	two.NotBefore, two.NotAfter = start.Add(time.Hour), start.Add(MaxValidity)
	drop(two, "NV")
	signed := signedBy(t, two, "gov.example/a", "gov.example/b")
	now.set(two.NotBefore)
	res, err := http.DefaultClient.Do(post(t, good, signed))
	if err == nil {
		res.Body.Close()
		t.Fatal(res.Status, "without TLS trust")
	}
	if status, words := publish(t, good, signed); status != http.StatusOK {
		t.Fatal(status, words)
	}
	await(t, "the removal", func() bool { return gateway.view.Latest().Version == 2 })
	if _, ok := gateway.view.Member("NV"); ok {
		t.Error("a removed member is still there")
	}
	await(t, "the record, at the second attempt", func() bool { return gateway.records() != "" })
	if got := gateway.records(); got != "removes NV at once" {
		t.Errorf("recorded: %q", got)
	}
	if gateway.keeps(2) != string(signed) || holder.keeps(2) != string(signed) {
		t.Error("the version was not kept as signed")
	}
	// Those who were away meet versions that ran out in between.
	three := next(t, two)
	four := next(t, three)
	four.NotBefore, four.NotAfter = three.NotAfter, three.NotAfter.Add(time.Hour)
	five := next(t, four)
	for _, r := range []*Roster{three, four} {
		now.set(r.NotBefore)
		if status, words := publish(t, good, signedBy(t, r, "gov.example/a", "gov.example/b")); status != http.StatusOK {
			t.Fatal(status, words)
		}
	}
	if status, words := publish(t, good, signedBy(t, five, "gov.example/a", "gov.example/b")); status != http.StatusUnprocessableEntity || !strings.Contains(words, "valid only from") {
		t.Fatal(status, words)
	}
	await(t, "version 4", func() bool { return gateway.view.Latest().Version == 4 })
	await(t, "the warning that it runs out", func() bool { return strings.Contains(log.String(), "governance must sign its successor") })
	late := newRole(t, one, &clock{at: start})
	late.view.now = now.now
	f2 := patient(NewFollower(late.intake, "NV", time.Hour, slog.New(slog.DiscardHandler)))
	if err := f2.ask(ctx, good); err != nil || late.view.Latest().Version != 4 {
		t.Errorf("after a long absence: version %d, %v", late.view.Latest().Version, err)
	}
	f2.client.CloseIdleConnections()
	await(t, "the word that one lies", func() bool { return strings.Contains(log.String(), "carries 1 signatures") })
	stop()
	<-done
	if got := log.String(); !strings.Contains(got, "member=keyholder-2") || !strings.Contains(got, "carries 1 signatures") || strings.Contains(got, "member=hub") {
		t.Errorf("the log does not name who lies, or names the wrong one: %s", got)
	}
}

// patient waits for a door as long as it takes on a busy machine.
func patient(f *Follower) *Follower {
	f.client.Timeout = 2 * time.Minute
	t := f.client.Transport.(*http.Transport)
	t.DialContext, t.TLSHandshakeTimeout, t.ResponseHeaderTimeout = nil, 0, 0
	return f
}

func publish(t testing.TB, door string, signed []byte) (status int, words string) {
	t.Helper()
	client := patient(NewFollower(nil, "", time.Hour, nil)).client
	defer client.CloseIdleConnections()
	res, err := client.Do(post(t, door, signed))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func post(t testing.TB, door string, signed []byte) *http.Request {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, door+"/roster", bytes.NewReader(signed))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestDoor(t *testing.T) {
	now := &clock{at: start}
	one := sample(t)
	r := newRole(t, one, now)
	serve := func(method, path string, body []byte) (int, string) {
		w := httptest.NewRecorder()
		r.intake.Handler().ServeHTTP(w, httptest.NewRequest(method, path, bytes.NewReader(body)))
		return w.Code, w.Body.String()
	}
	a, b := "gov.example/a", "gov.example/b"
	first := string(signedBy(t, one, a, b))
	grants := next(t, one)
	change(grants, "CA", func(m *Member) {
		m.Rise = Rise{From: grants.NotBefore.Add(Delay), Capabilities: []Capability{History}}
	})
	fork := sample(t)
	fork.Profile = 2
	plain := next(t, one)
	now.set(grants.NotBefore.Add(late + time.Second))
	for _, c := range []struct {
		method, path string
		body         []byte
		status       int
		words        string
	}{
		{"GET", "/roster/latest", nil, 200, first},
		{"GET", "/roster/1", nil, 200, first},
		{"GET", "/roster/2", nil, 404, "not known here"},
		{"GET", "/roster/18446744073709551616", nil, 404, "a number"},
		{"GET", "/roster/-1", nil, 404, "a number"},
		{"DELETE", "/roster/1", nil, 405, ""},
		{"POST", "/roster", []byte("hello"), 400, "not a signed note"},
		{"POST", "/roster", make([]byte, maxNote+1), 400, "too large"},
		{"POST", "/roster", signedBy(t, plain, a), 403, "carries 1 signatures"},
		{"POST", "/roster", signedBy(t, fork, a, b), 409, "two different rosters with version 1"},
		// It says that it began an hour ago: what it grants was not public then.
		{"POST", "/roster", signedBy(t, grants, a, b), 400, "gives CA the capability history before"},
		{"POST", "/roster", []byte(first), 200, ""},
		{"POST", "/roster", signedBy(t, plain, a, b), 200, ""},
		{"POST", "/roster", signedBy(t, plain, b, a), 200, ""}, // other bytes, the same roster
		{"GET", "/roster/2", nil, 200, string(signedBy(t, plain, a, b))},
	} {
		if status, words := serve(c.method, c.path, c.body); status != c.status || !strings.Contains(words, c.words) {
			t.Errorf("%s %s: %d %q, want %d with %q", c.method, c.path, status, words, c.status, c.words)
		}
	}
	// With time in hand it is as good as one published to the minute.
	r = newRole(t, one, now)
	change(grants, "CA", func(m *Member) { m.Rise.From = now.now().Add(Delay) })
	if status, words := serve("POST", "/roster", signedBy(t, grants, a, b)); status != 200 {
		t.Error(status, words)
	}
}

// TestSlowPublishers: those who begin to publish and do not go on keep nobody
// out.
func TestSlowPublishers(t *testing.T) {
	one := sample(t)
	h := newRole(t, one, &clock{at: start}).intake.Handler()
	var slow sync.WaitGroup
	defer slow.Wait()
	for range 8 {
		body, end := io.Pipe()
		slow.Go(func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/roster", body)) })
		if _, err := end.Write([]byte("x")); err != nil { // read: the request is being handled
			t.Fatal(err)
		}
		defer end.Close()
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/roster", bytes.NewReader(signedBy(t, one, "gov.example/a", "gov.example/b"))))
	if w.Code != http.StatusOK {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

// An officer's tool insists on the door's pinned key, and says what the door
// says.
func TestPublish(t *testing.T) {
	one, now := sample(t), &clock{at: start}
	holder := newRole(t, one, now)
	s := httptest.NewUnstartedServer(holder.intake.Handler())
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	s.StartTLS()
	t.Cleanup(s.Close)
	two := next(t, one)
	change(two, "hub", func(m *Member) { m.Public, m.CertKey = s.URL, certKey(s.Certificate()) })
	now.set(two.NotBefore)
	a, b := "gov.example/a", "gov.example/b"
	wantError(t, two.Publish(t.Context(), s.URL, signedBy(t, two, a)), waypost.InvalidArgument, "carries 1 signatures")
	wantError(t, one.Publish(t.Context(), s.URL, signedBy(t, two, a, b)), waypost.Unavailable, "does not answer") // no pin, and no certificate to trust
	impostor := next(t, one)
	change(impostor, "hub", func(m *Member) { m.Public = s.URL })
	wantError(t, impostor.Publish(t.Context(), s.URL, signedBy(t, two, a, b)), waypost.Unavailable, "does not answer")
	if holder.view.Latest().Version != 1 {
		t.Fatal("a roster went to somebody who was not known")
	}
	if err := two.Publish(t.Context(), s.URL, signedBy(t, two, a, b)); err != nil || holder.view.Latest().Version != 2 {
		t.Fatal(holder.view.Latest().Version, err)
	}
}

// What cannot be kept does not count.
func TestNotKept(t *testing.T) {
	one := sample(t)
	two := next(t, one)
	v := genesis(t, one, &clock{at: two.NotBefore})
	in := NewIntake(v, func(uint64, []byte) error { return errors.New("disk full") }, func(*Roster, []Change) error { return nil })
	wantError(t, in.Take(signedBy(t, two, "gov.example/a", "gov.example/b")), waypost.Internal, "cannot be kept")
	if v.Latest().Version != 1 {
		t.Error("it is in force all the same")
	}
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
