package records

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/store"
)

// upkeep is something that the hub has done with this state's pointers.
type upkeep struct {
	ticket   waypost.SignedTicket
	receipts []waypost.SignedReceipt // of the key holders
	receipt  waypost.SignedReceipt   // of the hub
	answer   *waypostv1.Maintained
}

// maintain has the hub do one thing, and commits with what follows from it that it
// has.
func (f *File) maintain(ctx context.Context, kind waypost.Kind, operator string, what *waypostv1.Maintenance,
	then func(tx *store.Tx, done upkeep) (records int, err error)) (upkeep, error) {
	done, err := f.have(ctx, kind, operator, what)
	if err != nil {
		return done, err
	}
	return done, f.note(ctx, done, then)
}

// note commits what follows from something that the hub has done.
func (f *File) note(ctx context.Context, done upkeep, then func(tx *store.Tx, done upkeep) (records int, err error)) error {
	return f.DB.Write(ctx, func(tx *store.Tx) error {
		records, err := then(tx, done)
		if err != nil {
			return err
		}
		if err := f.Permits.Settle(tx, done.ticket.ID); err != nil {
			return err
		}
		return f.published(tx, done.ticket, records, done.receipts, done.receipt)
	})
}

// have has the hub do one thing. The ticket is abandoned in the ledger where that
// is not noted.
func (f *File) have(ctx context.Context, kind waypost.Kind, operator string, what *waypostv1.Maintenance) (upkeep, error) {
	request, err := proto.MarshalOptions{Deterministic: true}.Marshal(what)
	if err != nil {
		return upkeep{}, err
	}
	if err := f.hubUsable(); err != nil {
		return upkeep{}, err
	}
	hub := f.Roster.Current().Hub().Name
	permit, err := f.Permits.Permit(ctx, errand.Wish{Kind: kind, Purpose: waypost.MaintainPointer, Class: waypost.Loader,
		Operator: operator, Case: "upkeep", Recipient: hub, Request: request})
	if err != nil {
		return upkeep{}, err
	}
	done := upkeep{ticket: permit.Ticket, receipts: permit.Receipts, answer: &waypostv1.Maintained{}}
	wait, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	res, err := f.Hub.Maintain(wait, &waypostv1.MaintainRequest{
		Ticket: permit.Ticket.Bytes(), Receipts: receiptBytes(permit.Receipts), Salt: permit.Salt[:], Request: request,
	})
	if err != nil {
		return done, err
	}
	action := waypost.Action(permit.Ticket.Kind)
	if done.receipt, err = f.checkReceipt(res.Receipt, action, permit.Ticket, permit.Ticket.Probes, res.Answer); err != nil {
		return done, err
	}
	if err := proto.Unmarshal(res.Answer, done.answer); err != nil {
		return done, waypost.Errorf(waypost.PermissionDenied, "what the hub says it has done is not well formed")
	}
	return done, nil
}

// maxWithdrawn is how many pointers one ticket withdraws.
const maxWithdrawn = 100

// withdrawDue withdraws what is to be withdrawn now, up to a hundred at once.
func (f *File) withdrawDue(ctx context.Context) error {
	if err := f.index.RLock(ctx); err != nil {
		return err
	}
	defer f.index.RUnlock()
	batch, err := f.due(ctx, Ending, maxWithdrawn)
	if err != nil || len(batch) == 0 {
		return err
	}
	w := &waypostv1.Withdrawal{}
	for _, p := range batch {
		w.Handles = append(w.Handles, p.Handle[:])
	}
	_, err = f.maintain(ctx, waypost.KindWithdraw, batch[0].operator, &waypostv1.Maintenance{What: &waypostv1.Maintenance_Withdraw{Withdraw: w}},
		func(tx *store.Tx, _ upkeep) (int, error) {
			for _, p := range batch {
				if err := f.end(tx, p.Handle); err != nil {
					return 0, err
				}
			}
			return len(batch), nil
		})
	return f.later(ctx, batch, err)
}

// end notes that a pointer is out of the index, unless it is another state's.
func (f *File) end(tx *store.Tx, h waypost.Handle) error {
	p, err := byHandle(tx, h)
	if err != nil || p.State == Moved {
		return err
	}
	p.State = Withdrawn
	p.at(time.Time{})
	return f.put(tx, p)
}

// due returns pointers in that state about which something is to be done now, all
// of one operator.
func (f *File) due(ctx context.Context, state State, limit int) (batch []pointer, err error) {
	err = f.DB.Read(ctx, func(tx *store.Tx) error {
		batch = nil
		all, err := selectPointers(tx, `WHERE p.state = $1 AND p.due <= $2 ORDER BY p.due, p.handle LIMIT $3`, int(state), f.Now().Unix(), limit)
		for _, p := range all {
			if p.operator == all[0].operator {
				batch = append(batch, p)
			}
		}
		return err
	})
	return batch, err
}

// later puts off what could not be done now, and returns why it could not.
func (f *File) later(ctx context.Context, batch []pointer, cause error) error {
	if cause == nil {
		return nil
	}
	at := waypost.RetryAfterOf(cause)
	return errors.Join(cause, f.DB.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		for _, p := range batch {
			next := f.Now().Add(pause(p.tries))
			if at.After(next) {
				next = at
			}
			if _, err := tx.Exec(`UPDATE pointer SET tries = tries + 1, due = $1 WHERE handle = $2 AND due IS NOT NULL`, next.Unix(), p.Handle[:]); err != nil {
				return err
			}
		}
		return nil
	}))
}

// pause is how long to wait after so many failures: half a minute, doubled each
// time up to an hour.
func pause(tries int) time.Duration { return min(time.Hour, 30*time.Second<<min(tries, 10)) }

// Activate makes a dark generation visible, all of it, or rolls it back: then it
// never becomes visible, and may be loaded again as another. Everything that is
// wanted in it must have been published. It returns how many pointers that are.
func (f *File) Activate(ctx context.Context, operator string, number uint32, rollBack bool) (records uint64, err error) {
	if err := f.index.Lock(ctx); err != nil {
		return 0, err
	}
	defer f.index.Unlock()
	var live, wanted uint64
	var state int
	err = f.DB.Read(ctx, func(tx *store.Tx) error {
		if err := tx.Row(`SELECT state FROM generation WHERE number = $1`, number).Scan(&state); err != nil {
			return err
		}
		return tx.Row(`SELECT coalesce(sum(CASE WHEN state IN ($1, $2) THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN state = $3 THEN 1 ELSE 0 END), 0)
			FROM pointer WHERE generation = $4`, int(Live), int(Ending), int(Wanted), number).Scan(&live, &wanted)
	})
	to := active
	if rollBack {
		to = rolledBack
	}
	switch {
	case errors.Is(err, store.ErrNoRows):
		return 0, waypost.Errorf(waypost.NotFound, "nothing was loaded into generation %d", number)
	case err != nil:
		return 0, err
	case state == to:
		return live, nil
	case state != dark:
		return 0, waypost.Errorf(waypost.InvalidArgument, "generation %d is activated or rolled back already: that is for good", number)
	case wanted > 0 && !rollBack:
		return 0, waypost.Errorf(waypost.Unavailable, "%d records of generation %d are still being published: activate it when they are", wanted, number)
	}
	what := &waypostv1.Maintenance{What: &waypostv1.Maintenance_Activate{Activate: &waypostv1.Activation{Generation: number, Records: live, RollBack: rollBack}}}
	done, err := f.have(ctx, waypost.KindActivate, operator, what)
	if err != nil {
		return live, err
	}
	if rollBack {
		if err := f.endAll(ctx, number); err != nil {
			return live, err
		}
	}
	return live, f.note(ctx, done, func(tx *store.Tx, _ upkeep) (int, error) {
		if _, err := tx.Exec(`UPDATE generation SET state = $1, at = $2 WHERE number = $3`, to, f.Now().Unix(), number); err != nil {
			return 0, err
		}
		if rollBack { // with what was wanted in it meanwhile
			_, err := f.endSome(tx, number, Wanted)
			return int(live), err
		}
		// What was wanted meanwhile comes after its activation, and is visible at once.
		_, err := tx.Exec(`UPDATE pointer SET generation = 0 WHERE generation = $1 AND state = $2`, number, int(Wanted))
		return int(live), err
	})
}

// endAtOnce bounds one transaction of what ends all pointers: everybody else's
// commits wait for it.
const endAtOnce = 256

// endAll notes, in steps, that all pointers of a generation are out of the index,
// once the hub has them no more and before that is noted: cut off, it is done
// again.
func (f *File) endAll(ctx context.Context, generation uint32) error {
	for _, state := range []State{Live, Ending, Wanted} {
		for n := endAtOnce; n == endAtOnce; {
			if err := f.DB.Write(ctx, func(tx *store.Tx) (err error) {
				n, err = f.endSome(tx, generation, state)
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// endSome takes one step of it.
func (f *File) endSome(tx *store.Tx, generation uint32, state State) (int, error) {
	batch, err := selectPointers(tx, `WHERE p.generation = $1 AND p.state = $2 ORDER BY p.handle LIMIT $3`, generation, int(state), endAtOnce)
	if err != nil {
		return 0, err
	}
	for _, p := range batch {
		p.State = Withdrawn
		p.at(time.Time{})
		if err := f.put(tx, p); err != nil {
			return 0, err
		}
	}
	return len(batch), nil
}

// noneComing refuses a departure while records are on their way here: one that the
// hub passes in between would stand in the index after it.
func (f *File) noneComing(ctx context.Context) error {
	var coming int
	err := f.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT count(*) FROM pointer WHERE state = $1`, int(Coming)).Scan(&coming)
	})
	if err == nil && coming > 0 {
		err = waypost.Errorf(waypost.InvalidArgument, "%d records are on their way to this state: let their moves end, or cancel them (waypost move list), and leave then", coming)
	}
	return err
}

// Leave takes everything out of the index, for good, and shows it: the receipt is
// the hub's for a comparison afterwards that finds nothing. It may be called again
// until it succeeds.
func (f *File) Leave(ctx context.Context, operator string) (withdrawn uint64, receipt []byte, err error) {
	if err := f.index.Lock(ctx); err != nil {
		return 0, nil, err
	}
	defer f.index.Unlock()
	if err := f.noneComing(ctx); err != nil {
		return 0, nil, err
	}
	done, err := f.have(ctx, waypost.KindLeave, operator, &waypostv1.Maintenance{What: &waypostv1.Maintenance_Leave{Leave: &waypostv1.Departure{}}})
	if err != nil {
		return 0, nil, err
	}
	loaded, err := f.Generations(ctx)
	if err != nil {
		return 0, nil, err
	}
	loaded = append(loaded, Generation{}) // what is visible at once
	for _, g := range loaded {
		if err := f.endAll(ctx, g.Number); err != nil {
			return 0, nil, err
		}
	}
	if err := f.note(ctx, done, func(tx *store.Tx, done upkeep) (int, error) {
		for _, g := range loaded { // and what was wanted meanwhile
			if _, err := f.endSome(tx, g.Number, Wanted); err != nil {
				return 0, err
			}
		}
		_, err := tx.Exec(`UPDATE generation SET state = $1, at = $2 WHERE state = $3`, rolledBack, f.Now().Unix(), dark)
		return int(done.answer.Withdrawn), err
	}); err != nil {
		return 0, nil, err
	}
	after, err := f.compareAll(ctx, operator)
	if err != nil {
		return done.answer.Withdrawn, nil, err
	}
	if after.hub != 0 {
		return done.answer.Withdrawn, nil, waypost.Errorf(waypost.Unavailable, "the hub still has %d pointers of this state: leave again", after.hub)
	}
	return done.answer.Withdrawn, after.receipt, nil
}
