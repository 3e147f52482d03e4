package store

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"strings"
)

// A Tx is the transaction a function runs in. It is valid until the function
// returns, and for the function's goroutine only.
type Tx struct {
	c    *conn
	err  error // the first failure, which every later statement repeats
	busy bool  // inside a Query, whose rows are still being read
}

var (
	errBusy = errors.New("store: a statement inside the function given to Query; collect the rows first")
	errOver = errors.New("store: a transaction used after its function returned")
)

// ready reports why no statement can run now.
func (tx *Tx) ready() error {
	switch {
	case tx.c == nil:
		return errOver
	case tx.err == nil && tx.busy:
		tx.err = errBusy
	}
	return tx.err
}

// fail keeps the first error: the transaction is over.
func (tx *Tx) fail(err error) error {
	if tx.err == nil {
		tx.err = err
	}
	return err
}

// Exec runs a statement and returns the number of rows it changed. Arguments
// may be nil, integers, booleans, strings, byte slices and byte arrays, types
// made from these, and what implements driver.Valuer.
func (tx *Tx) Exec(query string, args ...any) (affected int64, err error) {
	if err := tx.ready(); err != nil {
		return 0, err
	}
	if affected, err = tx.c.exec(query, args); err != nil {
		return 0, tx.fail(err)
	}
	return affected, nil
}

// Row prepares to run a statement for its first row; [Row.Scan] runs it.
func (tx *Tx) Row(query string, args ...any) Row { return Row{tx, query, args} }

// A Row is a statement of which at most one row is wanted.
type Row struct {
	tx    *Tx
	query string
	args  []any
}

// Scan runs the statement and stores the columns of its first row in dest, as
// [Tx.Query] does. It returns [ErrNoRows] if there is none.
func (r Row) Scan(dest ...any) error {
	if err := r.tx.ready(); err != nil {
		return err
	}
	found := false
	err := r.tx.c.query(r.query, r.args, func(row []driver.Value) (bool, error) {
		found = true
		return false, assignAll(r.query, dest, row)
	})
	if err != nil {
		return r.tx.fail(err)
	}
	if !found {
		return ErrNoRows
	}
	return nil
}

// Query runs a statement and calls each for every row. Inside each, scan
// stores the columns of that row: into pointers to integers (checked for
// range), bool, string, []byte (a copy; NULL gives nil), byte arrays (the
// length must agree), types made from these, pointers to pointers (NULL gives
// nil) and sql.Scanner. No other statement may run before Query returns. An
// error from each ends the query and is returned.
func (tx *Tx) Query(query string, args []any, each func(scan func(dest ...any) error) error) error {
	if err := tx.ready(); err != nil {
		return err
	}
	tx.busy = true
	defer func() { tx.busy = false }()
	var current []driver.Value
	scan := func(dest ...any) error {
		if err := assignAll(query, dest, current); err != nil {
			return tx.fail(err)
		}
		return nil
	}
	var stopped error // by each: it is the caller's, and ends no transaction
	err := tx.c.query(query, args, func(row []driver.Value) (bool, error) {
		current = row
		stopped = each(scan)
		return stopped == nil, nil
	})
	if err != nil {
		return tx.fail(err)
	}
	if stopped != nil {
		return stopped
	}
	return tx.err
}

// call runs fn in the open transaction. It fails if fn does, if fn panics, or
// if a statement in fn failed and fn did not say so.
func (c *conn) call(fn func(*Tx) error) (err error) {
	tx := &Tx{c: c}
	defer func() { tx.c = nil }() // a Tx kept beyond its function is of no use
	defer contain(&err)
	err = fn(tx)
	if tx.err != nil && err == nil {
		err = tx.err
	}
	return err
}

// contain turns a panic into an error that says where, and what if the runtime
// raised it; any other value might carry personal data.
func contain(err *error) {
	p := recover()
	if p == nil {
		return
	}
	what := fmt.Sprintf("%T", p)
	if e, ok := p.(runtime.Error); ok {
		what = e.Error()
	}
	var pcs [16]uintptr
	var where []string
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") && len(where) < 4 {
			where = append(where, fmt.Sprintf("%s:%d", f.Function, f.Line))
		}
		if !more {
			break
		}
	}
	*err = fmt.Errorf("store: panic in a transaction: %s (%s)", what, strings.Join(where, " < "))
}
