package hub

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/quota"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// Limits of the post.
const (
	maxSend    = 64       // messages in one Send
	maxReceive = 64       // messages in one Receive
	readAtOnce = 256      // deleted at once of those that were read: more than one Receive, or they would pile up
	maxBytes   = 1 << 20  // of sealed messages in one Receive
	boxLimit   = 16 << 30 // of sealed messages in one box: more than two weeks' worth of the largest state
	noLimit    = 0        // for the hub's own notices, which quotas bound
	maxWait    = 25 * time.Second
)

// mail is one sealed message on its way into a box.
type mail struct {
	recipient string
	id        [16]byte
	sealed    []byte
	expires   time.Time
	delivery  *waypostv1.Delivery // of one that came by Send
	sequence  uint64              // its number in the box, once it is there; 0 where it lay there before
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
			refuse(deliveries[i], err)
			continue
		}
		m.delivery = deliveries[i]
		accepted = append(accepted, m)
	}
	if err := s.post(ctx, rpc.Peer(ctx).Name, accepted); err != nil {
		return nil, err
	}
	for _, m := range accepted {
		s.boxes.put(m)
	}
	return &waypostv1.SendResponse{Deliveries: deliveries}, nil
}

// post puts mail into boxes. One that is full refuses its own messages and no
// others, so that a state which is down does not stop the post of the rest.
func (s *Server) post(ctx context.Context, sender string, letters []mail) error {
	size := 0
	for _, m := range letters {
		size += len(m.sealed)
	}
	if size == 0 {
		return nil
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := quota.ChargeMail(tx, sender, size, s.Now()); err != nil {
			return err
		}
		for i := range letters {
			m := &letters[i]
			err := putMail(tx, m, s.boxLimit)
			if errors.Is(err, errFull) {
				refuse(m.delivery, waypost.Errorf(waypost.Unavailable, "the mailbox of %s is full: it has not been emptied for long", m.recipient))
			} else if err != nil {
				return err
			}
		}
		return nil
	})
}

func refuse(d *waypostv1.Delivery, err error) {
	d.Refused, d.Code = err.Error(), string(waypost.CodeOf(err))
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

var errFull = errors.New("the mailbox is full")

// putMail gives the message the next number of its box, or returns errFull and
// changes nothing where the box would hold more than limit bytes. The same
// message id twice changes nothing while the first is still there; afterwards
// the recipient's inbox of message ids catches it.
func putMail(tx *store.Tx, m *mail, limit int64) error {
	var known bool
	var held int64
	m.sequence = 0
	err := tx.Row(`SELECT EXISTS (SELECT 1 FROM mailbox WHERE recipient = $1 AND id = $2), COALESCE((SELECT bytes FROM box WHERE recipient = $1), 0)`,
		m.recipient, m.id[:]).Scan(&known, &held)
	if err != nil || known {
		return err
	}
	if size := int64(len(m.sealed)); limit != noLimit && held+size > limit {
		return errFull
	}
	err = tx.Row(`INSERT INTO box (recipient, last, bytes) VALUES ($1, 1, $2)
		ON CONFLICT (recipient) DO UPDATE SET last = box.last + 1, bytes = box.bytes + excluded.bytes RETURNING last`,
		m.recipient, len(m.sealed)).Scan(&m.sequence)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO mailbox (recipient, sequence, id, sealed, expires) VALUES ($1, $2, $3, $4, $5)`,
		m.recipient, m.sequence, m.id[:], m.sealed, m.expires.Unix())
	return err
}

// deleteMail deletes the messages that which selects, by recipient and sequence,
// and returns their number.
func deleteMail(tx *store.Tx, which string, args ...any) (n int64, err error) {
	freed := make(map[string]int64)
	err = tx.Query(`DELETE FROM mailbox WHERE (recipient, sequence) IN (`+which+`) RETURNING recipient, length(sealed)`, args,
		func(scan func(dest ...any) error) error {
			var recipient string
			var size int64
			err := scan(&recipient, &size)
			freed[recipient] += size
			n++
			return err
		})
	for recipient, size := range freed {
		if err == nil {
			_, err = tx.Exec(`UPDATE box SET bytes = bytes - $1 WHERE recipient = $2`, size, recipient)
		}
	}
	return n, err
}

// deleteAfter is how many messages a member is done with before they are deleted
// together, unless it falls silent before. What a crash keeps from being deleted
// is delivered again, which the recipient's inbox of message ids catches.
const deleteAfter = 16

// Receive notes what the caller acknowledges, to be deleted, and returns what is in
// its box, waiting a while if there is nothing. A member reads its own box only.
func (s *Server) Receive(ctx context.Context, req *waypostv1.ReceiveRequest) (*waypostv1.ReceiveResponse, error) {
	me := rpc.Peer(ctx).Name
	if req.Acknowledge > math.MaxInt64 {
		return nil, waypost.Errorf(waypost.InvalidArgument, "no message has the number that is acknowledged")
	}
	if err := s.acknowledge(ctx, me, req.Acknowledge); err != nil {
		return nil, err
	}
	wait := min(time.Duration(req.WaitMs)*time.Millisecond, maxWait)
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		rung := s.boxes.listen(me) // before looking, so that nothing falls between
		list, err := s.waiting(ctx, me, int(min(max(req.Max, 1), maxReceive)))
		if err != nil || len(list) > 0 {
			return &waypostv1.ReceiveResponse{Mail: list}, err
		}
		select {
		case <-rung:
		case <-timeout.C:
			s.deleteRead(me, 1)
			return &waypostv1.ReceiveResponse{}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// acknowledge notes what a member is done with. It is cut to what is in the box
// now: nothing may be deleted that comes before the deletion is made.
func (s *Server) acknowledge(ctx context.Context, member string, through uint64) error {
	if through == 0 {
		return nil
	}
	if !s.boxes.given(member, through) {
		var last uint64
		err := s.DB.Read(ctx, func(tx *store.Tx) (err error) {
			last, err = lastOf(tx, member)
			return err
		})
		if err != nil {
			return err
		}
		through = min(through, last)
	}
	s.boxes.acknowledge(member, through)
	s.deleteRead(member, deleteAfter)
	return nil
}

// deleteRead deletes what a member is done with, soon, where there is so much of it.
func (s *Server) deleteRead(member string, atLeast uint64) {
	if !s.boxes.begin(member, atLeast) {
		return
	}
	var through uint64
	whole := false
	s.DB.LaterThen(func(tx *store.Tx) (err error) {
		through = s.boxes.done(member)
		whole, err = deleteThrough(tx, member, through)
		return err
	}, func(err error) { s.boxes.finish(member, through, err == nil && whole) })
}

// deleteThrough deletes a member's mail up to a number, and reports whether that
// was all of it: whatever is beyond the limit goes with a later call.
func deleteThrough(tx *store.Tx, recipient string, through uint64) (whole bool, err error) {
	if _, err := tx.Exec(`DELETE FROM unread WHERE recipient = $1 AND id IN (SELECT id FROM mailbox WHERE recipient = $1 AND sequence <= $2)`, recipient, through); err != nil {
		return false, err
	}
	n, err := deleteMail(tx, `SELECT recipient, sequence FROM mailbox WHERE recipient = $1 AND sequence <= $2 LIMIT $3`, recipient, through, readAtOnce)
	return n < readAtOnce, err
}

// lastOf is the last number that was given out in a box, 0 where there is none.
func lastOf(tx *store.Tx, recipient string) (last uint64, err error) {
	err = tx.Row(`SELECT last FROM box WHERE recipient = $1`, recipient).Scan(&last)
	if errors.Is(err, store.ErrNoRows) {
		err = nil
	}
	return last, err
}

// waiting returns what one answer takes of a member's mail.
func (s *Server) waiting(ctx context.Context, member string, limit int) ([]*waypostv1.Mail, error) {
	list, known, after := s.boxes.waiting(member, limit)
	if known {
		return list, nil
	}
	var last uint64
	all := false
	err := s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		if last, err = lastOf(tx, member); err == nil {
			list, all, err = readMail(tx, member, after, limit)
		}
		return err
	})
	if err != nil {
		s.boxes.ring(member)
		return nil, err
	}
	s.boxes.found(member, list, last, all)
	return list, nil
}

// readMail reads a box above a number as far as one answer takes it, and reports
// whether that is all.
func readMail(tx *store.Tx, recipient string, after uint64, limit int) (list []*waypostv1.Mail, all bool, err error) {
	enough := errors.New("enough")
	size := 0
	err = tx.Query(`SELECT sequence, sealed FROM mailbox WHERE recipient = $1 AND sequence > $2 ORDER BY sequence LIMIT $3`,
		[]any{recipient, after, limit}, func(scan func(dest ...any) error) error {
			m := &waypostv1.Mail{}
			if err := scan(&m.Sequence, &m.Sealed); err != nil {
				return err
			}
			if size += len(m.Sealed); size > maxBytes && len(list) > 0 {
				return enough
			}
			list = append(list, m)
			return nil
		})
	if errors.Is(err, enough) {
		return list, false, nil
	}
	return list, len(list) < limit, err
}
