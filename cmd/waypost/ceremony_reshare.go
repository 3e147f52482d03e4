package main

import (
	"fmt"
	"io"
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
	Within    time.Duration `help:"How long there is from now, at most 24h: to sign and accept the plan, and to hold the ceremony." default:"12h"`
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
	if err := writeNew(c.Out, []byte(p.Text())); err != nil {
		return err
	}
	sayPlan(s.out, p, latest)
	fmt.Fprintf(s.out, "Next, governance: waypost ceremony sign %s --roster ROSTER --key OFFICER-KEY\n", c.Out)
	return nil
}

// sayPlan says in words what a plan of a reshare is, beside what there is now.
func sayPlan(out io.Writer, p ceremony.Plan, now *roster.Roster) {
	id := p.ID()
	fmt.Fprintf(out, "Plan %x: the key of epoch %d, under roster version %d, from %s until %s\n", id[:8], p.Epoch, p.Roster, clock(p.Begins), clock(p.Ends))
	var holders []string
	for _, m := range now.Holders() {
		holders = append(holders, m.Name)
	}
	fmt.Fprintf(out, "any %d of these will be the key: %s\n", p.Threshold, strings.Join(p.Holders, ", "))
	fmt.Fprintf(out, "now it is any %d of: %s\ndealt by: %s\n", now.Threshold, strings.Join(holders, ", "), strings.Join(p.Dealers, ", "))
}

// readPlan reads a plan as it was written down, or as governance has signed it.
func readPlan(file string) (ceremony.Plan, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return ceremony.Plan{}, err
	}
	p, err := ceremony.ReadPlan(raw)
	if err != nil {
		return ceremony.Plan{}, waypost.Errorf(waypost.InvalidArgument, "%s is not the plan of a reshare: waypost ceremony plan writes one", file).WithCause(err)
	}
	return p, nil
}

type ceremonySignCommand struct {
	Plan   string `arg:"" help:"The plan, or what others have signed of it." type:"existingfile"`
	Roster string `help:"The roster under which it is planned: a file, or a folder of a role or of rosters." required:"" type:"path"`
	Key    string `help:"Your key file." required:"" type:"existingfile"`
	Out    string `help:"Where to write it. Default: over PLAN." type:"path"`
	Yes    bool   `help:"Sign what is shown. Without it nothing is signed."`
}

// Help shows an example.
func (ceremonySignCommand) Help() string {
	return `Example:
  waypost ceremony sign reshare.plan --roster hub/ --key alice.key          (shows who is to get shares)
  waypost ceremony sign reshare.plan --roster hub/ --key alice.key --yes    (signs it)
  then the same file goes to the next officer, and to the operators of those who deal.
Whoever gets a share has it for ever; before governance's threshold has signed, no key holder takes part.`
}

// Run adds one officer's signature.
func (c ceremonySignCommand) Run(s *session) error {
	p, err := readPlan(c.Plan)
	if err != nil {
		return err
	}
	_, under, err := readRoster(c.Roster)
	if err != nil {
		return err
	}
	if _, err := p.Ceremony(under); err != nil {
		return err
	}
	officer, err := readOfficer(c.Key)
	if err != nil {
		return err
	}
	sayPlan(s.out, p, under)
	if !c.Yes {
		fmt.Fprintln(s.out, "Nothing is signed. If this is what you mean, say it again with --yes.")
		return nil
	}
	if p, err = p.Approve(officer); err != nil {
		return err
	}
	names, err := under.Governance.Signers(p.Approval)
	if err != nil {
		return err
	}
	if !slices.Contains(names, officer.Name()) {
		return waypost.Errorf(waypost.PermissionDenied, "%s is not a key of the governance of roster version %d", officer.Name(), under.Version)
	}
	if c.Out == "" {
		c.Out = c.Plan
	}
	if err := replaceFile(c.Out, p.Approval); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "Signed by %s: %s\n%d of %d signatures needed (%s)\n", officer.Name(), c.Out, len(names), under.Governance.Threshold, strings.Join(names, ", "))
	fmt.Fprintf(s.out, "Next, when all have signed, at each of those who deal: waypost ceremony accept %s --dir ITS-FOLDER --yes\n", c.Out)
	return nil
}

type ceremonyAcceptCommand struct {
	Plan string `arg:"" help:"The plan, signed by governance." type:"existingfile"`
	Dir  string `help:"Folder of this key holder." required:"" type:"existingdir"`
	Yes  bool   `help:"Accept what is shown. Without it nothing is accepted."`
}

// Help shows an example.
func (ceremonyAcceptCommand) Help() string {
	return `Example:
  waypost ceremony accept reshare.plan --dir keyholder-3/          (shows who is to get shares)
  waypost ceremony accept reshare.plan --dir keyholder-3/ --yes    (lets this key holder deal)
Governance has signed the plan, which is checked. Whoever gets a share has it for ever: look who gets shares, and how many are needed.`
}

// Run lets the key holder deal.
func (c ceremonyAcceptCommand) Run(s *session) error {
	p, err := readPlan(c.Plan)
	if err != nil {
		return err
	}
	if err := install.Acceptable(c.Dir, p, time.Now); err != nil {
		return err
	}
	_, latest, err := readRoster(c.Dir)
	if err != nil {
		return err
	}
	sayPlan(s.out, p, latest)
	if !c.Yes {
		fmt.Fprintln(s.out, "Nothing is accepted. If this is what you mean, say it again with --yes.")
		return nil
	}
	if err := install.Accept(c.Dir, p, time.Now); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "Accepted. When all who deal have accepted: waypost ceremony reshare", c.Plan)
	return nil
}

type ceremonyReshareCommand struct {
	ceremonyLead
	Plan string `arg:"" help:"The plan, signed by governance and accepted by the operators of those who deal." type:"existingfile"`
}

// Help shows an example.
func (ceremonyReshareCommand) Help() string {
	return `Example: waypost ceremony reshare reshare.plan --dir keyholder-1/ --transcript reshare.json --draft draft.txt
Before: waypost ceremony plan, waypost ceremony sign, and, at each of those who deal, waypost ceremony accept. Cut off, the same command goes on.`
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
