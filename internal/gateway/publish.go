package gateway

import (
	"bytes"
	"context"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
	"github.com/waypost/waypost/toprf"
)

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
	receipt, err := s.hand(ctx, ticket, receipts, batch)
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		for _, p := range batch {
			if _, err := tx.Exec(`UPDATE record SET published = 1 WHERE handle = $1`, p.handle); err != nil {
				return err
			}
		}
		return s.log(tx, ticket, "published", journal.Field{Name: "records", Value: strconv.Itoa(len(batch))},
			journal.Field{Name: "receipt", Value: hex.EncodeToString(receipt)})
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

// publishWait bounds the hub's writing of one batch.
const publishWait = 30 * time.Second

// hand gives the batch to the hub, checks its receipt and returns it. Within a
// record the tokens are sorted, so that their order says nothing about slots.
func (s *Server) hand(ctx context.Context, ticket waypost.SignedTicket, receipts []waypost.SignedReceipt, batch []pointer) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	req := &waypostv1.PublishRequest{Ticket: ticket.Bytes(), Receipts: receiptBytes(receipts)}
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
		return nil, err
	}
	receipt, err := waypost.ParseReceipt(res.Receipt)
	if err != nil {
		return nil, err
	}
	hub := s.Roster.Current().Hub()
	if err := receipt.Verify(hub.Identity); err != nil {
		return nil, err
	}
	want := waypost.Receipt{
		Action: waypost.ActionPublish, Signer: hub.Name, Ticket: ticket.ID, Epoch: ticket.Epoch, Inputs: waypost.HashTokens(inputs.Bytes()),
		Outputs: waypost.HashOutputs(waypost.ActionPublish, nil), Origin: receipt.Origin, Sequence: receipt.Sequence, Deadline: receipt.Deadline,
	}
	if receipt.Receipt != want {
		return nil, waypost.Errorf(waypost.PermissionDenied, "the hub's receipt is not for what was published")
	}
	return res.Receipt, nil
}
