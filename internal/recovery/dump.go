package recovery

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"

	"github.com/waypost/waypost"
)

// dump copies a database on a PostgreSQL server with pg_dump, which reads it at one moment
// while the role runs.
func dump(ctx context.Context, database, file string) error {
	return client(ctx, database, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--file="+file)
}

// load brings a dump into an empty database, all of it or nothing.
func load(ctx context.Context, database, file string) error {
	return client(ctx, database, "pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", file)
}

// client runs a program of PostgreSQL's. The password goes through the environment: the
// arguments of a process are for everybody to see.
func client(ctx context.Context, database, program string, args ...string) error {
	u, err := url.Parse(database)
	if err != nil || u.Scheme != "postgres" {
		return waypost.Errorf(waypost.InvalidArgument, "a database on a server is named postgres://user@host/name")
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return waypost.Errorf(waypost.NotFound, "%s is not installed: it is part of PostgreSQL's client programs (Debian: postgresql-client), of the server's version or newer", program)
	}
	env := os.Environ()
	if password, ok := u.User.Password(); ok {
		env, u.User = append(env, "PGPASSWORD="+password), url.User(u.User.Username())
	}
	command := exec.CommandContext(ctx, path, append(args, "--no-password", "--dbname="+u.String())...) //nolint:gosec // one of two programs, and the operator's own database
	command.Env = env
	var said bytes.Buffer
	command.Stderr = &said
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, firstLine(said.Bytes()))
	}
	return nil
}

// firstLine is that of what a program said: further ones quote rows.
func firstLine(said []byte) string {
	line, _, _ := bytes.Cut(said, []byte("\n"))
	return string(line[:min(len(line), 300)])
}
