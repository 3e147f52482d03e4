package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/ceremony"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
)

type ceremonyStatusCommand struct {
	ceremonyDoor
	Out string `help:"Write the plan and all signed messages that the key holders have of it: the transcript, or, of one that failed, the evidence." type:"path"`
}

// Help shows an example.
func (ceremonyStatusCommand) Help() string {
	return "Example: waypost ceremony status --dir keyholder-1/ --out evidence.json"
}

// ceremonyAt is the latest ceremony at one key holder, as it is printed.
type ceremonyAt struct {
	Holder   string `json:"holder"`
	State    string `json:"state"` // none, open, signed, done, aborted or unknown
	Ceremony string `json:"ceremony,omitempty"`
	Made     string `json:"made,omitempty"`
	Epoch    uint32 `json:"epoch,omitempty"`
	Until    string `json:"until,omitempty"`
	Culprit  string `json:"culprit,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Holds    bool   `json:"holds"` // it can open the share that was made for it
}

// Run asks every key holder.
func (c ceremonyStatusCommand) Run(s *session) error {
	_, clients, err := c.open()
	if err != nil {
		return err
	}
	var all []ceremonyAt
	states := make(map[string]*waypostv1.CeremonyState)
	for _, name := range slices.Sorted(maps.Keys(clients)) {
		ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
		state, err := clients[name].GetCeremony(ctx, new(waypostv1.GetCeremonyRequest))
		cancel()
		if err != nil {
			all = append(all, ceremonyAt{Holder: name, State: "unknown", Reason: explain(err)})
			continue
		}
		states[name] = state
		at, err := stateOf(name, state)
		if err != nil {
			return err
		}
		all = append(all, at)
	}
	if c.Out != "" {
		if err := c.write(s, clients, states); err != nil {
			return err
		}
	}
	if c.JSON {
		return printJSON(s.out, all)
	}
	w := tableOf(s)
	fmt.Fprintln(w, "HOLDER\tSTATE\tHOLDS\tCEREMONY\tMADE\tEPOCH\tUNTIL\tCULPRIT\tREASON")
	for _, a := range all {
		holds := ""
		if a.Holds {
			holds = "its share"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.16s\t%s\t%d\t%s\t%s\t%s\n", a.Holder, a.State, holds, a.Ceremony, a.Made, a.Epoch, a.Until, a.Culprit, a.Reason)
	}
	return w.Flush()
}

func stateOf(name string, state *waypostv1.CeremonyState) (ceremonyAt, error) {
	if len(state.Ceremony) == 0 {
		return ceremonyAt{Holder: name, State: "none"}, nil
	}
	p, err := ceremony.ParsePlan(state.Plan)
	if err != nil {
		return ceremonyAt{}, fmt.Errorf("%s: %w", name, err)
	}
	return ceremonyAt{Holder: name, State: printed(state.State), Ceremony: hex.EncodeToString(state.Ceremony), Made: kindWords[p.Kind], Epoch: p.Epoch,
		Until: clock(p.Ends), Culprit: printed(state.Culprit), Reason: printed(state.Reason), Holds: state.Holds}, nil
}

// write collects the messages of the latest ceremony at the key holder whose folder
// it is, from all who have any.
func (c ceremonyStatusCommand) write(s *session, clients ceremony.Clients, states map[string]*waypostv1.CeremonyState) error {
	latest, err := latestCeremony(s.ctx, clients, c.Dir)
	if err != nil {
		return err
	}
	if len(latest.Ceremony) == 0 {
		return waypost.Errorf(waypost.NotFound, "there was no ceremony")
	}
	transcript, err := ceremony.Gather(latest, slices.Collect(maps.Values(states)))
	if err != nil {
		return err
	}
	return writeNewJSON(c.Out, transcript)
}

type ceremonyVerifyCommand struct {
	File   string `arg:"" help:"A transcript." type:"existingfile"`
	Roster string `help:"The rosters: a folder of a role or of rosters, or the file of the version under which the ceremony was held." required:"" type:"path"`
	JSON   bool   `help:"Print the result as JSON."`
}

// Help shows an example.
func (ceremonyVerifyCommand) Help() string {
	return `Example: waypost ceremony verify refresh.json --roster hub/
The rosters themselves are verified by: waypost roster verify.
Exit status: 0 everybody has signed and everything holds; 1 otherwise. Of a ceremony that failed it says who is at fault.`
}

// Run verifies a transcript without a connection.
func (c ceremonyVerifyCommand) Run(s *session) error {
	t, under, err := readTranscript(c.File, c.Roster)
	if err != nil {
		return err
	}
	result, err := t.Verify(under)
	if err == nil {
		return printCeremony(s, result, c.JSON)
	}
	fault, judged := ceremony.Judge(t, under)
	if judged != nil || fault == nil {
		return err
	}
	if c.JSON {
		if err := printJSON(s.out, map[string]string{"culprit": fault.Culprit, "reason": fault.Reason}); err != nil {
			return err
		}
	}
	return waypost.Errorf(waypost.Misuse, "the ceremony is void: %s", fault.Reason)
}

// readTranscript reads a transcript and the roster under which it was made.
func readTranscript(file, rosters string) (*ceremony.Transcript, *roster.Roster, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	t, err := ceremony.ReadTranscript(raw)
	if err != nil {
		return nil, nil, err
	}
	p, err := ceremony.ParsePlan(t.Plan)
	if err != nil {
		return nil, nil, err
	}
	files, err := rosterFiles(rosters)
	if err != nil {
		return nil, nil, err
	}
	for _, content := range files {
		if r, err := roster.Read(content); err == nil && r.Version == p.Roster {
			return t, r, nil
		}
	}
	return nil, nil, waypost.Errorf(waypost.NotFound, "%s has no roster version %d, under which the ceremony was held", rosters, p.Roster)
}

type ceremonyAbortCommand struct {
	ceremonyDoor
}

// Help shows an example.
func (ceremonyAbortCommand) Help() string {
	return "Example: waypost ceremony abort --dir keyholder-1/\nThat key holder signs that it gives up, and the others are shown it. Who has signed the transcript does not give up, and keeps its share until it is clear that no roster names it."
}

// Run gives up the open ceremony at all who take part.
func (c ceremonyAbortCommand) Run(s *session) error {
	_, clients, err := c.open()
	if err != nil {
		return err
	}
	latest, err := latestCeremony(s.ctx, clients, c.Dir)
	if err != nil {
		return err
	}
	if latest.State != "open" && latest.State != "signed" && latest.State != "aborted" || len(latest.Ceremony) == 0 {
		return waypost.Errorf(waypost.NotFound, "no ceremony is open")
	}
	p, err := ceremony.ParsePlan(latest.Plan)
	if err != nil {
		return err
	}
	own, err := install.NameOf(c.Dir)
	if err != nil {
		return err
	}
	var all []ceremonyAt
	err = ceremony.GiveUp(s.ctx, p, own, clients, func(name string, state *waypostv1.CeremonyState, err error) {
		at := ceremonyAt{Holder: name, State: "unknown"}
		if err == nil {
			at, err = stateOf(name, state)
		}
		if err != nil {
			at.Reason = explain(err)
		}
		all = append(all, at)
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, all)
	}
	for _, a := range all {
		fmt.Fprintf(s.out, "%s: %s: %s\n", a.Holder, a.State, a.Reason)
	}
	return nil
}
