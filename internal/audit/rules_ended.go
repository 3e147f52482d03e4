package audit

import (
	"slices"
	"strings"
	"sync"
)

// after is what others cite of a ledger past its last entry, which is "stopped".
type after struct {
	mu    sync.Mutex
	by    map[string]bool // the members that do
	index int64           // the first place
	at    int64           // the earliest time, Unix seconds
}

// cite notes that a member cites a place past the end.
func (l *logRun) cite(by string, index, at int64) {
	l.after.mu.Lock()
	defer l.after.mu.Unlock()
	if l.after.by == nil {
		l.after.by, l.after.index, l.after.at = make(map[string]bool), index, at
	}
	l.after.by[by] = true
	l.after.index, l.after.at = min(l.after.index, index), min(l.after.at, at)
}

// judgeEnded: who has said "stopped" has nothing more to say, but others cite what it
// wrote afterwards. It has gone on, and shows nothing of it: its ledger is as stale as
// one that says nothing. Or those who cite it made that up; the receipts decide.
func (r *run) judgeEnded() {
	for _, l := range r.logs {
		if l == nil || len(l.after.by) == 0 || r.Now.Unix()-l.after.at <= int64(staleAfter.Seconds()) {
			continue
		}
		var by []string
		for member := range l.after.by {
			by = append(by, member)
		}
		if l.source.Door != "" {
			by = append(by, l.source.Door)
		}
		slices.Sort(by)
		by = slices.Compact(by)
		r.findf(Stale, l.member.Name, map[string]string{"log": l.kept.Origin, "cosigned": stamp(l.kept.Cosigned), "or": strings.Join(by, " ")},
			"the ledger %s ends with \"stopped\", and what comes after, entry %d to begin with, is cited since %s by: %s. It has gone on and shows nothing of it, or they cite what was never promised",
			l.kept.Origin, l.after.index, stamp(l.after.at), strings.Join(by, ", "))
	}
}
