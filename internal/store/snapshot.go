package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Snapshot writes the database in a file, as it is at one moment, to another file, which
// must not be there yet and is readable by this user alone. A process that has the
// database open goes on meanwhile. What was deleted is not in the copy. It is an error
// for a database on a server, whose own programs copy it.
//
// VACUUM INTO reads in one transaction, so that no write is there by half.
func Snapshot(ctx context.Context, url, to string) (err error) {
	scheme, path, err := engineOf(url)
	if err != nil {
		return err
	}
	if scheme != "sqlite" {
		return errors.New("store: a database on a server is copied by the server's own programs")
	}
	if path, err = absolute(path); err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("store: there is no database to copy: %w", err)
	}
	if to, err = absolute(to); err != nil {
		return err
	}
	made, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := made.Close(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := (&sqliteFile{path: path}).controls(ctx, "VACUUM INTO "+quoted(to)); err != nil {
		return fmt.Errorf("store: %s cannot be copied: %w", path, err)
	}
	// The kind of log is kept in the file, and VACUUM INTO does not take it along.
	if err := (&sqliteFile{path: to}).controls(ctx, "PRAGMA journal_mode = WAL"); err != nil {
		return fmt.Errorf("store: %s: %w", to, err)
	}
	return nil
}

// Empty reports whether the database on a server that a URL names has no table yet. It is an
// error for one in a file.
func Empty(ctx context.Context, url string) (empty bool, err error) {
	p, err := openPostgres(url, "restore", false)
	if err != nil {
		return false, err
	}
	s, err := p.connect(ctx, false)
	if err != nil {
		return false, fmt.Errorf("store: %w", err)
	}
	c := newConn(func(context.Context) (session, error) { return s, nil }, p.opening(false))
	var tables int64
	err = c.look(func(tx *Tx) error {
		return tx.Row("SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = current_schema()").Scan(&tables)
	})
	return tables == 0, errors.Join(err, c.close())
}

// controls runs statements beside whoever has the file.
func (f *sqliteFile) controls(ctx context.Context, texts ...string) (err error) {
	s, err := f.session(ctx, sqliteSettings+"&mode=rw")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(nil)) }()
	return s.(*sqliteSession).control(texts)
}

func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// retired is what alive says of a number that no process may have again.
const retired = 2

// Retire takes the number of a process out of use for ever, in the transaction tx: the
// log that goes by it was closed. Zero is no number, and does nothing.
func Retire(tx *Tx, number int64) error {
	if number == 0 {
		return nil
	}
	if _, err := tx.Exec("DELETE FROM store_lease WHERE process = $1", number); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO store_process (number, token, beat, alive) VALUES ($1, 1, 0, $2)
		ON CONFLICT (number) DO UPDATE SET token = store_process.token + 1, alive = excluded.alive`, number, retired)
	return err
}

// isRetired reports whether a number was taken out of use.
func isRetired(tx *Tx, number int64) (is bool, err error) {
	var alive int64
	err = tx.Row("SELECT coalesce((SELECT alive FROM store_process WHERE number = $1), 0)", number).Scan(&alive)
	return alive == retired, err
}

func errRetired(number int64) error {
	return errors.New("store: process number " + strconv.FormatInt(number, 10) +
		" of this role is out of use since a backup was restored: give this process another one (\"instance\" in config.json)")
}
