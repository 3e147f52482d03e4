package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
)

// sqliteSession is a connection to a file.
type sqliteSession struct {
	raw      driver.Conn
	controls map[string]driver.Stmt // BEGIN, SAVEPOINT, ...
	args     []driver.NamedValue    // reused from statement to statement
	row      []driver.Value         // reused from row to row
}

type sqliteStmt struct{ driver.Stmt }

func (sqliteStmt) takes([]driver.Value) error { return nil } // a STRICT table judges
func (s sqliteStmt) close() error             { return s.Close() }

func (s *sqliteSession) gone() bool { return false }

func (s *sqliteSession) close(kept map[string]*stmt) error {
	var errs []error
	for _, p := range kept {
		errs = append(errs, p.close())
	}
	for _, c := range s.controls {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, s.raw.Close())...)
}

func (s *sqliteSession) prepare(query string) (prepared, error) {
	p, err := s.raw.Prepare(query)
	return sqliteStmt{p}, err
}

func (s *sqliteSession) control(texts []string) error {
	for _, text := range texts {
		p, ok := s.controls[text]
		if !ok {
			var err error
			if p, err = s.raw.Prepare(text); err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
			s.controls[text] = p
		}
		if _, err := p.(driver.StmtExecContext).ExecContext(context.Background(), nil); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return nil
}

func (s *sqliteSession) leave(text string) error { return s.control([]string{text}) }

func (s *sqliteSession) exec(before []string, p prepared, lists [][]driver.Value, affected []int64) error {
	if err := s.control(before); err != nil {
		return lostError{err}
	}
	statement := p.(sqliteStmt).Stmt.(driver.StmtExecContext)
	for i, args := range lists {
		result, err := statement.ExecContext(context.Background(), s.named(args))
		if err != nil {
			return err
		}
		if affected[i], err = result.RowsAffected(); err != nil {
			return err
		}
	}
	return nil
}

func (s *sqliteSession) query(before []string, p prepared, lists [][]driver.Value, each eachRow) error {
	if err := s.control(before); err != nil {
		return lostError{err}
	}
	for i, args := range lists {
		if err := s.rows(p.(sqliteStmt), args, i, each); err != nil {
			return err
		}
	}
	return nil
}

func (s *sqliteSession) rows(p sqliteStmt, args []driver.Value, i int, each eachRow) (err error) {
	rows, err := p.Stmt.(driver.StmtQueryContext).QueryContext(context.Background(), s.named(args))
	if err != nil {
		return err
	}
	defer func() {
		if e := rows.Close(); err == nil {
			err = e
		}
	}()
	n := len(rows.Columns())
	if cap(s.row) < n {
		s.row = make([]driver.Value, n)
	}
	row := s.row[:n]
	for more := true; more; {
		if err := rows.Next(row); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if more, err = each(i, row); err != nil {
			return err
		}
	}
	return nil
}

// named numbers the arguments, as the driver wants them.
func (s *sqliteSession) named(args []driver.Value) []driver.NamedValue {
	s.args = s.args[:0]
	for i, v := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return s.args
}

func (s *sqliteSession) plan(query string, _ prepared, params int) (plan []string, err error) {
	p, err := s.raw.Prepare("EXPLAIN QUERY PLAN " + query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	return plan, s.rows(sqliteStmt{p}, make([]driver.Value, params), 0, func(_ int, row []driver.Value) (bool, error) {
		plan = append(plan, fmt.Sprint(row[len(row)-1]))
		return true, nil
	})
}
