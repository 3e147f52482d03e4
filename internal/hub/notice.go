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
// question does. An owner without a valid encryption key is owed what the hub has
// to say: a state's own trouble never fails another state's check, or move. Since
// nobody can seal a question to it either, it is enough that the notices are in
// its box, in their order, before its key can be had.

// word is what the hub says to one member, on its way into a transaction.
type word struct {
	recipient string
	kind      string // of message
	ticket    waypost.TicketID
	body      []byte
	expires   time.Time
	letter    *mail // nil where it is owed
}

// word seals what is to be said, unless the recipient has no valid key.
func (s *Server) word(ctx context.Context, recipient, kind string, ticket waypost.TicketID, body []byte) (word, error) {
	w := word{recipient: recipient, kind: kind, ticket: ticket, body: body, expires: s.Now().Add(waypost.MessageLife)}
	if kind == waypost.MessageMoved {
		w.expires = s.Now().Add(passedFor)
	}
	key, err := s.keyOf(ctx, recipient)
	switch code := waypost.CodeOf(err); {
	case code == waypost.Internal:
		return w, err
	case err != nil:
		s.Log.Warn("a message is owed: its recipient has no valid encryption key", "recipient", recipient, "type", kind, "code", code)
		return w, nil //nolint:nilerr // one state's trouble is not the others'; the message is owed
	}
	letter, err := s.sealWord(key, w)
	w.letter = &letter
	return w, err
}

func (s *Server) sealWord(key *seal.PublicKey, w word) (mail, error) {
	expiry := w.expires // of the letter: it cannot outlive the key
	if latest := s.Now().Add(waypost.MessageLife); expiry.After(latest) {
		expiry = latest
	}
	m := seal.Message{
		Sender: s.config.Name, Recipient: key.Recipient, Type: w.kind, Ticket: w.ticket,
		RosterVersion: s.Roster.Settled().Version, Expiry: expiry, Body: w.body,
	}
	_, _ = rand.Read(m.ID[:]) // never fails (Go 1.24)
	sealed, err := seal.Seal(m, s.Identity, key)
	return mail{recipient: key.Recipient, id: m.ID, sealed: sealed, expires: expiry}, err
}

// notice is the word about one candidate.
func (s *Server) notice(ctx context.Context, t waypost.SignedTicket, f found, reference waypost.Reference) (word, error) {
	body, err := proto.Marshal(&waypostv1.Notice{
		Reference: reference[:], Handle: f.handle[:], Generation: f.generation, StateOfInquiry: string(t.SOI), Tau: t.Tau[:],
	})
	if err != nil {
		return word{}, err
	}
	return s.word(ctx, string(f.owner), waypost.MessageNotice, t.ID, body)
}

// tell puts it into the box, or notes that it is owed.
func (s *Server) tell(tx *store.Tx, w word) error {
	if w.letter != nil {
		return putWord(tx, w, w.letter)
	}
	return owe(tx, w)
}

// putWord puts a sealed word into its recipient's box. That pointers have passed
// the former owner must hear, however long it is away: that word is kept until it
// is read.
func putWord(tx *store.Tx, w word, letter *mail) error {
	if err := putMail(tx, letter, noLimit); err != nil || w.kind != waypost.MessageMoved {
		return err
	}
	_, err := tx.Exec(`INSERT INTO unread (recipient, id, ticket, body, letter, expires) VALUES ($1, $2, $3, $4, $5, $6)`,
		w.recipient, letter.id[:], w.ticket[:], w.body, letter.expires.Unix(), w.expires.Unix())
	return err
}

// sayAgain owes anew what lay unread until its letter expired.
func (s *Server) sayAgain(tx *store.Tx) (n int64, err error) {
	var again []word
	err = tx.Query(`DELETE FROM unread WHERE (recipient, id) IN (SELECT recipient, id FROM unread WHERE letter < $1 LIMIT $2) RETURNING recipient, ticket, body, expires`,
		[]any{s.Now().Unix(), cleanAtOnce}, func(scan func(dest ...any) error) error {
			w := word{kind: waypost.MessageMoved}
			var expires int64
			err := scan(&w.recipient, &w.ticket, &w.body, &expires)
			w.expires = time.Unix(expires, 0)
			again = append(again, w)
			return err
		})
	for _, w := range again {
		if err == nil && w.expires.After(s.Now()) {
			err = owe(tx, w)
		}
	}
	return int64(len(again)), err
}

// owe keeps a word for its recipient's key.
func owe(tx *store.Tx, w word) error {
	var last int64
	if err := tx.Row(`SELECT COALESCE(max(number), 0) FROM owed WHERE owner = $1`, w.recipient).Scan(&last); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO owed (owner, number, type, ticket, body, expires) VALUES ($1, $2, $3, $4, $5, $6)`,
		w.recipient, last+1, w.kind, w.ticket[:], w.body, w.expires.Unix())
	return err
}

// wake has the recipient look into its box, once that is committed.
func (s *Server) wake(ctx context.Context, w word) {
	if w.letter != nil {
		s.boxes.put(*w.letter)
		return
	}
	// Its key may have come while this was being committed.
	s.settle(ctx, w.recipient)
}

// owed is a word that waits for its recipient's key.
type owed struct {
	number int64
	word
}

// settleAtOnce bounds the words that one transaction delivers.
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
			if letters[i], err = s.sealWord(key, o.word); err != nil {
				return err
			}
		}
		err = s.DB.Write(ctx, func(tx *store.Tx) (err error) {
			for i, o := range waiting {
				if err := settleOne(tx, o, &letters[i]); err != nil {
					return err
				}
			}
			if err := tx.Row(`SELECT EXISTS (SELECT 1 FROM owed WHERE owner = $1)`, key.Recipient).Scan(&more); err != nil || more {
				return err
			}
			return last(tx)
		})
		if err != nil {
			return err
		}
		for _, letter := range letters {
			s.boxes.put(letter)
		}
	}
	return nil
}

// settleOne delivers what is owed, unless another call has done so.
func settleOne(tx *store.Tx, o owed, letter *mail) error {
	n, err := tx.Exec(`DELETE FROM owed WHERE owner = $1 AND number = $2 AND ticket = $3`, letter.recipient, o.number, o.ticket[:])
	if err != nil || n == 0 {
		return err
	}
	return putWord(tx, o.word, letter)
}

func (s *Server) owedTo(ctx context.Context, owner string) ([]owed, error) {
	var all []owed
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		all = nil
		return tx.Query(`SELECT number, type, ticket, body, expires FROM owed WHERE owner = $1 ORDER BY number LIMIT $2`,
			[]any{owner, settleAtOnce}, func(scan func(dest ...any) error) error {
				o := owed{word: word{recipient: owner}}
				var expires int64
				err := scan(&o.number, &o.kind, &o.ticket, &o.body, &expires)
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
		s.Log.Error("what is owed could not be delivered", "owner", owner, "cause", err)
	}
}

// settleAll does so for every owner that is owed anything.
func (s *Server) settleAll(ctx context.Context) error {
	var owners []string
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		owners = nil
		return tx.Query(`SELECT DISTINCT owner FROM owed`, nil, func(scan func(dest ...any) error) error {
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
