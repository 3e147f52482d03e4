package spec_test

import (
	"encoding/base64"
	"encoding/hex"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// A closed log is that of keyholder-2: 300 leaves were seen of it, 280 came back.
const cameBack = 280

var cosigners = []string{"keyholder-1", "keyholder-3", "outside.example"}

// saidOf is what a successor says of the first log.
func saidOf(l *ledger) map[string]string {
	root := func(n int) string { h := l.root(n); return hex.EncodeToString(h[:]) }
	return map[string]string{"predecessor": l.origin(), "seen": strconv.Itoa(logSize), "seen_root": root(logSize), "restored": strconv.Itoa(cameBack),
		"restored_root": root(cameBack), "checkpoint": base64.StdEncoding.EncodeToString([]byte(l.checkpoint(logSize, start.Add(2*time.Hour), cosigners...)))}
}

// successorLog writes the log that goes on, which begins with that entry.
func successorLog(t testing.TB, dir, instance string, said map[string]string) {
	t.Helper()
	l := &ledger{t: t, member: "keyholder-2", instance: instance}
	body, err := translog.FormatBody(said)
	must(t, err)
	e := translog.Entry{Kind: "successor", At: start.Add(2 * time.Hour), Tau: [32]byte(sum("tau " + instance)), Salt: [32]byte(sum("salt")), Body: body}
	opened, err := translog.FormatEntry(e)
	must(t, err)
	l.add(e.Leaf("keyholder", l.origin()))
	l.grow(4, "after")
	l.lay(dir, make([][]byte, 5))
	write(t, dir, "successor/1", opened)
	write(t, dir, "checkpoint", []byte(l.checkpoint(5, start.Add(3*time.Hour), cosigners...)))
}

// comeback writes an exchange in which keyholder-2 has restored a backup.
func comeback(t testing.TB, dir string, r *roster.Roster, change func(first *ledger, said map[string]string)) {
	t.Helper()
	write(t, dir, "hub/governance.json", []byte(governanceJSON(t, r)))
	write(t, dir, "hub/roster/000001", signText(t, textOf(t, r), officers[:2]...))
	first := published(t, t.TempDir(), "")
	said := saidOf(first)
	if change != nil {
		change(first, said)
	}
	first.lay(filepath.Join(dir, "keyholder-2/log/keyholder-2/1"), make([][]byte, cameBack))
	successorLog(t, filepath.Join(dir, "keyholder-2/log/keyholder-2/2"), "2", said)
}

// TestClosedLogs: the second verifier reads what is left of a log that was closed for a
// restore by what its successor says, and that only where it holds.
func TestClosedLogs(t *testing.T) {
	t.Parallel()
	r := exchange(t)
	const one, two = "keyholder-2/log/keyholder-2/1", "keyholder-2/log/keyholder-2/2"
	seenBy := func(dir string, checkpoint string) {
		hub := (&ledger{t: t, member: "hub"}).grow(3, "leaf")
		hub.lay(filepath.Join(dir, "hub/log/hub/1"), make([][]byte, 3))
		write(t, dir, "hub/log/hub/1/checkpoint", []byte(hub.checkpoint(3, start, "keyholder-1", "keyholder-3", "outside.example")))
		write(t, dir, "hub/log/hub/1/seen/keyholder-2/1", []byte(checkpoint))
	}
	for name, c := range map[string]struct {
		say   func(first *ledger, said map[string]string)
		later func(dir string, first *ledger)
		want  string
		bad   bool
	}{
		"as it was":    {want: "keyholder-2/2:0: vectors.example/keyholder-2/1 was closed for a restore 2026-03-02 14:00:00 UTC; 300 leaves had been seen, 280 came back"},
		"what is left": {want: one + ": 280 leaves of vectors.example/keyholder-2/1, 280 erased, closed for a restore"},
		"nothing is left": {want: "2: 5 leaves of vectors.example/keyholder-2/2", later: func(dir string, _ *ledger) {
			must(t, os.RemoveAll(filepath.Join(dir, one)))
		}},
		"all of it is left": {want: one + ": 300 leaves", later: func(dir string, _ *ledger) { published(t, filepath.Join(dir, one), "") }},
		"seen by another":   {want: "hub/1: 3 leaves", later: func(dir string, l *ledger) { seenBy(dir, l.checkpoint(logSize, start, cosigners...)) }},
		"a leaf that came back is another": {bad: true, want: "tile/0/000 is not made of what lies below it", later: func(dir string, _ *ledger) {
			b := read(t, dir, one+"/tile/entries/000")
			write(t, dir, one+"/tile/entries/000", flipped(b, 9))
		}},
		"less came back": {bad: true, want: "tile/entries/001.p/24 cannot be read", later: func(dir string, _ *ledger) {
			must(t, os.Remove(filepath.Join(dir, one, "tile/entries/001.p/24")))
		}},
		"another past came back": {bad: true, want: "the leaves do not make the root", say: func(_ *ledger, said map[string]string) {
			said["restored_root"] = strings.Repeat("ab", 32)
		}},
		"another past is left": {bad: true, want: "its first 280 leaves are not those that keyholder-2/2:0 says came back", say: func(_ *ledger, said map[string]string) {
			said["restored_root"] = strings.Repeat("ab", 32)
		}, later: func(dir string, _ *ledger) {
			published(t, filepath.Join(dir, one), "")
		}},
		"nobody has cosigned what was seen": {bad: true, want: "cosignatures of outside witnesses", say: func(l *ledger, said map[string]string) {
			said["checkpoint"] = base64.StdEncoding.EncodeToString([]byte(l.checkpoint(logSize, start, "keyholder-1", "keyholder-3")))
		}},
		"another checkpoint": {bad: true, want: "of another tree than is said to have been seen", say: func(l *ledger, said map[string]string) {
			said["checkpoint"] = base64.StdEncoding.EncodeToString([]byte(l.checkpoint(299, start, cosigners...)))
		}},
		"about another log": {bad: true, want: "successor/1 is about another log", say: func(_ *ledger, said map[string]string) {
			said["predecessor"] = "vectors.example/keyholder-1/1"
		}},
		"a size that is none": {bad: true, want: "a size in successor/1 is out of range", say: func(_ *ledger, said map[string]string) {
			said["seen"] = "0300"
		}},
		"a field more": {bad: true, want: "successor/1 has a field more or less", say: func(_ *ledger, said map[string]string) { said["why"] = "fire" }},
		"no entry of the log": {bad: true, want: "successor/1 is none of the first entries of the log", later: func(dir string, _ *ledger) {
			alterSalt(t, filepath.Join(dir, two, "successor/1"))
		}},
		"of itself": {bad: true, want: "successor/2 is about no log", later: func(dir string, _ *ledger) {
			must(t, os.Rename(filepath.Join(dir, two, "successor/1"), filepath.Join(dir, two, "successor/2")))
		}},
		"two successors": {bad: true, want: "has two successors", later: func(dir string, l *ledger) {
			said := saidOf(l)
			maps.Copy(said, map[string]string{"restored": "0", "restored_root": hex.EncodeToString(sum(""))})
			successorLog(t, filepath.Join(dir, "keyholder-2/log/keyholder-2/3"), "3", said)
		}},
		"more was seen": {bad: true, want: "of which keyholder-2/2:0 says that 299 were seen", say: func(l *ledger, said map[string]string) {
			root := l.root(299)
			said["seen"], said["seen_root"] = "299", hex.EncodeToString(root[:])
			said["checkpoint"] = base64.StdEncoding.EncodeToString([]byte(l.checkpoint(299, start, cosigners...)))
		}, later: func(dir string, l *ledger) { seenBy(dir, l.checkpoint(logSize, start, cosigners...)) }},
		"nobody says that it was closed": {bad: true, want: "there is no log below", later: func(dir string, _ *ledger) {
			must(t, os.RemoveAll(filepath.Join(dir, two)))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var first *ledger
			comeback(t, dir, r, func(l *ledger, said map[string]string) {
				if first = l; c.say != nil {
					c.say(l, said)
				}
			})
			if c.later != nil {
				c.later(dir, first)
			}
			says, _ := run(t, "ledgers", dir)
			var refused []string
			for line := range strings.Lines(says) {
				about, is := strings.CutPrefix(line, "REFUSED ")
				// That the others have no logs here is not what this is about.
				if is && (strings.HasPrefix(about, "keyholder-2 ") || !strings.Contains(about, " is in the roster and has no log ")) {
					refused = append(refused, about)
				}
			}
			if bad := strings.Join(refused, ""); (bad != "") != c.bad || !strings.Contains(says, c.want) || c.bad && !strings.Contains(bad, c.want) {
				t.Errorf("want %q:\n%s", c.want, says)
			}
		})
	}
}

// alterSalt changes the salt of an opened entry, and so what it opens.
func alterSalt(t testing.TB, path string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	must(t, err)
	e, err := translog.ParseEntry(raw)
	must(t, err)
	e.Salt[0] ^= 1
	raw, err = translog.FormatEntry(e)
	must(t, err)
	must(t, os.WriteFile(path, raw, 0o644))
}
