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
func (p *play) ask(ctx context.Context) error {
	g, err := p.nextDay(ctx)
	if err != nil {
		return err
	}
	tickets := p.Size.Pick(2, 8, 50)
	var asked, continued, matches, refused int
	before, err := p.entries(ctx, "misuse")
	if err != nil {
		return err
	}
	for n := range tickets {
		look, err := p.lookAt(g, n)
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
	right, err := p.control(ctx, g)
	if err != nil {
		return err
	}
	misuse := 0
	for state, was := range before {
		if state != "hub" {
			misuse += after[state] - was
		}
	}
	p.Add(drill.Line{
		Party:     "a state whose gateway was replaced",
		Attempted: fmt.Sprintf("asks on %d candidates of %d tickets for several people, and names one where it may", asked, tickets),
		Obtained: fmt.Sprintf("%d times that somebody of the %d agrees, and not who; %d of %d names refused, %d answered. Asked as an honest gateway does, about one person, %d of %d are answered with a match",
			continued, waypost.NameElements, refused, continued, matches, right, controls),
		Noticed:  fmt.Sprintf("at once: %d entries of misuse in the ledgers of the states that were asked", misuse),
		Baseline: p.inBaselines(),
		Target:   "no answer about anybody; each name that is not the ticket's is misuse in the owner's ledger",
		OK:       continued > 0 && matches == 0 && misuse == continued && right == controls,
		Figure: &drill.Figure{Name: "answers about a person", Value: float64(matches), Low: float64(matches), High: float64(matches), Bound: 0, AtMost: true,
			Others: []drill.Other{{Name: "plain index", Value: float64(p.plain.found)}, {Name: "unkeyed index", Value: float64(p.unkeyed.found)}}},
	})
	return nil
}

// named is somebody of the ticket.
func (p *play) named(ticket, turn int) *waypostv1.Applicant {
	return applicant(p.list[(ticket*waypost.CheckElements+turn%waypost.NameElements)%len(p.list)].Person)
}

func applicant(who waypost.Person) *waypostv1.Applicant {
	return &waypostv1.Applicant{Family: who.Family, Given: who.Given, Middle: who.Middle, Suffix: who.Suffix, Born: who.Born.String()}
}

// controls are the people about whom the same program asks by the rules: if these were not
// answered, refusals would say nothing.
const controls = 2

// control asks about people of the list, each in a ticket of their own, and returns how
// many were answered with a match.
func (p *play) control(ctx context.Context, g *rogue.Gateway) (right int, err error) {
	left := controls
	for _, who := range p.list {
		if !who.known || left == 0 {
			continue
		}
		left--
		match, err := p.matched(ctx, g, who.Person)
		if err != nil {
			return right, err
		}
		if match {
			right++
		}
	}
	return right, nil
}

// matched asks about one person as the protocol has it.
func (p *play) matched(ctx context.Context, g *rogue.Gateway, who waypost.Person) (bool, error) {
	look, err := g.Look(rogue.Keys(who), g.Folder.Identity, func(*waypost.Ticket) {})
	if err != nil {
		return false, err
	}
	if err := g.Evaluated(ctx, look); err != nil {
		return false, err
	}
	candidates, err := g.Search(ctx, look, 1)
	if err != nil {
		return false, err
	}
	for _, c := range candidates.List {
		first, err := g.FirstLeg(ctx, look, c)
		if err != nil {
			return false, err
		}
		if !first.Continue {
			continue // somebody else's record
		}
		second, err := g.SecondLeg(ctx, look, c, applicant(who))
		if err != nil {
			return false, err
		}
		if second.Refused == "" && waypost.Outcome(second.Outcome) == waypost.Match {
			return true, nil
		}
	}
	return false, nil
}
