package simulate

import (
	"context"
	"fmt"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// person is somebody of the simulation: what a clerk would be told across the
// counter today.
type person struct {
	waypost.Person
	protected bool
}

// fate is what must have become of a card in the end, as far as those who did it
// were told.
type fate int

const (
	unsure fate = iota // somebody died or was cut off before it was confirmed
	there              // in the index
	gone               // out of it
)

// card is a record of a state, as the script knows it.
type card struct {
	id    string
	state waypost.Jurisdiction
	who   *person
	first bool // it did not come from another state's
	out   bool // somebody has tried to take it out of the index, or to end it
	both  bool // another state has something to do with it: see oneEach
	dark  bool // nobody may find it yet
	fate  fate
	acts  int // how many things were begun with it
	open  int // and are not over
}

// folk are the people that every world begins with: with and without an SSN, with
// no card, one or two, namesakes, and one who is protected.
var folk = []struct {
	family, given, born, ssn string
	cards                    []waypost.Jurisdiction
	protected                bool
}{
	{"ABERNATHY", "RUTH", "1961-04-12", "12345", []waypost.Jurisdiction{"CA"}, false},
	{"BORGSTROM", "LARS", "1974-09-30", "", []waypost.Jurisdiction{"CA"}, false},
	{"CASTELLANOS", "INES", "1988-01-21", "23456", []waypost.Jurisdiction{"AZ"}, false},
	{"DIALLO", "MAMADOU", "1990-11-05", "", []waypost.Jurisdiction{"NV"}, false},
	{"EISENHAUER", "GRETCHEN", "1955-06-18", "34567", []waypost.Jurisdiction{"CA", "NV"}, false},
	{"SMITH", "JAMES", "1980-03-14", "45678", []waypost.Jurisdiction{"CA"}, false},
	{"SMITH", "JAMES", "1980-03-14", "56789", []waypost.Jurisdiction{"AZ"}, false},
	{"SMITH", "MARY", "1980-03-14", "", []waypost.Jurisdiction{"NV"}, false},
	{"GUNNARSDOTTIR", "HEKLA", "1999-12-01", "67890", []waypost.Jurisdiction{"NV"}, true},
	{"HOLLOWAY", "TERRENCE", "1967-08-08", "78901", nil, false},
	{"IKEDA", "MIYOKO", "1983-02-26", "", nil, false},
}

// newNames are what people change theirs to.
var newNames = []string{"JANKOWSKI", "KOWALCZYK", "LINDQVIST", "MBEKI", "NAKAMURA", "OYELARAN"}

// populate makes the people, and their cards as each state has them on file.
func (w *world) populate() (files map[waypost.Jurisdiction][]waypost.Record) {
	files = make(map[waypost.Jurisdiction][]waypost.Record)
	for _, f := range folk {
		born, err := waypost.ParseDate(f.born)
		if err != nil {
			panic(err)
		}
		p := &person{Person: waypost.Person{Family: f.family, Given: f.given, Born: born, Sex: "F", SSN5: f.ssn}, protected: f.protected}
		for _, s := range f.cards {
			c := w.newCard(s, p)
			c.first, c.fate = true, there
			files[s] = append(files[s], c.record())
		}
		w.people = append(w.people, p)
	}
	return files
}

// newCard gives the person a card of a state, on paper.
func (w *world) newCard(s waypost.Jurisdiction, p *person) *card {
	c := &card{id: fmt.Sprintf("%s-%03d", s, len(w.cards)), state: s, who: p}
	w.cards = append(w.cards, c)
	return c
}

// record is what the state has on file of it today.
func (c *card) record() waypost.Record {
	return waypost.Record{ID: c.id, Person: c.who.Person, CardNumber: c.id[:2] + "0000" + c.id[3:], Kind: waypost.Licence, Status: waypost.Valid, Protected: c.who.protected}
}

// like reports whether two may be taken for each other: the same given name and
// date, and one name in common that they have or had.
func (p *person) like(q waypost.Person) bool { return p.Given == q.Given && p.Born == q.Born }

// onFile is what a state's own system has of a record, ok where it has any.
func (w *world) onFile(c *card) (r waypost.Record, ok bool) {
	r, err := w.role[string(c.state)].life.gateway.File().Record(context.Background(), c.id)
	if err != nil && waypost.CodeOf(err) != waypost.NotFound {
		w.failf("%s: %v", c.id, err)
	}
	return r, err == nil
}

// indexed reports whether a state has the record in the index, by its own book.
func (w *world) indexed(c *card) bool {
	return w.number(w.role[string(c.state)].life.db, `SELECT count(*) FROM pointer WHERE record = $1 AND alias = 0 AND state = 1`, c.id) > 0
}

// visibleTo reports whether a check of a state finds the record of a card: it is in
// the index and, for others than its own state, in no generation that waits to be
// activated. Whoever loads gives up after a day, and somebody may have renamed the
// record in the dark by then.
func (w *world) visibleTo(asking waypost.Jurisdiction, c *card) bool {
	if asking == c.state {
		return w.indexed(c)
	}
	for h := range w.held(w.role[string(c.state)].life.db, `SELECT handle FROM pointer WHERE record = $1 AND alias = 0 AND state = 1`, c.id) {
		if w.number(w.role["hub"].life.db, `SELECT count(*) FROM pointer p WHERE p.owner = $1 AND p.handle = $2 AND p.state = 1 AND (p.generation = 0
			OR EXISTS (SELECT 1 FROM generation g WHERE g.owner = p.owner AND g.number = p.generation AND g.state = 1))`, c.state, h) > 0 {
			return true
		}
	}
	return false
}

// held are the live pointers that an owner has, by the hub's table or its own.
func (w *world) held(db *store.DB, query string, args ...any) map[waypost.Handle]bool {
	held := make(map[waypost.Handle]bool)
	err := db.Read(context.Background(), func(tx *store.Tx) error {
		return tx.Query(query, args, func(scan func(dest ...any) error) error {
			var h waypost.Handle
			err := scan(&h)
			held[h] = true
			return err
		})
	})
	if err != nil {
		w.failf("%s: %v", query, err)
	}
	return held
}
