package audit_test

import (
	"maps"
	"os"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/audit"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// A cheat is played by one role that misbehaves, or by two that have agreed.
type cheat struct {
	name string
	play func(d *drill) waypost.TicketID
	want []string // "member kind": all that is found about the ticket
	// aside is what is found about ledgers as such.
	aside []string
}

// waves are the cheats that one audit finds together.
var waves = [][]cheat{
	{
		{"unlogged search", unloggedSearch, []string{"hub " + audit.UnloggedSearch, "hub " + audit.DisclosureWithoutSearch}, []string{"hub " + audit.ReceiptMissed}},
		{"unlogged search for a state that keeps silent", silentSearch, []string{"hub " + audit.DisclosureWithoutSearch}, nil},
		{"search without quorum", searchWithoutQuorum, []string{"hub " + audit.SearchWithoutQuorum}, nil},
		{"search on another ticket's evaluations", searchOnOthers, []string{"hub " + audit.SearchWithoutQuorum}, nil},
		{"hidden pointer", hiddenPointer, []string{"hub " + audit.HiddenPointer}, nil},
	}, {
		{"unlogged disclosure", func(d *drill) waypost.TicketID { return unlogged(d, "disclose") }, []string{"NV " + audit.UnloggedDisclosure}, nil},
		{"an owner off the record", func(d *drill) waypost.TicketID { return unlogged(d, "notified", "continue", "disclose") },
			[]string{"NV " + audit.UnloggedDisclosure}, nil},
		{"disclosure without search", disclosureWithoutSearch, []string{"AZ " + audit.UnloggedSearch, "NV " + audit.DisclosureWithoutSearch}, nil},
		{"unlogged question", unloggedAsk, []string{"AZ " + audit.EvaluationWithoutOwner}, nil},
		{"ticket for another person", anotherPerson, []string{"AZ " + audit.Misuse}, nil},
		{"candidate kept quiet", quietCandidate, []string{"AZ " + audit.NeverAsked}, nil},
		{"answer turned round", turnedAnswer, []string{"AZ " + audit.UnloggedDisclosure}, nil},
		{"canary that was found and said not to be", deniedCanary, []string{"AZ " + audit.HiddenPointer}, nil},
	}, {
		{"dropped entry", droppedEntry, []string{"keyholder-2 " + audit.SearchWithoutQuorum}, []string{"keyholder-2 " + audit.ReceiptMissed}},
		{"back-dated entry", backDated, nil, []string{"keyholder-3 " + audit.BackDated}},
	},
}

// TestRealCheats: before the first cheat nothing is found. Each is found by the
// next audit, which reads what is new since the last, and that names who cheated
// and nobody else, though honest traffic goes on around it. An audit of
// everything finds them all, while the exchange runs and when it has stopped.
func TestRealCheats(t *testing.T) {
	d := open(t, roster.Quota{})
	found := d.holder("CA")
	d.finds("AZ", found, waypost.Match)
	d.finds("NV", found, waypost.Match)
	d.finds("CA", d.holder("NV"), waypost.Match)
	d.finds("AZ", someone(), waypost.NoMatch)
	d.canary("AZ", "CA", d.finds("AZ", found, waypost.Match), true)
	d.settle()
	honest := d.reconcile(d.state)
	for range 20 { // a state may just be comparing its pointers with the hub's
		if honest.Open == 0 {
			break
		}
		time.Sleep(time.Second)
		d.settle()
		if err := os.Remove(d.state); err != nil {
			t.Fatal(err)
		}
		honest = d.reconcile(d.state)
	}
	d.expect(honest, nil, nil)
	if honest.Tickets < 7 || honest.Counters["disclose"] < 4 || honest.Counters["canary"] != 1 || honest.Open != 0 {
		t.Fatalf("the honest part is not what was played: %d tickets, %d of them open, %v", honest.Tickets, honest.Open, honest.Counters)
	}
	all, aside := make(map[waypost.TicketID][]string), []string(nil)
	for _, wave := range waves {
		now, asideNow := make(map[waypost.TicketID][]string), []string(nil)
		for _, c := range wave {
			now[c.play(d)], asideNow = c.want, append(asideNow, c.aside...)
			d.finds("NV", found, waypost.Match)
		}
		d.settle()
		d.expect(d.reconcile(d.state), now, asideNow)
		maps.Copy(all, now)
		aside = append(aside, asideNow...)
		for _, c := range wave {
			t.Logf("%s: found, %v", c.name, append(c.want, c.aside...))
		}
	}
	d.expect(d.reconcile(""), all, aside)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d.expect(d.reconcile(""), all, aside)
}

// unloggedSearch: the hub answers a search, tells the owners, signs the receipt,
// and writes nothing down.
func unloggedSearch(d *drill) (id waypost.TicketID) {
	p := d.holder("CA")
	d.with("hub", off("search_first", "search_second", "deliver"), func() { id = d.finds("AZ", p, waypost.Match) })
	return id
}

// silentSearch: hub and state of inquiry have agreed that there was no search.
// The owner has been told.
func silentSearch(d *drill) (id waypost.TicketID) {
	p := d.holder("CA")
	d.with("hub", off("search_first", "search_second", "deliver"), func() {
		d.with("AZ", func(_ *store.Tx, e *journal.Entry) bool {
			if e.Kind == "outcome" {
				e.Kind = "abandoned"
			}
			return true
		}, func() { id = d.finds("AZ", p, waypost.Match) })
		d.edit("AZ", `DELETE FROM receipt WHERE ticket IN (SELECT signed FROM inquiry WHERE ticket = $1)`, id[:])
	})
	return id
}

// unlogged: a state answers a question about its record, and leaves out of its
// ledger what it did.
func unlogged(d *drill, kinds ...string) (id waypost.TicketID) {
	p := d.holder("NV")
	d.with("NV", off(kinds...), func() { id = d.finds("AZ", p, waypost.Match) })
	return id
}

// disclosureWithoutSearch: two states have agreed on a question about a record
// that is not in the index. The one that asks writes the other among its
// candidates, the other makes up the hub's notice; the rest their gateways do by
// themselves.
func disclosureWithoutSearch(d *drill) waypost.TicketID {
	p := d.holder("CA") // so that the search finds something to ask about
	var record string
	d.calling("NV", call{publish: func() error { return waypost.Errorf(waypost.Unavailable, "the hub is down") }}, func() {
		var err error
		if record, err = d.load("NV", p); waypost.CodeOf(err) != waypost.Unavailable {
			d.t.Fatalf("the record is in the index: %v", err)
		}
	})
	reference := []byte("0123456789abcdef")
	var a waypost.Answer
	d.calling("AZ", call{search: func(req *waypostv1.SearchRequest) error {
		ticket, err := waypost.ParseTicket(req.Ticket)
		if err != nil || req.Part != 1 {
			return err
		}
		d.edit("NV", `INSERT INTO notice (ticket, reference, handle, asking, state, agreed, signed, question, told, applicant, tau, statement, at)
			SELECT $1, $2, handle, 'AZ', 0, 0, $3, $3, '', $3, $4, $3, $5 FROM pointer WHERE record = $6`,
			ticket.ID[:], reference, []byte{}, ticket.Tau[:], d.Clock.Now().Unix(), record)
		d.edit("AZ", `INSERT INTO ask (ticket, reference, owner, state, outcome, status, card_kind, termination_required, refused, statement)
			VALUES ($1, $2, 'NV', 1, 'pending', '', '', 0, '', $3)`, ticket.ID[:], reference, []byte{})
		return nil
	}}, func() { a = d.begin("AZ", p) })
	d.edit("AZ", `UPDATE ask SET state = 0 WHERE ticket = $1 AND reference = $2`, a.Ticket[:], reference)
	a = d.wait("AZ", a)
	if len(a.Candidates) != 2 || a.Candidates[0].Outcome != waypost.Match || a.Candidates[1].Outcome != waypost.Match {
		d.t.Fatalf("the states have not understood each other: %+v", a)
	}
	return a.Ticket
}

// searchWithoutQuorum: the hub is content with the receipt of one key holder.
func searchWithoutQuorum(d *drill) (id waypost.TicketID) {
	p := d.holder("CA")
	d.lax.Store(true)
	defer d.lax.Store(false)
	d.calling("AZ", call{search: func(req *waypostv1.SearchRequest) error {
		req.Receipts = req.Receipts[:min(1, len(req.Receipts))]
		return nil
	}}, func() { id = d.finds("AZ", p, waypost.Match) })
	return id
}

// searchOnOthers: the hub writes down evaluations that were made for another
// ticket.
func searchOnOthers(d *drill) (id waypost.TicketID) {
	p := d.holder("CA")
	var before string
	d.with("hub", d.rewrite("search_first", func(f map[string]string) { before = f["evaluations"] }), func() { d.finds("NV", p, waypost.Match) })
	d.with("hub", d.rewrite("search_first", func(f map[string]string) { f["evaluations"] = before }), func() { id = d.finds("AZ", p, waypost.Match) })
	return id
}

// droppedEntry: a key holder evaluates, signs the receipt, and drops the entry:
// what comes next takes its place. It is one of the two that the state reaches.
func droppedEntry(d *drill) (id waypost.TicketID) {
	p := d.holder("CA")
	d.deaf.Store("AZ", "keyholder-3")
	defer d.deaf.Delete("AZ")
	d.with("keyholder-2", func(_ *store.Tx, e *journal.Entry) bool { return !evaluates(e, "AZ") },
		func() { id = d.finds("AZ", p, waypost.Match) })
	return id
}

// evaluates reports whether the entry is an evaluation for a check by the state. Others
// may be asking at the same time: who has an answer from two key holders does not wait
// for the third.
func evaluates(e *journal.Entry, state waypost.Jurisdiction) bool {
	if e.Kind != "evaluate" {
		return false
	}
	t, err := audit.TicketIn(e.Body)
	return err == nil && t.SOI == state && t.Kind == waypost.KindCheck
}

// unloggedAsk: a state asks, and its ledger knows nothing of it.
func unloggedAsk(d *drill) (id waypost.TicketID) {
	p := d.holder("CA")
	d.with("AZ", off("ask", "outcome"), func() { id = d.finds("AZ", p, waypost.Match) })
	return id
}

// backDated: a key holder writes an evaluation under an earlier time, in which
// there was quota left, say.
func backDated(d *drill) (id waypost.TicketID) {
	p := d.holder("CA")
	d.deaf.Store("AZ", "keyholder-1")
	defer d.deaf.Delete("AZ")
	d.with("keyholder-3", func(_ *store.Tx, e *journal.Entry) bool {
		if evaluates(e, "AZ") {
			e.At = e.At.Add(-time.Hour)
		}
		return true
	}, func() { id = d.finds("AZ", p, waypost.Match) })
	return id
}

// hiddenPointer: the hub takes a pointer out of its index. The person is a
// synthetic one, whom another state looks for from time to time.
func hiddenPointer(d *drill) waypost.TicketID {
	p := d.holder("CA")
	d.edit("hub", `UPDATE pointer SET state = 3 WHERE owner = 'CA' AND changed = (SELECT max(changed) FROM pointer WHERE owner = 'CA')`)
	id := d.finds("AZ", p, waypost.NoMatch)
	d.canary("AZ", "CA", id, false)
	return id
}

// deniedCanary: a state says that a synthetic person was not found, though the
// hub has delivered the candidate.
func deniedCanary(d *drill) waypost.TicketID {
	id := d.finds("AZ", d.holder("CA"), waypost.Match)
	d.canary("AZ", "CA", id, false)
	return id
}

// anotherPerson: a state has a ticket made for one person and names another.
func anotherPerson(d *drill) waypost.TicketID {
	p, other := d.holder("CA"), d.holder("NV")
	id := d.finds("AZ", other, waypost.Match) // for the bytes of the other applicant
	var a waypost.Answer
	// California is slow, so that Arizona goes by its database when the answer comes.
	edited := make(chan struct{})
	slow := func(_ *store.Tx, e *journal.Entry) bool {
		if e.Kind == "notified" {
			<-edited
		}
		return true
	}
	d.with("CA", slow, func() {
		a = d.begin("AZ", p)
		d.edit("AZ", `UPDATE inquiry SET applicant = (SELECT applicant FROM inquiry WHERE ticket = $1) WHERE ticket = $2`, id[:], a.Ticket[:])
		close(edited)
		a = d.wait("AZ", a)
	})
	if len(a.Candidates) != 1 || a.Candidates[0].Refused == "" {
		d.t.Fatalf("California has answered about another person: %+v", a)
	}
	return a.Ticket
}

// quietCandidate: a state learns of a candidate, and its ledger says there was
// none.
func quietCandidate(d *drill) (id waypost.TicketID) {
	p := d.holder("CA")
	d.with("AZ", d.rewrite("outcome", func(f map[string]string) {
		f["answers"], f["outcome"] = "0", "no_match"
		delete(f, "answer_0")
	}), func() { id = d.finds("AZ", p, waypost.Match) })
	return id
}

// turnedAnswer: a state's ledger says no where the owner said yes.
func turnedAnswer(d *drill) (id waypost.TicketID) {
	p := d.holder("CA")
	d.with("AZ", d.rewrite("outcome", func(f map[string]string) {
		f["outcome"], f["answer_0"] = "no_match", "CA no_match"+f["answer_0"][len("CA match"):]
	}), func() { id = d.finds("AZ", p, waypost.Match) })
	return id
}

// canary writes down, as a state does, whether a check for another state's
// synthetic person has found it.
func (d *drill) canary(state, owner string, check waypost.TicketID, found bool) {
	d.t.Helper()
	said := map[bool]string{true: "yes", false: "no"}[found]
	body, err := journal.Body(journal.Field{Name: "owner", Value: owner}, journal.Field{Name: "found", Value: said},
		journal.Field{Name: "check", Value: hexOf(check)})
	if err == nil {
		r := d.Role(state)
		err = r.DB.Write(d.t.Context(), func(tx *store.Tx) error {
			_, err := r.Journal.Append(tx, journal.Entry{Kind: "canary", At: d.Clock.Now(), Body: body})
			return err
		})
	}
	if err != nil {
		d.t.Fatal(err)
	}
}
