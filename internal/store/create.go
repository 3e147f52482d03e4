package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"

	"github.com/jackc/pgx/v5"
)

var databaseName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// CreateDatabase makes a database on the PostgreSQL server that a URL names, whose user
// must be allowed to, and returns the URL of it: the same with another name. The name
// has small letters, digits and underscores. It is an error if there is one already.
func CreateDatabase(ctx context.Context, server, name string) (string, error) {
	return onServer(ctx, server, name, `CREATE DATABASE %s ENCODING 'UTF8' TEMPLATE template0`)
}

// DropDatabase removes what [CreateDatabase] made, and everything in it.
func DropDatabase(ctx context.Context, server, name string) error {
	_, err := onServer(ctx, server, name, `DROP DATABASE %s WITH (FORCE)`)
	return err
}

func onServer(ctx context.Context, server, name, statement string) (_ string, err error) {
	if !databaseName.MatchString(name) {
		return "", fmt.Errorf("store: a database is named with at most 63 small letters, digits and underscores, not %q", name)
	}
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "postgres" {
		return "", errors.New("store: a server is named postgres://user@host/name, with a database that is there to log in to, often postgres")
	}
	p, err := openPostgres(server, "setup", false)
	if err != nil {
		return "", err
	}
	c, err := pgx.ConnectConfig(ctx, p.config)
	if err != nil {
		return "", fmt.Errorf("store: %w", discreet(err))
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	if _, err := c.Exec(ctx, fmt.Sprintf(statement, pgx.Identifier{name}.Sanitize())); err != nil {
		return "", fmt.Errorf("store: database %s: %w", name, discreet(err))
	}
	u.Path = "/" + name
	return u.String(), nil
}
