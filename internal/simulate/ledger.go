package simulate

import (
	"context"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
)

// ledger is a role's journal through all its lives, and remembers what was
// appended under which number. A number that was undone is given out again.
type ledger struct {
	*journal.Journal
	role *role
	at   map[uint64]act
	of   map[act][]uint64
	left uint64 // entries when the last process ended
}

// act is what an entry is about.
type act struct {
	kind   string
	ticket waypost.TicketID
}

func newLedger(r *role) *ledger {
	return &ledger{role: r, at: make(map[uint64]act), of: make(map[act][]uint64)}
}

// Append implements the Ledger of every role.
func (l *ledger) Append(tx *store.Tx, e journal.Entry) (uint64, error) {
	seq, err := l.Journal.Append(tx, e)
	if err == nil {
		a := act{e.Kind, e.Ticket}
		l.at[seq] = a
		l.of[a] = append(l.of[a], seq)
		l.role.w.trace.note("entry", l.role.name, seq, e.Kind, waypost.TicketID(e.Ticket))
	}
	return seq, err
}

// has reports whether an entry of that kind about the ticket is committed now.
func (l *ledger) has(ticket waypost.TicketID, kinds ...string) bool {
	size := l.size()
	for _, kind := range kinds {
		a := act{kind, ticket}
		for _, seq := range l.of[a] {
			if l.at[seq] == a && seq < size {
				return true
			}
		}
	}
	return false
}

// size is how many entries are committed.
func (l *ledger) size() (n uint64) {
	if l.role.life == nil || l.role.life.closed {
		return l.left
	}
	err := l.role.life.db.Read(context.Background(), func(tx *store.Tx) error {
		return tx.Row(`SELECT count(*) FROM journal`).Scan(&n)
	})
	if err != nil {
		l.role.w.failf("%s: %v", l.role.name, err)
	}
	return n
}
