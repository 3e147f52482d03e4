package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/ceremony"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

// ceremonyCommands are the ceremonies of the key holders.
type ceremonyCommands struct {
	Keygen  ceremonyKeygenCommand  `cmd:"" help:"Make a key that nobody has: the first one, or that of the next epoch."`
	Refresh ceremonyRefreshCommand `cmd:"" help:"New shares of the same key for the same key holders: what was stolen of the old ones is worth nothing."`
	Plan    ceremonyPlanCommand    `cmd:"" help:"Write down who is to get shares of the key in a reshare, for governance to sign."`
	Sign    ceremonySignCommand    `cmd:"" help:"Show who is to get shares of the key, and sign it, as an officer of governance."`
	Accept  ceremonyAcceptCommand  `cmd:"" help:"Let this key holder deal its share by a plan."`
	Reshare ceremonyReshareCommand `cmd:"" help:"New shares of the same key for other key holders, or with another threshold."`
	Rotate  ceremonyRotateCommands `cmd:"" help:"Lead the whole index from one key to the next, while offices stay open."`
	Status  ceremonyStatusCommand  `cmd:"" help:"How far the latest ceremony is at each key holder."`
	Verify  ceremonyVerifyCommand  `cmd:"" help:"Check a transcript with all signatures; of one that failed, say who is at fault."`
	Abort   ceremonyAbortCommand   `cmd:"" help:"Give up an open ceremony."`
}

// ceremonyDoor says from whose folder a ceremony is led. Its process should run: it
// takes part like the others.
type ceremonyDoor struct {
	Dir  string `help:"Folder of a key holder; its certificate opens the others' doors, its share is not touched." required:"" type:"existingdir"`
	JSON bool   `help:"Print the result as JSON."`
}

// open returns the rosters that the folder has and the way to the key holders.
func (d ceremonyDoor) open() (*roster.View, ceremony.Clients, error) {
	role, err := install.RoleOf(d.Dir)
	if err != nil {
		return nil, nil, err
	}
	if role != roster.KeyHolder {
		return nil, nil, waypost.Errorf(waypost.InvalidArgument, "%s is the folder of a %s: ceremonies are led from that of a key holder", d.Dir, role)
	}
	return install.Coordinator(d.Dir, time.Now)
}

// ceremonyLead is what all ceremonies take that are led.
type ceremonyLead struct {
	ceremonyDoor
	Transcript string        `help:"Where to write the transcript; an existing file is not overwritten." required:"" type:"path"`
	Draft      string        `help:"Also write a draft of the roster that names the new shares, for governance to sign." type:"path"`
	In         time.Duration `help:"How long from now the draft begins: the time that the officers take to sign." default:"0s"`
}

// lead goes on with the ceremony that is open, or holds the one that is planned.
func (c ceremonyLead) lead(s *session, kind toprf.Kind, plan func(latest *roster.Roster) (ceremony.Plan, error)) error {
	view, clients, err := c.open()
	if err != nil {
		return err
	}
	if err := c.free(); err != nil {
		return err
	}
	p, under, err := c.unfinished(s, view, clients, kind)
	if err != nil {
		return err
	}
	wanted, err := plan(view.Latest())
	switch {
	case err != nil:
		return err
	case under == nil:
		p, under = wanted, view.Latest()
	default:
		if err := sameCeremony(p, wanted); err != nil {
			return err
		}
		fmt.Fprintln(s.err, "Going on with the ceremony that is open.")
	}
	return c.run(s, view, under, clients, p)
}

// sameCeremony insists that the open ceremony makes what is asked for: another key holder
// may have opened one, with a lower threshold.
func sameCeremony(open, wanted ceremony.Plan) error {
	if open.Epoch == wanted.Epoch && open.Threshold == wanted.Threshold && slices.Equal(open.Holders, wanted.Holders) {
		return nil
	}
	return waypost.Errorf(waypost.AlreadyExists, "a %s is open that is another than this one: of epoch %d, any %d of %s. If it is what you want, say so; if nobody does, waypost ceremony abort",
		kindWords[open.Kind], open.Epoch, open.Threshold, strings.Join(open.Holders, ", "))
}

// run holds the ceremony, as far as it has not been held.
func (c ceremonyLead) run(s *session, view *roster.View, under *roster.Roster, clients ceremony.Clients, p ceremony.Plan) error {
	id := p.ID()
	fmt.Fprintf(s.err, "Ceremony %x: %s of epoch %d, %d of %d, until %s\n", id[:8], kindWords[p.Kind], p.Epoch, p.Threshold, len(p.Holders), clock(p.Ends))
	ctx, stop := context.WithDeadline(s.ctx, p.Ends)
	defer stop()
	transcript, err := ceremony.Run(ctx, p, under, clients, func(round ceremony.Round, participant, what string) {
		fmt.Fprintf(s.err, "  %-7s %s %s\n", round, participant, printed(what))
	})
	if fault, ok := errors.AsType[*ceremony.Fault](err); ok {
		return c.void(fault, id)
	}
	if err != nil {
		return fmt.Errorf("%w; say the same again to go on, or: waypost ceremony abort --dir %s", err, c.Dir)
	}
	return c.finish(s, view, under, clients, transcript)
}

// free insists that nothing is overwritten.
func (c ceremonyLead) free() error {
	for _, path := range []string{c.Transcript, c.Draft} {
		if _, err := os.Stat(path); path != "" && err == nil {
			return waypost.Errorf(waypost.AlreadyExists, "%s exists", path)
		}
	}
	return nil
}

// unfinished finds the ceremony that was begun and is not over, if there is one.
func (c ceremonyLead) unfinished(s *session, view *roster.View, clients ceremony.Clients, kind toprf.Kind) (p ceremony.Plan, under *roster.Roster, err error) {
	state, err := latestCeremony(s.ctx, clients, c.Dir)
	if err != nil || state.State != "open" && state.State != "signed" {
		return p, nil, err
	}
	if p, err = ceremony.ParsePlan(state.Plan); err != nil {
		return p, nil, err
	}
	if time.Now().After(p.Ends) {
		return p, nil, nil // it is over; the holders see to it
	}
	if p.Kind != kind {
		return p, nil, waypost.Errorf(waypost.AlreadyExists, "a %s is open: finish it with waypost ceremony %s, or give it up with waypost ceremony abort", kindWords[p.Kind], kindWords[p.Kind])
	}
	if under = view.Version(p.Roster); under == nil {
		return p, nil, waypost.Errorf(waypost.Unavailable, "the open ceremony is under roster version %d, which %s does not have", p.Roster, c.Dir)
	}
	return p, under, nil
}

// latestCeremony asks the key holder whose folder it is.
func latestCeremony(ctx context.Context, clients ceremony.Clients, dir string) (*waypostv1.CeremonyState, error) {
	name, err := install.NameOf(dir)
	if err != nil {
		return nil, err
	}
	if clients[name] == nil {
		return nil, waypost.Errorf(waypost.NotFound, "%s is not a key holder of the roster", name)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	state, err := clients[name].GetCeremony(ctx, new(waypostv1.GetCeremonyRequest))
	if err != nil {
		return nil, fmt.Errorf("%s, whose folder this is: %w (is it running?)", name, err)
	}
	return state, nil
}

// void says whose fault it was, and where it can be seen.
func (c ceremonyLead) void(f *ceremony.Fault, id ceremony.ID) error {
	who := "No signature shows who misbehaved"
	if f.Culprit != "" {
		who = "The culprit is " + f.Culprit
	}
	return waypost.Errorf(waypost.Misuse, "the ceremony %x is void: %s. %s; the signed messages are kept: waypost ceremony status --dir %s --out evidence.json", id[:8], f.Reason, who, c.Dir)
}

// finish verifies and writes what was made.
func (c ceremonyLead) finish(s *session, view *roster.View, under *roster.Roster, clients ceremony.Clients, t *ceremony.Transcript) error {
	result, err := t.Verify(under)
	if err != nil {
		return err
	}
	if err := writeNewJSON(c.Transcript, t); err != nil {
		return err
	}
	if c.Draft != "" {
		if err := allHold(s.ctx, result.Plan, clients); err != nil {
			return err
		}
		begin := time.Now().UTC().Add(c.In).Truncate(time.Second)
		draft, err := draftShares(view.Latest(), under, result, begin, begin.Add(roster.MaxValidity))
		if err != nil {
			return err
		}
		text, err := draft.Text()
		if err != nil {
			return err
		}
		if err := writeNew(c.Draft, []byte(text)); err != nil {
			return err
		}
	}
	if err := printCeremony(s, result, c.JSON); err != nil || c.JSON {
		return err
	}
	if c.Draft != "" {
		fmt.Fprintf(s.out, "Next: governance verifies %s and signs %s, see waypost roster sign.\n", c.Transcript, c.Draft)
	} else {
		fmt.Fprintf(s.out, "Next: waypost roster init --out draft.txt --previous %s --ceremony %s\n", c.Dir, c.Transcript)
	}
	fmt.Fprintln(s.out, "Until a signed roster names them the new shares are nobody's.")
	return nil
}

// allHold insists that everybody can open the share that was made for it, before
// governance names the shares: what nobody has serves nobody.
func allHold(ctx context.Context, p ceremony.Plan, clients ceremony.Clients) error {
	missing, err := ceremony.Missing(ctx, p, clients)
	if err == nil && len(missing) > 0 {
		err = waypost.Errorf(waypost.Unavailable, "%s cannot open the share that was made for it: find its identity, or hold the ceremony again, before a roster names the shares", strings.Join(missing, ", "))
	}
	return err
}

// askHolders asks them where the folder is that of a key holder; elsewhere there is
// nobody to ask, and the officer is told how to.
func askHolders(s *session, dir string, p ceremony.Plan) error {
	if role, _ := install.RoleOf(dir); role != roster.KeyHolder { // a folder of rosters has no role
		fmt.Fprintln(s.out, "Before you sign: do all key holders hold their shares? waypost ceremony status, at one of them, says so.")
		return nil
	}
	_, clients, err := install.Coordinator(dir, time.Now)
	if err != nil {
		return err
	}
	return allHold(s.ctx, p, clients)
}

// draftShares is the successor that names what a ceremony has made.
func draftShares(latest, under *roster.Roster, result *ceremony.Result, begin, end time.Time) (*roster.Roster, error) {
	draft, err := latest.Successor(begin, end)
	if err != nil {
		return nil, err
	}
	if err := nameShares(draft, latest, under, result); err != nil {
		return nil, err
	}
	return draft, latest.Precedes(draft)
}

// nameShares puts into a successor of latest what was made under an earlier version.
func nameShares(draft, latest, under *roster.Roster, result *ceremony.Result) error {
	was, _ := under.KeyOf(result.Plan.Epoch)
	is, _ := latest.KeyOf(result.Plan.Epoch)
	if was.Ceremony != is.Ceremony || was.Epoch != is.Epoch {
		return waypost.Errorf(waypost.InvalidArgument, "the shares of epoch %d are others now than those that the ceremony began with: hold it again", result.Plan.Epoch)
	}
	return draft.SetShares(result.Plan.Epoch, result.Plan.Holders, result.Keys, result.Transcript)
}

var kindWords = map[toprf.Kind]string{toprf.Keygen: "keygen", toprf.Refresh: "refresh", toprf.Reshare: "reshare"}

// ceremonyMade is what a ceremony has made, as it is printed.
type ceremonyMade struct {
	Ceremony   string        `json:"ceremony"`
	Made       string        `json:"made"`
	Roster     uint64        `json:"roster"`
	Epoch      uint32        `json:"epoch"`
	Threshold  int           `json:"threshold"`
	Holders    []string      `json:"holders"`
	GroupKey   []byte        `json:"group_key"`
	Transcript roster.Digest `json:"transcript"`
	Signed     []string      `json:"signed"`
}

func printCeremony(s *session, r *ceremony.Result, asJSON bool) error {
	id, group := r.Plan.ID(), r.Keys.Group()
	made := ceremonyMade{hex.EncodeToString(id[:]), kindWords[r.Plan.Kind], r.Plan.Roster, r.Plan.Epoch, r.Keys.Threshold(), r.Plan.Holders, group.Bytes(), r.Transcript, r.Plan.Participants()}
	if asJSON {
		return printJSON(s.out, made)
	}
	fmt.Fprintf(s.out, "%s of epoch %d under roster version %d: any %d of %s\n", made.Made, made.Epoch, made.Roster, made.Threshold, strings.Join(made.Holders, ", "))
	fmt.Fprintf(s.out, "signed by all who took part: %s\ntranscript %x\n", strings.Join(made.Signed, ", "), made.Transcript[:])
	return nil
}

// writeNew writes a file that is not there yet.
func writeNew(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) //nolint:gosec // transcripts and rosters are public
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

func writeNewJSON(path string, value any) error {
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return writeNew(path, append(raw, '\n'))
}

type ceremonyKeygenCommand struct {
	ceremonyLead
	Within    time.Duration `help:"How long the key holders have, at most 24h. Who has not signed then gives up." default:"1h"`
	Threshold int           `help:"How many key holders shall make a token." required:""`
	Holder    []string      `help:"A key holder, once for each, in the order of their shares. Default: all of the roster, or, for the next epoch, those with a share."`
}

// Help shows examples.
func (ceremonyKeygenCommand) Help() string {
	return `Examples:
  waypost ceremony keygen --dir keyholder-1/ --threshold 3 --transcript keygen.json --draft draft.txt
  The first roster is drafted without --group-key and signed; the key holders run from it, and are led from one of them.
Cut off, the same command goes on where the key holders are.`
}

// Run leads the key generation.
func (c ceremonyKeygenCommand) Run(s *session) error {
	return c.lead(s, toprf.Keygen, func(latest *roster.Roster) (ceremony.Plan, error) {
		holders := c.Holder
		if len(holders) == 0 {
			members := latest.Holders()
			if latest.Epoch == 0 {
				members = latest.KeyHolders()
			}
			for _, m := range members {
				holders = append(holders, m.Name)
			}
		}
		return ceremony.NewPlan(toprf.Keygen, latest, latest.Newest()+1, c.Threshold, holders, nil, time.Now(), c.Within)
	})
}

type ceremonyRefreshCommand struct {
	ceremonyLead
	Within time.Duration `help:"How long the key holders have, at most 24h. Who has not signed then gives up." default:"1h"`
	Epoch  uint32        `help:"Of which epoch's key. Default: the roster's own."`
}

// Help shows an example.
func (ceremonyRefreshCommand) Help() string {
	return `Example: waypost ceremony refresh --dir keyholder-1/ --transcript refresh.json --draft draft.txt
All key holders take part; where one is lost: waypost ceremony reshare.`
}

// Run leads the refresh.
func (c ceremonyRefreshCommand) Run(s *session) error {
	return c.lead(s, toprf.Refresh, func(latest *roster.Roster) (ceremony.Plan, error) {
		epoch := c.Epoch
		if epoch == 0 {
			epoch = latest.Epoch
		}
		return ceremony.NewPlan(toprf.Refresh, latest, epoch, 0, nil, nil, time.Now(), c.Within)
	})
}

// tableOf is a table on the output.
func tableOf(s *session) *tabwriter.Writer { return tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0) }
