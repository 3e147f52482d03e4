package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// letter is a sealed message on its way into the outbox.
type letter struct {
	id     [16]byte
	sealed []byte
}

const (
	batchSize   = 64
	senders     = 2                // Send calls under way at once
	pollWait    = 20 * time.Second // of one long poll
	retryPause  = time.Second
	keyLifetime = time.Hour // before a recipient's key is asked for again
)

// cachedKey is a recipient's encryption key, as announced at the hub.
type cachedKey struct {
	key *seal.PublicKey
	at  time.Time
}

// seal signs a message and seals it to the recipient's announced key.
func (s *Server) seal(ctx context.Context, recipient, messageType string, ticket waypost.TicketID, body []byte) (letter, error) {
	key, err := s.keyOf(ctx, recipient)
	if err != nil {
		return letter{}, err
	}
	m := seal.Message{
		Sender: s.name, Recipient: recipient, Type: messageType, Ticket: ticket,
		RosterVersion: s.Roster.Current().Version, Expiry: s.Now().Add(waypost.MessageLife), Body: body,
	}
	randomise(m.ID[:])
	sealed, err := seal.Seal(m, s.Identity, key)
	return letter{id: m.ID, sealed: sealed}, err
}

// reply seals an answer to the sender of m.
func (s *Server) reply(ctx context.Context, m seal.Message, messageType string, answer proto.Message) (letter, error) {
	body, err := proto.Marshal(answer)
	if err != nil {
		return letter{}, err
	}
	return s.seal(ctx, m.Sender, messageType, m.Ticket, body)
}

// keyOf returns a member's key from the hub's directory, verified against the
// member's identity key in the roster: the hub cannot substitute one.
func (s *Server) keyOf(ctx context.Context, name string) (*seal.PublicKey, error) {
	if known, ok := s.recipients.Load(name); ok && time.Since(known.(cachedKey).at) < keyLifetime {
		return known.(cachedKey).key, nil
	}
	member, ok := s.Roster.Member(name)
	if !ok {
		return nil, waypost.Errorf(waypost.NotFound, "%s is not a member", name)
	}
	res, err := s.Mailbox.GetKey(ctx, &waypostv1.GetKeyRequest{Member: name})
	if err != nil {
		return nil, err
	}
	key, err := seal.DecodePublicKey(res.Key, name, member.Identity, s.Now())
	if err != nil {
		return nil, err
	}
	s.recipients.Store(name, cachedKey{key, time.Now()})
	return key, nil
}

// post puts a letter into the outbox, in the transaction of the state change
// that it announces.
func (s *Server) post(tx *store.Tx, l letter) error {
	_, err := tx.Exec(`INSERT INTO outbox (id, sealed, at) VALUES ($1, $2, $3)`, l.id[:], l.sealed, s.Now().Unix())
	return err
}

// dispatch hands committed letters to the deliverer.
func (s *Server) dispatch(letters ...letter) {
	for _, l := range letters {
		select {
		case s.outgoing <- l:
		default: // full: the outbox has it, and is looked through regularly
		}
	}
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

// deliver sends what is dispatched, several letters to a call, and whatever an
// earlier process or a failed call has left in the outbox.
func (s *Server) deliver(ctx context.Context) {
	var sending sync.WaitGroup
	defer sending.Wait()
	free := make(chan struct{}, senders)
	sweep := time.NewTicker(3 * time.Second)
	defer sweep.Stop()
	s.sweepOutbox(ctx, time.Time{})
	for {
		var batch []letter
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			// What is older than the pause was dispatched long ago and is stuck.
			s.sweepOutbox(ctx, s.Now().Add(-retryPause))
			continue
		case l := <-s.outgoing:
			batch = append(batch, l)
		}
		free <- struct{}{}
		for len(batch) < batchSize {
			select {
			case l := <-s.outgoing:
				batch = append(batch, l)
				continue
			default:
			}
			break
		}
		sending.Go(func() {
			defer func() { <-free }()
			s.send(ctx, batch)
		})
	}
}

// sweepOutbox sends what was put into the outbox before the given time, or all.
func (s *Server) sweepOutbox(ctx context.Context, before time.Time) {
	var batch []letter
	limit := int64(1 << 62)
	if !before.IsZero() {
		limit = before.Unix()
	}
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		batch = nil
		return tx.Query(`SELECT id, sealed FROM outbox WHERE at < $1 ORDER BY at LIMIT $2`, []any{limit, batchSize},
			func(scan func(dest ...any) error) error {
				var l letter
				err := scan(&l.id, &l.sealed)
				batch = append(batch, l)
				return err
			})
	})
	if err == nil && len(batch) > 0 {
		s.send(ctx, batch)
	}
}

// send delivers a batch and takes what the hub has accepted, or will never
// accept, out of the outbox. What fails stays there.
func (s *Server) send(ctx context.Context, batch []letter) {
	req := &waypostv1.SendRequest{}
	for _, l := range batch {
		req.Sealed = append(req.Sealed, l.sealed)
	}
	res, err := s.Mailbox.Send(ctx, req)
	if err != nil || len(res.Deliveries) != len(batch) {
		if ctx.Err() == nil {
			s.Log.Warn("the hub took no messages; they stay in the outbox", "messages", len(batch), "cause", err)
		}
		return
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		for i, d := range res.Deliveries {
			if d.Refused != "" {
				s.Log.Error("the hub refused a message", "code", d.Code)
				if d.Code == string(waypost.Unavailable) {
					continue
				}
			}
			if _, err := tx.Exec(`DELETE FROM outbox WHERE id = $1`, batch[i].id[:]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		s.Log.Warn("the outbox could not be cleared; messages will be sent twice, which changes nothing", "cause", err)
	}
}

// collect works through the mailbox: what is handled is acknowledged with the
// next call, and only then deleted.
func (s *Server) collect(ctx context.Context) {
	var done uint64
	for ctx.Err() == nil {
		res, err := s.Mailbox.Receive(ctx, &waypostv1.ReceiveRequest{Acknowledge: done, Max: batchSize, WaitMs: uint32(pollWait / time.Millisecond)})
		if err != nil {
			if ctx.Err() == nil {
				s.Log.Warn("the mailbox cannot be read; trying again", "cause", err)
			}
			pause(ctx, retryPause)
			continue
		}
		handled := s.handleAll(ctx, res.Mail)
		for i, ok := range handled {
			if !ok {
				pause(ctx, retryPause)
				break // from here on again
			}
			done = res.Mail[i].Sequence
		}
	}
}

// handleAll handles a batch: the hub's notices first, because questions rest on
// them, then everything else side by side. The commits share disk syncs.
func (s *Server) handleAll(ctx context.Context, batch []*waypostv1.Mail) []bool {
	ok := make([]bool, len(batch))
	opened := make([]*seal.Message, len(batch))
	var opening sync.WaitGroup
	for i, mail := range batch {
		opening.Go(func() {
			m, err := seal.Open(mail.Sealed, s.Keyring, s.Roster.SenderKey, s.Now())
			if err != nil {
				// Nothing can be done with it, now or later; it must not block the box.
				s.Log.Warn("a message cannot be opened and is dropped", "code", waypost.CodeOf(err), "cause", err)
				ok[i] = true
				return
			}
			opened[i] = &m
		})
	}
	opening.Wait()
	for _, notices := range []bool{true, false} {
		var handling sync.WaitGroup
		for i, m := range opened {
			if m != nil && (m.Type == waypost.MessageNotice) == notices {
				handling.Go(func() { ok[i] = s.handle(ctx, *m) })
			}
		}
		handling.Wait()
	}
	return ok
}

// handle reports whether the message is done with. Only a fault of our own, or
// a party that cannot be reached, keeps it in the box.
func (s *Server) handle(ctx context.Context, m seal.Message) bool {
	handlers := map[string]func(context.Context, seal.Message) error{
		waypost.MessageNotice:       s.onNotice,
		waypost.MessageFirstLeg:     s.onFirstLeg,
		waypost.MessageFirstAnswer:  s.onFirstAnswer,
		waypost.MessageSecondLeg:    s.onSecondLeg,
		waypost.MessageSecondAnswer: s.onSecondAnswer,
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
	code := waypost.CodeOf(err)
	again := code == waypost.Internal || code == waypost.Unavailable
	if ctx.Err() == nil {
		s.Log.Warn("a message was not handled", "type", m.Type, "sender", m.Sender, "code", code, "again", again, "cause", errors.Unwrap(err))
	}
	return !again
}

func malformed(m seal.Message) error {
	return waypost.Errorf(waypost.InvalidArgument, "the %s of %s is not well formed", m.Type, m.Sender)
}

// keepKeys announces the encryption key, and renews it before it is retired.
func (s *Server) keepKeys(ctx context.Context) {
	for announced := false; ; {
		changed, err := s.Keyring.Rotate(s.Identity, s.Now())
		if err == nil && changed {
			err = s.SaveKeyring(s.Keyring)
		}
		if err == nil && (changed || !announced) {
			_, err = s.Mailbox.PutKey(ctx, &waypostv1.PutKeyRequest{Key: s.Keyring.Current().Encode()})
			announced = err == nil
		}
		wait := time.Minute
		if err != nil {
			if ctx.Err() == nil {
				s.Log.Warn("the encryption key could not be announced; trying again", "cause", err)
			}
			wait = retryPause
		}
		if !pause(ctx, wait) {
			return
		}
	}
}
