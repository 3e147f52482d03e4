package hub

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"strconv"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/quota"
	"github.com/waypost/waypost/internal/store"
)

// receiptPlace is where in the ledger an action stands. sequence names the log, too:
// see journal.Place.
type receiptPlace struct {
	sequence uint64
	deadline time.Time
}

// entryBody says of a ticket what every entry says, and more.
func entryBody(t waypost.SignedTicket, more ...journal.Field) ([]byte, error) {
	return journal.Body(append(journal.TicketFields(t.Ticket), more...)...)
}

// log appends an entry about a ticket to the journal.
func (s *Server) log(tx *store.Tx, t waypost.SignedTicket, kind string, body []byte, now time.Time) (receiptPlace, error) {
	sequence, err := s.Journal.Append(tx, journal.Entry{Kind: kind, Ticket: t.ID, Tau: t.Tau, At: now, Body: body})
	return receiptPlace{s.Journal.Place(sequence), s.Journal.Deadline(now)}, err
}

func (s *Server) receipt(action waypost.Action, t waypost.SignedTicket, inputs [32]byte, returned []byte, place receiptPlace) ([]byte, error) {
	origin, sequence := s.Journal.Leaf(place.sequence)
	r, err := waypost.Receipt{
		Action: action, Signer: s.config.Name, Ticket: t.ID, Epoch: t.Epoch, Inputs: inputs,
		Outputs: waypost.HashOutputs(action, returned), Origin: origin, Sequence: sequence, Deadline: place.deadline,
	}.Sign(s.Identity)
	return r.Bytes(), err
}

// charge counts the ticket, and writes down what alarms that raises. The hub
// sees every ticket, so it grants the whole quota.
func (s *Server) charge(tx *store.Tx, t waypost.SignedTicket, now time.Time) (quota.Alarms, error) {
	member, ok := s.Roster.Member(string(t.SOI))
	if !ok {
		return nil, waypost.Errorf(waypost.Unauthenticated, "%s is no longer a member", t.SOI)
	}
	alarms, err := quota.Charge(tx, quota.Limits{Roster: s.Roster.Current(), Member: member, Share: quota.Whole}, t.Ticket, now)
	if err != nil {
		return nil, err
	}
	return alarms, alarms.Append(tx, s.Journal, now)
}

// misused returns the refusal of a ticket that was used twice for different
// things, after it stands in the ledger: once for each ticket, so that nobody
// can fill the ledger with it.
func (s *Server) misused(ctx context.Context, t waypost.SignedTicket, words string) error {
	s.Log.Warn("misuse: "+words, "asking", t.SOI, "ticket", t.ID)
	body, err := entryBody(t)
	if err != nil {
		return err
	}
	usable := window
	if t.Kind == waypost.KindCheck {
		usable = publishWindow
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`INSERT INTO misuse (ticket, expires) VALUES ($1, $2) ON CONFLICT (ticket) DO NOTHING`, t.ID[:], forgetAfter(t.Ticket, usable))
		if err != nil || n == 0 {
			return err
		}
		_, err = s.log(tx, t, "misuse", body, s.Now())
		return err
	})
	if err != nil {
		return err
	}
	return waypost.Errorf(waypost.Misuse, "%s", words)
}

func receiptBytes(receipts []waypost.SignedReceipt) [][]byte {
	raw := make([][]byte, len(receipts))
	for i, r := range receipts {
		raw[i] = r.Bytes()
	}
	return raw
}

func decimal[N int | int64 | uint64](n N) string { return strconv.FormatInt(int64(n), 10) }

// keyed is what the database keeps of what a ticket was used for, to know it
// again. A bare hash of tokens would let who has a copy, and t key holders, try
// people against it.
func (s *Server) keyed(inputs [32]byte) [32]byte {
	m := hmac.New(sha256.New, s.LabelKey[:])
	m.Write([]byte("waypost inputs v1\n"))
	m.Write(inputs[:])
	return [32]byte(m.Sum(nil))
}
