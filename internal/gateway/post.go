package gateway

import (
	"context"
	"math"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/planted"
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

	announceEvery = time.Hour // in case the hub has lost our key
)

// cachedKey is a recipient's encryption key, as announced at the hub.
type cachedKey struct {
	key *seal.PublicKey
	at  time.Time
}

// seal signs a message and seals it to the recipient's announced key. Where
// there is none that can be used now it is Unavailable: a key comes, and then
// the message can be sealed.
func (s *Server) seal(ctx context.Context, recipient, messageType string, ticket waypost.TicketID, body []byte) (letter, error) {
	return s.sealAs(ctx, recipient, messageType, ticket, seal.Size4K, body)
}

// sealAs is seal for a message that is padded to a size of its kind.
func (s *Server) sealAs(ctx context.Context, recipient, messageType string, ticket waypost.TicketID, least seal.SizeClass, body []byte) (letter, error) {
	m := seal.Message{
		Sender: s.name, Recipient: recipient, Type: messageType, Ticket: ticket,
		RosterVersion: s.Roster.Settled().Version, Expiry: s.Now().Add(waypost.MessageLife), Body: body, MinSize: least,
	}
	randomise(m.ID[:])
	sealed, err := s.sealTo(ctx, m)
	if waypost.CodeOf(err) == waypost.KeyRetired { // the one kept here is: fetch the current one
		s.recipients.Delete(recipient)
		sealed, err = s.sealTo(ctx, m)
	}
	return letter{id: m.ID, sealed: sealed}, err
}

func (s *Server) sealTo(ctx context.Context, m seal.Message) ([]byte, error) {
	key, err := s.keyOf(ctx, m.Recipient)
	if err != nil {
		return nil, waypost.Errorf(waypost.Unavailable, "the encryption key of %s cannot be had", m.Recipient).WithCause(err)
	}
	return seal.Seal(m, s.Identity, key)
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
	now := s.Now()
	if known, ok := s.recipients.Load(name); ok && now.Sub(known.(cachedKey).at) < keyLifetime {
		return known.(cachedKey).key, nil
	}
	member, ok := s.Roster.Member(name)
	if !ok {
		return nil, waypost.Errorf(waypost.NotFound, "%s is not a member", name)
	}
	ctx, cancel := context.WithTimeout(ctx, searchWait)
	defer cancel()
	res, err := s.Mailbox.GetKey(ctx, &waypostv1.GetKeyRequest{Member: name})
	if err != nil {
		return nil, err
	}
	key, err := seal.DecodePublicKey(res.Key, name, member.Identity, now)
	if err != nil {
		return nil, err
	}
	s.recipients.Store(name, cachedKey{key, now})
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

// deliver sends what is dispatched, several letters to a call, and whatever an
// earlier process or a failed call has left in the outbox.
func (s *Server) deliver(ctx context.Context) {
	var sending sync.WaitGroup
	defer sending.Wait()
	free := make(chan struct{}, senders)
	sweep := time.NewTicker(3 * time.Second)
	defer sweep.Stop()
	s.logSweep(ctx, s.sweepOutbox(ctx, math.MaxInt64))
	for {
		var first letter
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			s.logSweep(ctx, s.sweepStuck(ctx))
			continue
		case first = <-s.outgoing:
		}
		free <- struct{}{}
		batch := s.batch(first)
		sending.Go(func() {
			defer func() { <-free }()
			s.send(ctx, batch)
		})
	}
}

// batch adds to the letters whatever else waits to be sent in the same call.
func (s *Server) batch(letters ...letter) []letter {
	for len(letters) < batchSize {
		select {
		case l := <-s.outgoing:
			letters = append(letters, l)
			continue
		default:
		}
		break
	}
	return letters
}

// sweepStuck sends what was dispatched long ago and is still in the outbox.
func (s *Server) sweepStuck(ctx context.Context) error {
	return s.sweepOutbox(ctx, s.Now().Add(-retryPause).Unix())
}

func (s *Server) logSweep(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		s.Log.Warn("the outbox could not be read; it will be tried again", "cause", err)
	}
}

// sweepOutbox sends what was put into the outbox before the given Unix time.
func (s *Server) sweepOutbox(ctx context.Context, limit int64) error {
	var after struct { // what is sent is deleted a little later
		at int64
		id [16]byte
	}
	for ctx.Err() == nil && !planted.Bug("outbox-not-swept") {
		var batch []letter
		from := after
		err := s.DB.Read(ctx, func(tx *store.Tx) error {
			batch = nil
			return tx.Query(`SELECT id, sealed, at FROM outbox WHERE at < $1 AND (at > $2 OR at = $2 AND id > $3) ORDER BY at, id LIMIT $4`,
				[]any{limit, from.at, from.id[:], batchSize}, func(scan func(dest ...any) error) error {
					var l letter
					err := scan(&l.id, &l.sealed, &after.at)
					after.id, batch = l.id, append(batch, l)
					return err
				})
		})
		if err != nil || len(batch) == 0 || !s.send(ctx, batch) || len(batch) < batchSize {
			return err
		}
	}
	return nil
}

// send delivers a batch and takes what the hub has accepted, or will never
// accept, out of the outbox, soon. What fails stays there. It reports whether the
// hub is done with all of the batch.
func (s *Server) send(ctx context.Context, batch []letter) bool {
	req := &waypostv1.SendRequest{}
	for _, l := range batch {
		req.Sealed = append(req.Sealed, l.sealed)
	}
	res, err := s.Mailbox.Send(ctx, req)
	if err != nil || len(res.Deliveries) != len(batch) {
		if ctx.Err() == nil {
			s.Log.Warn("the hub took no messages; they stay in the outbox", "messages", len(batch), "cause", err)
		}
		return false
	}
	var done []letter
	for i, d := range res.Deliveries {
		if d.Refused != "" {
			s.Log.Error("the hub refused a message", "code", d.Code)
			if d.Code == string(waypost.Unavailable) {
				continue
			}
		}
		done = append(done, batch[i])
	}
	// What a crash keeps from being deleted is sent again, which changes nothing.
	s.DB.Later(func(tx *store.Tx) error {
		for _, l := range done {
			if _, err := tx.Exec(`DELETE FROM outbox WHERE id = $1`, l.id[:]); err != nil {
				return err
			}
		}
		return nil
	})
	return len(done) == len(batch)
}

// keepKeys announces the encryption key, and renews it before it is retired. A
// new key is stored before anybody hears of it.
func (s *Server) keepKeys(ctx context.Context) {
	for {
		wait := time.Minute
		if err := s.careForKeys(ctx); err != nil {
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

// keyCare is what is remembered of the own key from one step to the next.
type keyCare struct {
	unsaved   bool
	announced time.Time // when the hub last took it; zero for a new one
}

func (s *Server) careForKeys(ctx context.Context) error {
	care := &s.care
	changed, err := s.Keyring.Rotate(s.Identity, s.Now())
	if changed {
		care.unsaved, care.announced = true, time.Time{}
	}
	if err == nil && care.unsaved {
		err = s.SaveKeyring(s.Keyring)
		care.unsaved = err != nil
	}
	if err == nil && s.Now().Sub(care.announced) > announceEvery {
		if _, err = s.Mailbox.PutKey(ctx, &waypostv1.PutKeyRequest{Key: s.Keyring.Current().Encode()}); err == nil {
			care.announced = s.Now()
		}
	}
	return err
}
