package hub

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// Limits of the post.
const (
	maxSend    = 64      // messages in one Send
	maxReceive = 64      // messages in one Receive
	maxBytes   = 1 << 20 // of sealed messages in one Receive
	maxWaiting = 200_000 // messages in one box
	maxWait    = 25 * time.Second
)

// mail is one sealed message on its way into a box.
type mail struct {
	recipient string
	id        [16]byte
	sealed    []byte
	expires   time.Time
}

// Send puts sealed messages into the boxes of members. The hub reads only the
// envelope: recipient, message id, suite and expiry.
func (s *Server) Send(ctx context.Context, req *waypostv1.SendRequest) (*waypostv1.SendResponse, error) {
	if len(req.Sealed) == 0 || len(req.Sealed) > maxSend {
		return nil, waypost.Errorf(waypost.InvalidArgument, "between 1 and %d messages can be sent at once", maxSend)
	}
	deliveries := make([]*waypostv1.Delivery, len(req.Sealed))
	accepted := make([]mail, 0, len(req.Sealed))
	for i, sealed := range req.Sealed {
		deliveries[i] = &waypostv1.Delivery{}
		m, err := s.address(sealed)
		if err != nil {
			deliveries[i].Refused, deliveries[i].Code = err.Error(), string(waypost.CodeOf(err))
			continue
		}
		accepted = append(accepted, m)
	}
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		for _, m := range accepted {
			if err := putMail(tx, m); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, m := range accepted {
		s.bell.ring(m.recipient)
	}
	return &waypostv1.SendResponse{Deliveries: deliveries}, nil
}

// address reads the envelope and judges whether the message can be delivered.
func (s *Server) address(sealed []byte) (mail, error) {
	env, err := seal.PeekEnvelope(sealed)
	if err != nil {
		return mail{}, err
	}
	member, ok := s.Roster.Member(env.Recipient)
	if !ok || member.Role != roster.Gateway {
		return mail{}, waypost.Errorf(waypost.NotFound, "%q has no mailbox here", env.Recipient)
	}
	if now := s.Now(); !now.Before(env.Expiry) || env.Expiry.Sub(now) > waypost.MessageLife+time.Hour {
		return mail{}, waypost.Errorf(waypost.Expired, "the message's expiry is past or too far away")
	}
	return mail{recipient: env.Recipient, id: env.ID, sealed: sealed, expires: env.Expiry}, nil
}

// putMail gives the message the next number of its box. The same message id
// twice changes nothing while the first is still there; afterwards the
// recipient's inbox of message ids catches it.
func putMail(tx *store.Tx, m mail) error {
	var known int64
	err := tx.Row(`SELECT sequence FROM mailbox WHERE recipient = $1 AND id = $2`, m.recipient, m.id[:]).Scan(&known)
	if !errors.Is(err, store.ErrNoRows) {
		return err
	}
	var sequence, waiting int64
	err = tx.Row(`INSERT INTO box (recipient, last, waiting) VALUES ($1, 1, 1)
		ON CONFLICT (recipient) DO UPDATE SET last = box.last + 1, waiting = box.waiting + 1 RETURNING last, waiting`,
		m.recipient).Scan(&sequence, &waiting)
	if err != nil {
		return err
	}
	if waiting > maxWaiting {
		return waypost.Errorf(waypost.Unavailable, "the mailbox of %s is full: it has not been emptied for long", m.recipient)
	}
	_, err = tx.Exec(`INSERT INTO mailbox (recipient, sequence, id, sealed, expires) VALUES ($1, $2, $3, $4, $5)`,
		m.recipient, sequence, m.id[:], m.sealed, m.expires.Unix())
	return err
}

// Receive deletes what the caller acknowledges and returns what is in its box,
// waiting a while if there is nothing. A member reads its own box only.
func (s *Server) Receive(ctx context.Context, req *waypostv1.ReceiveRequest) (*waypostv1.ReceiveResponse, error) {
	me := rpc.Peer(ctx).Name
	if req.Acknowledge > 0 {
		if err := s.acknowledge(ctx, me, req.Acknowledge); err != nil {
			return nil, err
		}
	}
	wait := min(time.Duration(req.WaitMs)*time.Millisecond, maxWait)
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		rung := s.bell.listen(me) // before looking, so that nothing falls between
		list, err := s.inbox(ctx, me, req.Acknowledge, int(min(max(req.Max, 1), maxReceive)))
		if err != nil || len(list) > 0 {
			return &waypostv1.ReceiveResponse{Mail: list}, err
		}
		select {
		case <-rung:
		case <-timeout.C:
			return &waypostv1.ReceiveResponse{}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *Server) acknowledge(ctx context.Context, recipient string, through uint64) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM mailbox WHERE recipient = $1 AND sequence <= $2`, recipient, through)
		if err != nil || n == 0 {
			return err
		}
		_, err = tx.Exec(`UPDATE box SET waiting = waiting - $1 WHERE recipient = $2`, n, recipient)
		return err
	})
}

func (s *Server) inbox(ctx context.Context, recipient string, after uint64, limit int) ([]*waypostv1.Mail, error) {
	var list []*waypostv1.Mail
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		size := 0
		return tx.Query(`SELECT sequence, sealed FROM mailbox WHERE recipient = $1 AND sequence > $2 ORDER BY sequence LIMIT $3`,
			[]any{recipient, after, limit}, func(scan func(dest ...any) error) error {
				m := &waypostv1.Mail{}
				if err := scan(&m.Sequence, &m.Sealed); err != nil {
					return err
				}
				if size += len(m.Sealed); size <= maxBytes || len(list) == 0 {
					list = append(list, m)
				}
				return nil
			})
	})
	return list, err
}

func expireMail(tx *store.Tx, now time.Time) error {
	_, err := tx.Exec(`DELETE FROM mailbox WHERE expires < $1`, now.Unix())
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE box SET waiting = (SELECT count(*) FROM mailbox WHERE mailbox.recipient = box.recipient)`)
	return err
}

// bell wakes those who wait for mail. A ring is a hint: who wakes looks into
// the box.
type bell struct {
	mu      sync.Mutex
	waiting map[string]chan struct{}
}

func newBell() *bell { return &bell{waiting: make(map[string]chan struct{})} }

func (b *bell) listen(recipient string) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, ok := b.waiting[recipient]
	if !ok {
		c = make(chan struct{})
		b.waiting[recipient] = c
	}
	return c
}

func (b *bell) ring(recipient string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c, ok := b.waiting[recipient]; ok {
		close(c)
		delete(b.waiting, recipient)
	}
}
