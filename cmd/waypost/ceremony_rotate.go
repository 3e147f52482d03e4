package main

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// ceremonyRotateCommands lead the index from one key to the next.
type ceremonyRotateCommands struct {
	Count    rotateCountCommand    `cmd:"" help:"At the hub: sign how many records each state has under which key."`
	Announce rotateAnnounceCommand `cmd:"" help:"Draft the roster that announces the next key, and how many records each state may publish once more."`
	Begin    rotateBeginCommand    `cmd:"" help:"Draft the roster that serves the next key beside its own."`
	Publish  rotatePublishCommand  `cmd:"" help:"At a state: publish all records once more, under the next key."`
	Status   rotateStatusCommand   `cmd:"" help:"At a state: how far it is."`
	Switch   rotateSwitchCommand   `cmd:"" help:"Draft the roster whose own key is the next one."`
	End      rotateEndCommand      `cmd:"" help:"Draft the roster that serves the old key no more."`
}

// countsDomain begins what the hub signs.
const countsDomain = "waypost pointer counts v1\n"

// pointerCounts is what a hub has under which key, signed with its identity key.
type pointerCounts struct {
	Counts    json.RawMessage `json:"counts"` // a countedPointers, as it was signed
	Signature []byte          `json:"signature"`
}

type countedPointers struct {
	Hub    string          `json:"hub"`
	Roster uint64          `json:"roster"`
	At     time.Time       `json:"at"`
	Newest uint32          `json:"newest"` // epoch
	States []hub.Published `json:"states"`
}

type rotateCountCommand struct {
	Dir  string `help:"The hub's folder." required:"" type:"existingdir"`
	Out  string `help:"Where to write the signed counts; an existing file is not overwritten." required:"" type:"path"`
	JSON bool   `help:"Print the counts as JSON."`
}

// Help shows an example.
func (rotateCountCommand) Help() string {
	return `Example: waypost ceremony rotate count --dir hub/ --out counts.json
It reads every pointer, while the hub serves.`
}

// Run counts, signs and prints.
func (c rotateCountCommand) Run(s *session) error {
	folder, err := install.OpenFolder(c.Dir, time.Now)
	if err != nil {
		return err
	}
	if folder.Config.Role != roster.Hub {
		return waypost.Errorf(waypost.InvalidArgument, "%s is the folder of a %s: pointers are counted at the hub", c.Dir, folder.Config.Role)
	}
	latest := folder.Roster.Latest()
	counted := countedPointers{Hub: folder.Config.Name, Roster: latest.Version, At: time.Now().UTC().Truncate(time.Second), Newest: latest.Newest()}
	err = folder.Look(s.ctx, func(tx *store.Tx) (err error) {
		counted.States, err = hub.CountPublished(tx)
		return err
	})
	if err != nil {
		return err
	}
	text, err := json.Marshal(counted)
	if err != nil {
		return err
	}
	signed, err := json.Marshal(pointerCounts{text, ed25519.Sign(folder.Identity, append([]byte(countsDomain), text...))})
	if err != nil {
		return err
	}
	if err := writeNew(c.Out, append(signed, '\n')); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, counted)
	}
	for _, p := range counted.States {
		fmt.Fprintf(s.out, "%s  %d records, the newest key of which is that of epoch %d\n", p.Owner, p.Pointers, p.Epoch)
	}
	fmt.Fprintf(s.out, "Signed in %s.\n", c.Out)
	return nil
}

// readCounts reads what the hub of a roster has signed.
func readCounts(path string, r *roster.Roster) (counted countedPointers, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return counted, err
	}
	var signed pointerCounts
	if err := json.Unmarshal(raw, &signed); err != nil {
		return counted, fmt.Errorf("%s: %w", path, err)
	}
	if !ed25519.Verify(r.Hub().Identity, append([]byte(countsDomain), signed.Counts...), signed.Signature) {
		return counted, waypost.Errorf(waypost.PermissionDenied, "%s is not signed by the hub of roster version %d", path, r.Version)
	}
	return counted, json.Unmarshal(signed.Counts, &counted)
}

// live is how many pointers a state has, and how many of them are not under a key yet.
func (c countedPointers) live(state string, epoch uint32) (all, behind uint64) {
	for _, p := range c.States {
		if string(p.Owner) != state {
			continue
		}
		if all += p.Pointers; p.Epoch < epoch {
			behind += p.Pointers
		}
	}
	return all, behind
}

type rotatePublishCommand struct {
	recordsDoor
	Rate int  `help:"At most so many records a second, so that counters and key holders keep up; 0 for as fast as it goes." default:"200"`
	JSON bool `help:"Print the result as JSON."`
}

// Help shows an example.
func (rotatePublishCommand) Help() string {
	return `Example: waypost ceremony rotate publish --dir D --state CA --rate 300
Cut off anywhere, the same command goes on where it was. Offices stay open.`
}

// Run calls the gateway until all pointers are under the newest key.
func (c rotatePublishCommand) Run(s *session) error {
	records, explain, err := c.open()
	if err != nil {
		return err
	}
	at, err := records.Republish(s.ctx, &waypostv1.RepublishRequest{Count: true})
	if err != nil {
		return explain(err)
	}
	bar := newBar(s, "publishing "+c.State+" once more", int(at.Live))
	defer bar.finish()
	done, began, passes := at.Done, time.Now(), 0
	for published := 0; at.Done < at.Live; {
		res, err := records.Republish(s.ctx, &waypostv1.RepublishRequest{})
		if err != nil {
			return fmt.Errorf("%w; %d records were published once more, say the same again to go on", explain(err), published)
		}
		published += int(res.Published)
		done += uint64(res.Published)
		bar.set(int(done))
		if res.Over {
			at, done = res, res.Done
			if passes++; passes == maxPasses && at.Done < at.Live {
				return waypost.Errorf(waypost.Unavailable, "%d of %d records could not be published once more: something else is being done about them, or another state has them soon; say the same again later", at.Live-at.Done, at.Live)
			}
		}
		if c.Rate > 0 {
			time.Sleep(time.Until(began.Add(time.Duration(published) * time.Second / time.Duration(c.Rate))))
		}
	}
	bar.finish()
	return printRotation(s, c.State, at, c.JSON)
}

// maxPasses is how often what was left out is tried again at once.
const maxPasses = 3

type rotateStatusCommand struct {
	recordsDoor
	JSON bool `help:"Print the result as JSON."`
}

// Help shows an example.
func (rotateStatusCommand) Help() string {
	return `Example: waypost ceremony rotate status --dir D --state CA`
}

// Run asks the gateway, which looks at every pointer.
func (c rotateStatusCommand) Run(s *session) error {
	records, explain, err := c.open()
	if err != nil {
		return err
	}
	at, err := records.Republish(s.ctx, &waypostv1.RepublishRequest{Count: true})
	if err != nil {
		return explain(err)
	}
	return printRotation(s, c.State, at, c.JSON)
}

func printRotation(s *session, state string, at *waypostv1.RepublishResponse, asJSON bool) error {
	if asJSON {
		return printJSON(s.out, map[string]any{"state": state, "epoch": at.Epoch, "records": at.Live, "done": at.Done})
	}
	words := "all of them"
	if at.Done < at.Live {
		words = fmt.Sprintf("%d of them", at.Done)
	}
	fmt.Fprintf(s.out, "%s has %d records in the index, %s under the key of epoch %d\n", state, at.Live, words, at.Epoch)
	return nil
}

// unfinished are the states that have records which are not under the key.
func (c countedPointers) unfinished(epoch uint32) (states []string) {
	for _, p := range c.States {
		if _, behind := c.live(string(p.Owner), epoch); behind > 0 && !slices.Contains(states, string(p.Owner)) {
			states = append(states, string(p.Owner))
		}
	}
	return states
}
