package attack

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path"

	"filippo.io/age"
)

// Unpack writes the files in an archive of waypost backup below a folder, which is there,
// as who has what opens it does (docs/operations/backup.md: tar in age).
func Unpack(archive string, identity age.Identity, to string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	opened, err := age.Decrypt(file, identity)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer root.Close()
	for files := tar.NewReader(opened); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		content, err := io.ReadAll(files)
		if err == nil {
			err = root.MkdirAll(path.Dir(h.Name), 0o700)
		}
		if err == nil {
			err = root.WriteFile(h.Name, content, 0o600)
		}
		if err != nil {
			return err
		}
	}
}

// Restore brings a dump of a database on a PostgreSQL server into an empty one, by
// pg_restore.
func Restore(ctx context.Context, dump, database string) error {
	u, err := url.Parse(database)
	if err != nil {
		return err
	}
	password, _ := u.User.Password()
	u.User = url.User(u.User.Username())
	return pgRestore(ctx, password, "--exit-on-error", "--no-owner", "--no-privileges", "--no-password", "--dbname="+u.String(), dump)
}

// Script writes a dump as the statements that are in it, uncompressed.
func Script(ctx context.Context, dump, to string) error {
	return pgRestore(ctx, "", "--file="+to, dump)
}

func pgRestore(ctx context.Context, password string, args ...string) error {
	command := exec.CommandContext(ctx, "pg_restore", args...) //nolint:gosec // the attacker's own files
	command.Env = append(os.Environ(), "PGPASSWORD="+password)
	var said bytes.Buffer
	command.Stderr = &said
	if err := command.Run(); err != nil {
		return fmt.Errorf("pg_restore: %w: %.200s", err, said.Bytes())
	}
	return nil
}
