package store

import "database/sql/driver"

// Many runs a statement once for each list of arguments, in that order, and calls
// each, which may be nil, with the number of the list, from 0, and every row that
// it gave, as [Tx.Query] does. On a server it does not wait for one answer before
// the next list is sent: use it for many small lookups. An error from each ends the
// transaction, since what was sent may have run.
func (tx *Tx) Many(query string, lists [][]any, each func(i int, scan func(dest ...any) error) error) error {
	if err := tx.ready(); err != nil {
		return err
	}
	tx.busy = true
	defer func() { tx.busy = false }()
	err := tx.c.many(query, lists, func(i int, row []driver.Value) (bool, error) {
		if each == nil {
			return false, nil
		}
		return true, each(i, func(dest ...any) error { return assignAll(query, dest, row) })
	})
	if err != nil {
		return tx.fail(err)
	}
	return tx.err
}

// ExecMany runs a statement once for each list of arguments, in that order, as Many
// does, and returns how many rows each has changed.
func (tx *Tx) ExecMany(query string, lists [][]any) (affected []int64, err error) {
	if err := tx.ready(); err != nil {
		return nil, err
	}
	if affected, err = tx.c.execMany(query, lists); err != nil {
		return nil, tx.fail(err)
	}
	return affected, nil
}
