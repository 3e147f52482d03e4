package gateway

import (
	"bytes"
	"context"
	"errors"
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
	if err := s.hubUsable(); err != nil {
		return err
	}
	if err := s.openPublication(ctx, ticket); err != nil {
		return err
	}
	if err := s.publishUnder(ctx, ticket, blinding, batch); err != nil {
		return errors.Join(err, s.abandonPublication(context.WithoutCancel(ctx), ticket))
	}
	return nil
}

// publishUnder is publish once the ticket stands in the ledger.
func (s *Server) publishUnder(ctx context.Context, ticket waypost.SignedTicket, blinding *toprf.Blinding, batch []pointer) error {
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
		if _, err := tx.Exec(`DELETE FROM publication WHERE ticket = $1`, ticket.ID[:]); err != nil {
			return err
		}
		if err := s.Journal.KeepReceipts(tx, ticket, receiptBytes(append(receipts, receipt))); err != nil {
			return err
		}
		return s.log(tx, ticket, "published", journal.Field{Name: "records", Value: strconv.Itoa(len(batch))},
			journal.Field{Name: "evaluations", Value: waypost.Places(receipts...)},
			journal.Field{Name: "publications", Value: waypost.Places(receipt)})
	})
}

// publicationLife is far longer than a publication takes: what is open then was
// cut off.
const publicationLife = 10 * time.Minute

// openPublication commits that something is about to be published under the
// ticket.
func (s *Server) openPublication(ctx context.Context, ticket waypost.SignedTicket) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := s.log(tx, ticket, "ask"); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO publication (ticket, signed, due) VALUES ($1, $2, $3)`,
			ticket.ID[:], ticket.Bytes(), s.Now().Add(publicationLife).Unix())
		return err
	})
}

// abandonPublication says in the ledger that a publication did not come to its
// end here: the hub may have it or not. The records are published again under
// another ticket.
func (s *Server) abandonPublication(ctx context.Context, ticket waypost.SignedTicket) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM publication WHERE ticket = $1`, ticket.ID[:])
		if err != nil || n == 0 {
			return err
		}
		return s.log(tx, ticket, "abandoned")
	})
}

// abandonPublications does so for those that a crash has cut off.
func (s *Server) abandonPublications(ctx context.Context) error {
	var open [][]byte
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		open = nil
		return tx.Query(`SELECT signed FROM publication WHERE due < $1 LIMIT 100`, []any{s.Now().Unix()},
			func(scan func(dest ...any) error) error {
				var signed []byte
				err := scan(&signed)
				open = append(open, signed)
				return err
			})
	})
	for _, signed := range open {
		ticket, parseErr := waypost.ParseTicket(signed)
		if parseErr == nil {
			parseErr = s.abandonPublication(ctx, ticket)
		}
		err = errors.Join(err, parseErr)
	}
	return err
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
func (s *Server) hand(ctx context.Context, ticket waypost.SignedTicket, receipts []waypost.SignedReceipt, batch []pointer) (waypost.SignedReceipt, error) {
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	req := &waypostv1.PublishRequest{Ticket: ticket.Bytes(), Receipts: receiptBytes(receipts)}
	var inputs bytes.Buffer
	for _, p := range batch {
		sorted := slices.Clone(p.tokens)
		slices.SortFunc(sorted, func(a, b waypost.Token) int { return bytes.Compare(a[:], b[:]) })
		record := &waypostv1.PublishedRecord{Handle: p.handle, Tokens: joinTokens(sorted)}
		inputs.Write(record.Handle)
		inputs.Write(record.Tokens)
		req.Records = append(req.Records, record)
	}
	res, err := s.Hub.Publish(ctx, req)
	if err != nil {
		return waypost.SignedReceipt{}, err
	}
	receipt, err := waypost.ParseReceipt(res.Receipt)
	if err != nil {
		return receipt, err
	}
	hub := s.Roster.Current().Hub()
	if err := receipt.Verify(hub.Identity); err != nil {
		return receipt, err
	}
	want := waypost.Receipt{
		Action: waypost.ActionPublish, Signer: hub.Name, Ticket: ticket.ID, Epoch: ticket.Epoch, Inputs: waypost.HashTokens(inputs.Bytes()),
		Outputs: waypost.HashOutputs(waypost.ActionPublish, nil), Origin: receipt.Origin, Sequence: receipt.Sequence, Deadline: receipt.Deadline,
	}
	if receipt.Receipt != want {
		return receipt, waypost.Errorf(waypost.PermissionDenied, "the hub's receipt is not for what was published")
	}
	return receipt, receipt.CheckPromise(s.Now(), journal.MergeDelay)
}
