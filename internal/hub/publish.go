package hub

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/quota"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

const handleSize = 16

// record is one pointer to be published.
type record struct {
	handle     []byte
	generation uint32
	tokens     []waypost.Token
}

// Publish writes the pointers of a publish ticket: entry, pointers and labels
// in one transaction. The answer is a receipt, never anything about the index.
func (s *Server) Publish(ctx context.Context, req *waypostv1.PublishRequest) (*waypostv1.PublishResponse, error) {
	ticket, err := s.authorise(ctx, req.Ticket, req.Receipts, waypost.KindPublish, roster.Publish)
	if err != nil {
		return nil, err
	}
	records, inputs, err := parseRecords(req.Records, ticket.Elements)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	var done receiptPlace
	err = s.DB.Write(ctx, func(tx *store.Tx) (err error) {
		done, err = s.commitPublication(tx, ticket, records, inputs, now)
		return err
	})
	if err != nil {
		return nil, err
	}
	receipt, err := s.receipt(waypost.ActionPublish, ticket, inputs, nil, done)
	if err != nil {
		return nil, err
	}
	return &waypostv1.PublishResponse{Receipt: receipt}, nil
}

func parseRecords(in []*waypostv1.PublishedRecord, elements int) (records []record, inputs [32]byte, err error) {
	if len(in)*waypost.RecordElements != elements {
		return nil, inputs, waypost.Errorf(waypost.InvalidArgument,
			"the ticket covers %d elements, %d records of %d tokens were sent", elements, len(in), waypost.RecordElements)
	}
	var all bytes.Buffer
	for _, r := range in {
		tokens, err := splitTokens(r.Tokens, waypost.RecordElements)
		if err != nil {
			return nil, inputs, err
		}
		if len(r.Handle) != handleSize {
			return nil, inputs, waypost.Errorf(waypost.InvalidArgument, "a handle has %d bytes", handleSize)
		}
		all.Write(r.Handle)
		all.Write(r.Tokens)
		records = append(records, record{r.Handle, r.Generation, tokens})
	}
	return records, waypost.HashTokens(all.Bytes()), nil
}

func splitTokens(raw []byte, n int) ([]waypost.Token, error) {
	if len(raw) != n*32 {
		return nil, waypost.Errorf(waypost.InvalidArgument, "%d tokens of 32 bytes are expected", n)
	}
	tokens := make([]waypost.Token, n)
	for i := range tokens {
		copy(tokens[i][:], raw[i*32:])
	}
	return tokens, nil
}

// receiptPlace is where in the journal an action stands.
type receiptPlace struct {
	sequence uint64
	deadline time.Time
}

func (s *Server) commitPublication(tx *store.Tx, t waypost.SignedTicket, records []record, inputs [32]byte, now time.Time) (receiptPlace, error) {
	var place receiptPlace
	var before [32]byte
	var deadline int64
	err := tx.Row(`SELECT inputs, sequence, deadline FROM publication WHERE ticket = $1`, t.ID[:]).Scan(&before, &place.sequence, &deadline)
	switch {
	case err == nil && before != inputs:
		return place, waypost.Errorf(waypost.Misuse, "the ticket has published other records before")
	case err == nil:
		place.deadline = time.Unix(deadline, 0)
		return place, nil
	case !errors.Is(err, store.ErrNoRows):
		return place, err
	}
	if err := s.charge(tx, t, now); err != nil {
		return place, err
	}
	if place, err = s.log(tx, t, string(waypost.ActionPublish), now, journal.Field{Name: "records", Value: decimal(len(records))}); err != nil {
		return place, err
	}
	for _, r := range records {
		if err := s.insert(tx, t.SOI, r, t.Epoch, now.Unix()); err != nil {
			return place, err
		}
	}
	_, err = tx.Exec(`INSERT INTO publication (ticket, inputs, sequence, deadline) VALUES ($1, $2, $3, $4)`,
		t.ID[:], inputs[:], place.sequence, place.deadline.Unix())
	return place, err
}

func (s *Server) charge(tx *store.Tx, t waypost.SignedTicket, now time.Time) error {
	member, ok := s.Roster.Member(string(t.SOI))
	if !ok {
		return waypost.Errorf(waypost.Unauthenticated, "%s is no longer a member", t.SOI)
	}
	whole := func(limit int) int { return limit }
	return quota.Charge(tx, member, t.Ticket, whole, now)
}
