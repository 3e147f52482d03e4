package shards

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// place is a table of labels.
type place struct {
	server string // "" is the hub's own
	table  string // its name there, and that of the foreign table for it
	part   int
}

// tableName is a name that no table had before, so that a copy and what it is
// copied from are never taken for each other.
func tableName(part int) string { return fmt.Sprintf("label_%d_%s", part, random()[:8]) }

// name is how a place is called on its own server.
func (t *Table) name(p place) string {
	if p.server == "" {
		return p.table
	}
	return t.schema + "." + p.table
}

// prepare makes an empty table on a server, and the foreign table for it on the
// hub's, which is no partition yet.
func (t *Table) prepare(ctx context.Context, p place) error {
	c, err := t.conn(ctx, p.server)
	if err != nil {
		return err
	}
	if err := run(ctx, c, `CREATE TABLE `+t.name(p)+` (label BYTEA NOT NULL, pointer BIGINT NOT NULL)`); err != nil {
		return err
	}
	return run(ctx, t.hub, fmt.Sprintf(`CREATE FOREIGN TABLE %s (label BYTEA NOT NULL, pointer BIGINT NOT NULL)
		SERVER %s%s OPTIONS (schema_name '%s', table_name '%s')`, p.table, ours, p.server, t.schema, p.table))
}

func attach(parent string, p place, modulus int) string {
	return fmt.Sprintf(`ALTER TABLE %s ATTACH PARTITION %s FOR VALUES WITH (MODULUS %d, REMAINDER %d)`, parent, p.table, modulus, p.part)
}

// add makes one server known.
func (t *Table) add(ctx context.Context, s Server) error {
	if err := t.prepareSchema(ctx, s); err != nil {
		return err
	}
	_, known := t.servers[s.Name]
	if err := t.define(ctx, s, known); err != nil {
		return err
	}
	t.servers[s.Name] = s
	return t.at("added")
}

// prepareSchema looks whether a server can be reached and is fit, and makes the
// schema there and on the hub's server.
func (t *Table) prepareSchema(ctx context.Context, s Server) error {
	config, err := s.config()
	if err != nil {
		return err
	}
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("it cannot be reached: %w", discreet(err))
	}
	defer c.Close(ctx)
	const who = `SELECT current_setting('server_version_num')::int, system_identifier::text || current_database() FROM pg_control_system()`
	var version int
	var there, here string
	if err := errors.Join(c.QueryRow(ctx, who).Scan(&version, &there), t.hub.QueryRow(ctx, who).Scan(new(int), &here)); err != nil {
		return discreet(err)
	}
	switch {
	case version < 150000:
		return fmt.Errorf("it has version %d of PostgreSQL, 15 is needed", version/10000)
	case there == here:
		return errors.New("this is the hub's own database: labels go to others")
	}
	if t.schema == "" {
		if err := t.newSchema(ctx); err != nil {
			return err
		}
	}
	mine, err := t.mine(ctx)
	if err != nil {
		return err
	}
	if _, known := t.servers[s.Name]; !known {
		var there bool
		if err := c.QueryRow(ctx, `SELECT to_regnamespace($1) IS NOT NULL`, t.schema).Scan(&there); err != nil {
			return discreet(err)
		}
		if !there {
			return t.own(ctx, c, mine)
		}
	}
	return t.check(ctx, c, s.Name, mine)
}

// newSchema names the schema of labels, and makes it on the hub's server.
func (t *Table) newSchema(ctx context.Context) error {
	var o owner
	if err := t.hub.QueryRow(ctx, whose).Scan(&o.hub); err != nil {
		return discreet(err)
	}
	t.schema = "waypost_" + random()
	err := t.own(ctx, t.hub, o)
	if err == nil { // what was made before it has its name is of no use, and harms nobody
		err = run(ctx, t.hub, `COMMENT ON TABLE store_role IS '`+t.schema+`'`)
	}
	return err
}

// sameLabels insists that under a new address a known server is the same one.
func (t *Table) sameLabels(ctx context.Context, c *pgx.Conn, server string) error {
	all, err := t.partitions(ctx, "label")
	if err != nil {
		return err
	}
	tables := tablesOn(all, server)
	var there int
	if err := c.QueryRow(ctx, `SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relname = ANY ($2)`, t.schema, tables).Scan(&there); err != nil {
		return discreet(err)
	}
	if there != len(tables) {
		return notOursError{fmt.Sprintf("%d partitions are on this server, and %d of them are at the address given", len(tables), there)}
	}
	return nil
}

func tablesOn(all []Partition, server string) []string {
	tables := []string{}
	for _, p := range all {
		if p.Server == server {
			tables = append(tables, p.table)
		}
	}
	return tables
}

// define writes server and user mapping into the hub's catalogue. The password
// goes as a parameter and is put into its statement on the server, where neither
// the list of what runs nor an error shows it.
func (t *Table) define(ctx context.Context, s Server, known bool) error {
	if _, err := t.hub.Exec(ctx, `CREATE EXTENSION IF NOT EXISTS postgres_fdw`); err != nil {
		return fmt.Errorf("the hub's server has no postgres_fdw (have a superuser run, in the hub's database: CREATE EXTENSION postgres_fdw; GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO the hub's user): %w", discreet(err))
	}
	return pgx.BeginFunc(ctx, t.hub, func(tx pgx.Tx) error {
		// A superuser may keep the statements out of the log altogether.
		for _, quiet := range []string{"log_statement = 'none'", "log_min_duration_statement = -1", "log_min_error_statement = 'panic'"} {
			if _, err := tx.Exec(ctx, `SAVEPOINT quiet`); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `SET LOCAL `+quiet); err != nil {
				if _, err = tx.Exec(ctx, `ROLLBACK TO quiet`); err != nil {
					return err
				}
			}
		}
		mapping := `CREATE USER MAPPING FOR CURRENT_USER SERVER %I OPTIONS (user %L, password %L)`
		if known {
			mapping = `ALTER USER MAPPING FOR CURRENT_USER SERVER %I OPTIONS (SET user %L, SET password %L)`
		}
		if _, err := tx.Exec(ctx, t.server(s, known)); err != nil {
			return discreet(err)
		}
		if _, err := tx.Exec(ctx, `SELECT set_config('waypost.user', $1, true), set_config('waypost.password', $2, true)`, s.User, s.password); err != nil {
			return discreet(err)
		}
		_, err := tx.Exec(ctx, `DO $do$ BEGIN
			EXECUTE format('`+mapping+`', '`+ours+s.Name+`', current_setting('waypost.user'), current_setting('waypost.password'));
			EXCEPTION WHEN OTHERS THEN RAISE EXCEPTION 'the user mapping is refused' USING ERRCODE = SQLSTATE;
			END $do$`)
		return discreet(err)
	})
}

// server is the statement that makes a foreign server, or has it as it would be
// made now.
func (t *Table) server(s Server, known bool) string {
	options, had := s.options(), t.servers[s.Name].had
	var list []string
	for _, name := range slices.Sorted(maps.Keys(options)) {
		verb := ""
		if had[name] {
			verb = "SET "
		}
		list = append(list, verb+name+" '"+strings.ReplaceAll(options[name], "'", "''")+"'")
	}
	for _, name := range slices.Sorted(maps.Keys(had)) {
		if _, stays := options[name]; !stays {
			list = append(list, "DROP "+name)
		}
	}
	if known {
		return `ALTER SERVER ` + ours + s.Name + ` OPTIONS (` + strings.Join(list, ", ") + `)`
	}
	return `CREATE SERVER ` + ours + s.Name + ` FOREIGN DATA WRAPPER postgres_fdw OPTIONS (` + strings.Join(list, ", ") + `)`
}

// trashFor is how long what is taken out of use on a server of labels is kept, under
// another name: seconds.
const trashFor = 24 * 60 * 60

// sweep takes away what lies on the servers without being in the table: copies that
// a killed command left, and what was copied and taken out. Nothing is, unless all
// that the table has is where it should be, and is this hub's.
func (t *Table) sweep(ctx context.Context) error {
	if t.schema == "" {
		return nil
	}
	inUse, err := t.partitions(ctx, "label")
	if err != nil {
		return err
	}
	reached, err := t.checkAll(ctx)
	if err != nil {
		return err
	}
	drop := []string{`DROP TABLE IF EXISTS label_parts CASCADE`}
	rows, err := t.hub.Query(ctx, `SELECT f.ftrelid::regclass::text FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = f.ftserver
		WHERE starts_with(s.srvname, $1) AND NOT EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhrelid = f.ftrelid)`, ours)
	if err != nil {
		return discreet(err)
	}
	loose, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return discreet(err)
	}
	for _, table := range loose {
		drop = append(drop, `DROP FOREIGN TABLE `+table)
	}
	if err := run(ctx, t.hub, drop...); err != nil {
		return err
	}
	for _, server := range append([]string{""}, reached...) {
		if err := t.sweepOne(ctx, server, inUse); err != nil {
			return err
		}
	}
	return t.at("swept")
}

func (t *Table) sweepOne(ctx context.Context, server string, inUse []Partition) error {
	c, err := t.conn(ctx, server)
	if err != nil {
		return err
	}
	left, err := t.leftOn(ctx, c, server, inUse)
	if err != nil || len(left) == 0 {
		return err
	}
	return run(ctx, c, left...)
}

// leftOn lists the statements that take away what is left on a server. What may hold
// the only copy of labels, if all else is wrong, gets another name first and is
// dropped a day later; on the hub's own server that is a matter of its database alone.
func (t *Table) leftOn(ctx context.Context, c *pgx.Conn, server string, inUse []Partition) (take []string, err error) {
	rows, err := c.Query(ctx, `SELECT 'DROP FUNCTION ' || oid::regprocedure || ' CASCADE' FROM pg_proc WHERE pronamespace = to_regnamespace($1)
		UNION ALL SELECT CASE WHEN $3 = '' OR NOT starts_with(relname, 'label_') THEN 'DROP TABLE ' || oid::regclass
			ELSE format('ALTER TABLE %s RENAME TO trash_%s_%s', oid::regclass, extract(epoch FROM now())::bigint, relname) END
		FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r' AND NOT relname = ANY ($2) AND relname <> '`+ownerTable+`'
			AND NOT (starts_with(relname, 'trash_') AND split_part(relname, '_', 2)::bigint > extract(epoch FROM now()) - `+fmt.Sprint(trashFor)+`)`,
		t.schema, tablesOn(inUse, server), server)
	if err != nil {
		return nil, discreet(err)
	}
	take, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return take, discreet(err)
}
