package main

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/waypost/waypost/internal/install"
)

type roleCommand struct {
	Dir string `arg:"" help:"The role's folder, which holds its config.json." type:"existingdir"`
}

// Help shows an example.
func (roleCommand) Help() string {
	return "Example: waypost demo --dir D makes the folders D/hub, D/keyholder-1, D/gateway-CA, ...;\nwith the demo stopped, each can be run alone: waypost hub D/hub"
}

// Run serves until the process is told to stop.
func (c roleCommand) Run(s *session) error {
	log := slog.New(slog.NewTextHandler(s.err, nil))
	role, err := install.Open(s.ctx, c.Dir, time.Now, log)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%s is ready on https://%s\n", role.Folder.Config.Name, role.Folder.Config.Listen)
	return errors.Join(role.Run(s.ctx), role.Close())
}
