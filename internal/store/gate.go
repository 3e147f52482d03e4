package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// gate lets one process at a time bring the schema up to date, until the connection
// that it returns is closed. It refuses a database with the tables of another
// program.
func (p *postgres) gate(ctx context.Context) (_ *pgx.Conn, err error) {
	c, err := pgx.ConnectConfig(ctx, p.with(migratingSettings))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = c.Close(ctx) // it says nothing more
		}
	}()
	if encoding := c.PgConn().ParameterStatus("server_encoding"); encoding != "UTF8" {
		return nil, fmt.Errorf("the database has the encoding %s: create it with ENCODING 'UTF8'", encoding)
	}
	var open bool
	if err = c.QueryRow(ctx, "SELECT "+openToAll).Scan(&open); err != nil {
		return nil, err
	}
	if open {
		return nil, errOpenToAll
	}
	// Two that meet an empty database both make the table, and one fails.
	for again := true; ; again = false {
		if err = makeGate(ctx, c); err == nil || !again || !exists(err) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	_, err = c.Exec(ctx, "BEGIN; SELECT id FROM store_gate FOR UPDATE")
	return c, err
}

// openToAll asks whether everybody who may log in may make functions and tables where
// this program's names are looked up: theirs, if they fit better than the server's own,
// would run with this program's rights. Until version 14 every database was made so.
const openToAll = "coalesce(has_schema_privilege('public', current_schema(), 'CREATE'), false)"

var errOpenToAll = errors.New("everybody may create functions and tables in the schema of the database, and so have this program run theirs: REVOKE CREATE ON SCHEMA public FROM PUBLIC, and ALTER SCHEMA public OWNER TO the user whose database it is")

func makeGate(ctx context.Context, c *pgx.Conn) error {
	var tables, ours int
	if err := c.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE tablename = 'store_gate')
		FROM pg_catalog.pg_tables WHERE schemaname = current_schema()`).Scan(&tables, &ours); err != nil {
		return err
	}
	if ours > 0 {
		return nil
	}
	if tables > 0 {
		return errors.New("the database belongs to another program: create one of its own")
	}
	_, err := c.Exec(ctx, "CREATE TABLE store_gate (id BIGINT NOT NULL PRIMARY KEY); INSERT INTO store_gate (id) VALUES (1)")
	return err
}

// exists reports that something could not be made because it is there.
func exists(err error) bool {
	var answered *pgconn.PgError
	return errors.As(err, &answered) && (answered.Code == "42P07" || answered.Code == "23505" || answered.Code == "42710")
}
