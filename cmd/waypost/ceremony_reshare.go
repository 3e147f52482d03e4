package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/ceremony"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

type ceremonyPlanCommand struct {
	Dir       string        `help:"Folder of a key holder." required:"" type:"existingdir"`
	Threshold int           `help:"How many key holders shall make a token: as many as now, or more; fewer once that was announced and is due. Default: as many as now."`
	Holder    []string      `help:"Who is to have a share, once for each, in the order of their shares." required:""`
	Dealer    []string      `help:"Who deals, as many as the threshold is now. Default: the first of those with a share who get one again."`
	Within    time.Duration `help:"How long there is from now, at most 24h: to accept the plan, and to hold the ceremony." default:"12h"`
	Out       string        `help:"Where to write the plan; an existing file is not overwritten." required:"" type:"path"`
}

// Help shows an example.
func (ceremonyPlanCommand) Help() string {
	return `Example, of 3 of 5 to 4 of 6, where keyholder-2 leaves and keyholder-6 and -7 come:
  waypost ceremony plan --dir keyholder-1/ --threshold 4 --out reshare.plan \
    --holder keyholder-1 --holder keyholder-3 --holder keyholder-4 --holder keyholder-5 --holder keyholder-6 --holder keyholder-7
A newcomer is a key holder of the roster without a share: waypost roster init --add. One that is lost need not take part.`
}

// Run writes the plan.
func (c ceremonyPlanCommand) Run(s *session) error {
	view, _, err := ceremonyDoor{Dir: c.Dir}.open()
	if err != nil {
		return err
	}
	latest, threshold, dealers := view.Latest(), c.Threshold, c.Dealer
	if threshold == 0 {
		threshold = latest.Threshold
	}
	if len(dealers) == 0 {
		dealers = defaultDealers(latest, c.Holder)
	}
	p, err := ceremony.NewPlan(toprf.Reshare, latest, latest.Epoch, threshold, c.Holder, dealers, time.Now(), c.Within)
	if err != nil {
		return err
	}
	if err := writeNew(c.Out, []byte(base64.StdEncoding.EncodeToString(p.Bytes())+"\n")); err != nil {
		return err
	}
	sayPlan(s, p)
	fmt.Fprintf(s.out, "Next, at each of those who deal: waypost ceremony accept %s --dir ITS-FOLDER\n", c.Out)
	return nil
}

// sayPlan says in words what a plan of a reshare is.
func sayPlan(s *session, p ceremony.Plan) {
	id := p.ID()
	fmt.Fprintf(s.out, "Plan %x: the key of epoch %d, under roster version %d, until %s\n", id[:8], p.Epoch, p.Roster, clock(p.Ends))
	fmt.Fprintf(s.out, "any %d of these will be the key: %s\ndealt by: %s\n", p.Threshold, strings.Join(p.Holders, ", "), strings.Join(p.Dealers, ", "))
}

// readPlan reads a plan as it was written down.
func readPlan(file string) (ceremony.Plan, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return ceremony.Plan{}, err
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return ceremony.Plan{}, waypost.Errorf(waypost.InvalidArgument, "%s is not a plan: waypost ceremony plan writes one", file)
	}
	p, err := ceremony.ParsePlan(raw)
	if err == nil && p.Kind != toprf.Reshare {
		err = waypost.Errorf(waypost.InvalidArgument, "%s is not the plan of a reshare", file)
	}
	return p, err
}

type ceremonyAcceptCommand struct {
	Plan string `arg:"" help:"The plan, as governance has sent it." type:"existingfile"`
	Dir  string `help:"Folder of this key holder." required:"" type:"existingdir"`
}

// Help shows an example.
func (ceremonyAcceptCommand) Help() string {
	return `Example: waypost ceremony accept reshare.plan --dir keyholder-3/
Whoever gets a share has it for ever: accept what governance has asked for, and compare who gets shares, and how many are needed, with what it has said.`
}

// Run lets the key holder deal.
func (c ceremonyAcceptCommand) Run(s *session) error {
	p, err := readPlan(c.Plan)
	if err != nil {
		return err
	}
	if err := install.Accept(c.Dir, p, time.Now()); err != nil {
		return err
	}
	sayPlan(s, p)
	fmt.Fprintln(s.out, "Accepted. When all who deal have accepted: waypost ceremony reshare", c.Plan)
	return nil
}

type ceremonyReshareCommand struct {
	ceremonyLead
	Plan string `arg:"" help:"The plan, which the operators of those who deal have accepted." type:"existingfile"`
}

// Help shows an example.
func (ceremonyReshareCommand) Help() string {
	return `Example: waypost ceremony reshare reshare.plan --dir keyholder-1/ --transcript reshare.json --draft draft.txt
Before: waypost ceremony plan, and, at each of those who deal, waypost ceremony accept. Cut off, the same command goes on.`
}

// Run leads the resharing.
func (c ceremonyReshareCommand) Run(s *session) error {
	p, err := readPlan(c.Plan)
	if err != nil {
		return err
	}
	view, clients, err := c.open()
	if err != nil {
		return err
	}
	if err := c.free(); err != nil {
		return err
	}
	under := view.Version(p.Roster)
	if under == nil {
		return waypost.Errorf(waypost.Unavailable, "the plan is under roster version %d, which %s does not have", p.Roster, c.Dir)
	}
	return c.run(s, view, under, clients, p)
}

// defaultDealers prefers those who go on: whoever leaves may be away already.
func defaultDealers(r *roster.Roster, staying []string) (dealers []string) {
	for _, stays := range []bool{true, false} {
		for _, m := range r.Holders() {
			if len(dealers) < r.Threshold && !m.Removed && slices.Contains(staying, m.Name) == stays {
				dealers = append(dealers, m.Name)
			}
		}
	}
	index := func(name string) int { m, _ := r.Member(name); return m.Index }
	slices.SortFunc(dealers, func(a, b string) int { return index(a) - index(b) })
	return dealers
}
