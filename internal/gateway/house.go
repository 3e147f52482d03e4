package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/planted"
	"github.com/waypost/waypost/internal/store"
)

const (
	houseEvery = time.Second
	purgeEvery = time.Hour
	// noticeLife is longer than both legs of a question can be under way.
	noticeLife = 4 * waypost.MessageLife
	// inboxLife is longer than a message can be delivered again.
	inboxLife = 2 * waypost.MessageLife
)

// keepHouse catches up with what a crash or an unreachable party left undone,
// and deletes what nobody can ask for any more.
func (s *Server) keepHouse(ctx context.Context) {
	for pause(ctx, houseEvery) {
		if err := s.tidy(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("housekeeping failed; it will be tried again", "cause", err)
		}
	}
}

// house is what housekeeping remembers from one step to the next.
type house struct {
	purged time.Time
}

func (s *Server) tidy(ctx context.Context) error {
	err := errors.Join(s.sendUnsent(ctx), s.retryHeld(ctx))
	if now := s.Now(); now.Sub(s.house.purged) > purgeEvery {
		err = errors.Join(err, s.purge(ctx, now))
		s.house.purged = now
	}
	return err
}

// keepPromises makes owed checks again, and those that a crash cut off.
func (s *Server) keepPromises(ctx context.Context) {
	s.resumed = false
	for pause(ctx, houseEvery) {
		if err := s.makeGood(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("owed checks could not be made; they stay owed", "cause", err)
		}
	}
}

func (s *Server) makeGood(ctx context.Context) (err error) {
	if !s.resumed {
		err = s.resume(ctx, s.begun)
		s.resumed = err == nil
	}
	return errors.Join(err, s.repayAll(ctx))
}

// resume makes due at once what the process before has left open or owed: it
// is not at work on anything any more, and whatever kept it from others may be
// over. Where another process is at work, what is open may be its own, and is left
// until its time is over.
func (s *Server) resume(ctx context.Context, begun time.Time) error {
	if !s.alone() {
		return nil
	}
	return errors.Join(s.file.Resume(ctx, begun), s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE inquiry SET due = $1 WHERE due > $1 AND created < $1 AND state IN ($2, $3)`,
			begun.Unix(), inquiryOpen, inquiryOwed)
		if err != nil {
			return err
		}
		// Nobody will come to answer for a permit of the process before.
		_, err = tx.Exec(`UPDATE permit SET due = $1 WHERE due < $2`, begun.Unix(), begun.Add(permitLife).Unix())
		return err
	}))
}

// repayAll makes the checks that are due. The first shows whether the exchange
// can be reached at all: as long as it cannot, the others cost nobody anything.
func (s *Server) repayAll(ctx context.Context) error {
	due, err := s.dueInquiries(ctx)
	if err != nil || len(due) == 0 || planted.Bug("owed-check-forgotten") {
		return err
	}
	if still, err := s.repay(ctx, due[0]); err != nil || still {
		return err
	}
	due = due[1:]
	errs := make([]error, len(due))
	s.sideBySide(len(due), 4, func(i int) { _, errs[i] = s.repay(ctx, due[i]) })
	return errors.Join(errs...)
}

func (s *Server) dueInquiries(ctx context.Context) ([]waypost.TicketID, error) {
	var due []waypost.TicketID
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		due = nil
		return tx.Query(`SELECT ticket FROM inquiry WHERE due <= $1 ORDER BY due LIMIT 100`, []any{s.Now().Unix()},
			func(scan func(dest ...any) error) error {
				var id waypost.TicketID
				err := scan(&id)
				due = append(due, id)
				return err
			})
	})
	return due, err
}

// repay makes a check again under a new ticket that cites the old one, and
// reports whether it is owed still.
func (s *Server) repay(ctx context.Context, id waypost.TicketID) (owed bool, err error) {
	if err := errors.Join(s.cutOff(ctx, id), s.timeOver(ctx, id)); err != nil {
		return false, err
	}
	kept, err := s.inquiryOf(ctx, id)
	if err != nil || kept.state != inquiryOwed || !kept.successor.IsZero() {
		return false, err
	}
	who, err := fromProto(kept.applicant.Applicant)
	if err != nil {
		return false, err
	}
	who.SSN5 = kept.applicant.Ssn5
	answer, err := s.Check(ctx, who, Counter{
		Operator: kept.operator, Class: kept.ticket.Class, Purpose: kept.ticket.Purpose, Case: kept.caseRef, Cites: id,
	})
	if err != nil {
		err = errors.Join(err, s.postpone(ctx, id))
	}
	return answer.Owed, err
}

// postpone lets others have their turn before a check that met a fault.
func (s *Server) postpone(ctx context.Context, id waypost.TicketID) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE inquiry SET due = $1 WHERE ticket = $2 AND state = $3 AND due IS NOT NULL`,
			s.Now().Add(owedFor(0)).Unix(), id[:], inquiryOwed)
		return err
	})
}

// cutOff ends a check that a crash has cut off, with an entry that says so: its
// evaluations stand in the key holders' ledgers and must have an owner. The
// check itself is owed from then on, unless the clerk has made it anew.
func (s *Server) cutOff(ctx context.Context, id waypost.TicketID) error {
	kept, err := s.inquiryOf(ctx, id)
	if err != nil || kept.state != inquiryOpen {
		return err
	}
	state, due := inquiryOwed, new(s.Now().Unix())
	if tagsOnly(kept.ticket) {
		state, due = inquiryRefused, nil // whose it is makes it again
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE inquiry SET state = $1, due = CASE WHEN successor IS NULL THEN CAST($2 AS BIGINT) END WHERE ticket = $3 AND state = $4`,
			state, due, id[:], inquiryOpen)
		if err != nil || n == 0 {
			return err
		}
		return s.log(tx, kept.ticket, "abandoned")
	})
}

// timeOver ends a check whose last questions nobody can answer any more.
func (s *Server) timeOver(ctx context.Context, id waypost.TicketID) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		asked, err := askedIn(tx, id)
		if err != nil {
			return err
		}
		return s.conclude(tx, id, asked)
	})
}

// sendUnsent seals the first legs that waited for an owner's key. One owner
// without a key does not keep the others waiting.
func (s *Server) sendUnsent(ctx context.Context) error {
	type unsent struct {
		ticket    waypost.TicketID
		candidate waypost.Candidate
	}
	var owners []string
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		owners = nil
		return tx.Query(`SELECT DISTINCT owner FROM ask WHERE state = 0`, nil, func(scan func(dest ...any) error) error {
			owners = append(owners, "")
			return scan(&owners[len(owners)-1])
		})
	})
	for _, owner := range owners {
		if _, keyErr := s.keyOf(ctx, owner); keyErr != nil {
			continue // said when the candidate was found
		}
		var batch []unsent
		err = errors.Join(err, s.DB.Read(ctx, func(tx *store.Tx) error {
			batch = nil
			return tx.Query(`SELECT ticket, reference, owner FROM ask WHERE owner = $1 AND state = 0 LIMIT 100`, []any{owner},
				func(scan func(dest ...any) error) error {
					var u unsent
					err := scan(&u.ticket, &u.candidate.Reference, &u.candidate.Owner)
					batch = append(batch, u)
					return err
				})
		}))
		for _, u := range batch {
			err = errors.Join(err, s.sendFirstLeg(ctx, u.ticket, u.candidate))
		}
	}
	return err
}

func (s *Server) sendFirstLeg(ctx context.Context, id waypost.TicketID, c waypost.Candidate) error {
	kept, err := s.inquiryOf(ctx, id)
	if err != nil {
		return err
	}
	first, err := s.firstLeg(ctx, kept.ticket, kept.receipts, kept.tags, c)
	if err != nil {
		return err
	}
	changed := false
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE ask SET state = $1 WHERE ticket = $2 AND reference = $3 AND state = $4`, askSent, id[:], c.Reference[:], askUnsent)
		if changed = n == 1; err != nil || !changed {
			return err
		}
		return s.post(tx, first)
	})
	if err == nil && changed {
		s.dispatch(first)
	}
	return err
}

// purgeAtOnce is how many rows one transaction deletes: after an outage there may be
// more than a server deletes before it gives up.
const purgeAtOnce = 256

// purge deletes what nobody can ask for any more.
func (s *Server) purge(ctx context.Context, now time.Time) error {
	for _, p := range []struct {
		statement string
		life      time.Duration
	}{
		{`DELETE FROM inbox WHERE id IN (SELECT id FROM inbox WHERE at < $1 LIMIT $2)`, inboxLife},
		{`DELETE FROM notice WHERE (ticket, reference) IN (SELECT ticket, reference FROM notice WHERE at < $1 LIMIT $2)`, noticeLife},
		{`DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE at < $1 LIMIT $2)`, waypost.MessageLife}, // expired: the hub takes none of them
	} {
		for n := int64(purgeAtOnce); n == purgeAtOnce; {
			if err := s.DB.WriteBulk(ctx, func(tx *store.Tx) (err error) {
				n, err = tx.Exec(p.statement, now.Add(-p.life).Unix(), purgeAtOnce)
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}
