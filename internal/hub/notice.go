package hub

import (
	"context"
	"crypto/rand"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// A notice tells the owner of a pointer that a search found it, and what its
// reference means. It is the only way to the record, so it must come before the
// question does. An owner without a valid encryption key is owed its notices: a
// state's own trouble never fails another state's check. Since nobody can seal
// a question to it either, it is enough that the notices are in its box before
// its key can be had.

// notice seals the notice of one candidate. It returns nil where the owner has
// no valid key.
func (s *Server) notice(ctx context.Context, t waypost.SignedTicket, f found, reference waypost.Reference) (*mail, error) {
	key, err := s.keyOf(ctx, string(f.owner))
	switch code := waypost.CodeOf(err); {
	case code == waypost.Internal:
		return nil, err
	case err != nil:
		s.Log.Warn("a notice is owed: its owner has no valid encryption key", "owner", f.owner, "code", code)
		return nil, nil //nolint:nilerr // one state's trouble is not the check's; the notice is owed
	}
	m, err := s.sealNotice(key, t.ID, s.Now().Add(waypost.MessageLife), &waypostv1.Notice{
		Reference: reference[:], Handle: f.handle, Generation: f.generation, StateOfInquiry: string(t.SOI), Tau: t.Tau[:],
	})
	return &m, err
}

func (s *Server) sealNotice(key *seal.PublicKey, ticket waypost.TicketID, expiry time.Time, n *waypostv1.Notice) (mail, error) {
	body, err := proto.Marshal(n)
	if err != nil {
		return mail{}, err
	}
	m := seal.Message{
		Sender: s.config.Name, Recipient: key.Recipient, Type: waypost.MessageNotice, Ticket: ticket,
		RosterVersion: s.Roster.Current().Version, Expiry: expiry, Body: body,
	}
	_, _ = rand.Read(m.ID[:]) // never fails (Go 1.24)
	sealed, err := seal.Seal(m, s.Identity, key)
	return mail{recipient: key.Recipient, id: m.ID, sealed: sealed, expires: expiry}, err
}

// owe notes a notice that cannot be sealed now.
func owe(tx *store.Tx, t waypost.SignedTicket, one planned, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO owed_notice (owner, ticket, reference, handle, generation, asking, tau, expires) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		one.owner, t.ID[:], one.candidate.Reference[:], one.handle, one.generation, t.SOI, t.Tau[:], now.Add(waypost.MessageLife).Unix())
	return err
}

// owed is a notice that waits for its owner's key.
type owed struct {
	ticket  waypost.TicketID
	expires time.Time
	notice  *waypostv1.Notice
}

// settleAtOnce bounds the notices that one transaction delivers.
const settleAtOnce = 64

// deliverOwed seals to the key what its owner is owed, and puts it into the
// box. When nothing is owed any more, last runs in the same transaction.
func (s *Server) deliverOwed(ctx context.Context, key *seal.PublicKey, last func(tx *store.Tx) error) error {
	for more := true; more; {
		waiting, err := s.owedTo(ctx, key.Recipient)
		if err != nil {
			return err
		}
		letters := make([]mail, len(waiting))
		for i, o := range waiting {
			if letters[i], err = s.sealNotice(key, o.ticket, o.expires, o.notice); err != nil {
				return err
			}
		}
		err = s.DB.Write(ctx, func(tx *store.Tx) (err error) {
			for i, o := range waiting {
				if err := settleOne(tx, o, letters[i]); err != nil {
					return err
				}
			}
			if err := tx.Row(`SELECT EXISTS (SELECT 1 FROM owed_notice WHERE owner = $1)`, key.Recipient).Scan(&more); err != nil || more {
				return err
			}
			return last(tx)
		})
		if err != nil {
			return err
		}
		if len(letters) > 0 {
			s.bell.ring(key.Recipient)
		}
	}
	return nil
}

// settleOne delivers an owed notice, unless another call has done so.
func settleOne(tx *store.Tx, o owed, letter mail) error {
	n, err := tx.Exec(`DELETE FROM owed_notice WHERE owner = $1 AND ticket = $2 AND reference = $3`, letter.recipient, o.ticket[:], o.notice.Reference)
	if err != nil || n == 0 {
		return err
	}
	return putMail(tx, letter, noLimit)
}

func (s *Server) owedTo(ctx context.Context, owner string) ([]owed, error) {
	var all []owed
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		all = nil
		return tx.Query(`SELECT ticket, reference, handle, generation, asking, tau, expires FROM owed_notice WHERE owner = $1 ORDER BY ticket, reference LIMIT $2`,
			[]any{owner, settleAtOnce}, func(scan func(dest ...any) error) error {
				o := owed{notice: &waypostv1.Notice{}}
				var expires int64
				err := scan(&o.ticket, &o.notice.Reference, &o.notice.Handle, &o.notice.Generation, &o.notice.StateOfInquiry, &o.notice.Tau, &expires)
				o.expires = time.Unix(expires, 0)
				all = append(all, o)
				return err
			})
	})
	return all, err
}

// settle delivers what an owner is owed if its key can be had by now. What
// fails is tried again by the housekeeping.
func (s *Server) settle(ctx context.Context, owner string) {
	key, err := s.keyOf(ctx, owner)
	if waypost.CodeOf(err) != waypost.Internal && err != nil {
		return
	}
	if err == nil {
		err = s.deliverOwed(ctx, key, func(*store.Tx) error { return nil })
	}
	if err != nil && ctx.Err() == nil {
		s.Log.Error("owed notices could not be delivered", "owner", owner, "cause", err)
	}
}

// settleAll does so for every owner that is owed anything.
func (s *Server) settleAll(ctx context.Context) error {
	var owners []string
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		owners = nil
		return tx.Query(`SELECT DISTINCT owner FROM owed_notice`, nil, func(scan func(dest ...any) error) error {
			var owner string
			err := scan(&owner)
			owners = append(owners, owner)
			return err
		})
	})
	for _, owner := range owners {
		s.settle(ctx, owner)
	}
	return err
}
