package ceremony

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/roster"
)

// Clients reach the participants, by name.
type Clients map[string]waypostv1connect.CeremonyClient

// Progress is told how far a ceremony is: what a participant has done in a round, or
// why it has not, as far as that is known.
type Progress func(round Round, participant, what string)

// retryEvery is how often a participant that does not answer is asked again.
const retryEvery = 500 * time.Millisecond

// Run leads a ceremony to its end: it carries the messages of each round from each
// participant to all. It holds no secret and can be interrupted at any point: Run
// again with the same plan, from anywhere, goes on where the participants are. A
// participant that does not answer is waited for until the context ends.
//
// Where a participant finds a fault, all are shown what all have, so that each names
// the culprit by itself; the error is that *Fault then.
func Run(ctx context.Context, p Plan, r *roster.Roster, clients Clients, progress Progress) (*Transcript, error) {
	s, err := newSession(p, r)
	if err != nil {
		return nil, err
	}
	for _, name := range s.participants {
		if clients[name] == nil {
			return nil, waypost.Errorf(waypost.InvalidArgument, "%s takes part and cannot be reached", name)
		}
	}
	c := &coordinator{session: s, clients: clients, progress: progress}
	for round := Commit; round <= Sign+1; round++ {
		if err := c.collect(ctx, round); err != nil {
			return nil, err
		}
	}
	return c.transcript(), nil
}

type coordinator struct {
	*session
	clients  Clients
	progress Progress
	mu       sync.Mutex // guards session and progress while participants are asked side by side
}

// collect has every participant hear the round before and say its message of this one.
// After Sign there is none: they hear that all have signed.
func (c *coordinator) collect(ctx context.Context, round Round) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	before := c.carried(round - 1)
	errs := make(chan error, len(c.participants))
	for _, name := range c.participants {
		go func() {
			err := c.persist(ctx, round, name, func(ctx context.Context) error { return c.ask(ctx, round, name, before) })
			if errors.As(err, new(*Fault)) {
				stop() // nobody's answer matters any more
			}
			errs <- err
		}()
	}
	var failed error
	for range c.participants {
		err := <-errs
		if failed == nil || errors.As(err, new(*Fault)) && !errors.As(failed, new(*Fault)) {
			failed = err
		}
	}
	if fault, ok := errors.AsType[*Fault](failed); ok {
		return c.tell(context.WithoutCancel(ctx), fault)
	}
	return failed
}

// carried are the messages of a round, as they are carried to all.
func (c *coordinator) carried(round Round) (all [][]byte) {
	for _, name := range c.participants {
		if m, ok := c.heard[round][name]; ok {
			all = append(all, m.signed)
		}
	}
	return all
}

// persist asks until there is an answer that waiting does not change.
func (c *coordinator) persist(ctx context.Context, round Round, name string, ask func(context.Context) error) error {
	told := ""
	for {
		err := ask(ctx)
		if err == nil || waypost.CodeOf(err) != waypost.Unavailable {
			return err
		}
		if told != err.Error() {
			told = err.Error()
			c.tellProgress(round, name, "does not answer: "+told)
		}
		select {
		case <-ctx.Done():
			return waypost.Errorf(waypost.Unavailable, "%s does not answer in round %s", name, round).WithCause(err)
		case <-time.After(retryEvery):
		}
	}
}

func (c *coordinator) tellProgress(round Round, name, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress(round, name, what)
}

// ask carries the round before to one participant and takes its message of this one.
func (c *coordinator) ask(ctx context.Context, round Round, name string, before [][]byte) error {
	id := c.plan.ID()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var state *waypostv1.CeremonyState
	var err error
	if round == Commit {
		state, err = c.clients[name].StartCeremony(ctx, &waypostv1.StartCeremonyRequest{Plan: c.plan.Bytes(), Approval: c.plan.Approval})
	} else {
		state, err = c.clients[name].AdvanceCeremony(ctx, &waypostv1.AdvanceCeremonyRequest{Ceremony: id[:], Round: uint32(round - 1), Messages: before})
	}
	switch {
	case err != nil:
		return err
	case !bytes.Equal(state.Ceremony, id[:]):
		return waypost.Errorf(waypost.InvalidArgument, "%s answers about another ceremony", name)
	case state.State == stateAborted:
		return &Fault{Culprit: state.Culprit, Reason: state.Reason}
	case round > Sign:
		c.tellProgress(Sign, name, "knows that all have signed")
		return nil
	}
	// One that has been here before answers with what it has said last.
	got := state.Messages
	if len(got) == 1 {
		if m, err := ParseMessage(got[0]); err == nil && m.Round > round {
			if got, err = c.earlier(ctx, name, round); err != nil {
				return err
			}
		}
	}
	if len(got) != 1 {
		return waypost.Errorf(waypost.InvalidArgument, "%s says nothing in round %s", name, round)
	}
	return c.listen(round, name, got[0])
}

// earlier gets what a participant has said in a round that it is past.
func (c *coordinator) earlier(ctx context.Context, name string, round Round) ([][]byte, error) {
	id := c.plan.ID()
	state, err := c.clients[name].GetCeremony(ctx, &waypostv1.GetCeremonyRequest{Ceremony: id[:]})
	if err != nil {
		return nil, err
	}
	for _, raw := range state.Messages {
		if m, err := ParseMessage(raw); err == nil && m.Round == round && m.Sender == name {
			return [][]byte{raw}, nil
		}
	}
	return nil, nil
}

func (c *coordinator) listen(round Round, name string, raw []byte) error {
	m, err := ParseMessage(raw)
	if err != nil {
		return err
	}
	if m.Round != round || m.Sender != name {
		return waypost.Errorf(waypost.InvalidArgument, "%s says something that was not asked", name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.hear(m); err != nil {
		return err
	}
	if body, ok := parseSign(m.Body); round == Sign && ok && body.dealer > 0 {
		c.progress(round, name, fmt.Sprintf("complains about the deal of dealer %d", body.dealer))
		if fault := c.judge(Sign); fault != nil {
			return fault // all can judge it: nobody else has to sign
		}
		return nil
	}
	c.progress(round, name, "has answered")
	return nil
}

// tell shows everybody what everybody has, and returns the fault as those see it who
// name somebody.
func (c *coordinator) tell(ctx context.Context, fault *Fault) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	id := c.plan.ID()
	all := make(map[[32]byte][]byte)
	for _, heard := range c.heard {
		for _, m := range heard {
			all[m.Digest()] = m.signed
		}
	}
	for _, name := range c.participants {
		state, err := c.clients[name].GetCeremony(ctx, &waypostv1.GetCeremonyRequest{Ceremony: id[:]})
		if err != nil {
			c.tellProgress(Abort, name, "cannot be asked what it has: "+err.Error())
			continue
		}
		for _, raw := range state.Messages {
			if m, err := ParseMessage(raw); err == nil && m.verify(id, c.keys) == nil {
				all[m.Digest()] = m.signed
			}
		}
	}
	var messages [][]byte
	for _, d := range slices.SortedFunc(maps.Keys(all), func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) }) {
		messages = append(messages, all[d])
	}
	for _, name := range c.participants {
		state, err := c.clients[name].AbortCeremony(ctx, &waypostv1.AbortCeremonyRequest{Ceremony: id[:], Messages: messages})
		if err != nil {
			c.tellProgress(Abort, name, "cannot be told: "+err.Error())
			continue
		}
		c.tellProgress(Abort, name, "has given up: "+state.Reason)
		if fault.Culprit == "" && state.Culprit != "" {
			fault = &Fault{Culprit: state.Culprit, Reason: state.Reason}
		}
	}
	return fault
}
