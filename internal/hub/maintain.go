package hub

import (
	"bytes"
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/quota"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// act does what a request asks for, in the transaction of its entry. It returns
// the answer, nil where there is nothing to say, and what the entry says of it.
// An error leaves no trace.
type act func(tx *store.Tx, now int64) (*waypostv1.Maintained, []journal.Field, error)

// Maintain does one thing with the caller's own pointers, or passes it those of
// another state with that state's release. Whatever is done stands in the ledger
// by then, and the same ticket gets the same bytes.
func (s *Server) Maintain(ctx context.Context, req *waypostv1.MaintainRequest) (*waypostv1.MaintainResponse, error) {
	ticket, receipts, what, err := s.admitMaintenance(ctx, req)
	if err != nil {
		return nil, err
	}
	done, err := s.upkeepOf(ctx, ticket.ID)
	if err != nil {
		return nil, err
	}
	if done == nil {
		if done, err = s.maintain(ctx, ticket, receipts, what, req.Salt); err != nil {
			return nil, err
		}
	}
	if done.answer == nil { // a departure
		if done.answer, err = s.depart(ctx, ticket, departAtOnce); err != nil {
			return nil, err
		}
	}
	receipt, err := s.receipt(waypost.Action(ticket.Kind), ticket, ticket.Probes, done.answer, done.receiptPlace)
	if err != nil {
		return nil, err
	}
	return &waypostv1.MaintainResponse{Answer: done.answer, Receipt: receipt}, nil
}

// admitMaintenance verifies the chain, and that the ticket was signed for this
// request to this hub.
func (s *Server) admitMaintenance(ctx context.Context, req *waypostv1.MaintainRequest) (waypost.SignedTicket, []waypost.SignedReceipt, *waypostv1.Maintenance, error) {
	ticket, receipts, err := waypost.ParseChain(req.Ticket, req.Receipts)
	if err != nil {
		return ticket, nil, nil, err
	}
	if !ticket.Kind.Upkeep() && ticket.Kind != waypost.KindChangeSOR {
		return ticket, nil, nil, waypost.Errorf(waypost.PermissionDenied, "a %s ticket does not allow upkeep", ticket.Kind)
	}
	if err := s.peerMay(ctx, ticket, ticket.Kind, roster.Publish); err != nil {
		return ticket, nil, nil, err
	}
	if err := s.inWindow(ticket.Ticket, window); err != nil {
		return ticket, nil, nil, err
	}
	if err := waypost.VerifyChain(ticket, receipts, s.Authority); err != nil {
		return ticket, nil, nil, err
	}
	if len(req.Salt) != len(ticket.Probes) {
		return ticket, nil, nil, waypost.Errorf(waypost.InvalidArgument, "the salt of a request has %d bytes", len(ticket.Probes))
	}
	if err := ticket.CoversRequest(s.config.Name, [32]byte(req.Salt), req.Request); err != nil {
		return ticket, nil, nil, err
	}
	what, err := parseMaintenance(req.Request, ticket.Kind)
	return ticket, receipts, what, err
}

// parseMaintenance decodes a request in its one encoding, of the ticket's kind.
func parseMaintenance(raw []byte, kind waypost.Kind) (*waypostv1.Maintenance, error) {
	m := new(waypostv1.Maintenance)
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, m); err != nil {
		return nil, waypost.Errorf(waypost.InvalidArgument, "the request is not well formed")
	}
	if again, err := (proto.MarshalOptions{Deterministic: true}).Marshal(m); err != nil || !bytes.Equal(again, raw) {
		return nil, waypost.Errorf(waypost.InvalidArgument, "the request is not well formed")
	}
	var asks waypost.Kind
	switch m.What.(type) {
	case *waypostv1.Maintenance_Withdraw:
		asks = waypost.KindWithdraw
	case *waypostv1.Maintenance_Activate:
		asks = waypost.KindActivate
	case *waypostv1.Maintenance_Compare:
		asks = waypost.KindCompare
	case *waypostv1.Maintenance_Leave:
		asks = waypost.KindLeave
	case *waypostv1.Maintenance_Change:
		asks = waypost.KindChangeSOR
	}
	if asks != kind {
		return nil, waypost.Errorf(waypost.InvalidArgument, "the request is not the %s that the ticket is for", kind)
	}
	return m, nil
}

// maintain prepares what can be prepared, and commits the act.
func (s *Server) maintain(ctx context.Context, t waypost.SignedTicket, receipts []waypost.SignedReceipt, m *waypostv1.Maintenance, salt []byte) (*maintained, error) {
	var do act
	var err error
	after := func() {}
	switch what := m.What.(type) {
	case *waypostv1.Maintenance_Withdraw:
		do, err = withdraw(t, what.Withdraw)
	case *waypostv1.Maintenance_Activate:
		do, err = activate(t, what.Activate)
	case *waypostv1.Maintenance_Compare:
		do, err = s.compare(ctx, t, what.Compare)
	case *waypostv1.Maintenance_Leave:
		do = leave(t)
	case *waypostv1.Maintenance_Change:
		do, after, err = s.change(ctx, t, what.Change, salt)
	}
	if err != nil {
		return nil, err
	}
	done, err := s.commitUpkeep(ctx, t, receipts, do)
	if errors.Is(err, errOtherRelease) {
		return nil, s.misused(ctx, t, errOtherRelease.Error())
	}
	if err != nil {
		return nil, err
	}
	done.alarms.Warn(s.Log)
	after()
	return done, nil
}

// maintained is what was done under a ticket.
type maintained struct {
	answer []byte // nil while a departure goes on
	receiptPlace
	alarms quota.Alarms // raised by this very commit
}

// commitUpkeep does it, with its entry, unless another call with the same ticket
// has.
func (s *Server) commitUpkeep(ctx context.Context, t waypost.SignedTicket, receipts []waypost.SignedReceipt, do act) (*maintained, error) {
	var done *maintained
	err := s.DB.Write(ctx, func(tx *store.Tx) (err error) {
		if done, err = readUpkeep(tx, t.ID); err != nil || done != nil {
			return err
		}
		done = new(maintained)
		now := s.Now()
		if done.alarms, err = s.charge(tx, t, now); err != nil {
			return err
		}
		if err := s.Journal.KeepReceipts(tx, t, receiptBytes(receipts)); err != nil {
			return err
		}
		answer, fields, err := do(tx, now.Unix())
		if err != nil {
			return err
		}
		if t.Kind != waypost.KindLeave {
			if done.answer, err = encodeMaintained(answer); err != nil {
				return err
			}
		}
		body, err := entryBody(t, append(fields, journal.Field{Name: "evaluations", Value: waypost.Places(receipts...)})...)
		if err != nil {
			return err
		}
		if done.receiptPlace, err = s.log(tx, t, string(t.Kind), body, now); err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO upkeep (ticket, answer, sequence, deadline, expires) VALUES ($1, $2, $3, $4, $5)`,
			t.ID[:], done.answer, done.sequence, done.deadline.Unix(), forgetAfter(t.Ticket, window))
		return err
	})
	return done, err
}

// encodeMaintained encodes an answer; nothing to say is no bytes, and not nil.
func encodeMaintained(m *waypostv1.Maintained) ([]byte, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if b == nil {
		b = []byte{}
	}
	return b, err
}

func (s *Server) upkeepOf(ctx context.Context, id waypost.TicketID) (done *maintained, err error) {
	err = s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		done, err = readUpkeep(tx, id)
		return err
	})
	return done, err
}

// readUpkeep returns what was done under a ticket, or nil.
func readUpkeep(tx *store.Tx, id waypost.TicketID) (*maintained, error) {
	var done maintained
	var deadline int64
	err := tx.Row(`SELECT answer, sequence, deadline FROM upkeep WHERE ticket = $1`, id[:]).Scan(&done.answer, &done.sequence, &deadline)
	if errors.Is(err, store.ErrNoRows) {
		return nil, nil //nolint:nilnil // nothing was done yet
	}
	done.deadline = time.Unix(deadline, 0)
	return &done, err
}
