package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/shards"
)

type hubCommand struct {
	Run    roleCommand    `cmd:"" default:"withargs" help:"Run the hub from its folder."`
	Shards shardsCommands `cmd:"" help:"The label table over several PostgreSQL servers: spread it, add a server, move partitions."`
}

type shardsCommands struct {
	Init   shardsInitCommand   `cmd:"" help:"Spread the label table over servers, while the hub serves."`
	Status shardsStatusCommand `cmd:"" help:"Where the partitions lie, and which servers answer."`
	Add    shardsAddCommand    `cmd:"" help:"Make more servers known, or give known ones another address or password."`
	Move   shardsMoveCommand   `cmd:"" help:"Move partitions to a server, while the hub serves."`
	Adopt  shardsAdoptCommand  `cmd:"" help:"Make the servers those of this database, which has taken the place of the hub's."`
}

// shardsOf is what all of these commands are given.
type shardsOf struct {
	Dir  string `required:"" help:"The hub's folder, which holds its config.json." type:"existingdir"`
	JSON bool   `name:"json" help:"Print where the partitions lie as JSON."`
}

// do opens the table, does something with it and prints how it lies then.
func (c shardsOf) do(s *session, change func(*shards.Table) error) (err error) {
	folder, err := install.OpenFolder(c.Dir, time.Now)
	if err != nil {
		return err
	}
	switch url := folder.Config.Database; {
	case folder.Config.Role != roster.Hub:
		return fmt.Errorf("%s is the folder of a %s: only a hub has labels", c.Dir, folder.Config.Role)
	case !strings.HasPrefix(url, "postgres:"):
		return fmt.Errorf("the hub's database is not on a PostgreSQL server: labels can lie on others only where it is")
	}
	table, err := shards.Open(s.ctx, folder.Config.Database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, table.Close()) }()
	progress := shardsProgress{s: s}
	table.Report = progress.show
	err = change(table)
	progress.b.finish()
	if err != nil {
		return err
	}
	status, err := table.Status(s.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(s.out)
		e.SetIndent("", "  ")
		return e.Encode(status)
	}
	return printShards(s, status)
}

// shardsProgress shows a bar for each step.
type shardsProgress struct {
	s    *session
	b    bar
	step string
}

func (p *shardsProgress) show(now shards.Progress) {
	if step := fmt.Sprintf("%s partition %d", now.Step, now.Partition); step != p.step {
		p.b.finish()
		p.b, p.step = newBar(p.s, step, -1), step
	}
	p.b.set(int(now.Rows))
}

func printShards(s *session, status shards.Status) error {
	if status.Partitions == 0 {
		fmt.Fprintln(s.out, "The label table is on the hub's own server.")
	} else {
		fmt.Fprintf(s.out, "The label table has %d partitions.\n", status.Partitions)
	}
	if len(status.Servers) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "server\taddress\tpartitions\tlabels, about\tMB")
	for _, one := range status.Servers {
		held := make([]string, len(one.Partitions))
		for i, n := range one.Partitions {
			held[i] = strconv.Itoa(n)
		}
		if len(held) == 0 {
			held = []string{"none"}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\n", one.Name, one.Address, strings.Join(held, " "), one.Labels, one.Bytes>>20)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, one := range status.Servers {
		switch {
		case one.Trouble != "":
			fmt.Fprintf(s.out, "%s cannot be asked: %s\n", one.Name, one.Trouble)
		case one.Unfinished > 0:
			fmt.Fprintf(s.out, "%s has what a command left that was cut short. Run that command again.\n", one.Name)
		}
	}
	return nil
}

type shardsInitCommand struct {
	shardsOf
	Servers    string `required:"" help:"The servers: {\"servers\": [{\"name\", \"host\", \"port\", \"database\", \"user\", \"sslrootcert\", \"password_file\"}]}." type:"existingfile"`
	Partitions int    `default:"16" help:"Into how many parts, for good: more than there will ever be servers."`
}

// Help shows an example.
func (shardsInitCommand) Help() string {
	return `Example:
  waypost hub shards init --dir D/hub --servers servers.json
A password is in the server's password_file (mode 600), or in the environment as WAYPOST_SHARD_PASSWORD_NAME.
The hub may be running. A command that was cut short is run again.`
}

// Run spreads the table.
func (c shardsInitCommand) Run(s *session) error {
	servers, err := shards.ReadServers(c.Servers)
	if err != nil {
		return err
	}
	return c.do(s, func(t *shards.Table) error { return t.Init(s.ctx, servers, c.Partitions) })
}

type shardsStatusCommand struct{ shardsOf }

// Help shows an example.
func (shardsStatusCommand) Help() string {
	return "Example:\n  waypost hub shards status --dir D/hub"
}

// Run prints how the table lies.
func (c shardsStatusCommand) Run(s *session) error {
	return c.do(s, func(*shards.Table) error { return nil })
}

type shardsAddCommand struct {
	shardsOf
	Servers string `required:"" help:"The servers, as for init." type:"existingfile"`
}

// Help shows an example.
func (shardsAddCommand) Help() string {
	return `Example:
  waypost hub shards add --dir D/hub --servers more.json
Nothing is moved to a server that is new: that is for waypost hub shards move.`
}

// Run makes servers known.
func (c shardsAddCommand) Run(s *session) error {
	servers, err := shards.ReadServers(c.Servers)
	if err != nil {
		return err
	}
	return c.do(s, func(t *shards.Table) error { return t.Add(s.ctx, servers) })
}

type shardsMoveCommand struct {
	shardsOf
	To         string `required:"" help:"The server, by name."`
	Partitions []int  `help:"Which; without it, those that make the server's share a fair one."`
}

// Help shows examples.
func (shardsMoveCommand) Help() string {
	return `Examples:
  waypost hub shards move --dir D/hub --to d
  waypost hub shards move --dir D/hub --to d --partitions 3,7
A server that all partitions have moved away from is not used any more.`
}

// Run moves partitions.
func (c shardsMoveCommand) Run(s *session) error {
	return c.do(s, func(t *shards.Table) error { return t.Move(s.ctx, c.To, c.Partitions) })
}

type shardsAdoptCommand struct{ shardsOf }

// Help implements kong.HelpProvider.
func (shardsAdoptCommand) Help() string {
	return `Example:
  waypost hub shards adopt --dir D/hub
For a hub's database that was restored from a dump, or that is on a server of another
identity (pg_upgrade). Never on a copy while the hub serves from the other one: from
then on that one is refused.`
}

// Run does it.
func (c shardsAdoptCommand) Run(s *session) error {
	return c.do(s, func(t *shards.Table) error { return t.Adopt(s.ctx) })
}
