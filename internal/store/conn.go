package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// stmtLimit bounds the statements kept prepared on one connection. Texts are
// constants, so a program that reaches it is building statements at run time;
// those beyond it are prepared for each use.
const stmtLimit = 512

// conn is one connection and its prepared statements. It is used by one
// goroutine at a time. It speaks to the driver directly: the pool, locks and
// conversions of database/sql cost as much as a point lookup.
type conn struct {
	raw       driver.Conn
	beginText string
	active    bool                   // in a transaction
	control   map[string]driver.Stmt // BEGIN, SAVEPOINT, ...: not for a Tx
	stmts     map[string]*stmt
	args      []driver.NamedValue // reused from statement to statement
	row       []driver.Value      // reused from row to row
	plans     func(statement string, plan []string)
	wire      *wire // of a server, else nil
}

func newConn(raw driver.Conn, begin string) *conn {
	return &conn{raw: raw, beginText: begin, control: make(map[string]driver.Stmt), stmts: make(map[string]*stmt)}
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.control {
		errs = append(errs, s.Close())
	}
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

func (c *conn) begin() error {
	err := c.run(c.beginText)
	c.active = err == nil
	return err
}

// end runs COMMIT or ROLLBACK.
func (c *conn) end(how string) error {
	err := c.run(how)
	if err == nil {
		c.active = false
	}
	return err
}

// run executes a statement that a Tx must not: one that begins or ends a
// transaction or changes the connection.
func (c *conn) run(query string) error {
	if c.wire != nil {
		if err := c.wire.control(query); err != nil {
			return inStatement(err, query)
		}
		return nil
	}
	s, ok := c.control[query]
	if !ok {
		var err error
		if s, err = c.raw.Prepare(query); err != nil {
			return inStatement(err, query)
		}
		c.control[query] = s
	}
	if _, err := s.(driver.StmtExecContext).ExecContext(context.Background(), nil); err != nil {
		return inStatement(err, query)
	}
	return nil
}

// inStatement says which statement failed. What a server says of values is left out:
// they may be personal.
func inStatement(err error, query string) error {
	return fmt.Errorf("store: %w in %q", discreet(err), query)
}

// A stmt is a prepared statement.
type stmt struct {
	driver.Stmt
	params int  // the highest n of its $n
	kept   bool // until the connection closes, not for one use
}

// done ends one use of the statement.
func (s *stmt) done() {
	if !s.kept {
		_ = s.Close()
	}
}

// prepare returns the statement for query and its arguments, converted.
func (c *conn) prepare(query string, args []any) (*stmt, []driver.NamedValue, error) {
	s, ok := c.stmts[query]
	if !ok {
		if err := portableText(query); err != nil {
			return nil, nil, err
		}
		raw, err := c.raw.Prepare(query)
		if err != nil {
			return nil, nil, inStatement(err, query)
		}
		s = &stmt{Stmt: raw, params: countParams(query), kept: len(c.stmts) < stmtLimit}
		if s.kept {
			c.stmts[query] = s
		}
		if c.plans != nil {
			if err := c.explain(query, s.params); err != nil {
				return nil, nil, err
			}
		}
	}
	values, err := c.bind(args)
	if err == nil && len(args) != s.params {
		err = fmt.Errorf("%d arguments for %d parameters", len(args), s.params)
	}
	if err != nil {
		s.done()
		return nil, nil, inStatement(err, query)
	}
	return s, values, nil
}

// explain tells how the engine means to run a statement.
func (c *conn) explain(query string, params int) error {
	s, err := c.raw.Prepare("EXPLAIN QUERY PLAN " + query)
	if err != nil {
		return inStatement(err, query)
	}
	defer s.Close()
	nulls := make([]driver.NamedValue, params)
	for i := range nulls {
		nulls[i].Ordinal = i + 1
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), nulls)
	if err != nil {
		return inStatement(err, query)
	}
	defer rows.Close()
	var plan []string
	row := make([]driver.Value, len(rows.Columns()))
	for err = rows.Next(row); err == nil; err = rows.Next(row) {
		plan = append(plan, fmt.Sprint(row[len(row)-1]))
	}
	if !errors.Is(err, io.EOF) {
		return inStatement(err, query)
	}
	c.plans(query, plan)
	return nil
}

var verbs = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}

// portableText refuses what one engine runs and another does not, and what
// would end the transaction under the feet of the group.
func portableText(query string) error {
	verb, _, _ := strings.Cut(strings.Join(strings.Fields(query), " "), " ")
	switch {
	case !slices.Contains(verbs, strings.ToUpper(verb)):
		return fmt.Errorf("store: a statement begins with one of %s, not as %q", strings.Join(verbs, ", "), query)
	case strings.Contains(query, ";"):
		return fmt.Errorf("store: one statement at a time, without a semicolon: %q", query)
	case strings.Contains(query, "?"):
		return fmt.Errorf("store: parameters are $1, $2, ..., not ?, in %q", query)
	}
	return nil
}

var param = regexp.MustCompile(`\$([0-9]{1,5})`)

func countParams(query string) (highest int) {
	for _, m := range param.FindAllStringSubmatch(query, -1) {
		n, _ := strconv.Atoi(m[1])
		highest = max(highest, n)
	}
	return highest
}

func (c *conn) exec(query string, args []any) (affected int64, err error) {
	s, values, err := c.prepare(query, args)
	if err != nil {
		return 0, err
	}
	defer s.done()
	res, err := s.Stmt.(driver.StmtExecContext).ExecContext(context.Background(), values)
	if err != nil {
		return 0, inStatement(err, query)
	}
	return res.RowsAffected()
}

// query calls each with every row until it returns false or an error.
func (c *conn) query(query string, args []any, each func(row []driver.Value) (bool, error)) (err error) {
	s, values, err := c.prepare(query, args)
	if err != nil {
		return err
	}
	defer s.done()
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(context.Background(), values)
	if err != nil {
		return inStatement(err, query)
	}
	defer func() {
		if e := rows.Close(); err == nil && e != nil {
			err = inStatement(e, query)
		}
	}()
	n := len(rows.Columns())
	if cap(c.row) < n {
		c.row = make([]driver.Value, n)
	}
	row := c.row[:n]
	for more := true; more; {
		if err := rows.Next(row); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return inStatement(err, query)
		}
		if more, err = each(row); err != nil {
			return err
		}
	}
	return nil
}
