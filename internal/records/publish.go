package records

import (
	"bytes"
	"context"
	"crypto/sha256"
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

// publish makes the tokens of up to 100 pointers under a ticket, keeps them, and
// only then hands them to the hub: a notice never names a record that is not known
// here. What want does, unless it is nil, is committed with the entry that says that
// the ticket is used.
func (f *File) publish(ctx context.Context, kind waypost.Kind, operator string, batch []pointer, want func(tx *store.Tx) error) error {
	epochs := epochsOf(f.Roster.Settled().KeysFor(kind))
	for i := range batch {
		batch[i].cover(epochs)
	}
	keys, err := f.keys(ctx, batch)
	if err != nil {
		return err
	}
	var seed [32]byte
	randomise(seed[:])
	var blinding *toprf.Blinding
	err = f.Turns.Take(len(keys), func(opts ...toprf.Option) (err error) {
		blinding, err = toprf.BlindAll(keys, seed, opts...)
		return err
	})
	if err != nil {
		return err
	}
	ticket, err := f.Quorum.Ticket(kind, operator, toprf.EncodeElements(blinding.Elements()))
	if err != nil {
		return err
	}
	if now, err := f.Roster.KeysFor(ticket.Ticket); err != nil || !slices.Equal(epochsOf(now), epochs) {
		return errors.Join(err, waypost.Errorf(waypost.Unavailable, "the roster has just changed its keys: this is done again"))
	}
	if err := f.hubUsable(); err != nil {
		return err
	}
	if err := f.openPublication(ctx, ticket, want); err != nil {
		return err
	}
	if err := f.publishUnder(ctx, ticket, blinding, batch); err != nil {
		code := journal.Field{Name: "code", Value: string(waypost.CodeOf(err))}
		return errors.Join(err, f.abandon(context.WithoutCancel(ctx), ticket, code))
	}
	return nil
}

// keys are the ten of each pointer that are to be evaluated. Where a token is
// there already something random takes the place: the ticket has ten for each.
func (f *File) keys(ctx context.Context, batch []pointer) ([][]byte, error) {
	var keys [][]byte
	for _, p := range batch {
		who := p.person
		todo := p.todo()
		if p.fresh != nil {
			who = p.fresh.Person
		} else if todo&ssnSlots != 0 {
			r, err := f.wantedRecord(ctx, p.Record)
			if err != nil {
				return nil, err
			}
			who.SSN5 = r.SSN5
		}
		who = f.standing(who, p)
		for i, slot := range matchkey.Index(who, f.decoySecret) {
			if todo&(1<<i) == 0 {
				randomise(slot.Key)
			}
			keys = append(keys, slot.Key)
		}
	}
	return keys, nil
}

// publishUnder is publish once the ticket stands in the ledger.
func (f *File) publishUnder(ctx context.Context, ticket waypost.SignedTicket, blinding *toprf.Blinding, batch []pointer) error {
	sets, receipts, err := f.Quorum.Evaluate(ctx, ticket, blinding)
	if err != nil {
		return err
	}
	for k := range batch {
		for _, s := range sets {
			batch[k].under(s.Epoch).take(s.Tokens[k*matchkey.Slots:][:matchkey.Slots])
		}
	}
	for chunk := range slices.Chunk(batch, keepAtOnce) {
		if err := f.DB.WriteBulk(ctx, func(tx *store.Tx) error {
			if ticket.Kind == waypost.KindRepublish {
				return f.keepRenewed(tx, chunk)
			}
			return f.keepTokens(tx, chunk)
		}); err != nil {
			return err
		}
	}
	return f.hand(ctx, ticket, receipts, batch)
}

// keepAtOnce is for how many pointers one transaction keeps the tokens: who waits at
// a counter waits for one such transaction at most.
const keepAtOnce = 20

// keepTokens stores the tokens of pointers, by which the state's own search finds
// them from here on. Nobody else has to do with a fresh one.
func (f *File) keepTokens(tx *store.Tx, batch []pointer) error {
	now := f.Now()
	var rows, found [][]any
	for _, p := range batch {
		if p.fresh == nil {
			err := f.hide(tx, &p)
			if err == nil {
				err = f.put(tx, p)
			}
			if err != nil {
				return err
			}
			continue
		}
		tokens, epochs, _ := joinSets(p.sets)
		rows = append(rows, []any{tokens, epochs[0], epochs[1], now.Unix(), p.Handle[:]})
		for _, t := range p.searched() {
			found = append(found, []any{t[:], p.Handle[:]})
		}
	}
	if _, err := tx.ExecMany(`UPDATE pointer SET tokens = $1, epoch = $2, todo = 0, next_epoch = $3, next_todo = 0, changed = $4 WHERE handle = $5`, rows); err != nil {
		return err
	}
	return findBy(tx, found)
}

// hand gives a batch to the hub and commits that it is in the index.
func (f *File) hand(ctx context.Context, ticket waypost.SignedTicket, receipts []waypost.SignedReceipt, batch []pointer) error {
	receipt, err := f.handOver(ctx, ticket, receipts, batch)
	if err != nil {
		return err
	}
	return f.DB.WriteBulk(ctx, func(tx *store.Tx) error {
		if err := f.arrivedAll(tx, batch, ticket); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM publication WHERE ticket = $1`, ticket.ID[:]); err != nil {
			return err
		}
		return f.published(tx, ticket, len(batch), receipts, receipt)
	})
}

// published writes the entry about what the hub has done under a ticket, and keeps
// the receipts.
func (f *File) published(tx *store.Tx, ticket waypost.SignedTicket, records int, receipts []waypost.SignedReceipt, receipt waypost.SignedReceipt) error {
	if err := f.Journal.KeepReceipts(tx, ticket, receiptBytes(append(slices.Clip(receipts), receipt))); err != nil {
		return err
	}
	return f.log(tx, ticket, "published", journal.Field{Name: "records", Value: strconv.Itoa(records)},
		journal.Field{Name: "evaluations", Value: waypost.Places(receipts...)},
		journal.Field{Name: "publications", Value: waypost.Places(receipt)})
}

// arrivedAll is arrived for a batch. Most are as they were, and in nobody's place.
func (f *File) arrivedAll(tx *store.Tx, batch []pointer, under waypost.SignedTicket) error {
	keys, err := f.Roster.KeysFor(under.Ticket)
	if err != nil {
		return err
	}
	if under.Kind == waypost.KindRepublish {
		return advance(tx, batch, under.Epoch)
	}
	lists := make([][]any, len(batch))
	for i, p := range batch {
		lists[i] = []any{int(Live), publishedReceipt(under.ID), slices.Max(epochsOf(keys)), f.Now().Unix(), p.Handle[:], int(Wanted)}
	}
	changed, err := tx.ExecMany(`UPDATE pointer SET state = $1, due = NULL, tries = 0, version = 1, receipt = $2, reached = $3, changed = $4
		WHERE handle = $5 AND state = $6`, lists)
	if err != nil {
		return err
	}
	for i, p := range batch {
		if changed[i] == 1 && p.supersedes == (waypost.Handle{}) {
			continue
		}
		if err := f.arrived(tx, p, under); err != nil {
			return err
		}
	}
	return nil
}

// arrived notes that a pointer is in the index, and that the one in whose place it
// is stands there no more.
func (f *File) arrived(tx *store.Tx, p pointer, under waypost.SignedTicket) error {
	now, err := byHandle(tx, p.Handle)
	if err != nil {
		return err
	}
	if now.State == Wanted { // or it is to be withdrawn again by now
		now.State = Live
		now.at(time.Time{})
	}
	keys, err := f.Roster.KeysFor(under.Ticket)
	if err != nil {
		return err
	}
	now.tries, now.Version, now.receipt, now.reached = 0, 1, publishedReceipt(under.ID), slices.Max(epochsOf(keys))
	if err := f.put(tx, now); err != nil || p.supersedes == (waypost.Handle{}) {
		return err
	}
	old, err := byHandle(tx, p.supersedes)
	if err != nil {
		return err
	}
	if old.State == Moved {
		return nil
	}
	old.State = Withdrawn
	old.at(time.Time{})
	return f.put(tx, old)
}

// publishWait bounds the hub's writing of one batch.
const publishWait = 30 * time.Second

// handOver gives the batch to the hub, checks its receipt and returns it. Within a
// pointer the tokens of each key are sorted, so that their order says nothing about slots.
func (f *File) handOver(ctx context.Context, ticket waypost.SignedTicket, receipts []waypost.SignedReceipt, batch []pointer) (waypost.SignedReceipt, error) {
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	keys, err := f.Roster.KeysFor(ticket.Ticket)
	if err != nil {
		return waypost.SignedReceipt{}, err
	}
	req := &waypostv1.PublishRequest{Ticket: ticket.Bytes(), Receipts: receiptBytes(receipts)}
	for _, p := range batch {
		r := &waypostv1.PublishedRecord{Handle: bytes.Clone(p.Handle[:])}
		if ticket.Kind != waypost.KindRepublish {
			r.Generation, r.Supersedes = p.Generation, bytes.Clone(unlessZero(p.supersedes[:]))
		}
		for _, k := range keys {
			m := p.under(k.Epoch)
			if m == nil || m.todo != 0 {
				return waypost.SignedReceipt{}, waypost.Errorf(waypost.InvalidArgument, "the pointer has no tokens of key epoch %d", k.Epoch)
			}
			sorted := slices.Clone(m.tokens)
			if p.alien(k.Epoch) {
				randomiseSSN(sorted)
			}
			slices.SortFunc(sorted, func(a, b waypost.Token) int { return bytes.Compare(a[:], b[:]) })
			r.Tokens = append(r.Tokens, JoinTokens(sorted)...)
		}
		req.Records = append(req.Records, r)
	}
	res, err := f.Hub.Publish(ctx, req)
	if err != nil {
		return waypost.SignedReceipt{}, err
	}
	return f.checkReceipt(res.Receipt, waypost.ActionPublish, ticket, publishedInputs(req.Records), nil)
}

// randomiseSSN puts something random into the SSN slots of what is handed over under a
// key under which another state has offered the pointer. The hub may know the tokens
// that it offered, and this state's would be the same only where both know the SSN:
// whoever it is for, they are others.
func randomiseSSN(tokens []waypost.Token) {
	for i := range tokens[matchkey.NameSlots:] {
		randomise(tokens[matchkey.NameSlots+i][:])
	}
}

// publishedInputs is what the hub's receipt commits to.
func publishedInputs(records []*waypostv1.PublishedRecord) [32]byte {
	var inputs bytes.Buffer
	for _, r := range records {
		inputs.Write(r.Handle)
		inputs.Write(r.Tokens)
		inputs.Write(r.Supersedes)
	}
	return waypost.HashTokens(inputs.Bytes())
}

// publishedReceipt is what a pointer's receipt is after it was published under the
// ticket (spec/pointer.md).
func publishedReceipt(under waypost.TicketID) []byte {
	sum := sha256.Sum256(append([]byte("waypost pointer published v1\n"), under[:]...))
	return sum[:receiptSize]
}

// passedReceipt is that of a pointer that was passed by a change of state of record.
func passedReceipt(change [16]byte) []byte {
	sum := sha256.Sum256(append([]byte("waypost pointer passed v1\n"), change[:]...))
	return sum[:receiptSize]
}

const receiptSize = 16

// checkReceipt insists that the hub's receipt commits to exactly this.
func (f *File) checkReceipt(raw []byte, action waypost.Action, t waypost.SignedTicket, inputs [32]byte, answer []byte) (waypost.SignedReceipt, error) {
	receipt, err := waypost.ParseReceipt(raw)
	if err != nil {
		return receipt, err
	}
	hub := f.Roster.Current().Hub()
	if err := receipt.Verify(hub.Identity); err != nil {
		return receipt, err
	}
	want := waypost.Receipt{
		Action: action, Signer: hub.Name, Ticket: t.ID, Epoch: t.Epoch, Inputs: inputs,
		Outputs: waypost.HashOutputs(action, answer), Origin: receipt.Origin, Sequence: receipt.Sequence, Deadline: receipt.Deadline,
	}
	if receipt.Receipt != want {
		return receipt, waypost.Errorf(waypost.PermissionDenied, "the hub's receipt is not for what it was asked to do")
	}
	return receipt, receipt.CheckPromise(f.Now(), journal.MergeDelay)
}

// openPublication commits that something is about to be published under the
// ticket, and what else is wanted then.
func (f *File) openPublication(ctx context.Context, ticket waypost.SignedTicket, want func(tx *store.Tx) error) error {
	return f.DB.WriteBulk(ctx, func(tx *store.Tx) error {
		if want != nil {
			if err := want(tx); err != nil {
				return err
			}
		}
		if err := f.log(tx, ticket, "ask"); err != nil {
			return err
		}
		return f.keepOpen(tx, ticket)
	})
}

// keepOpen notes a ticket that has its entry "ask", to be abandoned if it is cut
// off.
func (f *File) keepOpen(tx *store.Tx, ticket waypost.SignedTicket) error {
	_, err := tx.Exec(`INSERT INTO publication (ticket, signed, due) VALUES ($1, $2, $3) ON CONFLICT (ticket) DO NOTHING`,
		ticket.ID[:], ticket.Bytes(), f.Now().Add(publicationLife).Unix())
	return err
}

// abandon says in the ledger that a publication did not come to its end here: the
// hub may have it or not. What it was about is done again under another ticket.
func (f *File) abandon(ctx context.Context, ticket waypost.SignedTicket, why ...journal.Field) error {
	return f.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM publication WHERE ticket = $1`, ticket.ID[:])
		if err != nil || n == 0 {
			return err
		}
		return f.log(tx, ticket, "abandoned", why...)
	})
}

// abandonCutOff does so for those that a crash has cut off.
func (f *File) abandonCutOff(ctx context.Context) error {
	var open [][]byte
	err := f.DB.Read(ctx, func(tx *store.Tx) error {
		open = nil
		return tx.Query(`SELECT signed FROM publication WHERE due < $1 ORDER BY due, ticket LIMIT 100`, []any{f.Now().Unix()},
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
			parseErr = f.abandon(ctx, ticket)
		}
		err = errors.Join(err, parseErr)
	}
	return err
}

// log appends an entry about a ticket to the journal.
func (f *File) log(tx *store.Tx, t waypost.SignedTicket, kind string, more ...journal.Field) error {
	body, err := journal.Body(append(journal.TicketFields(t.Ticket), more...)...)
	if err != nil {
		return err
	}
	_, err = f.Journal.Append(tx, journal.Entry{Kind: kind, Ticket: t.ID, Tau: t.Tau, At: f.Now(), Body: body})
	return err
}

func receiptBytes(receipts []waypost.SignedReceipt) [][]byte {
	out := make([][]byte, len(receipts))
	for i, r := range receipts {
		out[i] = r.Bytes()
	}
	return out
}
