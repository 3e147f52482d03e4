package ceremony

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

var errCut = waypost.Errorf(waypost.Internal, "the coordinator is gone")

// TestCoordinatorCrash: the coordinator ends in each round, before and after a
// participant has answered, and another one goes on; each participant has a new
// process in between. The transcript is the one that would have been.
func TestCoordinatorCrash(t *testing.T) {
	r := newRig(t, 3)
	r.hold(toprf.Keygen, 2, holderNames(1, 2, 3), nil)
	output := r.evaluates()
	for round := Commit; round <= Sign; round++ {
		for _, answered := range []bool{false, true} {
			p := r.plan(toprf.Refresh, 0, nil, nil)
			_, err := r.lead(p, func(links map[string]*link) {
				l := links["keyholder-2"]
				at := Commit
				cut := func() error {
					if at == round {
						return errCut
					}
					return nil
				}
				if answered {
					l.out = func(*waypostv1.CeremonyState) error { err := cut(); at++; return err }
				} else {
					l.start = func(*waypostv1.StartCeremonyRequest) error { return cut() }
					l.in = func(req *waypostv1.AdvanceCeremonyRequest) error { at = Round(req.Round) + 1; return cut() }
				}
			})
			if err == nil {
				t.Fatalf("round %s, answered %v: the coordinator was not cut off", round, answered)
			}
			for _, holder := range r.party {
				holder.crash()
			}
			transcript, err := r.lead(p, nil)
			if err != nil {
				t.Fatalf("round %s, answered %v: %v", round, answered, err)
			}
			again, err := r.lead(p, nil)
			must(t, err)
			if fmt.Sprint(again) != fmt.Sprint(transcript) {
				t.Error("a ceremony that is led twice has two transcripts")
			}
			r.now = r.now.Add(roster.Grace)
			r.govern(transcript)
			if r.evaluates() != output {
				t.Error("the key is another")
			}
		}
	}
	r.now = r.now.Add(roster.Grace)
	r.expire()
	r.shares("after all", 1, 1, 1)
}

// TestHolderCrash: each commit of a participant is cut off before and after it is
// durable, as by a power failure; its next process goes on, with one share.
func TestHolderCrash(t *testing.T) {
	r := newRig(t, 3)
	r.hold(toprf.Keygen, 2, holderNames(1, 2, 3), nil)
	output := r.evaluates()
	victim := r.party["keyholder-2"]
	points := map[string]bool{}
	victim.fault = func(point string) error { points[point] = true; return nil }
	r.hold(toprf.Refresh, 0, nil, nil)
	if len(points) == 0 {
		t.Fatal("no commit was seen")
	}
	for point := range points {
		for nth := range 6 {
			r.now = r.now.Add(roster.Grace)
			p := r.plan(toprf.Refresh, 0, nil, nil)
			seen, hit := 0, false
			victim.fault = func(at string) error {
				if at != point {
					return nil
				}
				if seen++; seen != nth+1 {
					return nil
				}
				hit = true
				return errors.New("power failure")
			}
			_, err := r.lead(p, nil)
			victim.fault = nil
			if hit != (err != nil) && err != nil {
				t.Fatalf("%s %d: %v", point, nth, err)
			}
			victim.crash()
			transcript, err := r.lead(p, nil)
			if err != nil {
				t.Fatalf("%s, commit %d: %v", point, nth, err)
			}
			r.govern(transcript)
			if r.evaluates() != output {
				t.Fatalf("%s, commit %d: the key is another", point, nth)
			}
			if !hit {
				break
			}
		}
	}
	r.now = r.now.Add(roster.Grace)
	r.expire()
	r.shares("after all", 1, 1, 1)
}

// TestOrphan: what lies there of a ceremony that was never recorded is destroyed when
// the process starts again.
func TestOrphan(t *testing.T) {
	r := newRig(t, 2)
	p := r.party["keyholder-1"]
	slot := slotName(1, make([]byte, 32))
	must(t, p.vault.begin(slot))
	s, err := newSecrets(r.plan(toprf.Keygen, 2, holderNames(1, 2), nil), p.name)
	must(t, err)
	must(t, p.vault.hold(slot, s))
	p.crash()
	r.shares("after the start", 0, 0)
	must(t, p.vault.begin(slot)) // and no more than the identity
	p.crash()
	r.shares("after another start", 0, 0)
}

// TestGivenUp: an open ceremony is given up when its time is over, or on the word of
// the holder's own operator; another one cannot begin before; one that all have signed cannot be
// given up.
func TestGivenUp(t *testing.T) {
	r := newRig(t, 2)
	ctx := r.as(t.Context(), "keyholder-2")
	holder := r.party["keyholder-1"]
	p := r.plan(toprf.Keygen, 2, holderNames(1, 2), nil)
	start := func(p Plan) (*waypostv1.CeremonyState, error) {
		return holder.StartCeremony(ctx, request(p))
	}
	first, err := start(p)
	must(t, err)
	again, err := start(p)
	if err != nil || string(again.Messages[0]) != string(first.Messages[0]) {
		t.Errorf("started again it says something else: %v", err)
	}
	if _, err := start(r.plan(toprf.Keygen, 2, holderNames(1, 2), nil)); waypost.CodeOf(err) != waypost.AlreadyExists {
		t.Errorf("a second ceremony: %v", err)
	}
	id := p.ID()
	state, err := holder.AbortCeremony(r.as(t.Context(), "keyholder-1"), &waypostv1.AbortCeremonyRequest{Ceremony: id[:]})
	if err != nil || state.State != stateAborted || !strings.Contains(state.Reason, "its operator has said so") || state.Culprit != "" {
		t.Errorf("aborted: %v, %v", state, err)
	}
	r.shares("after the end", 0, 0)

	r.now = r.now.Add(time.Second)
	late := r.plan(toprf.Keygen, 2, holderNames(1, 2), nil)
	_, err = start(late)
	must(t, err)
	r.now = late.Ends
	must(t, holder.Expire(t.Context()))
	state, err = holder.GetCeremony(ctx, new(waypostv1.GetCeremonyRequest))
	if err != nil || state.State != stateAborted || !strings.Contains(state.Reason, "time was over") {
		t.Errorf("after its time: %v, %v", state, err)
	}
	if _, err := start(late); err != nil { // what it knows, it says
		t.Error(err)
	}

	r.now = r.now.Add(time.Second)
	done := r.plan(toprf.Keygen, 2, holderNames(1, 2), nil)
	_, err = r.lead(done, nil)
	must(t, err)
	id = done.ID()
	if _, err := holder.AbortCeremony(ctx, &waypostv1.AbortCeremonyRequest{Ceremony: id[:]}); waypost.CodeOf(err) != waypost.PermissionDenied {
		t.Errorf("what all have signed is given up: %v", err)
	}
	r.shares("done", 1, 1)
}

// TestNotAdmitted: who may not call, and what cannot be begun.
func TestNotAdmitted(t *testing.T) {
	r := newRig(t, 3)
	holder := r.party["keyholder-1"]
	p := r.plan(toprf.Keygen, 2, holderNames(1, 2), nil)
	for _, ctx := range []context.Context{t.Context(), r.as(t.Context(), "hub")} {
		_, errStart := holder.StartCeremony(ctx, request(p))
		_, errAdvance := holder.AdvanceCeremony(ctx, new(waypostv1.AdvanceCeremonyRequest))
		_, errGet := holder.GetCeremony(ctx, new(waypostv1.GetCeremonyRequest))
		_, errAbort := holder.AbortCeremony(ctx, new(waypostv1.AbortCeremonyRequest))
		for _, err := range []error{errStart, errAdvance, errGet, errAbort} {
			if waypost.CodeOf(err) != waypost.PermissionDenied {
				t.Errorf("a stranger is served: %v", err)
			}
		}
	}
	ctx := r.as(t.Context(), "keyholder-2")
	for name, c := range map[string]struct {
		at     string
		change func(*Plan)
		code   waypost.Code
	}{
		"not its affair":    {"keyholder-3", func(*Plan) {}, waypost.InvalidArgument},
		"another roster":    {"keyholder-1", func(p *Plan) { p.RosterHash[0] ^= 1 }, waypost.InvalidArgument},
		"a later roster":    {"keyholder-1", func(p *Plan) { p.Roster++ }, waypost.Unavailable},
		"another epoch":     {"keyholder-1", func(p *Plan) { p.Epoch = 2 }, waypost.InvalidArgument},
		"over":              {"keyholder-1", func(p *Plan) { p.Begins, p.Ends = p.Begins.Add(-2*time.Hour), p.Begins }, waypost.Expired},
		"not begun":         {"keyholder-1", func(p *Plan) { p.Begins, p.Ends = p.Begins.Add(time.Hour), p.Ends.Add(time.Hour) }, waypost.Expired},
		"too long":          {"keyholder-1", func(p *Plan) { p.Ends = p.Ends.Add(MaxTime) }, waypost.InvalidArgument},
		"a stranger":        {"keyholder-1", func(p *Plan) { p.Holders = []string{"keyholder-1", "hub"} }, waypost.InvalidArgument},
		"twice":             {"keyholder-1", func(p *Plan) { p.Holders = []string{"keyholder-1", "keyholder-1"} }, waypost.InvalidArgument},
		"no key to refresh": {"keyholder-1", func(p *Plan) { p.Kind = toprf.Refresh }, waypost.InvalidArgument},
	} {
		changed := p
		c.change(&changed)
		if _, err := r.party[c.at].StartCeremony(ctx, request(changed)); waypost.CodeOf(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.shares("nothing was begun", 0, 0, 0)
	r.hold(toprf.Keygen, 2, holderNames(1, 2, 3), nil)
	must(t, os.RemoveAll(filepath.Join(holder.dir, "identities")))
	holder.crash()
	if closed := holder.vault.Closed(); len(closed) != 1 || !strings.Contains(closed[0], "its identity") {
		t.Errorf("a share without its identity: %v", closed)
	}
	p = r.plan(toprf.Refresh, 0, nil, nil)
	if _, err := holder.StartCeremony(ctx, request(p)); waypost.CodeOf(err) != waypost.Unavailable {
		t.Errorf("a share that cannot be opened is refreshed: %v", err)
	}
}
