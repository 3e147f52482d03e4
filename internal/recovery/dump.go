package recovery

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"

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

// client runs a program of PostgreSQL's. Its arguments are for everybody to see, and so
// have no secret in them: passwords go through the environment.
func client(ctx context.Context, database, program string, args ...string) error {
	name, secrets, err := apart(database)
	if err != nil {
		return err
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return waypost.Errorf(waypost.NotFound, "%s is not installed: it is part of PostgreSQL's client programs (Debian: postgresql-client), of the server's version or newer", program)
	}
	command := exec.CommandContext(ctx, path, append(args, "--no-password", "--dbname="+name)...) //nolint:gosec // one of two programs, and the operator's own database
	command.Env = append(os.Environ(), secrets...)
	var said bytes.Buffer
	command.Stderr = &said
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, firstLine(said.Bytes()))
	}
	return nil
}

// apart takes the passwords out of a database's name, for the environment. That of a
// client's key has no variable there.
func apart(database string) (name string, secrets []string, err error) {
	u, err := url.Parse(database)
	if err != nil || u.Scheme != "postgres" {
		return "", nil, waypost.Errorf(waypost.InvalidArgument, "a database on a server is named postgres://user@host/name")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", nil, waypost.Errorf(waypost.InvalidArgument, "what follows the ? in the database's name cannot be read")
	}
	if query.Has("sslpassword") {
		return "", nil, waypost.Errorf(waypost.InvalidArgument, "the password of a client's key (sslpassword) would be seen by every user of this machine while it is copied: keep the key without one, in a file that this user alone can read")
	}
	password, given := u.User.Password()
	if query.Has("password") { // what connects takes this one
		password, given = query.Get("password"), true
		query.Del("password")
	}
	if u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20"); u.User != nil { // + is itself to these programs
		u.User = url.User(u.User.Username())
	}
	if given {
		secrets = append(secrets, "PGPASSWORD="+password)
	}
	return u.String(), secrets, nil
}

// firstLine is that of what a program said: further ones quote rows.
func firstLine(said []byte) string {
	line, _, _ := bytes.Cut(said, []byte("\n"))
	return string(line[:min(len(line), 300)])
}
