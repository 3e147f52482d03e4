package store

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// wire is a connection to a PostgreSQL server. Statements go out by name, with
// their arguments in binary; those of one exchange are sent before the answer to
// the first is read.
type wire struct {
	pg       *pgconn.PgConn
	controls map[string]*pgconn.StatementDescription
	named    int
	leaving  *pgconn.MultiResultReader // of leave: its answer has not been read
	limit    time.Duration             // of one exchange
	trips    int                       // exchanges that were waited for
}

// manyAtOnce bounds how many statements are under way before the answer to the
// first is read.
const manyAtOnce = 1000

// background: nothing a connection does is interrupted by a context. What holds it
// up too long is ended by the server, see sessionSettings.
var background = context.Background()

// wireStmt is a statement that the server has by a name.
type wireStmt struct {
	w *wire
	*pgconn.StatementDescription
}

func (s wireStmt) close() error {
	if err := s.w.arrive(); err != nil {
		return err
	}
	return s.w.pg.Deallocate(background, s.Name)
}

// takes is strict, as a STRICT table of SQLite is: a type that the server could
// convert is a slip.
func (s wireStmt) takes(args []driver.Value) error {
	for i, v := range args {
		fits := true
		switch x := v.(type) {
		case int64:
			switch s.ParamOIDs[i] {
			case pgtype.Int8OID:
			case pgtype.Int4OID:
				fits = x == int64(int32(x))
			default:
				fits = false
			}
		case string:
			fits = s.ParamOIDs[i] == pgtype.TextOID
		case []byte:
			fits = s.ParamOIDs[i] == pgtype.ByteaOID
		}
		if !fits {
			return fmt.Errorf("argument $%d: a %T does not fit the parameter, or is beyond its range", i+1, v)
		}
	}
	return nil
}

func encode(oid uint32, v driver.Value) []byte {
	switch x := v.(type) {
	case int64:
		if oid == pgtype.Int4OID {
			return binary.BigEndian.AppendUint32(nil, uint32(x))
		}
		return binary.BigEndian.AppendUint64(nil, uint64(x))
	case string:
		return append([]byte{}, x...)
	case []byte:
		if x == nil {
			return []byte{}
		}
		return x
	}
	return nil // NULL
}

// decode gives a column the type that every engine's driver gives it.
func decode(oid uint32, b []byte) (driver.Value, error) {
	if b == nil {
		return nil, nil
	}
	switch {
	case oid == pgtype.Int8OID && len(b) == 8:
		return int64(binary.BigEndian.Uint64(b)), nil
	case oid == pgtype.Int4OID && len(b) == 4:
		return int64(int32(binary.BigEndian.Uint32(b))), nil
	case oid == pgtype.BoolOID && len(b) == 1:
		return int64(b[0]), nil
	case oid == pgtype.TextOID:
		return string(b), nil
	case oid == pgtype.ByteaOID:
		return append([]byte{}, b...), nil
	}
	return nil, fmt.Errorf("a column of PostgreSQL's type %d is none that is kept: CAST it AS BIGINT or TEXT", oid)
}

var binaryFormat = []int16{pgtype.BinaryFormatCode}

func (w *wire) prepare(query string) (prepared, error) {
	d, err := w.describe(query)
	return wireStmt{w, d}, err
}

func (w *wire) describe(text string) (*pgconn.StatementDescription, error) {
	if err := w.arrive(); err != nil {
		return nil, err
	}
	w.started()
	w.named++
	return w.pg.Prepare(background, "s"+strconv.Itoa(w.named), text, nil)
}

// started is called before every round trip. A server that is not heard of any more
// is given up: keepalives do not tell where something sent is not acknowledged.
func (w *wire) started() {
	w.trips++
	_ = w.pg.Conn().SetDeadline(time.Now().Add(w.limit)) // it fails on a closed connection, as all does then
}

// exchange sends the controls and then a statement once for each list of arguments,
// and reads what came of it.
func (w *wire) exchange(before []string, s wireStmt, lists [][]driver.Value, result func(i int, r *pgconn.ResultReader) error) (err error) {
	var batch pgconn.Batch
	if err := w.add(&batch, before); err != nil {
		return lostError{err}
	}
	params := make([][]byte, len(s.ParamOIDs))
	for _, args := range lists {
		for i, v := range args {
			params[i] = encode(s.ParamOIDs[i], v)
		}
		batch.ExecStatement(s.StatementDescription, params, binaryFormat, binaryFormat)
	}
	w.started()
	answers := w.pg.ExecBatch(background, &batch)
	defer func() {
		if e := answers.Close(); err == nil {
			err = e
		}
	}()
	if err := paid(answers, before); err != nil {
		return lostError{err}
	}
	for i := range lists {
		if !answers.NextResult() {
			return nil // Close says why
		}
		if err := result(i, answers.ResultReader()); err != nil {
			return err
		}
	}
	return nil
}

// add puts control statements into a batch.
func (w *wire) add(batch *pgconn.Batch, texts []string) error {
	if err := w.arrive(); err != nil {
		return err
	}
	for _, text := range texts {
		s, ok := w.controls[text]
		if !ok {
			var err error
			if s, err = w.describe(text); err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
			w.controls[text] = s
		}
		batch.ExecStatement(s, nil, nil, binaryFormat)
	}
	return nil
}

// paid reads the answers to control statements. A COMMIT of what has failed is
// answered, without an error, by a ROLLBACK.
func paid(answers *pgconn.MultiResultReader, texts []string) error {
	for _, text := range texts {
		if !answers.NextResult() {
			return fmt.Errorf("%s: %w", text, answers.Close())
		}
		tag, err := answers.ResultReader().Close()
		if err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		switch {
		case text == "COMMIT" && tag.String() != text:
			return errRolledBack
		case tag.Select() && tag.RowsAffected() == 0: // see fence
			return ErrReplaced
		}
	}
	return nil
}

var errRolledBack = errors.New("COMMIT: the transaction had failed and was rolled back")

func (w *wire) exec(before []string, p prepared, lists [][]driver.Value, affected []int64) error {
	for first := 0; first < len(lists); first += manyAtOnce {
		part := lists[first:min(first+manyAtOnce, len(lists))]
		if err := w.exchange(before, p.(wireStmt), part, func(i int, r *pgconn.ResultReader) error {
			tag, err := r.Close()
			affected[first+i] = tag.RowsAffected()
			return err
		}); err != nil {
			return err
		}
		before = nil
	}
	return nil
}

func (w *wire) query(before []string, p prepared, lists [][]driver.Value, each eachRow) error {
	s := p.(wireStmt)
	row := make([]driver.Value, len(s.Fields))
	for first := 0; first < len(lists); first += manyAtOnce {
		part := lists[first:min(first+manyAtOnce, len(lists))]
		if err := w.exchange(before, s, part, func(i int, r *pgconn.ResultReader) error {
			return s.rows(r, row, first+i, each)
		}); err != nil {
			return err
		}
		before = nil
	}
	return nil
}

func (s wireStmt) rows(r *pgconn.ResultReader, row []driver.Value, n int, each eachRow) (err error) {
	for more := true; more && r.NextRow(); {
		for i, b := range r.Values() {
			if row[i], err = decode(s.Fields[i].DataTypeOID, b); err != nil {
				return fmt.Errorf("column %d: %w", i+1, err)
			}
		}
		if more, err = each(n, row); err != nil {
			return err
		}
	}
	_, err = r.Close()
	return err
}

func (w *wire) control(texts []string) error {
	var batch pgconn.Batch
	if err := w.add(&batch, texts); err != nil {
		return err
	}
	w.started()
	answers := w.pg.ExecBatch(background, &batch)
	if err := paid(answers, texts); err != nil {
		_ = answers.Close() // it says the same
		return err
	}
	return answers.Close()
}

// leave sends and does not wait.
func (w *wire) leave(text string) error {
	var batch pgconn.Batch
	if err := w.add(&batch, []string{text}); err != nil {
		return err
	}
	_ = w.pg.Conn().SetDeadline(time.Now().Add(w.limit))
	w.leaving = w.pg.ExecBatch(background, &batch)
	return nil
}

// arrive reads what leave came to.
func (w *wire) arrive() error {
	if w.leaving == nil {
		return nil
	}
	answers := w.leaving
	w.leaving = nil
	return answers.Close()
}

func (w *wire) gone() bool { return w.pg.IsClosed() }

// close says goodbye to a server that listens: if it does not, nothing is lost.
func (w *wire) close(map[string]*stmt) error {
	ctx, cancel := context.WithTimeout(background, time.Second)
	defer cancel()
	_ = w.arrive()
	_ = w.pg.Close(ctx)
	return nil
}

// plan asks how the statement is run whatever its arguments.
func (w *wire) plan(_ string, p prepared, params int) (plan []string, err error) {
	text := "EXPLAIN (COSTS OFF) EXECUTE " + p.(wireStmt).Name
	if params > 0 {
		text += "(NULL" + strings.Repeat(", NULL", params-1) + ")"
	}
	// Tables of a test are small: is there an index at all?
	results, err := w.pg.Exec(background, "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; "+text).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, row := range results[len(results)-1].Rows {
		plan = append(plan, string(row[0]))
	}
	return sqlitePlan(plan), nil
}
