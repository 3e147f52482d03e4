package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/demo"
	"github.com/waypost/waypost/internal/store"
)

type demoCommand struct {
	Once     bool              `help:"Play the scenario, print what happened, and exit: 0 only if all of it agreed with the truth."`
	Dir      string            `help:"Keep all state here and stay up. With --once: keep the state for a look afterwards." type:"path"`
	People   int               `help:"Synthetic people in each state." default:"5000"`
	States   string            `help:"States, separated by commas; the first load sets them." default:"CA,AZ,NV,NY"`
	Seed     uint64            `help:"The same seed makes the same people." default:"1"`
	Database string            `help:"Keep the databases on this PostgreSQL server, one for each role: postgres://user@host/name. The user must be allowed to create databases." placeholder:"URL"`
	Records  map[string]string `help:"Load these CSV files instead of made-up people: CA=ca.csv;NV=nv.csv." placeholder:"STATE=FILE"`
}

// Help shows an example.
func (demoCommand) Help() string {
	return `Examples:
  waypost demo --once            plays everything in a temporary folder
  waypost demo --dir D           stays up; ask it with waypost check --dir D ...
  waypost demo --once --database postgres://waypost@localhost/postgres    the same on PostgreSQL
Everything is real but the people: the servers, TLS with client certificates, the key generation, the databases.
They listen on 127.0.0.1 only.`
}

// Run plays once, or stays up.
func (c demoCommand) Run(s *session) (err error) {
	if c.Dir == "" && !c.Once {
		return errors.New("say --once to play everything in a temporary folder, or --dir D to keep it running there")
	}
	options, err := c.options(s)
	if err != nil {
		return err
	}
	if c.Dir == "" {
		if options.Dir, err = os.MkdirTemp("", "waypost-demo-"); err != nil {
			return err
		}
		defer os.RemoveAll(options.Dir)
	}
	if c.Database != "" {
		server := databases{ctx: s.ctx, server: c.Database}
		options.Databases = server.make
		if c.Dir == "" {
			defer func() { err = errors.Join(err, server.drop()) }()
		}
	}
	d, err := demo.Open(s.ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if c.Once {
		return d.Play(s.ctx)
	}
	if err := d.Announce(); err != nil {
		return err
	}
	<-s.ctx.Done()
	fmt.Fprintln(s.out, "Stopping.")
	return nil
}

func (c demoCommand) options(s *session) (demo.Options, error) {
	o := demo.Options{Dir: c.Dir, People: c.People, Seed: c.Seed, Out: s.out, Log: s.log}
	var err error
	if o.States, err = parseStates(c.States); err != nil {
		return o, err
	}
	o.Records = make(map[waypost.Jurisdiction]string)
	for name, file := range c.Records {
		state, err := waypost.ParseJurisdiction(name)
		if err != nil {
			return o, fmt.Errorf("--records: %w", err)
		}
		if !strings.Contains(c.States, string(state)) {
			return o, fmt.Errorf("--records names %s, which is not among --states", state)
		}
		o.Records[state] = file
	}
	bars := make(map[waypost.Jurisdiction]bar)
	o.Progress = func(state waypost.Jurisdiction, done, total int) {
		if _, ok := bars[state]; !ok {
			bars[state] = newBar(s, "loading "+string(state), total)
		}
		bars[state].set(done)
		if done >= total {
			bars[state].finish()
		}
	}
	return o, nil
}

// databases are those of a demonstration on a PostgreSQL server.
type databases struct {
	ctx    context.Context
	server string
	tag    string // of this demonstration
	made   []string
}

func (d *databases) make(name, kind string) (string, error) {
	if d.tag == "" {
		d.tag = strings.ToLower(rand.Text()[:8])
	}
	database := "waypost_" + d.tag + "_" + strings.ToLower(strings.ReplaceAll(name, "-", "_")) + "_" + kind
	url, err := store.CreateDatabase(d.ctx, d.server, database)
	if err == nil {
		d.made = append(d.made, database)
	}
	return url, err
}

// drop removes them, even after an interrupt.
func (d *databases) drop() (err error) {
	for _, name := range d.made {
		err = errors.Join(err, store.DropDatabase(context.WithoutCancel(d.ctx), d.server, name))
	}
	return err
}
