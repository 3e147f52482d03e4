package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/publisher"
	"github.com/waypost/waypost/internal/store"
)

// Behind returns those of the roles of an exchange in a folder whose ledgers are not
// published to the end. A role that stops has three seconds for its last entries: on a busy
// machine it is its next start that publishes them.
func Behind(ctx context.Context, dir string, names ...string) (behind []string, err error) {
	for _, name := range names {
		if isWitness(name) {
			continue // it has no ledger
		}
		s := install.Look(install.FolderOf(dir, name), time.Now)
		config := s.Folder.Config
		place, err := publisher.Place(config.Origin)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		published := sizeOf(filepath.Join(s.Logs, filepath.FromSlash(place), "checkpoint"))
		_, err = store.Check(ctx, s.Database, string(config.Role), func(tx *store.Tx) error {
			states, err := journal.States(tx, func(string) int64 { return published })
			for _, one := range states {
				if one.Origin == config.Origin && one.Entries > published {
					behind = append(behind, name)
				}
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return behind, nil
}

// sizeOf is how many entries a checkpoint is of; none where there is no checkpoint yet.
func sizeOf(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "\n")
	line, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.ParseInt(line, 10, 64)
	return n
}

// Settle stops every role that runs, as Close does, and sees to it that their ledgers are
// published to the end: where a machine is too busy for that, it starts all roles again,
// waits until it is done, and stops them once more.
func (p *Processes) Settle(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, 5*time.Minute)
	defer stop()
	for {
		if err := p.Close(); err != nil {
			return err
		}
		behind, err := Behind(ctx, p.dir, p.names...)
		if err != nil || len(behind) == 0 {
			return err
		}
		if err := errors.Join(p.publish(ctx, behind), ctx.Err()); err != nil {
			return errors.Join(err, p.Close())
		}
	}
}

// publish starts every role, and waits until nobody is behind.
func (p *Processes) publish(ctx context.Context, behind []string) error {
	var starting errgroup.Group
	for _, name := range p.names {
		starting.Go(func() error { return p.Start(ctx, name) })
	}
	if err := starting.Wait(); err != nil {
		return err
	}
	for len(behind) > 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the last entries of %s are not published", strings.Join(behind, ", "))
		case <-time.After(100 * time.Millisecond):
		}
		if now, err := Behind(ctx, p.dir, p.names...); err == nil { // else it is just being written
			behind = now
		}
	}
	return nil
}
