package audit

import (
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// checked is an exchange with some checks, published.
func checked(t *testing.T, checks int) (*genExchange, int64) {
	x := newExchange(t, "", genQuota)
	s := newSim(x, 7)
	s.calm = true
	for range checks {
		s.newCheck()
	}
	s.run(s.now + 100)
	x.publishAll(s.now)
	return x, s.now
}

func TestVerify(t *testing.T) {
	x, now := checked(t, 60)
	verify := func(o Options) []VerifiedLog {
		t.Helper()
		logs, err := Verify(ctx, o, 10*time.Minute)
		must(t, err)
		return logs
	}
	problem := func(o Options, member, want string) {
		t.Helper()
		for _, l := range verify(o) {
			if ok := l.Problem == ""; l.Log != member+"/1" != ok || !ok && !strings.Contains(l.Problem, want) {
				t.Errorf("%s: %q, want only of %s: %q", l.Log, l.Problem, member, want)
			}
		}
	}
	var done, total int64
	o := x.options(now)
	o.Progress = func(d, all int64) { done, total = d, all }
	entries := int64(0)
	for _, l := range verify(o) {
		if l.Problem != "" || l.Opened != l.Size || l.Size == 0 || l.Closed != 0 || l.Erased != 0 {
			t.Errorf("%+v", l)
		}
		entries += l.Size
	}
	if done != entries || total != entries {
		t.Errorf("progress %d of %d, want %d", done, total, entries)
	}
	// A stranger verifies the same logs, and opens nothing.
	o = x.options(now)
	o.Identities = nil
	for _, l := range verify(o) {
		if l.Problem != "" || l.Opened != 0 || l.Size == 0 {
			t.Errorf("%+v", l)
		}
	}

	o = x.options(now + 3600)
	for _, l := range verify(o) {
		if !strings.Contains(l.Problem, "last cosigned") {
			t.Errorf("an hour later: %+v", l)
		}
	}
	if logs, err := Verify(ctx, o, 0); err != nil || logs[0].Problem != "" {
		t.Errorf("at any time: %+v, %v", logs, err)
	}
	// One that was stopped need not be fresh.
	x.note(now, "AZ", "stopped", map[string]string{"version": "test"})
	x.logs["AZ"].publish(now, now, x.witnesses...)
	for _, l := range verify(o) {
		if (l.Problem == "") != (l.Log == "AZ/1") {
			t.Errorf("after it stopped: %+v", l)
		}
	}

	// One witness fewer than the policy asks for; a tile, a leaf, a sealed entry
	// that are not what they were.
	o = x.options(now)
	x.logs["hub"].publish(now, now, x.witnesses[:2]...)
	problem(o, "hub", "cosignatures")
	x.logs["hub"].publish(now, now, x.witnesses...)
	flip := func(member, prefix string) func() {
		mem := x.logs[member].mem
		for path, b := range mem {
			if strings.HasPrefix(path, prefix) {
				altered := append([]byte(nil), b...)
				altered[len(altered)-1] ^= 1
				mem[path] = altered
				return func() { mem[path] = b }
			}
		}
		t.Fatalf("%s has no %s", member, prefix)
		return nil
	}
	for prefix, want := range map[string]string{"tile/0/": "is wrong at leaf", "tile/entries/": "is wrong at leaf", "sealed/": "does not open"} {
		restore := flip("keyholder-1", prefix)
		problem(o, "keyholder-1", want)
		restore()
	}
	x.logs["NV"].mem = nil
	problem(o, "NV", "no such ledger")
}

func TestVerifyProof(t *testing.T) {
	x, now := checked(t, 3)
	o := x.options(now)
	var s Source
	for _, s = range o.Sources {
		if s.Member == "hub" {
			break
		}
	}
	head, err := readHead(ctx, o.Rosters, s)
	must(t, err)
	var p translog.Proof
	must(t, eachOpened(ctx, journal.NewOpener(o.Identities...), roster.Hub, s.Reader, head, 0, func(e opened) error {
		must(t, e.err)
		p = translog.Proof{Origin: head.Origin, Index: e.index, Entry: e.entry, Checkpoint: head.Note}
		return nil
	}))
	p.Leaf, p.Inclusion, err = translog.Leaf(ctx, s.Reader, head, p.Index)
	must(t, err)
	member, e, cp, err := VerifyProof(o.Rosters, p)
	if err != nil || member != "hub" || e.Kind != p.Entry.Kind || cp.N != head.N {
		t.Errorf("%s %+v %v", member, e, err)
	}
	for what, change := range map[string]func(*translog.Proof){
		"another entry":  func(p *translog.Proof) { p.Entry.At = p.Entry.At.Add(time.Second) },
		"another log":    func(p *translog.Proof) { p.Origin = "waypost.test/CA/1" },
		"another place":  func(p *translog.Proof) { p.Index-- },
		"of a stranger":  func(p *translog.Proof) { p.Origin = "waypost.test/TX/1" },
		"of no exchange": func(p *translog.Proof) { p.Origin = "hub" },
	} {
		q := p
		change(&q)
		if _, _, _, err := VerifyProof(o.Rosters, q); err == nil {
			t.Errorf("%s: the proof holds", what)
		}
	}
}
