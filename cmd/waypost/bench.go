package main

import "errors"

type benchCommand struct {
	JSON bool `help:"Print the figures as JSON."`
}

// Run measures and prints.
func (c benchCommand) Run(s *session) error { return errors.New("comes with internal/bench") }
