package audit

import (
	"encoding/hex"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// A comeback is an exchange in which NV has restored a backup and goes on in NV/2.
type comeback struct {
	*sim
	state  string  // of an audit when the backup was made
	backup objects // of NV/1, as it was then
	tree   translog.Frontier
	middle translog.Frontier // of NV/1 some time after
	closed objects           // what lies at the place of NV/1 now
	more   []Source
}

// newComeback plays checks before the backup and after it.
func newComeback(t *testing.T) *comeback {
	c := &comeback{sim: newSim(newExchange(t, "", genQuota), 11), state: filepath.Join(t.TempDir(), "state")}
	c.calm = true
	c.play(12)
	l := c.logs["NV"]
	c.backup, c.tree = objects{mem: maps.Clone(l.mem)}, grown(l.tree)
	o := c.options(c.now)
	o.State = c.state
	expect(t, o, nil, "")
	c.play(6)
	c.middle = grown(l.tree)
	c.play(6)
	return c
}

// grown is a copy of a tree as it has grown so far.
func grown(f translog.Frontier) translog.Frontier {
	return translog.Frontier{Size: f.Size, Peaks: slices.Clone(f.Peaks)}
}

// play makes checks, lets them end, and publishes.
func (c *comeback) play(checks int) {
	for range checks {
		c.in(c.rng.Int64N(200), c.newCheck)
	}
	c.run(c.now + 900)
	c.cut(c.now)
}

// told is what NV/2 can say.
func (c *comeback) told(seen translog.Frontier) map[string]string {
	root := func(f translog.Frontier) string { h := f.Root(); return hex.EncodeToString(h[:]) }
	l := c.logs["NV"]
	return map[string]string{
		"predecessor": l.origin, "seen": strconv.FormatInt(seen.Size, 10), "seen_root": root(seen),
		"restored": strconv.FormatInt(c.tree.Size, 10), "restored_root": root(c.tree), "checkpoint": b64(l.checkpoint(seen, c.now, c.witnesses...)),
	}
}

// restore closes NV/1 and begins another log, which says this of it.
func (c *comeback) restore(instance string, fields map[string]string) {
	old := c.logs["NV"]
	next := &genLog{t: c.t, member: "NV", role: old.role, origin: "waypost.test/NV/" + instance}
	v, err := translog.LogVerifier(next.origin, genPublic("NV log"))
	must(c.t, err)
	next.signer = noteSigner{v, old.signer.(noteSigner).sign}
	next.reset(c.auditor.Recipient())
	body, err := translog.FormatBody(fields)
	must(c.t, err)
	e := translog.Entry{Kind: journal.SuccessorKind, At: time.Unix(c.now, 0).UTC(), Body: body, Tau: [32]byte{1}, Salt: [32]byte{2}}
	opened, err := translog.FormatEntry(e)
	must(c.t, err)
	delete(c.counts, "NV") // they are of the log
	c.count("NV", e)
	next.append(c.now, e)
	next.put(c.t, "successor/1", opened)
	c.logs["NV"] = next
	c.note(c.now, "NV", "started", map[string]string{"version": "test"})
	hash, err := c.roster.Hash()
	must(c.t, err)
	c.note(c.now, "NV", "roster", map[string]string{"version": "1", "hash": hex.EncodeToString(hash[:]), "changes": "the first"})
	c.closed = objects{mem: maps.Clone(c.backup.mem)}
	delete(c.closed.mem, "checkpoint")
}

// found are the findings of an audit, as "kind member", but that somebody has been silent.
func (c *comeback) found(state string, change func(o *Options)) (found []string) {
	c.t.Helper()
	o := c.options(c.now)
	i := slices.IndexFunc(o.Sources, func(s Source) bool { return s.Member == "NV" })
	_, o.Sources[i].Instance, _ = strings.Cut(strings.TrimPrefix(c.logs["NV"].origin, "waypost.test/"), "/")
	if len(c.closed.mem) > 0 {
		closed := Source{Member: "NV", Instance: "1", Reader: &c.closed, Unpublished: c.closed.mem["checkpoint"] == nil}
		if at := c.copies["NV/1"]; at != nil {
			closed.Copies = append(closed.Copies, at)
		}
		o.Sources = append(o.Sources, closed)
	}
	o.Sources = append(o.Sources, c.more...)
	o.State = state
	if change != nil {
		change(&o)
	}
	rep, err := Reconcile(ctx, o)
	must(c.t, err)
	for _, f := range rep.Findings {
		found = append(found, f.Kind+" "+f.Member)
	}
	return found
}

func (c *comeback) expect(state string, change func(o *Options), want ...string) {
	c.t.Helper()
	if got := c.found(state, change); !slices.Equal(got, want) {
		c.t.Errorf("found %q, want %q", got, want)
	}
}

// TestLostInRestore: what a restore has lost is named once, and nothing else is found, of
// anybody; with the state of an audit before and without; also where nothing lies at the
// place of the closed log any more.
func TestLostInRestore(t *testing.T) {
	for _, gone := range []bool{false, true} {
		c := newComeback(t)
		c.restore("2", c.told(c.logs["NV"].tree))
		if gone {
			c.closed = objects{}
		}
		c.play(6)
		fresh := filepath.Join(t.TempDir(), "state")
		for _, state := range []string{"", fresh, c.state} {
			c.expect(state, nil, "lost_in_restore NV")
		}
		c.play(6)
		for _, state := range []string{fresh, c.state} {
			c.expect(state, nil)
		}
	}
}

// TestKeptInRestore: a log that lies there whole has lost nothing, whatever came back.
func TestKeptInRestore(t *testing.T) {
	c := newComeback(t)
	whole := c.logs["NV"].objects
	c.restore("2", c.told(c.logs["NV"].tree))
	c.closed = whole
	c.play(6)
	c.expect("", nil)
	c.expect(c.state, nil)
}

// TestNothingLost: who closed a log of which nothing was lost that anybody had seen is
// named, once.
func TestNothingLost(t *testing.T) {
	c := newComeback(t)
	l := c.logs["NV"]
	c.backup, c.tree = l.objects, l.tree
	c.restore("2", c.told(l.tree))
	c.closed = l.objects
	c.play(6)
	c.expect("", nil, "false_successor NV")
	c.expect(c.state, nil, "false_successor NV")
	c.expect(c.state, nil)
}

// TestFalseSuccessor: what does not hold is found, of whoever says it.
func TestFalseSuccessor(t *testing.T) {
	for name, c := range map[string]struct {
		say   func(c *comeback, told map[string]string)
		later func(c *comeback)
		want  string
	}{
		"a checkpoint of another tree": {want: FalseSuccessor, say: func(c *comeback, told map[string]string) {
			told["checkpoint"] = b64(c.backup.mem["checkpoint"])
		}},
		"a checkpoint that nobody has witnessed": {want: FalseSuccessor, say: func(c *comeback, told map[string]string) {
			told["checkpoint"] = b64(c.logs["NV"].checkpoint(c.logs["NV"].tree, c.now))
		}},
		"another past than was read before": {want: Fork, say: func(_ *comeback, told map[string]string) {
			told["restored_root"] = strings.Repeat("ab", 32)
		}},
		"another past than lies there": {want: Damaged, say: func(c *comeback, told map[string]string) {
			told["restored_root"], c.state = strings.Repeat("ab", 32), ""
		}},
		"more was seen by others": {want: FalseSuccessor, say: func(c *comeback, told map[string]string) {
			maps.Copy(told, c.told(c.middle))
			c.copies = map[string]*objects{"NV/1": {mem: maps.Clone(c.logs["NV"].mem)}}
		}},
		"two successors": {want: FalseSuccessor, later: func(c *comeback) {
			told := c.told(c.middle)
			told["predecessor"] = "waypost.test/NV/1"
			first := c.logs["NV"]
			c.restore("3", told)
			c.more = append(c.more, Source{Member: "NV", Instance: "2", Reader: &first.objects})
			c.play(0)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			x := newComeback(t)
			told := x.told(x.logs["NV"].tree)
			if c.say != nil {
				c.say(x, told)
			}
			x.restore("2", told)
			x.play(6)
			if c.later != nil {
				c.later(x)
			}
			if got := x.found(x.state, nil); !slices.Contains(got, c.want+" NV") || slices.ContainsFunc(got, func(f string) bool { return !strings.HasSuffix(f, " NV") }) {
				t.Errorf("found %q, want %s of NV, and nobody else accused", got, c.want)
			}
		})
	}
}

// TestSuccessorOfThen: a declaration is cosigned on its day. It holds for as long as the
// roster of then is known, whatever became of the witnesses since, and falls with them where
// that roster was not good on that day.
func TestSuccessorOfThen(t *testing.T) {
	c := newComeback(t)
	c.restore("2", c.told(c.logs["NV"].tree))
	rosters := []*roster.Roster{c.roster}
	fresh := newWitness(t, "", "waypost.test/witness-2", genKey("another outside"))
	c.witnesses[0] = fresh
	for v := range uint64(6) {
		next := *c.roster
		next.Version = 2 + v
		next.NotBefore = c.roster.NotBefore.Add(time.Duration(v+1) * 24 * time.Hour)
		next.NotAfter = next.NotBefore.Add(roster.MaxValidity)
		next.Witnesses = []roster.Witness{{Key: fresh.vkey, URL: "https://127.0.0.1:2"}}
		rosters = append(rosters, &next)
	}
	c.pass(8)
	c.expect("", func(o *Options) { o.Rosters = rosters }, "lost_in_restore NV")
	past := *c.roster
	past.NotAfter = past.NotBefore.Add(time.Minute)
	rosters[0] = &past
	if got := c.found("", func(o *Options) { o.Rosters = rosters }); !slices.Contains(got, "false_successor NV") {
		t.Errorf("cosigned under a roster that had run out: %q", got)
	}
}
