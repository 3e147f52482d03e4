package hub

import (
	"bytes"
	"context"
	"errors"
	"slices"
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

// insertAtOnce is how many records one transaction writes: everybody else's
// commits wait for it (docs/adr).
const insertAtOnce = 20

// Publish writes the pointers of a publish ticket. First the ticket is counted
// and stands in the ledger with what it publishes; then pointers and labels are
// written, a few at a time, pending; then all become live at once. A call that
// was cut short is taken up where it stopped by the next with the same ticket.
// The answer is a receipt, never anything about the index.
func (s *Server) Publish(ctx context.Context, req *waypostv1.PublishRequest) (*waypostv1.PublishResponse, error) {
	ticket, receipts, err := s.admit(ctx, req.Ticket, req.Receipts, waypost.KindPublish, roster.Publish)
	if err != nil {
		return nil, err
	}
	if err := waypost.VerifyChain(ticket, receipts, s.Authority); err != nil {
		return nil, err
	}
	records, inputs, err := parseRecords(req.Records, ticket.Elements)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	p, err := s.openPublication(ctx, ticket, receipts, inputs, len(records), now)
	if err != nil {
		return nil, err
	}
	if p.inputs != inputs {
		return nil, s.misused(ctx, ticket, "the ticket has published other records before")
	}
	if !p.live {
		if err := s.write(ctx, ticket, records, now); err != nil {
			return nil, err
		}
	}
	receipt, err := s.receipt(waypost.ActionPublish, ticket, inputs, nil, p.receiptPlace)
	if err != nil {
		return nil, err
	}
	return &waypostv1.PublishResponse{Receipt: receipt}, nil
}

// publication is what a publish ticket stands for.
type publication struct {
	inputs [32]byte
	live   bool
	receiptPlace
}

// openPublication counts the ticket, with its entry, unless that was done.
func (s *Server) openPublication(ctx context.Context, t waypost.SignedTicket, receipts []waypost.SignedReceipt, inputs [32]byte, records int, now time.Time) (publication, error) {
	var p publication
	body, err := entryBody(t, journal.Field{Name: "records", Value: decimal(records)},
		journal.Field{Name: "evaluations", Value: waypost.Places(receipts...)})
	if err != nil {
		return p, err
	}
	var alarms quota.Alarms
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		var deadline int64
		err := tx.Row(`SELECT inputs, live, sequence, deadline FROM publication WHERE ticket = $1`, t.ID[:]).Scan(&p.inputs, &p.live, &p.sequence, &deadline)
		if err == nil {
			p.deadline = time.Unix(deadline, 0)
			return nil
		}
		if !errors.Is(err, store.ErrNoRows) {
			return err
		}
		if alarms, err = s.charge(tx, t, now); err != nil {
			return err
		}
		if err := s.Journal.KeepReceipts(tx, t, receiptBytes(receipts)); err != nil {
			return err
		}
		p = publication{inputs: inputs}
		if p.receiptPlace, err = s.log(tx, t, string(waypost.ActionPublish), body, now); err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO publication (ticket, inputs, sequence, deadline, live) VALUES ($1, $2, $3, $4, 0)`,
			t.ID[:], inputs[:], p.sequence, p.deadline.Unix())
		return err
	})
	if err == nil {
		alarms.Warn(s.Log)
	}
	return p, err
}

// write puts the records into the index and makes them live. Each step may be
// repeated.
func (s *Server) write(ctx context.Context, t waypost.SignedTicket, records []record, now time.Time) error {
	var written []entry
	for chunk := range slices.Chunk(records, insertAtOnce) {
		entries, err := s.scout(ctx, t.SOI, chunk)
		if err != nil {
			return err
		}
		err = s.DB.Write(ctx, func(tx *store.Tx) error {
			for i := range entries {
				if err := s.insert(tx, t.SOI, &entries[i], t.Epoch, now.Unix()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		written = append(written, entries...)
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		for _, e := range written {
			if _, err := tx.Exec(`UPDATE pointer SET state = $1, generation = $2, epoch = $3, changed = $4 WHERE id = $5 AND state = $6`,
				live, e.generation, t.Epoch, now.Unix(), e.pointer, pending); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`UPDATE publication SET live = 1 WHERE ticket = $1`, t.ID[:])
		return err
	})
}

func parseRecords(in []*waypostv1.PublishedRecord, elements int) (records []record, inputs [32]byte, err error) {
	if len(in)*waypost.RecordElements != elements {
		return nil, inputs, waypost.Errorf(waypost.InvalidArgument,
			"the ticket covers %d elements, %d records of %d tokens were sent", elements, len(in), waypost.RecordElements)
	}
	var all bytes.Buffer
	seen := make(map[string]bool, len(in))
	for _, r := range in {
		tokens, err := splitTokens(r.Tokens, waypost.RecordElements)
		if err != nil {
			return nil, inputs, err
		}
		if len(r.Handle) != handleSize {
			return nil, inputs, waypost.Errorf(waypost.InvalidArgument, "a handle has %d bytes", handleSize)
		}
		if seen[string(r.Handle)] {
			return nil, inputs, waypost.Errorf(waypost.InvalidArgument, "two records of the batch have the same handle")
		}
		seen[string(r.Handle)] = true
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
