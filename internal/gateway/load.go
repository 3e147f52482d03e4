package gateway

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
	"github.com/waypost/waypost/toprf"
)

const handleSize = 16

// Rejected is a record that cannot be published, by its index, and why.
type Rejected struct {
	Index  int
	Reason string // never repeats what stands in the record
}

// Load stores up to 100 records in the state system and publishes a pointer
// for each. A record whose id is published already is stored and left in the
// index as it is, so that a load can be repeated after a crash at any point.
func (s *Server) Load(ctx context.Context, operator string, records []waypost.Record) (published int, rejected []Rejected, err error) {
	if len(records) > waypost.MaxPublishBatch {
		return 0, nil, waypost.Errorf(waypost.InvalidArgument, "at most %d records can be loaded at once", waypost.MaxPublishBatch)
	}
	good, rejected := sift(records)
	if len(good) == 0 {
		return 0, rejected, nil
	}
	if err := s.People.Put(ctx, good); err != nil {
		return 0, nil, err
	}
	batch, err := s.unpublished(ctx, good)
	if err != nil || len(batch) == 0 {
		return 0, rejected, err
	}
	return len(batch), rejected, s.publish(ctx, operator, batch)
}

// sift separates what can be published from what cannot.
func sift(records []waypost.Record) (good []waypost.Record, rejected []Rejected) {
	seen := make(map[string]bool, len(records))
	for i, r := range records {
		reason := ""
		if err := r.Validate(); err != nil {
			reason = err.Error()
		} else if r.ID == "" || len(r.ID) > 64 {
			reason = "the record needs an id of at most 64 characters"
		} else if seen[r.ID] {
			reason = "another record of the batch has the same id"
		}
		if reason != "" {
			rejected = append(rejected, Rejected{i, reason})
			continue
		}
		seen[r.ID] = true
		good = append(good, r)
	}
	return good, rejected
}

// pointer is a record on its way into the index.
type pointer struct {
	handle []byte
	record waypost.Record
	tokens []waypost.Token // in slot order
}

// unpublished gives each record its handle, an old one if an earlier load
// stopped halfway, and leaves out what is in the index.
func (s *Server) unpublished(ctx context.Context, records []waypost.Record) ([]pointer, error) {
	var batch []pointer
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		batch = nil
		for _, r := range records {
			var handle []byte
			var done bool
			err := tx.Row(`SELECT handle, published FROM record WHERE id = $1`, r.ID).Scan(&handle, &done)
			if errors.Is(err, store.ErrNoRows) {
				handle = make([]byte, handleSize)
				randomise(handle)
			} else if err != nil {
				return err
			}
			if !done {
				batch = append(batch, pointer{handle: handle, record: r})
			}
		}
		return nil
	})
	return batch, err
}

// publish makes the tokens under a publish ticket, keeps them, and only then
// hands them to the hub: a notice never names a record that is not known here.
func (s *Server) publish(ctx context.Context, operator string, batch []pointer) error {
	var keys [][]byte
	for _, p := range batch {
		for _, slot := range matchkey.Index(p.record.Person, s.decoySecret) {
			keys = append(keys, slot.Key)
		}
	}
	var seed, salt [32]byte
	randomise(seed[:], salt[:])
	blinding, err := toprf.BlindAll(keys, seed, loadWorkers)
	if err != nil {
		return err
	}
	ticket, err := s.ticket(waypost.KindPublish, Counter{Operator: operator, Class: waypost.Loader, Purpose: waypost.MaintainPointer},
		waypost.CommitCase(salt, "load"), toprf.EncodeElements(blinding.Elements()))
	if err != nil {
		return err
	}
	if err := s.DB.Write(ctx, func(tx *store.Tx) error { return s.log(tx, ticket, "ask") }); err != nil {
		return err
	}
	tokens, receipts, err := s.evaluate(ctx, ticket, blinding, loadWorkers)
	if err != nil {
		return err
	}
	for i := range batch {
		batch[i].tokens = tokens[i*matchkey.Slots : (i+1)*matchkey.Slots]
	}
	if err := s.keepTokens(ctx, batch); err != nil {
		return err
	}
	if err := s.hand(ctx, ticket, receipts, batch); err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		for _, p := range batch {
			if _, err := tx.Exec(`UPDATE record SET published = 1 WHERE handle = $1`, p.handle); err != nil {
				return err
			}
		}
		return s.log(tx, ticket, "published", journal.Field{Name: "records", Value: decimal(len(batch))})
	})
}

// loadWorkers lets a load use both of a small machine's cores.
var loadWorkers = toprf.Workers(2)

func (s *Server) keepTokens(ctx context.Context, batch []pointer) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		for _, p := range batch {
			_, err := tx.Exec(`INSERT INTO record (handle, id, tokens, published, changed) VALUES ($1, $2, $3, 0, $4)
				ON CONFLICT (handle) DO UPDATE SET tokens = excluded.tokens, changed = excluded.changed`,
				p.handle, p.record.ID, joinTokens(p.tokens), s.Now().Unix())
			if err != nil {
				return err
			}
			for _, t := range p.tokens {
				if _, err := tx.Exec(`INSERT INTO own_token (token, handle) VALUES ($1, $2) ON CONFLICT (token, handle) DO NOTHING`,
					t[:ownTokenSize], p.handle); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// hand gives the batch to the hub and checks its receipt. Within a record the
// tokens are sorted, so that their order says nothing about slots.
func (s *Server) hand(ctx context.Context, ticket waypost.SignedTicket, receipts []waypost.SignedReceipt, batch []pointer) error {
	req := &waypostv1.PublishRequest{Ticket: ticket.Bytes()}
	for _, r := range receipts {
		req.Receipts = append(req.Receipts, r.Bytes())
	}
	var inputs bytes.Buffer
	for _, p := range batch {
		sorted := slices.Clone(p.tokens)
		slices.SortFunc(sorted, func(a, b waypost.Token) int { return bytes.Compare(a[:], b[:]) })
		record := &waypostv1.PublishedRecord{Handle: p.handle, Generation: 1, Tokens: joinTokens(sorted)}
		inputs.Write(record.Handle)
		inputs.Write(record.Tokens)
		req.Records = append(req.Records, record)
	}
	res, err := s.Hub.Publish(ctx, req)
	if err != nil {
		return err
	}
	receipt, err := waypost.ParseReceipt(res.Receipt)
	if err != nil {
		return err
	}
	hub := s.Roster.Current().Hub()
	if err := receipt.Verify(hub.Identity); err != nil {
		return err
	}
	want := waypost.Receipt{
		Action: waypost.ActionPublish, Signer: hub.Name, Ticket: ticket.ID, Epoch: ticket.Epoch, Inputs: waypost.HashTokens(inputs.Bytes()),
		Outputs: waypost.HashOutputs(waypost.ActionPublish, nil), Origin: receipt.Origin, Sequence: receipt.Sequence, Deadline: receipt.Deadline,
	}
	if receipt.Receipt != want {
		return waypost.Errorf(waypost.PermissionDenied, "the hub's receipt is not for what was published")
	}
	return nil
}
