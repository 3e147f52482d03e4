package notice

import (
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/drill"
)

// TestLine: a case is well only where all that is waited for has come in time, and who is
// only not relied on any more was not named.
func TestLine(t *testing.T) {
	found := Seen{By: auditor, What: "fork", Named: "hub", After: time.Minute}
	shown := Seen{By: "AZ", What: "fork", Named: "hub", After: 2 * time.Minute}
	left := Seen{By: "AZ", What: shunned, Named: "hub", After: time.Second}
	for name, c := range map[string]struct {
		waits  Case
		seen   []Seen
		within time.Duration
		ok     bool
	}{
		"all has come":         {Case{Auditor: true, Evidence: true, Shunned: true}, []Seen{left, found, shown}, time.Minute, true},
		"no evidence":          {Case{Auditor: true, Evidence: true}, []Seen{left, found}, time.Hour, false},
		"no auditor":           {Case{Auditor: true, Evidence: true}, []Seen{shown}, time.Hour, false},
		"still relied on":      {Case{Auditor: true, Shunned: true}, []Seen{found}, time.Hour, false},
		"left and not named":   {Case{Shunned: true}, []Seen{left}, time.Hour, false},
		"too late":             {Case{Auditor: true}, []Seen{found}, 30 * time.Second, false},
		"nobody has noticed":   {Case{Auditor: true}, nil, time.Hour, false},
		"named by a member":    {Case{Evidence: true}, []Seen{shown}, 2 * time.Minute, true},
		"nothing waited for":   {Case{}, nil, time.Hour, false},
		"more than waited for": {Case{Auditor: true}, []Seen{found, shown}, time.Minute, true},
	} {
		c.waits.Seen = c.seen
		l := c.waits.Line(drill.Line{}, c.within)
		if ok := l.OK && (l.Figure == nil || l.Figure.Holds()); ok != c.ok {
			t.Errorf("%s: %v, want %v: %s", name, ok, c.ok, l.Noticed)
		}
		if missing := len(c.waits.awaited(false)) > 0; missing != strings.Contains(l.Noticed, "never came") {
			t.Errorf("%s: says %q", name, l.Noticed)
		}
	}
}
