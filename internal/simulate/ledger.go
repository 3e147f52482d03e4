package simulate

import (
	"context"
	"encoding/base64"
	"encoding/json"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
)

// ledger is a role's journal through all its lives, and remembers what was
// appended under which number. A number that was undone is given out again.
type ledger struct {
	*journal.Journal
	role *role
	at   map[uint64]noted
	of   map[act][]uint64
	left []string // kinds of the entries when the last process ended
}

// act is what an entry is about.
type act struct {
	kind   string
	ticket waypost.TicketID
}

// noted is what is remembered of an entry.
type noted struct {
	act
	at      int64
	counted bool // it stands for a ticket that draws on a quota of tickets
}

func newLedger(r *role) *ledger {
	return &ledger{role: r, at: make(map[uint64]noted), of: make(map[act][]uint64)}
}

// Append implements the Ledger of every role.
func (l *ledger) Append(tx *store.Tx, e journal.Entry) (uint64, error) {
	seq, err := l.Journal.Append(tx, e)
	if err == nil {
		a := act{e.Kind, e.Ticket}
		l.at[seq] = noted{a, e.At.Unix(), draws(e)}
		l.of[a] = append(l.of[a], seq)
		l.role.w.trace.note("entry", l.role.name, seq, e.Kind, waypost.TicketID(e.Ticket))
	}
	return seq, err
}

// draws reports whether the entry stands for a ticket that is counted as one.
func draws(e journal.Entry) bool {
	switch e.Kind {
	case "search_first", "withdraw", "activate", "compare", "leave", "change_state_of_record":
		return true
	case "evaluate":
		var body struct{ Ticket string }
		if json.Unmarshal(e.Body, &body) != nil {
			return false
		}
		raw, err := base64.StdEncoding.DecodeString(body.Ticket)
		if err != nil {
			return false
		}
		t, err := waypost.ParseTicket(raw)
		return err == nil && t.Kind != waypost.KindPublish && t.Kind != waypost.KindChange
	}
	return false
}

// has reports whether an entry of that kind about the ticket is committed now.
func (l *ledger) has(ticket waypost.TicketID, kinds ...string) bool {
	stands := l.kinds()
	for _, kind := range kinds {
		a := act{kind, ticket}
		for _, seq := range l.of[a] {
			if l.at[seq].act == a && int(seq) < len(stands) && stands[seq] == kind {
				return true
			}
		}
	}
	return false
}

// committed calls each with what is committed since the world began.
func (l *ledger) committed(each func(n noted)) {
	for seq, kind := range l.kinds() {
		// What the journal itself has appended under a number may stand where
		// something else was undone.
		if n, ok := l.at[uint64(seq)]; ok && n.kind == kind {
			each(n)
		}
	}
}

// kinds are those of the entries that are committed, in order.
func (l *ledger) kinds() []string {
	if l.role.life == nil || l.role.life.closed {
		return l.left
	}
	var kinds []string
	err := l.role.life.db.Read(context.Background(), func(tx *store.Tx) error {
		kinds = nil
		return tx.Query(`SELECT kind FROM journal ORDER BY seq`, nil, func(scan func(dest ...any) error) error {
			kinds = append(kinds, "")
			return scan(&kinds[len(kinds)-1])
		})
	})
	if err != nil {
		l.role.w.failf("%s: %v", l.role.name, err)
	}
	return kinds
}
