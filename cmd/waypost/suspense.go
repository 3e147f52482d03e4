package main

import (
	"fmt"
	"io"

	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
)

// suspenseCommand is what two states have left unfinished.
type suspenseCommand struct {
	List   suspenseListCommand   `cmd:"" default:"withargs" help:"Everything that is unfinished after 96 hours, with what it waits for."`
	Resume suspenseResumeCommand `cmd:"" help:"Have something that waits tried again at once."`
	Cancel suspenseCancelCommand `cmd:"" help:"Give something up that can still be given up."`
}

type suspenseListCommand struct {
	movesDoor
	All bool `help:"Whatever is unfinished, however young."`
}

// Help shows an example.
func (suspenseListCommand) Help() string { return "Example: waypost suspense --dir D --state AZ --all" }

// Run lists it.
func (c suspenseListCommand) Run(s *session) error {
	return movesCall(s, c.movesDoor, func(d waypostv1connect.MovesClient) (*waypostv1.SuspenseResponse, error) {
		return d.Suspense(s.ctx, &waypostv1.SuspenseRequest{All: c.All})
	}, func(out io.Writer, res *waypostv1.SuspenseResponse) {
		for _, i := range res.Items {
			alarm := ""
			if i.Alarm {
				alarm = "ALARM  "
			}
			of := i.Other
			if i.Record != "" {
				of += ", record " + i.Record
			}
			fmt.Fprintf(out, "%s%s  %s (%s), since %s: %s\n", alarm, i.Id, i.What, of, dayOf(i.Since), i.WaitsFor)
		}
		noneOrMore(out, len(res.Items), false)
	})
}

type suspenseResumeCommand struct {
	movesDoor
	idArgument
}

// Help shows an example.
func (suspenseResumeCommand) Help() string {
	return "Example: waypost suspense resume --dir D --state AZ 2de8d21f12bf3ec0300f2e247cd10fa4"
}

// Run has it tried again.
func (c suspenseResumeCommand) Run(s *session) error { return resume(s, c.movesDoor, c.ID) }

type suspenseCancelCommand struct {
	movesDoor
	idArgument
}

// Help shows an example.
func (suspenseCancelCommand) Help() string {
	return "Example: waypost suspense cancel --dir D --state AZ 2de8d21f12bf3ec0300f2e247cd10fa4"
}

// Run gives it up.
func (c suspenseCancelCommand) Run(s *session) error { return cancel(s, c.movesDoor, c.ID) }
