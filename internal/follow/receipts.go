package follow

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/translog"
)

// Bounds of one round.
const (
	duePage      = 1000 // rows of receipts taken at once
	duePages     = 20
	waitingPage  = 2048 // waiting receipts of one log taken at once
	waitingMost  = 8 * waitingPage
	settleAtOnce = 50
	maxSights    = 64
	missedMost   = 100 // receipts of one log that evidence is tried for at once
	// maxMissed is how much evidence of missed receipts there is about one
	// member. Further ones wait, and with them the member: see Usable.
	maxMissed = 1000
)

// due is one receipt whose deadline is over.
type due struct {
	promise
	ticket, receipt []byte // wire forms
	id              [32]byte
	waiting         bool // it is in follow_receipt already
}

func newDue(ticket, receipt []byte) (due, error) {
	p, err := parsePromise(ticket, receipt)
	return due{promise: p, ticket: ticket, receipt: receipt, id: sha256.Sum256(receipt)}, err
}

// verdict is what becomes of receipts.
type verdict struct {
	kept   []due       // their leaf is there
	missed []*Evidence // one for each of missedDue
	broken []due       // those of missed
	wait   []due       // nobody can know yet
	lost   []due       // their leaf is among what their signer has declared lost
}

// changes reports whether there is anything to write.
func (v verdict) changes() bool {
	waiting := func(d due) bool { return d.waiting }
	return len(v.missed) > 0 || len(v.lost) > 0 || slices.ContainsFunc(v.kept, waiting) ||
		slices.ContainsFunc(v.wait, func(d due) bool { return !d.waiting })
}

// checkDue takes receipts over from the role, and looks again at those that
// had to wait.
func (f *Follower) checkDue(ctx context.Context) error {
	var last int64
	for range duePages {
		rows, err := f.Journal.DueReceipts(ctx, f.Now(), last, duePage)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		if err := f.takeOver(ctx, rows); err != nil {
			return err
		}
		last = rows[len(rows)-1].ID
	}
	var errs []error
	for _, l := range f.logs {
		if !l.owing.IsZero() && (l.tried.N != l.seen.N || !l.tried.Cosigned.Equal(l.seen.Cosigned)) {
			errs = append(errs, f.lookAgain(ctx, l))
		}
	}
	return errors.Join(errs...)
}

// takeOver judges receipts of the role. Those that must wait go into a table by
// log: a log that cannot be read holds up nobody else's. The role forgets them
// after that is durable; a crash between has them judged again.
func (f *Follower) takeOver(ctx context.Context, rows []journal.DueReceipts) error {
	byOrigin := make(map[string][]due)
	ids := make([]int64, 0, len(rows))
	for _, row := range rows {
		ids = append(ids, row.ID)
		for _, receipt := range row.Receipts {
			d, err := newDue(row.Ticket, receipt)
			if err != nil {
				// The role verified it before it kept it.
				f.Log.Error("a receipt that was kept cannot be read", "cause", err)
				continue
			}
			byOrigin[d.promise.receipt.Origin] = append(byOrigin[d.promise.receipt.Origin], d)
		}
	}
	for origin, list := range byOrigin {
		if err := f.settle(ctx, origin, list); err != nil {
			return err
		}
	}
	return f.Journal.ForgetReceipts(ctx, ids)
}

// lookAgain judges the receipts about one log that are waiting.
func (f *Follower) lookAgain(ctx context.Context, l *log) error {
	for looked := 0; looked < waitingMost && !l.owing.IsZero(); { // the last page may have been a full one
		var list []due
		err := f.DB.Read(ctx, func(tx *store.Tx) error {
			return tx.Query(`SELECT ticket, receipt FROM follow_receipt WHERE origin = $1 ORDER BY seq LIMIT $2`,
				[]any{l.origin, waitingPage}, func(scan func(...any) error) error {
					var ticket, receipt []byte
					if err := scan(&ticket, &receipt); err != nil {
						return err
					}
					d, err := newDue(ticket, receipt)
					d.waiting = true
					list = append(list, d)
					return err
				})
		})
		if err != nil {
			return fmt.Errorf("follow: %w", err)
		}
		before := l.owing
		if err := f.settle(ctx, l.origin, list); err != nil {
			return err
		}
		if l.tried = l.seen; l.unsettled {
			l.tried = translog.Checkpoint{} // again next time
			return nil
		}
		// In order of their leaves: if the first page had to wait, so has the rest.
		if looked += len(list); len(list) < waitingPage || l.owing.Equal(before) {
			return nil
		}
	}
	return nil
}

// settle judges receipts about one log and makes what came of it durable:
// first what waits and what was found, a few at a time, since after an hour in which a log
// could not be read they are many, and others write too; then the evidence, then the
// entries about it. A crash between has the rest judged again.
func (f *Follower) settle(ctx context.Context, origin string, list []due) error {
	l, err := f.logOf(ctx, origin, list[0].promise.receipt.Signer)
	if err != nil || l == nil {
		return err
	}
	v, err := f.judgeDue(ctx, l, list)
	f.tell("receipts of "+l.origin, err)
	l.unsettled = err != nil
	if !v.changes() {
		return nil // the usual case
	}
	if err := errors.Join(f.inParts(ctx, v.wait, false, due.wait), f.inParts(ctx, v.kept, true, due.forget)); err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	for _, e := range v.missed {
		if err := f.keep(e); err != nil {
			return err
		}
	}
	err = f.DB.Write(ctx, func(tx *store.Tx) error { return f.conclude(tx, l, v) })
	if err == nil {
		err = f.DB.Read(ctx, l.readOwing)
	}
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	return nil
}

// inParts does something with the receipts that are waiting, or those that are not, a few in
// one transaction.
func (f *Follower) inParts(ctx context.Context, all []due, waiting bool, do func(due, *store.Tx) error) error {
	all = slices.DeleteFunc(slices.Clone(all), func(d due) bool { return d.waiting != waiting })
	for some := range slices.Chunk(all, settleAtOnce) {
		if err := f.DB.WriteBulk(ctx, func(tx *store.Tx) error {
			for _, d := range some {
				if err := do(d, tx); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// logOf is the log that receipts of a signer are about, which is followed from now on; nil
// for the role's own.
func (f *Follower) logOf(ctx context.Context, origin, signer string) (*log, error) {
	if l := f.logs[origin]; l != nil {
		return l, nil
	}
	m, _ := f.Roster.Member(signer)
	if m.Name == "" {
		m.Name = signer // removed since: its log may be readable all the same
	}
	l := f.named(m, origin)
	if l == nil {
		return nil, nil
	}
	return l, f.add(ctx, []*log{l})
}

// conclude makes the entries of a verdict.
func (f *Follower) conclude(tx *store.Tx, l *log, v verdict) error {
	for i, e := range v.missed {
		if err := f.enter(tx, e, v.broken[i]); err != nil {
			return err
		}
	}
	for _, d := range v.lost {
		if err := f.enterLost(tx, l, d); err != nil {
			return err
		}
	}
	for _, d := range slices.Concat(v.broken, v.lost) {
		if err := d.forget(tx); err != nil {
			return err
		}
	}
	return nil
}

func (d due) wait(tx *store.Tx) error {
	if d.waiting {
		return nil
	}
	r := d.promise.receipt
	_, err := tx.Exec(`INSERT INTO follow_receipt (origin, seq, id, deadline, ticket, receipt) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (origin, seq, id) DO NOTHING`, r.Origin, r.Sequence, d.id, r.Deadline.Unix(), d.ticket, d.receipt)
	return err
}

func (d due) forget(tx *store.Tx) error {
	if !d.waiting {
		return nil
	}
	_, err := tx.Exec("DELETE FROM follow_receipt WHERE origin = $1 AND seq = $2 AND id = $3",
		d.promise.receipt.Origin, d.promise.receipt.Sequence, d.id)
	return err
}

// enter makes the entry receipt_missed, once.
func (f *Follower) enter(tx *store.Tx, e *Evidence, d due) error {
	added, err := tx.Exec("INSERT INTO follow_missed (member, evidence) VALUES ($1, $2) ON CONFLICT (member, evidence) DO NOTHING",
		e.Member, e.ID())
	if err != nil || added == 0 {
		return err
	}
	place, err := d.promise.receipt.Place()
	if err != nil {
		return err
	}
	body, err := journal.Body(journal.Field{Name: "signer", Value: e.Member}, journal.Field{Name: "place", Value: place},
		journal.Field{Name: "evidence", Value: e.ID()})
	if err != nil {
		return err
	}
	_, err = f.Journal.Append(tx, journal.Entry{Kind: "receipt_missed", At: f.Now(), Body: body})
	return err
}

// judgeDue says what becomes of receipts, by the newest checkpoint of their log
// that was verified. What cannot be judged now waits; the error says why, where
// that is not for the log to mend.
func (f *Follower) judgeDue(ctx context.Context, l *log, list []due) (v verdict, err error) {
	if l.closed != nil {
		return f.judgeClosed(ctx, l, list)
	}
	cp := l.seen
	if cp.Note == nil || l.broken != "" {
		v.wait = list
		return v, nil
	}
	slices.SortFunc(list, func(a, b due) int { return cmp.Compare(a.promise.receipt.Sequence, b.promise.receipt.Sequence) })
	end, _ := slices.BinarySearchFunc(list, uint64(cp.N), func(d due, n uint64) int { return cmp.Compare(d.promise.receipt.Sequence, n) })
	limited, stop := context.WithTimeout(ctx, lookTime)
	defer stop()
	leaves, err := f.leaves(limited, l, cp, list[:end])
	var suspect []due
	for _, d := range list[:end] {
		tag, leaf := d.tag(), leaves[int64(d.promise.receipt.Sequence)]
		switch {
		case leaf == nil:
			v.wait = append(v.wait, d)
		case bytes.HasPrefix(leaf, tag[:]):
			v.kept = append(v.kept, d)
		default:
			suspect = append(suspect, d)
		}
	}
	for _, d := range list[end:] {
		if l.stalls(d) {
			suspect = append(suspect, d)
		} else {
			v.wait = append(v.wait, d)
		}
	}
	if len(suspect) == 0 {
		return v, err
	}
	return v, errors.Join(err, f.accuse(limited, &v, l, suspect))
}

// stalls reports whether the log, which ends before the promised leaf, has been
// cosigned without it for as long after the deadline as a leaf may take. A
// member that was down for a while shows what it had when it comes back, and
// catches up: that is no misconduct.
func (l *log) stalls(d due) bool {
	for _, at := range l.sights {
		if d.overdue(at) {
			return l.seen.Cosigned.Sub(at) >= journal.MergeDelay
		}
	}
	return false
}

// accuse makes evidence, or has the receipts wait where that is not possible
// now.
func (f *Follower) accuse(ctx context.Context, v *verdict, l *log, suspect []due) error {
	var have int
	err := f.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row("SELECT count(*) FROM follow_missed WHERE member = $1", l.member).Scan(&have)
	})
	room := min(maxMissed-have, missedMost)
	for i, d := range suspect {
		if err == nil && i >= room {
			err = fmt.Errorf("there are %d pieces of evidence of missed receipts against %s, and %d more to make", have+i, l.member, len(suspect)-i)
		}
		var e *Evidence
		if err == nil {
			e, err = f.missEvidence(ctx, l, d, d.promise.receipt.Sequence < uint64(l.seen.N))
		}
		if err != nil {
			v.wait = append(v.wait, suspect[i:]...)
			return err
		}
		v.missed, v.broken = append(v.missed, e), append(v.broken, d)
	}
	return nil
}

// missEvidence makes evidence of a broken promise, and judges it as a stranger
// would. there says whether the log has a leaf at that place.
func (f *Follower) missEvidence(ctx context.Context, l *log, d due, there bool) (*Evidence, error) {
	e, err := f.evidence(ReceiptWithoutLeaf, l.member, d.promise.ticket.RosterVersion)
	if err != nil {
		return nil, err
	}
	list, err := checkRosters(e.Roster, f.Governance)
	if err != nil {
		return nil, err
	}
	r, m, err := list.newest(l.member)
	if err != nil {
		return nil, err
	}
	policy, err := Policy(r, m, l.origin)
	if err != nil {
		return nil, err
	}
	if e.Checkpoint, err = trim(string(l.seen.Note), verifiers(policy)...); err != nil {
		return nil, err
	}
	e.Ticket, e.Receipt = d.ticket, d.receipt
	if there {
		reader, err := f.Open(l.member, l.instance)
		if err != nil {
			return nil, err
		}
		leaf, proof, err := translog.Leaf(ctx, reader, l.seen, int64(d.promise.receipt.Sequence))
		if err != nil {
			return nil, err
		}
		e.Leaf, e.Proof = leaf, setProof(proof)
	}
	_, err = e.Verify(f.Governance)
	return e, err
}
