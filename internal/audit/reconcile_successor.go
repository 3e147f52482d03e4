package audit

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"sync"

	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/translog"
)

// closure is what a successor log says of one that its member closed for ever, because a
// backup was restored: see spec/ledger.md.
type closure struct {
	journal.Succession
	place string // where it says so
	by    string // in which log
	whole bool   // the log is still there, up to what was seen of it

	mu    sync.Mutex
	cited map[int64]bool // places in the lost part that other ledgers cite
}

// maxCited bounds how many of them are counted.
const maxCited = 1 << 20

// from and until are the times, Unix seconds, between which the lost entries were written.
func (l *logRun) lostFrom() int64  { return l.kept.Latest - dateSlack }
func (l *logRun) lostUntil() int64 { return l.closed.At.Unix() + settleTime }

// loses reports whether an entry that should have been committed to the log by the time
// at, about a ticket that was issued before, may be among those that were lost.
func (l *logRun) loses(issued, at int64) bool {
	return l.closed != nil && !l.closed.whole && at >= l.lostFrom() && issued <= l.lostUntil()
}

// cite notes that another ledger cites a lost entry.
func (c *closure) cite(index int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cited == nil {
		c.cited = make(map[int64]bool)
	}
	if len(c.cited) < maxCited {
		c.cited[index] = true
	}
}

// inOrder are the sources with the logs of a member by falling number: what a successor says
// is known before the log is opened that it succeeds.
func inOrder(sources []Source) []Source {
	number := func(s Source) int {
		n, _ := strconv.Atoi(s.Instance) // what is none succeeds nothing
		return n
	}
	ordered := slices.Clone(sources)
	slices.SortStableFunc(ordered, func(a, b Source) int {
		return cmp.Or(cmp.Compare(a.Member, b.Member), cmp.Compare(number(b), number(a)))
	})
	return ordered
}

// succeeds reads what the log says of those before it. What does not hold is a finding.
func (l *logRun) succeeds(ctx context.Context) {
	own, err := strconv.Atoi(l.kept.Instance)
	if err != nil || !l.readable || l.head.N == 0 {
		return
	}
	domain := l.head.Origin[:len(l.head.Origin)-len(l.kept.Instance)]
	for n := 1; n < own; n++ {
		instance := strconv.Itoa(n)
		evidence := map[string]string{"log": l.head.Origin, "predecessor": domain + instance}
		s, index, err := follow.Declared(ctx, l.source.Reader, l.head, l.r.Rosters, l.member.Name, domain+instance)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case ctx.Err() != nil:
			return
		case err != nil:
			l.r.findf(FalseSuccessor, l.member.Name, evidence, "what %s says of its predecessor does not hold: %v", l.head.Origin, err)
			continue
		}
		c := &closure{Succession: s, place: l.place(index), by: l.head.Origin}
		evidence["place"], evidence["seen"], evidence["restored"] = c.place, strconv.FormatInt(s.Seen.N, 10), strconv.FormatInt(s.Restored.N, 10)
		number := l.r.names.log(l.kept.Member + "/" + instance)
		if before := l.r.closed[number]; before != nil {
			evidence["other"] = before.place
			l.r.findf(FalseSuccessor, l.member.Name, evidence, "%s has two successors: %s and %s", s.Predecessor, before.by, l.head.Origin)
			continue
		}
		l.r.closed[number] = c
	}
}

// fetchClosed takes the head of a log that has a successor: all of it, where it is still
// there up to what was seen; else what was restored, as the successor says.
func (l *logRun) fetchClosed(ctx context.Context) {
	c := l.closed
	for _, reader := range append([]translog.Reader{l.source.Reader}, l.source.Copies...) {
		if reader == nil {
			continue
		}
		note, err := reader.ReadEndpoint(ctx, "checkpoint")
		if err != nil {
			continue
		}
		head, err := l.verify(note)
		if err != nil && !errors.Is(err, translog.ErrUnwitnessed) {
			continue
		}
		if head.N > c.Seen.N {
			l.outgrows(head.N, l.member.Name)
		}
		if head.N == c.Seen.N && head.Hash == c.Seen.Hash {
			c.whole, l.source.Reader, l.head = true, reader, head
			break
		}
	}
	if !c.whole {
		l.head = translog.Checkpoint{Origin: c.Predecessor, Tree: c.Restored, Note: c.Checkpoint, Cosigned: c.At}
	}
	old, remembered := l.remembered()
	switch {
	case remembered && old.N > l.head.N: // more was read before than is left
		l.lost = true
	case remembered && old.N == l.head.N && old.Hash != l.head.Hash:
		l.r.findf(Fork, l.member.Name, map[string]string{"log": c.Predecessor, "place": c.place, "earlier_checkpoint": string(old.Note)},
			"what %s says was restored of %s is another tree of %d entries than was read before", c.by, c.Predecessor, old.N)
	default:
		l.kept.Origin = c.Predecessor
		l.readable = l.head.N > 0 && l.source.Reader != nil
	}
}

// outgrows is a finding: others have seen more of a closed log than was said.
func (l *logRun) outgrows(size int64, by string) {
	l.r.findf(FalseSuccessor, l.member.Name, map[string]string{"log": l.closed.Predecessor, "place": l.closed.place, "shown_by": by, "size": strconv.FormatInt(size, 10)},
		"%s says that %d entries of %s had been seen, and %s has seen %d", l.closed.by, l.closed.Seen.N, l.closed.Predecessor, by, size)
}

// openClosed opens what is left of logs that have a successor and are not among the
// sources.
func (r *run) openClosed(ctx context.Context) {
	for number := range r.closed {
		for int(number) >= len(r.logs) {
			r.logs = append(r.logs, nil)
		}
		if r.logs[number] != nil {
			continue
		}
		name := r.names.Logs[number]
		m, _ := r.memberNamed(holderOf(name))
		s := Source{Member: m.Name, Instance: name[len(m.Name)+1:]}
		r.logs[number] = r.newLog(number, m, s)
		r.logs[number].fetchClosed(ctx)
	}
}

// judgeLosses names, once, what was lost in restores, and who closed a log of which nothing
// was lost that anybody had seen.
func (r *run) judgeLosses() {
	for _, l := range r.logs {
		if l == nil || l.closed == nil || l.kept.LossTold {
			continue
		}
		c := l.closed
		evidence := map[string]string{
			"log": c.Predecessor, "from": strconv.FormatInt(c.Restored.N, 10), "to": strconv.FormatInt(c.Seen.N, 10),
			"declared": c.place, "at": stamp(c.At.Unix()), "cited": strconv.Itoa(len(c.cited)),
		}
		switch {
		case c.Seen.N <= c.Restored.N:
			r.findf(FalseSuccessor, l.member.Name, evidence, "%s was closed for a restore, as %s says, and nothing of it that anybody had seen was lost: %s has to show what had happened", c.Predecessor, c.place, l.member.Name)
		case c.whole:
			continue // what came back with the backup is less than what lies published
		default:
			r.findf(LostInRestore, l.member.Name, evidence, "a backup was restored, and %d entries of %s are lost, as %s says; other ledgers cite %d of them", c.Seen.N-c.Restored.N, c.Predecessor, c.place, len(c.cited))
		}
		l.kept.LossTold = true
	}
}
