package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// stmtLimit bounds the statements kept prepared on one connection. Texts are
// constants, so a program that reaches it is building statements at run time;
// those beyond it are prepared for each use.
const stmtLimit = 512

// A session is one connection to an engine: what differs between them.
//
// The control statements in before (BEGIN, SAVEPOINT, ...) run first, on a server
// in the same round trip. Where one of them fails the error is a lostError.
type session interface {
	prepare(query string) (prepared, error)
	// exec runs the statement for each list of arguments, in order, and sets affected
	// to how many rows each has changed.
	exec(before []string, p prepared, lists [][]driver.Value, affected []int64) error
	// query runs the statement for each list of arguments, in order, and calls each
	// with the number of the list and every row until it returns false or an error.
	query(before []string, p prepared, lists [][]driver.Value, each eachRow) error
	control(texts []string) error
	// leave ends a transaction that changed nothing. What it comes to may be told by
	// what is asked of the session next.
	leave(text string) error
	plan(query string, p prepared, params int) ([]string, error)
	// gone reports that the connection is no more, whose transaction the engine undoes.
	gone() bool
	close(kept map[string]*stmt) error
}

type eachRow func(i int, row []driver.Value) (more bool, err error)

// prepared is a statement that a session has ready.
type prepared interface {
	// takes reports whether the arguments are of the types of the parameters.
	takes(args []driver.Value) error
	close() error
}

// A lostError says that there is no transaction any more, whatever the statement
// was that met it.
type lostError struct{ error }

// Unwrap returns what the engine said.
func (e lostError) Unwrap() error { return e.error }

// A stmt is a prepared statement.
type stmt struct {
	prepared
	params int  // the highest n of its $n
	kept   bool // until the connection closes, not for one use
}

// conn is one connection, its prepared statements and the transaction in it. It is
// used by one goroutine at a time. It speaks to the driver directly: the pool,
// locks and conversions of database/sql cost as much as a point lookup.
//
// What begins, marks and undoes is owed until the next statement, and goes out
// with it: a function without a statement costs nothing, one with n of them n+1
// round trips to a server, with the COMMIT.
type conn struct {
	dial    func(context.Context) (session, error)
	opening []string // begins a transaction
	s       session  // nil: not connected
	stmts   map[string]*stmt
	plans   func(statement string, plan []string)

	owed    []string // control statements to run before the next one
	active  bool     // there is, or may be, a transaction in the engine
	lost    error    // why there is no transaction any more though nobody ended it
	marked  bool     // there is a savepoint, or one is owed
	touched bool     // a statement ran since then

	// Reused from statement to statement.
	ask     ask
	args    []driver.Value
	one     [1][]driver.Value
	changed [1]int64
	onRow   eachRow // is handOut, made once
}

// ask is a statement under way: arguments, one list or many, and what takes its rows,
// or else how many rows it changed.
type ask struct {
	args     []any
	lists    [][]any
	row      func(row []driver.Value) (more bool, err error)
	each     eachRow
	affected []int64

	got     bool  // a row was handed out
	stopped error // by row or each: it is the caller's
}

// savepoint is what a function's effects are undone to.
const savepoint = "SAVEPOINT w"

func newConn(dial func(context.Context) (session, error), opening []string) *conn {
	c := &conn{dial: dial, opening: opening, stmts: make(map[string]*stmt)}
	c.onRow = c.handOut
	return c
}

// connect makes a connection if there is none.
func (c *conn) connect(ctx context.Context) (err error) {
	if c.s == nil {
		c.s, err = c.dial(ctx)
	}
	return err
}

// close gives the connection up, as one that fails is; connect makes another.
func (c *conn) close() error {
	if c.s == nil {
		return nil
	}
	err := c.s.close(c.stmts)
	clear(c.stmts)
	c.s, c.active = nil, false
	return err
}

// begin starts a transaction, in the engine with its first statement.
func (c *conn) begin() {
	c.owed = append(c.owed[:0], c.opening...)
	c.lost, c.marked, c.touched = nil, false, false
}

// mark sets the point to which undo takes back what follows.
func (c *conn) mark() {
	if c.marked && !c.touched {
		return // nothing has happened since the last
	}
	if c.marked {
		c.owed = append(c.owed, "RELEASE "+savepoint)
	}
	c.owed = append(c.owed, savepoint)
	c.marked, c.touched = true, false
}

func (c *conn) undo() {
	if c.touched {
		c.owed = append(c.owed, "ROLLBACK TO "+savepoint)
		c.touched = false
	}
}

// commit makes the transaction durable.
func (c *conn) commit() error {
	if !c.active {
		return nil // no statement has been run
	}
	c.owed = append(c.owed, "COMMIT")
	if err := c.s.control(c.take()); err != nil {
		return fmt.Errorf("store: %w", discreet(err))
	}
	c.active = false
	return nil
}

// leave ends a transaction that changed nothing.
func (c *conn) leave() {
	if c.active && c.s.leave("ROLLBACK") != nil {
		_ = c.close()
	}
	c.active = false
}

// rollback ends the transaction without effect. A connection that cannot do that is
// given up: a close error says nothing more.
func (c *conn) rollback() {
	if c.active && c.s.control([]string{"ROLLBACK"}) != nil {
		_ = c.close()
	}
	c.active = false
}

// do runs what is asked, after what is owed. Where the connection turns out to have
// ended before the transaction began, as after a restart of the server, it makes
// another and asks once more, unless rows were handed out.
func (c *conn) do(query string) error {
	if c.lost != nil {
		return c.lost
	}
	owing := len(c.owed)
	for again := !c.active; ; again = false {
		err := c.try(query)
		if err == nil {
			return nil
		}
		if c.ask.stopped != nil {
			return c.ask.stopped
		}
		var lost lostError
		switch {
		case c.s != nil && c.s.gone():
			_ = c.close()
			if again && !c.ask.got {
				c.owed = c.owed[:owing] // nothing has been added since they were taken
				continue
			}
			c.lost = inStatement(err, query)
		case c.s == nil || errors.As(err, &lost):
			c.lost = inStatement(err, query)
		default:
			c.forget(query, err)
			return inStatement(err, query)
		}
		return c.lost
	}
}

func (c *conn) try(query string) (err error) {
	if err := c.connect(background); err != nil {
		return err
	}
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	if !s.kept {
		defer func() { _ = s.close() }()
	}
	lists, err := c.bind()
	if err != nil {
		return err
	}
	for _, list := range lists {
		if len(list) != s.params {
			return fmt.Errorf("%d arguments for %d parameters", len(list), s.params)
		}
		if err := s.takes(list); err != nil {
			return err
		}
	}
	c.active, c.touched = true, true
	if c.ask.affected != nil {
		return c.s.exec(c.take(), s.prepared, lists, c.ask.affected)
	}
	return c.s.query(c.take(), s.prepared, lists, c.onRow)
}

// handOut gives a row to who asked.
func (c *conn) handOut(i int, row []driver.Value) (more bool, err error) {
	c.ask.got = true
	if c.ask.row != nil {
		more, c.ask.stopped = c.ask.row(row)
	} else {
		more, c.ask.stopped = c.ask.each(i, row)
	}
	return more, c.ask.stopped
}

// bind converts the arguments.
func (c *conn) bind() (lists [][]driver.Value, err error) {
	if c.ask.lists != nil {
		return bindAll(c.ask.lists)
	}
	c.args, err = bind(c.args[:0], c.ask.args)
	c.one[0] = c.args
	return c.one[:], err
}

// prepare returns the statement for query.
func (c *conn) prepare(query string) (*stmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	if err := portableText(query); err != nil {
		return nil, err
	}
	// What is owed first: in a failed transaction a server prepares nothing. And a
	// server fails the transaction for a statement that it cannot prepare.
	c.active = true
	if len(c.owed) > 0 {
		if err := c.s.control(c.take()); err != nil {
			return nil, lostError{err}
		}
	}
	c.touched = true
	p, err := c.s.prepare(query)
	if err != nil {
		return nil, err
	}
	s := &stmt{prepared: p, params: countParams(query), kept: len(c.stmts) < stmtLimit}
	if s.kept {
		c.stmts[query] = s
	}
	if c.plans != nil {
		plan, err := c.s.plan(query, p, s.params)
		if err != nil {
			return nil, err
		}
		c.plans(query, plan)
	}
	return s, nil
}

// forget drops a prepared statement that a change of the schema has outdated: the
// next use prepares it anew.
func (c *conn) forget(query string, err error) {
	if s, ok := c.stmts[query]; ok && outdated(err) {
		delete(c.stmts, query)
		_ = s.close()
	}
}

// take hands over what is owed to what pays it. Whatever becomes of that, a
// function may panic in the middle of it, nothing of it is owed any more.
func (c *conn) take() []string {
	owed := c.owed
	c.owed = c.owed[:0]
	return owed
}

func (c *conn) exec(query string, args []any) (affected int64, err error) {
	c.ask = ask{args: args, affected: c.changed[:]}
	err = c.do(query)
	return c.changed[0], err
}

// execMany is exec for each list of arguments.
func (c *conn) execMany(query string, lists [][]any) ([]int64, error) {
	affected := make([]int64, len(lists))
	if len(lists) == 0 {
		return affected, nil
	}
	c.ask = ask{lists: lists, affected: affected}
	return affected, c.do(query)
}

// query calls each with every row until it returns false or an error, which comes
// back as it is.
func (c *conn) query(query string, args []any, each func(row []driver.Value) (bool, error)) error {
	c.ask = ask{args: args, row: each}
	return c.do(query)
}

// many runs a statement for each list of arguments.
func (c *conn) many(query string, lists [][]any, each eachRow) error {
	if len(lists) == 0 {
		return nil
	}
	c.ask = ask{lists: lists, each: each}
	return c.do(query)
}

// inStatement says which statement failed. What a server says of values is left out:
// they may be personal.
func inStatement(err error, query string) error {
	return fmt.Errorf("store: %w in %q", discreet(err), query)
}

var verbs = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}

// portableText refuses what one engine runs and another does not, and what
// would end the transaction under the feet of the group.
func portableText(query string) error {
	verb, _, _ := strings.Cut(strings.Join(strings.Fields(query), " "), " ")
	switch {
	case !slices.Contains(verbs, strings.ToUpper(verb)):
		return fmt.Errorf("a statement begins with one of %s", strings.Join(verbs, ", "))
	case strings.Contains(query, ";"):
		return errors.New("one statement at a time, without a semicolon")
	case strings.Contains(query, "?"):
		return errors.New("parameters are $1, $2, ..., not ?")
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
