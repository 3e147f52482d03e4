package audit

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// sighting is a checkpoint of a log that somebody else shows.
type sighting struct {
	by   string // who shows it
	log  uint16
	note []byte
}

// openLogs fetches the checkpoints. What others have seen of a log is fetched
// before the log itself: a log only grows, so it must then be as long.
func (r *run) openLogs(ctx context.Context, before *state) error {
	for _, s := range r.Sources {
		r.names.log(s.Member + "/" + s.Instance)
	}
	for _, k := range before.Logs {
		r.names.log(k.Member + "/" + k.Instance)
	}
	r.logs = make([]*logRun, len(r.names.Logs))
	r.closed = make(map[uint16]*closure)
	sightings := r.sightings(ctx)
	for _, s := range inOrder(r.Sources) {
		n := r.names.log(s.Member + "/" + s.Instance)
		m, ok := r.memberNamed(s.Member)
		if !ok {
			continue // not a member: nobody relies on its log
		}
		if s.Unpublished && r.closed[n] == nil {
			continue
		}
		l := r.newLog(n, m, s)
		r.logs[n] = l
		if l.closed != nil {
			l.fetchClosed(ctx)
		} else if err := l.fetch(ctx); err != nil {
			return err
		}
		l.succeeds(ctx)
	}
	r.openClosed(ctx)
	for _, k := range before.Logs {
		if n := r.names.log(k.Member + "/" + k.Instance); r.logs[n] == nil {
			r.logs[n] = r.lost(k)
		}
	}
	r.compare(ctx, sightings)
	for _, l := range r.logs {
		if l == nil || !l.readable {
			continue
		}
		if l.readable = !l.disputed; l.readable {
			r.total.Add(l.head.N - l.kept.Size)
		}
	}
	return ctx.Err()
}

// newLog takes up what is known of a log from the run before.
func (r *run) newLog(n uint16, m roster.Member, s Source) *logRun {
	l := &logRun{r: r, number: n, member: m, source: s, closed: r.closed[n], foreign: make(map[translog.KeyID]bool),
		counters: make(map[string]int64), kept: kept{Member: s.Member, Instance: s.Instance}}
	if i := slices.IndexFunc(r.before.Logs, func(k kept) bool { return k.Member == s.Member && k.Instance == s.Instance }); i >= 0 {
		l.kept = r.before.Logs[i].clone()
	}
	l.past = l.kept.clone()
	l.limits.init(l)
	return l
}

// memberNamed returns the member as the newest roster has it that names it.
func (r *run) memberNamed(name string) (roster.Member, bool) {
	for _, known := range slices.Backward(r.Rosters) {
		if m, ok := known.Member(name); ok {
			return m, true
		}
	}
	return roster.Member{}, false
}

// former reports whether it was a member once and is none in the newest roster.
func (r *run) former(name string) bool {
	if _, known := r.memberNamed(name); !known {
		return false
	}
	m, still := r.Rosters[len(r.Rosters)-1].Member(name)
	return !still || m.Removed
}

// lost keeps what is known of a log that was read before and is not among the
// sources any more, because its member was removed, or hides it.
func (r *run) lost(k kept) *logRun {
	m, _ := r.memberNamed(k.Member)
	if !r.former(k.Member) {
		r.findf(Missing, k.Member, map[string]string{"log": k.Origin}, "the ledger %s was read before and is not published any more", k.Origin)
	}
	m.Name = k.Member
	return &logRun{r: r, number: r.names.log(k.Member + "/" + k.Instance), member: m, kept: k, past: k, lost: true}
}

// fetch reads the head of the log. What is wrong with it is a finding; the log
// stays as it was read before.
func (l *logRun) fetch(ctx context.Context) error {
	note, err := l.readHead(ctx)
	name := l.member.Name
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && l.source.Former:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		l.withheldf(Missing, map[string]string{"log": l.kept.Member + "/" + l.kept.Instance}, "no ledger %s/%s is published", l.kept.Member, l.kept.Instance)
		return nil
	case err != nil:
		l.withheldf(Missing, map[string]string{"log": l.kept.Member + "/" + l.kept.Instance}, "the ledger %s/%s cannot be read: %v", l.kept.Member, l.kept.Instance, err)
		return nil
	}
	head, err := l.verify(note)
	evidence := map[string]string{"log": head.Origin, "checkpoint": string(note)}
	switch {
	case errors.Is(err, translog.ErrUnwitnessed):
		l.withheldf(Unwitnessed, evidence, "%v", err)
		l.disputed = true
	case err != nil:
		l.withheldf(Damaged, evidence, "%v", err)
		return nil
	}
	old, remembered := l.remembered()
	evidence["earlier_checkpoint"] = string(old.Note)
	switch {
	case remembered && old.Origin != head.Origin:
		l.r.findf(Fork, name, evidence, "the ledger was called %s and is called %s now", old.Origin, head.Origin)
	case remembered && head.N < old.N:
		l.withheldf(Rollback, evidence, "the ledger had %d entries when it was read before and has %d now", old.N, head.N)
	case remembered && head.N == old.N && head.Hash != old.Hash:
		l.r.findf(Fork, name, evidence, "the ledger shows another tree of %d entries than when it was read before", head.N)
	default:
		l.head, l.kept.Origin, l.readable = head, head.Origin, true
	}
	return nil
}

// withheldf reports what is the member's fault or that of the door behind which
// its log lies: whoever serves a log can hold back the end of it, objects and
// cosignatures, and forge nothing.
func (l *logRun) withheldf(kind string, evidence map[string]string, format string, args ...any) {
	if l.source.Door != "" {
		evidence["or"] = l.source.Door
	}
	l.r.findf(kind, l.member.Name, evidence, format, args...)
}

func (l *logRun) readHead(ctx context.Context) ([]byte, error) {
	if l.source.Reader == nil {
		return nil, fs.ErrNotExist
	}
	return l.source.Reader.ReadEndpoint(ctx, "checkpoint")
}

// verify checks a checkpoint of the log. One that was closed is signed no more, and judged
// as on the day when it was.
func (l *logRun) verify(note []byte) (translog.Checkpoint, error) {
	rosters := l.r.Rosters
	if l.closed != nil {
		rosters = slices.DeleteFunc(slices.Clone(rosters), func(r *roster.Roster) bool { return r.NotBefore.After(l.closed.At) })
	}
	return verifyHead(rosters, l.member.Name, note)
}

// verifyHead checks a checkpoint of a log of the member under the newest
// roster, or the one before it: a log that has not heard of the newest is no
// fraud yet. Where only cosignatures are missing the checkpoint is returned
// beside the error.
func verifyHead(rosters []*roster.Roster, member string, note []byte) (translog.Checkpoint, error) {
	origin, _, _ := bytes.Cut(note, []byte("\n"))
	var first error
	var unwitnessed translog.Checkpoint
	for i, known := range slices.Backward(rosters) {
		m, ok := known.Member(member)
		if !ok {
			continue
		}
		policy, err := follow.Policy(known, m, string(origin))
		if err != nil {
			return translog.Checkpoint{}, err
		}
		head, err := policy.Verify(note)
		if err == nil {
			return head, nil
		}
		if first == nil {
			first, unwitnessed = err, head
		}
		if i < len(rosters)-2 {
			break
		}
	}
	if first == nil {
		first = waypost.Errorf(waypost.NotFound, "no roster that was good then names %s", member)
	}
	return unwitnessed, first
}

// sightings reads what the sources show of each other's logs. Of gateways
// there are copies instead: nobody else follows them.
func (r *run) sightings(ctx context.Context) []sighting {
	var all []sighting
	for _, s := range r.Sources {
		n := r.names.log(s.Member + "/" + s.Instance)
		for _, c := range s.Copies {
			if note, err := c.ReadEndpoint(ctx, "checkpoint"); err == nil {
				all = append(all, sighting{r.hubName(), n, note})
			}
		}
		if s.Reader == nil {
			continue
		}
		for _, other := range r.Sources {
			if m, ok := r.memberNamed(other.Member); !ok || m.Role == roster.Gateway || other.Member == s.Member {
				continue
			}
			name := other.Member + "/" + other.Instance
			if note, err := s.Reader.ReadEndpoint(ctx, "seen/"+name); err == nil {
				all = append(all, sighting{s.Member, r.names.log(name), note})
			}
		}
	}
	return all
}

func (r *run) hubName() string { return r.Rosters[len(r.Rosters)-1].Hub().Name }

// compare holds what others have seen of a log against what it shows: both are
// signed by the log, so a contradiction is its own. What such a log says is then
// worth nothing against others: it is not read on.
func (r *run) compare(ctx context.Context, sightings []sighting) {
	for _, s := range sightings {
		l := r.logs[s.log]
		if l == nil || !l.readable {
			continue
		}
		seen, err := l.verify(s.note)
		evidence := map[string]string{"log": l.kept.Origin, "checkpoint": string(l.head.Note), "shown_by": s.by, "other_checkpoint": string(s.note)}
		if err != nil && !errors.Is(err, translog.ErrUnwitnessed) {
			r.findf(Damaged, s.by, evidence, "%s shows a checkpoint of %s that %s never signed", s.by, l.kept.Origin, l.member.Name)
			continue
		}
		older, newer := seen, l.head
		if l.closed != nil && older.N > newer.N {
			if older.N > l.closed.Seen.N {
				l.outgrows(older.N, s.by)
			}
			continue // that part is lost
		}
		if older.N > newer.N { // a log that was read a moment earlier than it should
			l.disputed = true
			r.findf(Rollback, l.member.Name, evidence, "%s has seen %d entries of the ledger, which shows %d", s.by, seen.N, l.head.N)
			continue
		}
		if err := translog.CheckConsistency(ctx, l.source.Reader, older, newer); errors.Is(err, translog.ErrFork) {
			l.disputed = true
			r.findf(Fork, l.member.Name, evidence, "the ledger shows %s another history than everybody else: %v", s.by, err)
		}
	}
}
