package ceremony

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// GiveUp has a participant give up a ceremony that is open there, and carries its
// signed word, with all that it has heard, to the others. The clients show that
// participant's own certificate: on another's it gives nothing up. told hears how the
// ceremony stands at each, or why that is not known. One that has signed does not give
// up; another participant, or the end of the ceremony's time, can still end it.
func GiveUp(ctx context.Context, p Plan, from string, clients Clients, told func(name string, state *waypostv1.CeremonyState, err error)) error {
	id := p.ID()
	if position(p.Participants(), from) == 0 || clients[from] == nil {
		return waypost.Errorf(waypost.InvalidArgument, "%s takes no part in the ceremony: it is given up by one that does", from)
	}
	ask := func(name string, messages [][]byte) (*waypostv1.CeremonyState, error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		return clients[name].AbortCeremony(ctx, &waypostv1.AbortCeremonyRequest{Ceremony: id[:], Messages: messages})
	}
	own, err := ask(from, nil)
	if err != nil {
		return err
	}
	told(from, own, nil)
	all, err := clients[from].GetCeremony(ctx, &waypostv1.GetCeremonyRequest{Ceremony: id[:]})
	if err != nil {
		return err
	}
	for _, name := range p.Participants() {
		if name == from {
			continue
		}
		if clients[name] == nil {
			told(name, nil, waypost.Errorf(waypost.Unavailable, "%s cannot be reached", name))
			continue
		}
		state, err := ask(name, all.Messages)
		told(name, state, err)
	}
	return nil
}

// Missing asks all who got a share in a ceremony whether they can open it, and returns
// those who cannot, or do not say so: before governance signs a roster that names the
// shares. The error is of one that could not be asked.
func Missing(ctx context.Context, p Plan, clients Clients) (names []string, err error) {
	id := p.ID()
	for _, name := range p.Holders {
		if clients[name] == nil {
			return nil, waypost.Errorf(waypost.Unavailable, "%s cannot be reached", name)
		}
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		state, err := clients[name].GetCeremony(ctx, &waypostv1.GetCeremonyRequest{Ceremony: id[:]})
		cancel()
		if err != nil && waypost.CodeOf(err) != waypost.NotFound {
			return nil, fmt.Errorf("%s cannot be asked whether it holds its share: %w", name, err)
		}
		if !state.GetHolds() {
			names = append(names, name)
		}
	}
	return names, nil
}
