package hub

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/quota"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

const (
	handleSize = 16
	// publishWindow is how long after its issue the ticket of a check may publish
	// the record that the check was for: a card is made by then.
	publishWindow = 24 * time.Hour
)

// record is one pointer to be published.
type record struct {
	handle     []byte
	generation uint32
	keys       []key  // ten under each key
	supersedes []byte // a handle, or empty
}

// batch is what one ticket publishes.
type batch struct {
	waypost.SignedTicket
	epochs   []uint32 // of the keys under which it is published, its own first
	receipts []waypost.SignedReceipt
	records  []record
	inputs   [32]byte // what the receipt commits to
	keyed    [32]byte // of all that was sent
}

// Publish writes the pointers of a ticket. First the ticket is counted and stands
// in the ledger with what it publishes; then pointers and labels are written, a
// few at a time, pending; then all become live at once, and what they supersede
// withdrawn. A call that was cut short is taken up where it stopped by the next
// with the same ticket. The answer is a receipt, never anything about the index.
func (s *Server) Publish(ctx context.Context, req *waypostv1.PublishRequest) (*waypostv1.PublishResponse, error) {
	b, err := s.admitBatch(ctx, req)
	if err != nil {
		return nil, err
	}
	p, err := s.openPublication(ctx, b)
	if err != nil {
		return nil, err
	}
	if p.inputs != b.keyed {
		return nil, s.misused(ctx, b.SignedTicket, "the ticket has published other records before")
	}
	if !p.live {
		if err := s.write(ctx, b); err != nil {
			return nil, err
		}
	}
	receipt, err := s.receipt(waypost.ActionPublish, b.SignedTicket, b.inputs, nil, p.receiptPlace)
	if err != nil {
		return nil, err
	}
	return &waypostv1.PublishResponse{Receipt: receipt}, nil
}

// admitBatch verifies the chain and reads the records.
func (s *Server) admitBatch(ctx context.Context, req *waypostv1.PublishRequest) (b batch, err error) {
	if b.SignedTicket, b.receipts, err = waypost.ParseChain(req.Ticket, req.Receipts); err != nil {
		return b, err
	}
	usable, kind := window, waypost.KindPublish
	switch b.Kind {
	case waypost.KindCheck:
		usable, kind = publishWindow, b.Kind
	case waypost.KindChange, waypost.KindRepublish:
		kind = b.Kind
	}
	if err := s.peerMay(ctx, b.SignedTicket, kind, roster.Publish); err != nil {
		return b, err
	}
	if err := s.inWindow(b.Ticket, usable); err != nil {
		return b, err
	}
	if err := waypost.VerifyChain(b.SignedTicket, b.receipts, s.Authority); err != nil {
		return b, err
	}
	keys, err := s.Roster.KeysFor(b.Ticket)
	if err != nil {
		return b, err
	}
	for _, k := range keys {
		b.epochs = append(b.epochs, k.Epoch)
	}
	return b, b.parse(req.Records)
}

// parse reads the records that were sent, as many as the ticket is for.
func (b *batch) parse(in []*waypostv1.PublishedRecord) error {
	switch {
	case b.Kind == waypost.KindCheck && len(in) != 1:
		return waypost.Errorf(waypost.InvalidArgument, "the ticket of a check publishes one record, not %d", len(in))
	case b.Kind != waypost.KindCheck && len(in)*waypost.RecordElements != b.Elements:
		return waypost.Errorf(waypost.InvalidArgument,
			"the ticket covers %d elements, %d records of %d tokens were sent", b.Elements, len(in), waypost.RecordElements)
	}
	var signed, all bytes.Buffer
	var named [][]byte
	for _, r := range in {
		tokens, err := splitTokens(r.Tokens, waypost.RecordElements*len(b.epochs))
		if err != nil {
			return err
		}
		keys := make([]key, len(tokens))
		for i, t := range tokens {
			keys[i] = key{b.epochs[i/waypost.RecordElements], t}
		}
		named = append(named, r.Handle)
		if b.Kind == waypost.KindRepublish && (r.Generation != 0 || len(r.Supersedes) > 0) {
			return waypost.Errorf(waypost.InvalidArgument, "what is published once more stays in its generation, and in nobody's place")
		}
		if len(r.Supersedes) > 0 {
			if b.Kind == waypost.KindPublish {
				return waypost.Errorf(waypost.InvalidArgument, "a record that supersedes another is published with a ticket of kind %s", waypost.KindChange)
			}
			named = append(named, r.Supersedes)
		}
		for _, part := range [][]byte{r.Handle, r.Tokens, r.Supersedes} {
			signed.Write(part)
			all.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
			all.Write(part)
		}
		all.Write(binary.BigEndian.AppendUint32(nil, r.Generation))
		b.records = append(b.records, record{r.Handle, r.Generation, keys, r.Supersedes})
	}
	b.inputs, b.keyed = waypost.HashTokens(signed.Bytes()), sha256.Sum256(all.Bytes())
	return distinct(named)
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

// publication is what a ticket stands for that publishes.
type publication struct {
	inputs [32]byte // keyed
	live   bool
	receiptPlace
}

// openPublication counts the ticket, with its entry, unless that was done. What
// can be refused is refused before.
func (s *Server) openPublication(ctx context.Context, b batch) (publication, error) {
	var p publication
	body, err := entryBody(b.SignedTicket, journal.Field{Name: "records", Value: decimal(len(b.records))},
		journal.Field{Name: "evaluations", Value: waypost.Places(b.receipts...)})
	if err != nil {
		return p, err
	}
	known := false
	err = s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		if p, known, err = readPublication(tx, b.ID); err != nil || known {
			return err
		}
		return b.admissible(tx)
	})
	if err != nil || known {
		return p, err
	}
	var alarms quota.Alarms
	err = s.DB.Write(ctx, func(tx *store.Tx) (err error) {
		if p, known, err = readPublication(tx, b.ID); err != nil || known {
			return err
		}
		p = publication{inputs: b.keyed}
		alarms, p.receiptPlace, err = s.begin(tx, b, body, s.Now())
		return err
	})
	if err == nil {
		alarms.Warn(s.Log)
	}
	return p, err
}

func readPublication(tx *store.Tx, id waypost.TicketID) (p publication, known bool, err error) {
	var deadline int64
	err = tx.Row(`SELECT inputs, live, sequence, deadline FROM publication WHERE ticket = $1`, id[:]).Scan(&p.inputs, &p.live, &p.sequence, &deadline)
	if errors.Is(err, store.ErrNoRows) {
		return p, false, nil
	}
	p.deadline = time.Unix(deadline, 0)
	return p, err == nil, err
}

// begin commits that the ticket publishes. The ticket of a check was counted when
// it searched, and its receipts were kept.
func (s *Server) begin(tx *store.Tx, b batch, body []byte, now time.Time) (alarms quota.Alarms, place receiptPlace, err error) {
	usable := window
	if b.Kind == waypost.KindCheck {
		usable = publishWindow
	} else {
		if alarms, err = s.charge(tx, b.SignedTicket, now); err != nil {
			return nil, place, err
		}
		if err := s.Journal.KeepReceipts(tx, b.SignedTicket, receiptBytes(b.receipts)); err != nil {
			return nil, place, err
		}
	}
	if place, err = s.log(tx, b.SignedTicket, string(waypost.ActionPublish), body, now); err != nil {
		return nil, place, err
	}
	_, err = tx.Exec(`INSERT INTO publication (ticket, inputs, sequence, deadline, live, expires) VALUES ($1, $2, $3, $4, 0, $5)`,
		b.ID[:], b.keyed[:], place.sequence, place.deadline.Unix(), forgetAfter(b.Ticket, usable))
	return alarms, place, err
}

// admissible says why the batch cannot be published. It is asked before the
// ticket counts, and again when all becomes live.
func (b batch) admissible(tx *store.Tx) error {
	if b.Kind == waypost.KindCheck {
		var searched bool
		if err := tx.Row(`SELECT EXISTS (SELECT 1 FROM searched WHERE expires = $1 AND ticket = $2)`, forgetAfter(b.Ticket, publishWindow), b.ID[:]).Scan(&searched); err != nil {
			return err
		}
		if !searched {
			return waypost.Errorf(waypost.PermissionDenied, "the ticket of a check publishes a record after it has searched, and part one of its search is not here")
		}
	}
	if err := mayHold(tx, b.SignedTicket); err != nil {
		return err
	}
	all, err := findAll(tx, b.SOI, b.records)
	for _, e := range all {
		switch {
		case err != nil:
		case b.Kind == waypost.KindRepublish:
			err = b.repeatable(e)
		default:
			err = e.admissible(tx, b.SOI)
		}
	}
	return err
}

// admissible says why the record cannot be published, as its handle stands.
func (e entry) admissible(tx *store.Tx, owner waypost.Jurisdiction) error {
	at, r := e.standing, e.record
	if at.state == withdrawn || at.state == moved {
		return waypost.Errorf(waypost.AlreadyExists, "a handle of the batch was withdrawn, or its pointer is another state's: draw a new one")
	}
	there := at.state == live && !at.rejected
	if !there {
		if err := accepts(tx, owner, r.generation); err != nil {
			return err
		}
	}
	if len(r.supersedes) == 0 {
		return nil
	}
	old, err := find(tx, owner, r.supersedes)
	switch {
	case err != nil:
		return err
	case there && old.state == withdrawn: // done under another ticket
		return nil
	case old.pointer == 0 || old.state != live:
		return waypost.Errorf(waypost.NotFound, "the pointer to be superseded is not live in the index: publish the record without it, or compare first")
	case old.seen && r.generation != 0:
		return waypost.Errorf(waypost.InvalidArgument, "a pointer that is visible is superseded by one of generation 0")
	}
	return nil
}
