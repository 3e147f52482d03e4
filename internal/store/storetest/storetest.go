// Package storetest gives a test its database, and lets one set up the SQLite file of
// another program that
// it runs beside ours.
package storetest

import (
	"context"
	"database/sql"
	"errors"

	_ "modernc.org/sqlite" // the driver
)

// Exec runs one statement on the SQLite file at path, which the other program may
// have open, and waits a few seconds for its locks.
func Exec(ctx context.Context, path, statement string, args ...any) (err error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, statement, args...)
	return err
}
