package clerk

import (
	"context"
	"fmt"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/rogue"
)

// ask is the state that wants to know who of the several it was: it asks the owners of
// the candidates, and names the people of the list one after the other.
func (p *play) ask(ctx context.Context, g *rogue.Gateway) error {
	p.tomorrow()
	tickets := p.Size.Pick(2, 8, 50)
	var asked, continued, matches, refused int
	before, err := p.entries(ctx, "misuse")
	if err != nil {
		return err
	}
	for n := range tickets {
		look, err := p.look(g, n)
		if err != nil {
			return err
		}
		if err := g.Evaluated(ctx, look); err != nil {
			return err
		}
		candidates, err := g.Search(ctx, look, 1)
		if err != nil {
			return err
		}
		for _, c := range candidates.List {
			first, err := g.FirstLeg(ctx, look, c)
			if err != nil {
				return err
			}
			if asked++; !first.Continue {
				continue
			}
			continued++
			second, err := g.SecondLeg(ctx, look, c, p.named(n, continued))
			if err != nil {
				return err
			}
			if second.Refused != "" {
				refused++
			} else {
				matches++
			}
		}
	}
	after, err := p.entries(ctx, "misuse")
	if err != nil {
		return err
	}
	misuse := 0
	for _, owner := range owners {
		misuse += after[owner] - before[owner]
	}
	p.Add(drill.Line{
		Party:     "a state whose gateway was replaced",
		Attempted: fmt.Sprintf("asks on %d candidates of %d tickets for several people, and names one where it may", asked, tickets),
		Obtained:  fmt.Sprintf("%d times that somebody of the %d agrees, and not who; %d of %d names refused, no match", continued, waypost.NameElements, refused, continued),
		Noticed:   fmt.Sprintf("at once: %d entries of misuse in the ledgers of the states that were asked", misuse),
		Baseline:  p.inBaselines(),
		Target:    "no answer about anybody; each name that is not the ticket's is misuse in the owner's ledger",
		OK:        asked > 0 && matches == 0 && misuse == continued,
		Figure:    &drill.Figure{Name: "answers about a person", Value: float64(matches), Low: float64(matches), High: float64(matches), Bound: 0, AtMost: true},
	})
	return nil
}

// named is somebody of the ticket.
func (p *play) named(ticket, turn int) *waypostv1.Applicant {
	who := p.list[(ticket*waypost.CheckElements+turn%waypost.NameElements)%len(p.list)].Person
	return &waypostv1.Applicant{Family: who.Family, Given: who.Given, Middle: who.Middle, Suffix: who.Suffix, Born: who.Born.String()}
}
