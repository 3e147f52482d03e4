package apart

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// row is a pointer in the hub's database, with all that stands there about it.
type row struct {
	handle  waypost.Handle
	columns []float64 // every column, as a number
	labels  []float64 // how many there are, and where they stand
	receipt [16]byte
}

// rest is a copy of the hub's database.
type rest struct {
	rows  map[waypost.Handle]*row
	batch map[[16]byte]float64   // how many pointers came by one ticket
	parts map[[16]byte][]float64 // of the ticket that a pointer came by: what is left of its search
}

// copied reads everything that stands about pointers.
func (p *play) copied(ctx context.Context) (*rest, error) {
	c := &rest{rows: make(map[waypost.Handle]*row), batch: make(map[[16]byte]float64), parts: make(map[[16]byte][]float64)}
	byID := make(map[int64]*row)
	err := p.x.Role("hub").DB.Read(ctx, func(tx *store.Tx) error {
		number := 0.0 // in the order in which the rows lie there: a table that is read whole comes as it lies
		if err := tx.Query(`SELECT id, owner, handle, state, generation, version, epoch, receipt, changed FROM pointer`, nil,
			func(scan func(...any) error) error {
				var id, state, generation, version, epoch, changed int64
				var owner string
				var handle, receipt []byte
				if err := scan(&id, &owner, &handle, &state, &generation, &version, &epoch, &receipt, &changed); err != nil {
					return err
				}
				r := &row{handle: waypost.Handle(handle), receipt: [16]byte(receipt), labels: make([]float64, 3)}
				number++
				r.columns = []float64{number, float64(id), float64(owner[0]), float64(owner[1]), first4(handle), float64(state),
					float64(generation), float64(version), float64(epoch), first4(receipt), float64(changed)}
				byID[id], c.rows[r.handle] = r, r
				c.batch[r.receipt]++
				return nil
			}); err != nil {
			return err
		}
		place := 0.0
		if err := tx.Query(`SELECT label, pointer FROM label ORDER BY label`, nil, func(scan func(...any) error) error {
			var label []byte
			var pointer int64
			if err := scan(&label, &pointer); err != nil {
				return err
			}
			if place++; byID[pointer] != nil {
				l := byID[pointer].labels
				l[0]++
				l[1] += place
				l[2] += first4(label[1:])
			}
			return nil
		}); err != nil {
			return err
		}
		return c.tickets(tx)
	})
	return c, err
}

// tickets reads what is left of searches: whoever has a ticket's name knows which
// pointer came by it.
func (c *rest) tickets(tx *store.Tx) error {
	return tx.Query(`SELECT ticket, part, candidates FROM search ORDER BY sequence`, nil, func(scan func(...any) error) error {
		var ticket, list []byte
		var part int
		if err := scan(&ticket, &part, &list); err != nil {
			return err
		}
		found, err := waypost.ParseCandidates(list)
		if err != nil {
			return err
		}
		under := waypost.PublishedUnder(waypost.TicketID(ticket))
		if c.parts[under] == nil {
			c.parts[under] = make([]float64, 4)
		}
		c.parts[under][part-1] = float64(len(found.List))
		c.parts[under][part+1] = float64(len(list))
		return nil
	})
}

func first4(raw []byte) float64 { return float64(binary.BigEndian.Uint32(raw)) }

// features are all that the copy has about a subject's pointers: of the first, and the
// labels of all.
func (c *rest) features(s *subject) []float64 {
	x := make([]float64, 0, 32)
	var labels, rows float64
	for _, p := range s.pointers {
		if r := c.rows[p.handle]; r != nil {
			labels += r.labels[0]
			rows++
		}
	}
	r := c.rows[s.pointers[0].handle]
	if r == nil {
		r = &row{columns: make([]float64, 11), labels: make([]float64, 3)}
	}
	x = append(append(append(x, r.columns...), r.labels...), labels, rows, c.batch[r.receipt])
	if left := c.parts[r.receipt]; left != nil {
		return append(x, left...)
	}
	return append(x, make([]float64, 4)...)
}

// recent are the same of somebody to whom a card was issued minutes ago: what is left of
// the search has the candidates that there would be at national density.
func (c *rest) recent(t *transcript) func(s *subject) []float64 {
	return func(s *subject) []float64 {
		x := c.features(s)
		if check := t.searches[s.check]; check != nil {
			for part := range check.parts {
				for _, token := range s.pointers[0].tokens {
					if check.parts[part].tokens[token] {
						x[len(x)-4+part] += float64(t.crowded[token])
					}
				}
				x[len(x)-4+part] = min(x[len(x)-4+part], waypost.MaxCandidates)
			}
		}
		return x
	}
}

// without plants a weakness in the hub's database: of the pointers of people who have
// no SSN, each label of a share of all is not there. It keeps at least the rest.
func (p *play) without(ctx context.Context, share float64, perPointer int) error {
	r := rand.New(rand.NewPCG(p.Seed, 17))
	return p.x.Role("hub").DB.Write(ctx, func(tx *store.Tx) error {
		for _, s := range p.loaded {
			if s.ssn() {
				continue
			}
			missing := 0
			for range perPointer {
				if r.Float64() < share {
					missing++
				}
			}
			if missing == 0 {
				continue
			}
			if _, err := tx.Exec(`DELETE FROM label WHERE label IN (SELECT l.label FROM label l JOIN pointer p ON p.id = l.pointer WHERE p.owner = $1 AND p.handle = $2 LIMIT $3)`,
				s.state, s.pointers[0].handle[:], missing); err != nil {
				return err
			}
		}
		return nil
	})
}
