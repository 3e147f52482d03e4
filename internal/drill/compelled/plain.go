package compelled

import (
	"context"
	"fmt"

	"github.com/waypost/waypost/internal/drill"
)

// plain serves the same order on the operators of the two baselines, which hold the same
// records, and asks them about the same people.
func (c *scene) plain(ctx context.Context) error {
	plain, unkeyed := drill.NewBaselines(c.x.Records)
	none := make(map[*person]bool) // who have a record without an SSN
	holders := 0
	for _, p := range c.people {
		if len(p.records) > 0 {
			holders++
		}
		for _, ssn5 := range p.records {
			if ssn5 == "" {
				none[p] = true
			}
		}
	}
	c.table(plain, holders, len(none))
	return c.hashes(ctx, unkeyed, none)
}

// table reads the rows of the plain index.
func (c *scene) table(plain *drill.Plain, holders, none int) {
	listed, marked, cards := make(map[*person]bool), make(map[*person]bool), 0
	for _, row := range plain.Rows {
		ssn5 := row.SSN5
		row.SSN5, row.Owner = "", "" // as bare leaves it
		p := c.by[row]
		if p == nil {
			continue
		}
		listed[p], cards = true, cards+1
		if ssn5 == drill.NoSSN {
			marked[p] = true
		}
	}
	n := float64(len(listed))
	c.Add(drill.Line{Party: "the operator of today's index (baseline)", Attempted: "hand over all that it has",
		Obtained: fmt.Sprintf("%.0f card holders by name, all at once, %d of them marked as without an SSN", n, len(marked)),
		Noticed:  "by nobody", Target: "everybody is listed", OK: len(listed) == holders && len(marked) == none && none > 0, Planted: true,
		Figure: &drill.Figure{Name: "people of other states, by name", Value: n, Low: n, High: n, Bound: float64(holders),
			Others: numbers(map[string]float64{listedOthers: n, confirmOthers: float64(cards), ssnOthers: n})}})
}

// hashes asks the index of unkeyed hashes about everybody: each without an SSN, and of
// the others some with every SSN.
func (c *scene) hashes(ctx context.Context, unkeyed *drill.Unkeyed, none map[*person]bool) error {
	marked, confirmed, tried, cards := 0, 0, 0, 0
	try := func(p *person, ssn5 string) bool {
		row := drill.RowOf(p.Person, "")
		owner, ok := unkeyed.Find(row.Family, row.Given, row.Born, ssn5)
		if ok && p.holds(owner) {
			cards++
		}
		return ok
	}
	for _, p := range c.people {
		if try(p, drill.NoSSN) {
			marked++
		}
		if none[p] || len(p.records) == 0 || tried == c.Size.Pick(3, 20, 200) {
			continue
		}
		c.Progress("hashing", tried, c.Size.Pick(3, 20, 200))
		tried++
		for n := range 100_000 {
			if try(p, fmt.Sprintf("%05d", n)) {
				confirmed++
				break
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	found, told := float64(cards), float64(marked+confirmed)
	c.Add(drill.Line{Party: "the operator of an index of unkeyed hashes (baseline)",
		Attempted: fmt.Sprintf("be asked about everybody by name: %d people without an SSN, by one hash each, and %d of the others with every SSN", len(c.people), tried),
		Obtained:  fmt.Sprintf("%d of the %d card holders without an SSN at once, %d of %d others with their SSN: %.0f cards of those for whom it was tried", marked, len(none), confirmed, tried, found),
		Noticed:   "by nobody", Target: "everybody for whom it is tried is confirmed, those without an SSN first", OK: marked == len(none) && confirmed == tried && tried > 0 && marked > 0, Planted: true,
		Figure: &drill.Figure{Name: "people confirmed", Value: told, Low: told, High: told, Bound: float64(len(none) + tried),
			Others: numbers(map[string]float64{confirmOthers: found, ssnOthers: told})}})
	return nil
}
