package follow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/translog"
)

// sight is what one look at one log came to.
type sight struct {
	*log
	newer  translog.Checkpoint // Note is nil where nothing newer was seen
	broken string              // newer contradicts what was seen before, in words
	failed error               // nothing could be learnt
}

// look fetches and judges the checkpoints of all logs, remembers what it saw,
// and only then lets anything rest on it.
func (f *Follower) look(ctx context.Context) error {
	var sights []*sight
	extra := make(map[string]int) // logs of a member beside its first
	for _, l := range f.logs {
		if l.broken != "" || l.closed != nil || !f.follows(l.member) {
			continue
		}
		if !f.first(l) {
			if extra[l.member]++; l.owing.IsZero() && extra[l.member] > maxInstances {
				continue
			}
		}
		sights = append(sights, &sight{log: l})
	}
	var group errgroup.Group
	group.SetLimit(lookers)
	for _, s := range sights {
		group.Go(func() error {
			limited, stop := context.WithTimeout(ctx, lookTime)
			defer stop()
			s.failed = f.judge(limited, s)
			return nil
		})
	}
	_ = group.Wait() // the functions keep their errors
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return f.remember(ctx, sights)
}

// follows reports whether the member's ledger matters here.
func (f *Follower) follows(member string) bool {
	m, ok := f.Roster.Member(member)
	return ok && m.Role != roster.Gateway && member != f.config.Member
}

// judge compares the log's checkpoint with the last that was seen. An error
// means that nothing was learnt.
func (f *Follower) judge(ctx context.Context, s *sight) error {
	current := f.Roster.Current()
	m, ok := current.Member(s.member)
	if !ok {
		return fmt.Errorf("%s is not in the roster", s.member)
	}
	policy, err := Policy(current, m, s.origin)
	if err != nil {
		return err
	}
	reader, err := f.Open(s.member, s.instance)
	if err != nil {
		return err
	}
	newer, err := translog.Fetch(ctx, reader, policy)
	if err != nil {
		return err
	}
	if newer.Cosigned.After(f.Now().Add(clockSkew)) {
		return fmt.Errorf("the checkpoint of %s was cosigned at %s, which is in the future here: compare the clocks", s.origin, clock(newer.Cosigned))
	}
	if s.seen.Note == nil {
		s.newer = newer
		return nil
	}
	switch err := translog.CheckConsistency(ctx, reader, s.seen, newer); {
	case errors.Is(err, translog.ErrFork):
		s.newer = newer
		s.broken = fmt.Sprintf("the ledger of %s contradicts itself: it had other entries before, at %d", s.member, s.seen.N)
		return nil
	case errors.Is(err, translog.ErrRollback):
		s.newer = newer
		s.broken = fmt.Sprintf("the ledger of %s went back from %d entries to %d", s.member, s.seen.N, newer.N)
		return nil
	case err != nil:
		return err
	}
	if newer.N > s.seen.N || newer.Cosigned.After(s.seen.Cosigned) {
		s.newer = newer
	}
	return nil
}

// remember makes what was seen durable, and then known and public.
func (f *Follower) remember(ctx context.Context, sights []*sight) error {
	now := f.Now()
	err := f.DB.Write(ctx, func(tx *store.Tx) error {
		for _, s := range sights {
			if err := s.save(tx, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	var errs []error
	for _, s := range sights {
		s.log.failed = s.failed
		f.tell(s.origin, s.failed)
		switch {
		case s.failed != nil || s.newer.Note == nil:
		case s.broken != "":
			s.log.broken, s.log.contradiction = s.words(now), s.newer.Note
			f.Log.Error("a ledger contradicts what was seen of it", "member", s.member, "words", s.log.broken)
		default:
			grown := s.seen.Tree != s.newer.Tree
			s.log.seen = s.newer
			s.log.sights = append(s.log.sights[max(0, len(s.log.sights)+1-maxSights):], s.newer.Cosigned)
			if grown {
				errs = append(errs, f.Publish("seen/"+s.member+"/"+s.instance, s.newer.Note))
			}
		}
	}
	return errors.Join(errs...)
}

// words say of a broken log when that was seen.
func (s *sight) words(now time.Time) string { return s.broken + ", seen " + clock(now) }
