package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/planted"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// collect works through the mailbox. What is handled, or held here to be tried
// again, is acknowledged with the next call, and only then deleted.
func (s *Server) collect(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.receive(ctx, pollWait); err != nil {
			if ctx.Err() == nil {
				s.Log.Warn("the mailbox cannot be worked through; trying again", "cause", err)
			}
			pause(ctx, retryPause)
		}
	}
}

// receive handles what is in the mailbox, or comes within the given time.
func (s *Server) receive(ctx context.Context, wait time.Duration) error {
	res, err := s.Mailbox.Receive(ctx, &waypostv1.ReceiveRequest{Acknowledge: s.handled, Max: batchSize, WaitMs: uint32(wait / time.Millisecond)})
	if err != nil {
		return err
	}
	s.handled = 0 // what was acknowledged is gone
	if len(res.Mail) == 0 {
		return nil
	}
	sealed := make([][]byte, len(res.Mail))
	for i, mail := range res.Mail {
		sealed[i] = mail.Sealed
	}
	if planted.Bug("ack-before-commit") {
		_, _ = s.Mailbox.Receive(ctx, &waypostv1.ReceiveRequest{Acknowledge: res.Mail[len(res.Mail)-1].Sequence})
	}
	if err := s.hold(ctx, sealed, s.handleAll(ctx, sealed)); err != nil {
		return fmt.Errorf("messages can be neither handled nor stored, and stay in the mailbox: %w", err)
	}
	s.handled = res.Mail[len(res.Mail)-1].Sequence
	return nil
}

// holdFor is how long a message waits between two tries.
const holdFor = 15 * time.Second

// hold keeps what could not be handled yet, so that one message does not stop
// all that come after it.
func (s *Server) hold(ctx context.Context, sealed [][]byte, handled []bool) error {
	if !slices.Contains(handled, false) {
		return nil
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		for i, raw := range sealed {
			if handled[i] || planted.Bug("message-not-held") {
				continue
			}
			env, err := seal.PeekEnvelope(raw)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(`INSERT INTO held (id, sealed, due) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`,
				env.ID[:], raw, s.Now().Unix()); err != nil {
				return err
			}
		}
		return nil
	})
}

// retryHeld tries again what was held, longest wait first.
func (s *Server) retryHeld(ctx context.Context) error {
	var ids, sealed [][]byte
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		ids, sealed = nil, nil
		return tx.Query(`SELECT id, sealed FROM held WHERE due <= $1 ORDER BY due LIMIT $2`, []any{s.Now().Unix(), batchSize},
			func(scan func(dest ...any) error) error {
				var id, raw []byte
				err := scan(&id, &raw)
				ids, sealed = append(ids, id), append(sealed, raw)
				return err
			})
	})
	if err != nil || len(ids) == 0 {
		return err
	}
	handled := s.handleAll(ctx, sealed)
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		for i, id := range ids {
			if handled[i] {
				_, err = tx.Exec(`DELETE FROM held WHERE id = $1`, id)
			} else {
				_, err = tx.Exec(`UPDATE held SET due = $1 WHERE id = $2`, s.Now().Add(holdFor).Unix(), id)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// handleAll handles a batch, and reports which messages are done with: the
// hub's notices first, because questions rest on them, then everything else
// side by side. The commits share disk syncs.
func (s *Server) handleAll(ctx context.Context, sealed [][]byte) []bool {
	done := make([]bool, len(sealed))
	opened := make([]*seal.Message, len(sealed))
	s.sideBySide(len(sealed), batchSize, func(i int) { opened[i], done[i] = s.unseal(ctx, sealed[i]) })
	for _, notices := range []bool{true, false} {
		s.sideBySide(len(opened), batchSize, func(i int) {
			if m := opened[i]; m != nil && (m.Type == waypost.MessageNotice) == notices {
				done[i] = s.handle(ctx, *m)
			}
		})
		if notices && unnoticed(opened, done) {
			break // a question of this batch may rest on it: all are tried again
		}
	}
	return done
}

// unnoticed reports whether a notice of the batch could not be handled yet.
func unnoticed(opened []*seal.Message, done []bool) bool {
	for i, m := range opened {
		if m != nil && m.Type == waypost.MessageNotice && !done[i] {
			return true
		}
	}
	return false
}

// unseal opens a message. If it cannot be opened, drop tells whether that is so
// for ever: a roster that is not known here yet may come.
func (s *Server) unseal(ctx context.Context, raw []byte) (m *seal.Message, drop bool) {
	opened, err := seal.Open(raw, s.Keyring, s.Roster.SenderKey, s.Now())
	if err == nil {
		return &opened, false
	}
	drop = !tryAgain(err)
	if ctx.Err() == nil {
		s.Log.Warn("a message cannot be opened", "code", waypost.CodeOf(err), "again", !drop, "cause", err)
	}
	return nil, drop
}

// handle reports whether the message is done with. Only a fault of our own, or
// a party that cannot be reached, keeps it.
func (s *Server) handle(ctx context.Context, m seal.Message) bool {
	handlers := map[string]func(context.Context, seal.Message) error{
		waypost.MessageNotice:       s.onNotice,
		waypost.MessageFirstLeg:     s.onFirstLeg,
		waypost.MessageFirstAnswer:  s.onFirstAnswer,
		waypost.MessageSecondLeg:    s.onSecondLeg,
		waypost.MessageSecondAnswer: s.onSecondAnswer,
		waypost.MessageRequest:      s.rooms.errands.OnRequest,
		waypost.MessageReply:        s.rooms.errands.OnReply,
		waypost.MessageMoved:        s.rooms.moves.OnMoved,
	}
	on, known := handlers[m.Type]
	if !known {
		s.Log.Warn("a message of an unknown type is dropped", "sender", m.Sender)
		return true
	}
	err := on(ctx, m)
	if err == nil {
		return true
	}
	again := tryAgain(err)
	if ctx.Err() == nil {
		s.Log.Warn("a message was not handled", "type", m.Type, "sender", m.Sender, "ticket", waypost.TicketID(m.Ticket),
			"code", waypost.CodeOf(err), "again", again, "cause", errors.Join(err, errors.Unwrap(err)))
	}
	return !again
}

// tryAgain reports whether an error is a fault of our own or of the moment.
func tryAgain(err error) bool {
	code := waypost.CodeOf(err)
	return code == waypost.Internal || code == waypost.Unavailable
}

func malformed(m seal.Message) error {
	return waypost.Errorf(waypost.InvalidArgument, "the %s of %s is not well formed", m.Type, m.Sender)
}

// once commits the effects of a message unless they are committed already. If
// effects says that something changed, the answers go into the outbox in the
// same transaction, and out.
func (s *Server) once(ctx context.Context, m seal.Message, effects func(tx *store.Tx) (changed bool, err error), answers ...letter) error {
	changed := false
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`INSERT INTO inbox (id, at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, m.ID[:], s.Now().Unix())
		if err != nil || n == 0 {
			return err
		}
		if changed, err = effects(tx); err != nil || !changed {
			return err
		}
		for _, l := range answers {
			if err := s.post(tx, l); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && changed {
		s.dispatch(answers...)
	}
	return err
}

// one reports whether a statement changed exactly what it was meant to.
func one(n int64, err error) (bool, error) { return n == 1, err }
