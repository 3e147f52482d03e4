package store

import (
	"bytes"
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var tableName = regexp.MustCompile(`^[a-z_]+$`)

// Copy inserts rows into a table in bulk, on a server by COPY. The values are what
// [Tx.Exec] takes. Rows in the order of the primary key are the fastest. A row that
// is there already is an error.
func (tx *Tx) Copy(table string, columns []string, rows [][]any) error {
	params := make([]string, len(columns))
	for i, c := range append([]string{table}, columns...) {
		if !tableName.MatchString(c) {
			return tx.fail(fmt.Errorf("store: %q is no name of a table or column", c))
		}
		if i > 0 {
			params[i-1] = fmt.Sprintf("$%d", i)
		}
	}
	names := strings.Join(columns, ", ")
	// It begins the transaction where none is, and tells the types of the columns.
	insert := "INSERT INTO " + table + " (" + names + ") VALUES (" + strings.Join(params, ", ") + ")"
	if len(rows) == 0 {
		return nil
	}
	if _, err := tx.Exec(insert, rows[0]...); err != nil || len(rows) == 1 {
		return err
	}
	w, ok := tx.c.s.(*wire)
	s, kept := tx.c.stmts[insert]
	if !ok || !kept {
		_, err := tx.ExecMany(insert, rows[1:])
		return err
	}
	bound, err := bindAll(rows[1:])
	if err == nil {
		err = w.copy("COPY "+table+" ("+names+") FROM STDIN (FORMAT binary)", s.prepared.(wireStmt), bound)
	}
	if err != nil {
		return tx.fail(inStatement(err, "COPY "+table))
	}
	return nil
}

// copy sends rows in the format that PostgreSQL's documentation of COPY describes,
// with the types that a statement's parameters have.
func (w *wire) copy(text string, s wireStmt, rows [][]driver.Value) error {
	body := bytes.NewBuffer(make([]byte, 0, 64*len(rows)))
	body.WriteString("PGCOPY\n\xff\r\n\x00")
	body.Write(make([]byte, 8)) // flags, length of an extension
	for _, row := range rows {
		if len(row) != len(s.ParamOIDs) {
			return fmt.Errorf("%d values for %d columns", len(row), len(s.ParamOIDs))
		}
		if err := s.takes(row); err != nil {
			return err
		}
		body.Write(binary.BigEndian.AppendUint16(nil, uint16(len(row))))
		for i, v := range row {
			value := encode(s.ParamOIDs[i], v)
			size := uint32(len(value))
			if v == nil {
				size = ^uint32(0)
			}
			body.Write(binary.BigEndian.AppendUint32(nil, size))
			body.Write(value)
		}
	}
	body.Write([]byte{0xff, 0xff})
	w.started()
	_, err := w.pg.CopyFrom(background, body, text)
	return err
}

// Size is how many bytes the whole database takes.
func (db *DB) Size(ctx context.Context) (bytes int64, err error) {
	err = db.Read(ctx, func(tx *Tx) error {
		if err := tx.Row("SELECT 1").Scan(&bytes); err != nil { // it begins the transaction
			return err
		}
		w, ok := tx.c.s.(*wire)
		if !ok {
			return tx.Row("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").Scan(&bytes)
		}
		answers, err := w.pg.Exec(background, "SELECT pg_database_size(current_database())").ReadAll()
		if err == nil && (len(answers) != 1 || len(answers[0].Rows) != 1) {
			err = errors.New("no size")
		}
		if err != nil {
			return tx.fail(fmt.Errorf("store: the size of the database: %w", discreet(err)))
		}
		bytes, err = strconv.ParseInt(string(answers[0].Rows[0][0]), 10, 64)
		return err
	})
	return bytes, err
}
