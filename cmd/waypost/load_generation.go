package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
)

// recordsDoor says where a state's own records are kept.
type recordsDoor struct {
	Dir   string `help:"Folder of a running demo." required:"" type:"existingdir"`
	State string `help:"The state whose records these are." required:""`
}

// open returns a client of the Records service, and what to do about an error
// that a call meets.
func (d recordsDoor) open() (waypostv1connect.RecordsClient, func(error) error, error) {
	state, err := waypost.ParseJurisdiction(d.State)
	if err != nil {
		return nil, nil, err
	}
	door, url, err := cluster.Door(d.Dir, state)
	if err != nil {
		return nil, nil, err
	}
	return waypostv1connect.NewRecordsClient(door), func(err error) error { return unanswered(err, url, d.Dir) }, nil
}

// States of a generation, as the Records service names them.
const darkGeneration = "dark"

// generationOf returns one generation, or what is wrong with it.
func generationOf(ctx context.Context, records waypostv1connect.RecordsClient, number uint32) (*waypostv1.Generation, error) {
	all, err := records.Generations(ctx, &waypostv1.GenerationsRequest{})
	if err != nil {
		return nil, err
	}
	for _, g := range all.Generations {
		if g.Number == number {
			return g, nil
		}
	}
	return nil, waypost.Errorf(waypost.NotFound, "there is no generation %d: waypost load status lists them", number)
}

// nextDark is the generation of a dark load: the one that is dark, to go on with
// it, or else the next.
func nextDark(ctx context.Context, records waypostv1connect.RecordsClient) (uint32, error) {
	all, err := records.Generations(ctx, &waypostv1.GenerationsRequest{})
	if err != nil {
		return 0, err
	}
	var last, dark uint32
	for _, g := range all.Generations {
		last = max(last, g.Number)
		if g.State != darkGeneration {
			continue
		}
		if dark != 0 {
			return 0, waypost.Errorf(waypost.InvalidArgument, "several generations are dark: say which with --generation; waypost load status lists them")
		}
		dark = g.Number
	}
	if dark != 0 {
		return dark, nil
	}
	return last + 1, nil
}

type loadActivateCommand struct {
	recordsDoor
	Generation uint32 `help:"The generation to activate." required:""`
	Records    uint64 `help:"How many records it must have: what the load has told." required:""`
	JSON       bool   `help:"Print the result as JSON."`
}

// Help shows an example.
func (loadActivateCommand) Help() string {
	return "Example:\n  waypost load activate --dir D --state CA --generation 1 --records 26400123\nNothing is activated where the number is another one, or where records still wait to be published.\nAn activation cannot be taken back; a record can be withdrawn."
}

// Run activates the generation if it is what the operator thinks it is.
func (c loadActivateCommand) Run(s *session) error {
	records, explain, err := c.open()
	if err != nil {
		return err
	}
	g, err := generationOf(s.ctx, records, c.Generation)
	if err != nil {
		return explain(err)
	}
	if g.State == darkGeneration && (g.Live != c.Records || g.Wanted > 0) {
		return fmt.Errorf("generation %d has %d records published and %d waiting, not %d: nothing was activated; go on with the load, or give the right number",
			c.Generation, g.Live, g.Wanted, c.Records)
	}
	res, err := records.Activate(s.ctx, &waypostv1.ActivateRequest{Generation: c.Generation})
	if err != nil {
		return explain(err)
	}
	if c.JSON {
		return json.NewEncoder(s.out).Encode(map[string]any{"generation": c.Generation, "records": res.Records})
	}
	fmt.Fprintf(s.out, "generation %d is active: %d records are visible to other states\n", c.Generation, res.Records)
	return nil
}

type loadRollbackCommand struct {
	recordsDoor
	Generation uint32 `help:"The generation to take back." required:""`
	JSON       bool   `help:"Print the result as JSON."`
}

// Help shows an example.
func (loadRollbackCommand) Help() string {
	return "Example:\n  waypost load rollback --dir D --state CA --generation 1\nOnly a generation that was not activated can be taken back. Its number is not used again."
}

// Run takes the generation back.
func (c loadRollbackCommand) Run(s *session) error {
	records, explain, err := c.open()
	if err != nil {
		return err
	}
	res, err := records.Activate(s.ctx, &waypostv1.ActivateRequest{Generation: c.Generation, RollBack: true})
	if err != nil {
		return explain(err)
	}
	if c.JSON {
		return json.NewEncoder(s.out).Encode(map[string]any{"generation": c.Generation, "records": res.Records, "rolled_back": true})
	}
	fmt.Fprintf(s.out, "generation %d is rolled back: %d records were taken out of the index\n", c.Generation, res.Records)
	return nil
}

type loadStatusCommand struct {
	recordsDoor
	JSON bool `help:"Print the result as JSON."`
}

// Help shows an example.
func (loadStatusCommand) Help() string {
	return "Example:\n  waypost load status --dir D --state CA\nGenerations are numbered from 1; what was loaded without one is visible at once and stands in the first line only."
}

// Run prints the counts.
func (c loadStatusCommand) Run(s *session) error {
	records, explain, err := c.open()
	if err != nil {
		return err
	}
	state, err := waypost.ParseJurisdiction(c.State)
	if err != nil {
		return err
	}
	counter, _, err := cluster.Counter(c.Dir, state)
	if err != nil {
		return err
	}
	status, err := counter.Status(s.ctx, &waypostv1.StatusRequest{})
	if err != nil {
		return explain(err)
	}
	all, err := records.Generations(s.ctx, &waypostv1.GenerationsRequest{})
	if err != nil {
		return explain(err)
	}
	if c.JSON {
		return json.NewEncoder(s.out).Encode(loadStatus(status, all))
	}
	fmt.Fprintf(s.out, "%d records, %d published\n", status.Records, status.Published)
	for _, g := range all.Generations {
		fmt.Fprintf(s.out, "generation %d  %-12s %d published, %d waiting\n", g.Number, g.State, g.Live, g.Wanted)
	}
	return nil
}

func loadStatus(status *waypostv1.StatusResponse, all *waypostv1.GenerationsResponse) map[string]any {
	generations := make([]map[string]any, len(all.Generations))
	for i, g := range all.Generations {
		generations[i] = map[string]any{"number": g.Number, "state": g.State, "published": g.Live, "waiting": g.Wanted}
	}
	return map[string]any{"records": status.Records, "published": status.Published, "generations": generations}
}
