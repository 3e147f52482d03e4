package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/waypost/waypost/internal/doctor"
)

type doctorCommand struct {
	Dir      string `help:"The folder of one role." type:"existingdir" xor:"whose" required:""`
	Exchange string `help:"The folder of a whole exchange on this machine, as waypost demo --dir makes it." type:"existingdir" xor:"whose" required:""`
	Offline  bool   `help:"Look at nobody else: before the first start, or without a network."`
	All      bool   `help:"Print also what is right."`
	JSON     bool   `name:"json" help:"Print everything as JSON."`
}

// Help shows examples.
func (doctorCommand) Help() string {
	return `Examples:
  waypost doctor --dir D/gateway-CA
  waypost doctor --dir D/hub --offline --all     before the first start
  waypost doctor --exchange D
The role may run or be stopped; nothing is changed. It ends with 1 if something is wrong.
docs/operations/doctor.md explains what is looked at.`
}

// Run looks, and says what is wrong.
func (c doctorCommand) Run(s *session) error {
	o := doctor.Options{Offline: c.Offline}
	var reports []doctor.Report
	if c.Exchange == "" {
		reports = []doctor.Report{doctor.Examine(s.ctx, c.Dir, o)}
	} else {
		b := newBar(s, "looking", -1)
		var err error
		reports, err = doctor.Exchange(s.ctx, c.Exchange, o, func(n, _ int) { b.set(n) })
		b.finish()
		if err != nil {
			return err
		}
	}
	wrong := 0
	for _, r := range reports {
		if !r.OK() {
			wrong++
		}
	}
	if c.JSON {
		encoder := json.NewEncoder(s.out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(struct {
			OK    bool            `json:"ok"`
			Roles []doctor.Report `json:"roles"`
		}{wrong == 0, reports}); err != nil {
			return err
		}
	} else {
		for _, r := range reports {
			c.print(s, r)
		}
	}
	switch {
	case wrong == 1 && len(reports) == 1:
		return errors.New("something is wrong: see above")
	case wrong > 0:
		return fmt.Errorf("something is wrong at %d of %d roles: see above", wrong, len(reports))
	}
	return nil
}

// print tells what is wrong first, then what is to be watched.
func (c doctorCommand) print(s *session, r doctor.Report) {
	is := map[bool]string{true: "running", false: "stopped"}[r.Running]
	if r.Name == "" {
		fmt.Fprintf(s.out, "%s\n", r.Dir)
	} else {
		fmt.Fprintf(s.out, "%s (%s, %s) in %s\n", r.Name, r.Role, is, r.Dir)
	}
	right := 0
	for _, level := range []doctor.Level{doctor.Wrong, doctor.Warning, doctor.OK} {
		for _, f := range r.Findings {
			if f.Level != level {
				continue
			}
			if level == doctor.OK {
				if right++; !c.All {
					continue
				}
			}
			fmt.Fprintf(s.out, "  %s  %s: %s\n", map[doctor.Level]string{doctor.Wrong: "WRONG", doctor.Warning: "watch", doctor.OK: "ok   "}[level], f.What, f.Words)
			if f.Next != "" {
				fmt.Fprintf(s.out, "         next: %s\n", f.Next)
			}
		}
	}
	if !c.All {
		fmt.Fprintf(s.out, "  %d other things are as they should be.\n", right)
	}
}
