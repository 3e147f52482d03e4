package apart

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/drill"
)

// movePatience is how long a move may take before the drill gives up.
const movePatience = 3 * time.Minute

// move has people become drivers of another state, and be checked there once more. Whom
// the other state does not recognise by name stays among them.
func (p *play) move(ctx context.Context) error {
	doors := make(map[waypost.Jurisdiction]waypostv1connect.MovesClient)
	for _, state := range drill.States {
		door, _, err := cluster.Door(p.x.Dir, state)
		if err != nil {
			return err
		}
		doors[state] = waypostv1connect.NewMovesClient(door)
	}
	var going []*subject
	for _, i := range rand.New(rand.NewPCG(p.Seed, 7)).Perm(len(p.loaded)) {
		s := p.loaded[i]
		if len(going) < p.Size.Pick(40, 240, 1600) && !s.twin && s.why == "" && s.record.Status == waypost.Valid && s.record.Person == s.before {
			going = append(going, s)
		}
	}
	err := p.each(ctx, "moves to another state", going, func(ctx context.Context, s *subject, _ waypostv1connect.RecordsClient) error {
		at := slices.Index(drill.States, s.state)
		s.to = drill.States[(at+1)%len(drill.States)]
		answer, err := p.x.Whole(ctx, s.to, s.record.Person, waypost.IssueLicence, s.record.ID+"-M")
		if err != nil {
			return err
		}
		s.check = answer.Ticket
		for _, c := range answer.Candidates {
			if c.State == s.state && c.Outcome == waypost.Match {
				if err := p.pass(ctx, doors[s.to], s, c); err != nil {
					return err
				}
				break
			}
		}
		// Where there are namesakes a person must look first, and nothing moves meanwhile.
		again, err := p.x.Made(ctx, s.to, s.record.Person, waypost.Renew, s.record.ID+"-R")
		s.again = again.Ticket
		return err
	})
	p.moved = going
	return err
}

// pass makes one change of state of record, to its end.
func (p *play) pass(ctx context.Context, door waypostv1connect.MovesClient, s *subject, c waypost.CandidateAnswer) error {
	m, err := door.Start(ctx, &waypostv1.StartMoveRequest{
		Check: fmt.Sprintf("%x", s.check[:]), Reference: fmt.Sprintf("%x", c.Reference[:]), Record: "M-" + s.record.ID,
		CardNumber: "SYNM" + s.record.ID, CardKind: string(waypost.Licence), Consent: &waypostv1.Consent{Told: "You give up your old licence.", Language: "en"},
	})
	if err != nil {
		return err
	}
	for end := time.Now().Add(movePatience); m.State != "done"; {
		if time.Now().After(end) {
			return fmt.Errorf("a move is still %s", m.State)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		if m, err = door.Get(ctx, &waypostv1.GetMoveRequest{Id: m.Id}); err != nil {
			return err
		}
	}
	return nil
}
