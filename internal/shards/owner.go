package shards

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Beside the labels, on every server and on the hub's, stands whose they are: the
// hub's database, by the identity of its server and its number there, and how often
// partitions were switched when a command last looked. A copy of the hub's database
// has the addresses and passwords of the real one's servers, and one that was
// restored from before a move takes the newer labels for a copy that is left over:
// both must not touch what they find.
const ownerTable = "owner"

// whose is the hub's database as it calls itself.
const whose = `SELECT system_identifier::text || '/' || (SELECT oid FROM pg_database WHERE datname = current_database()) FROM pg_control_system()`

// owner is what stands on one server.
type owner struct {
	hub      string
	switches int64
}

// own says on a server that is new whose labels it has.
func (t *Table) own(ctx context.Context, c *pgx.Conn, o owner) error {
	return run(ctx, c, `CREATE SCHEMA IF NOT EXISTS `+t.schema,
		`CREATE TABLE `+t.schema+`.`+ownerTable+` (hub TEXT NOT NULL, switches BIGINT NOT NULL)`,
		fmt.Sprintf(`INSERT INTO %s.%s VALUES ('%s', %d)`, t.schema, ownerTable, o.hub, o.switches))
}

// ownerOn reads what stands on a server; there may be nothing.
func (t *Table) ownerOn(ctx context.Context, c *pgx.Conn) (o owner, there bool, err error) {
	if err := c.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, t.schema+"."+ownerTable).Scan(&there); err != nil || !there {
		return o, false, discreet(err)
	}
	err = c.QueryRow(ctx, `SELECT hub, switches FROM `+t.schema+`.`+ownerTable).Scan(&o.hub, &o.switches)
	return o, true, discreet(err)
}

// mine is what stands in the hub's database, which must be its own word.
func (t *Table) mine(ctx context.Context) (o owner, err error) {
	var me string
	if err := t.hub.QueryRow(ctx, whose).Scan(&me); err != nil {
		return o, discreet(err)
	}
	o, there, err := t.ownerOn(ctx, t.hub)
	if err == nil && (!there || o.hub != me) {
		err = notOursError{"shards: this database is a copy of the hub's, or the hub's after it was moved: its servers of labels belong to the other one, and nothing was changed there. " + adoptThem}
	}
	return o, err
}

// notOursError says that labels are not this database's. All other errors say that it could not
// be found out.
type notOursError struct{ words string }

// Error gives the words.
func (n notOursError) Error() string { return n.words }

const adoptThem = "If this is the hub now and no other database is, run: waypost hub shards adopt"

// check insists that a server's labels are this hub's, as it knows them.
func (t *Table) check(ctx context.Context, c *pgx.Conn, server string, mine owner) error {
	o, there, err := t.ownerOn(ctx, c)
	switch {
	case err != nil:
		return err
	case there && o.hub != mine.hub:
		return notOursError{"its labels belong to another hub's database: nothing was changed. " + adoptThem}
	case o.switches > mine.switches:
		return notOursError{"partitions were moved since this database was as it is (it was restored, or is a copy), and what is there is newer: nothing was changed. See docs/operations/scale.md, Backup. " + adoptThem}
	case !there:
		return errors.Join(t.sameLabels(ctx, c, server), notOursError{"nothing there says whose its labels are. " + adoptThem})
	}
	return t.sameLabels(ctx, c, server)
}

// checkAll checks all servers that can be reached, before anything is taken away on
// one, and tells them how often partitions were switched.
func (t *Table) checkAll(ctx context.Context) (reached []string, err error) {
	mine, err := t.mine(ctx)
	if err != nil {
		return nil, err
	}
	for _, server := range t.names() {
		c, err := t.conn(ctx, server)
		if err != nil {
			continue // it is down, and is looked at when it is back
		}
		if err := t.check(ctx, c, server, mine); err != nil {
			return nil, fmt.Errorf("shards: server %s: %w", server, err)
		}
		reached = append(reached, server)
	}
	for _, server := range reached {
		if err := t.tell(ctx, server, mine); err != nil {
			return nil, err
		}
	}
	return reached, nil
}

func (t *Table) tell(ctx context.Context, server string, o owner) error {
	c, err := t.conn(ctx, server)
	if err != nil {
		return err
	}
	return run(ctx, c, fmt.Sprintf(`UPDATE %s.%s SET hub = '%s', switches = %d WHERE hub <> '%[3]s' OR switches < %[4]d`, t.schema, ownerTable, o.hub, o.switches))
}

// Adopt makes the servers those of this hub's database, where it has taken another's
// place: restored from a dump, or on a server of another identity. All of them must
// answer and have the partitions that they should.
func (t *Table) Adopt(ctx context.Context) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	if t.schema == "" {
		return errors.New("shards: the table is not spread over servers: there is nothing to adopt")
	}
	newest, _, err := t.ownerOn(ctx, t.hub)
	if err != nil {
		return err
	}
	names := t.names()
	for _, server := range names {
		c, err := t.conn(ctx, server)
		if err != nil {
			return err
		}
		if err := t.sameLabels(ctx, c, server); err != nil {
			return fmt.Errorf("shards: server %s: %w", server, err)
		}
		o, _, err := t.ownerOn(ctx, c)
		if err != nil {
			return err
		}
		newest.switches = max(newest.switches, o.switches)
	}
	if err := t.hub.QueryRow(ctx, whose).Scan(&newest.hub); err != nil {
		return discreet(err)
	}
	newest.switches++ // whoever had them before is behind now
	for _, server := range append(names, "") {
		if err := t.tell(ctx, server, newest); err != nil {
			return err
		}
	}
	return nil
}

// Belongs reports, in words, why this is not the database whose labels lie on the servers
// that can be asked; nil where it is, or where the table is not spread. It changes nothing.
func (t *Table) Belongs(ctx context.Context) error {
	_, err := t.belongs(ctx, t.names())
	return err
}

// belongs is [Table.Belongs] for some servers. It returns which could not be asked, and why:
// they are down, or silent.
func (t *Table) belongs(ctx context.Context, servers []string) (silent map[string]error, err error) {
	if all, err := t.partitions(ctx, "label"); err != nil || len(all) == 0 {
		return nil, err
	}
	mine, err := t.mine(ctx)
	if err != nil {
		return nil, err
	}
	silent = make(map[string]error)
	for _, server := range servers {
		err := t.lookAt(ctx, server, mine)
		switch _, not := errors.AsType[notOursError](err); {
		case not:
			return nil, fmt.Errorf("shards: server %s: %w", server, err)
		case err != nil:
			silent[server] = fmt.Errorf("server %s: %w", server, err)
		}
	}
	return silent, ctx.Err()
}

// lookTime is for how long one server is asked whose its labels are; tests on a busy machine
// have more patience.
var lookTime = 3 * time.Second

func (t *Table) lookAt(ctx context.Context, server string, mine owner) error {
	ctx, done := context.WithTimeout(ctx, lookTime)
	defer done()
	c, err := t.conn(ctx, server)
	if err != nil {
		return err
	}
	return t.check(ctx, c, server, mine)
}

// names are the servers of the table, in order.
func (t *Table) names() []string { return slices.Sorted(maps.Keys(t.servers)) }
