package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/pprof"
	"time"

	"github.com/alecthomas/kong"

	"github.com/waypost/waypost/internal/install"
)

type roleCommand struct {
	Dir        string `arg:"" help:"The role's folder, which holds its config.json." type:"existingdir"`
	Lifeline   bool   `hidden:"" help:"Stop when standard input ends: a parent that is killed takes its roles along."`
	CPUProfile string `name:"cpuprofile" hidden:"" help:"Write a CPU profile to this file." type:"path"`
}

// Help shows an example.
func (roleCommand) Help() string {
	return `Examples:
  waypost hub D/hub
  waypost keyholder D/keyholder-1
  waypost gateway D/gateway-CA
  waypost witness D/witness-1
waypost demo --dir D makes the folders; with the demo stopped, each role can be run alone.`
}

// Run serves until the process is told to stop.
func (c roleCommand) Run(s *session, command *kong.Context) (err error) {
	selected := command.Selected()
	if selected.Parent.DefaultCmd == selected { // of a group with the role's name
		selected = selected.Parent
	}
	if role, err := install.RoleOf(c.Dir); err != nil {
		return err
	} else if name := selected.Name; name != string(role) {
		return fmt.Errorf("%s is the folder of a %s: run it with waypost %s %s", c.Dir, role, role, c.Dir)
	}
	ctx, stop := context.WithCancel(s.ctx)
	defer stop()
	if c.Lifeline {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	if c.CPUProfile != "" {
		finish, profileErr := profile(c.CPUProfile)
		if profileErr != nil {
			return profileErr
		}
		defer func() { err = errors.Join(err, finish()) }()
	}
	log := slog.New(slog.NewTextHandler(s.err, nil))
	role, err := install.Open(ctx, c.Dir, time.Now, log)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%s is ready on https://%s\n", role.Folder.Config.Name, role.Folder.Config.Listen)
	err = role.Run(ctx)
	if role.Witnesses() {
		time.Sleep(linger)
	}
	return errors.Join(err, role.Close())
}

// linger is for how long a witness still answers after it was told to stop:
// whoever is told at the same time, as with a whole machine or exchange, needs
// it for the last entries of a ledger.
const linger = 3 * time.Second

// profile writes what the process does with the processor to a file until
// finish is called.
func profile(path string) (finish func() error, err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}
