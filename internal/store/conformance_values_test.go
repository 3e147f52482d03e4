package store

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

type (
	stateCode string
	status    uint8
	label     [20]byte
	blob      []byte
)

func testValues(t *testing.T, open func(...Option) *DB) {
	db := open()
	name, null := "O'Brien $1", (*string)(nil)
	cases := []struct {
		column   string
		arg      any
		dest     any
		want     string
		rejected bool
	}{
		{"n", int64(-1 << 63), new(int64), "-9223372036854775808", false},
		{"n", 7, new(int), "7", false},
		{"n", uint64(1<<63 - 1), new(uint64), "9223372036854775807", false},
		{"n", uint64(1 << 63), new(uint64), "", true},
		{"n", uint32(1<<32 - 1), new(uint32), "4294967295", false},
		{"n", status(200), new(status), "200", false},
		{"n", 256, new(status), "", true},
		{"n", -1, new(uint64), "", true},
		{"n", nil, new(int), "", true}, // NOT NULL
		{"n", time.Unix(0, 0), new(int64), "", true},
		{"n", 1.5, new(int64), "", true},
		{"n", "7", new(string), "7", true}, // a string in a BIGINT comes back as a number or not at all
		{"flag", true, new(bool), "true", false},
		{"flag", false, new(bool), "false", false},
		{"flag", 2, new(bool), "", true},
		{"name", name, new(string), name, false},
		{"name", "", new(string), "", false},
		{"name", "nul \x00 inside", new(string), "nul \x00 inside", true}, // PostgreSQL has none
		{"name", stateCode("CA"), new(stateCode), "CA", false},
		{"name", &name, new(*string), name, false},
		{"name", null, new(*string), "<nil>", false},
		{"name", nil, new(string), "", true},
		{"name", nil, new(sql.NullString), "{ false}", false},
		{"name", sql.NullString{String: "x", Valid: true}, new(sql.NullString), "{x true}", false},
		{"data", []byte{0, 1, 255}, new([]byte), "[0 1 255]", false},
		{"data", []byte("123"), new([]byte), "[49 50 51]", false}, // must not turn into a number
		{"data", []byte{}, new([]byte), "[]", false},
		{"data", []byte(nil), new([]byte), "[]", false},
		{"data", blob{9}, new(blob), "[9]", false},
		{"data", label{1}, new(label), fmt.Sprint(label{1}), false},
		{"data", [16]byte{2}, new([16]byte), fmt.Sprint([16]byte{2}), false},
		{"data", [32]byte{2}, new([16]byte), "", true},
		{"data", []byte("x"), new(string), "", true},
	}
	for i, c := range cases {
		err := db.Write(ctx, func(tx *Tx) error {
			query := "INSERT INTO item (id, n, " + c.column + ") VALUES ($1, 0, $2)"
			if c.column == "n" {
				query = "INSERT INTO item (id, n) VALUES ($1, $2)"
			}
			if _, err := tx.Exec(query, key(i), c.arg); err != nil {
				return err
			}
			return tx.Row("SELECT "+c.column+" FROM item WHERE id = $1", key(i)).Scan(c.dest)
		})
		if (err != nil) != c.rejected {
			t.Errorf("case %d, %T into %T: %v", i, c.arg, c.dest, err)
			continue
		}
		if err == nil {
			if got := show(c.dest); got != c.want {
				t.Errorf("case %d, %T into %T: got %s, want %s", i, c.arg, c.dest, got, c.want)
			}
		}
	}
	// Empty and NULL are two things.
	var empty, nothing []byte
	must(t, db.Write(ctx, func(tx *Tx) error {
		if _, err := tx.Exec("INSERT INTO item (id, n, data) VALUES ($1, 1, $2), ($3, 1, $4)", key(900), []byte{}, key(901), nil); err != nil {
			return err
		}
		if err := tx.Row("SELECT data FROM item WHERE id = $1", key(900)).Scan(&empty); err != nil {
			return err
		}
		return tx.Row("SELECT data FROM item WHERE id = $1", key(901)).Scan(&nothing)
	}))
	if empty == nil || nothing != nil {
		t.Errorf("empty is nil: %v, NULL is nil: %v", empty == nil, nothing == nil)
	}
}

// show prints what a destination holds.
func show(dest any) string {
	switch d := dest.(type) {
	case **string:
		if *d == nil {
			return "<nil>"
		}
		return **d
	default:
		return strings.TrimPrefix(fmt.Sprintf("%v", d), "&")
	case *int64:
		return fmt.Sprint(*d)
	case *int:
		return fmt.Sprint(*d)
	case *uint64:
		return fmt.Sprint(*d)
	case *uint32:
		return fmt.Sprint(*d)
	case *status:
		return fmt.Sprint(*d)
	case *bool:
		return fmt.Sprint(*d)
	case *string:
		return *d
	case *stateCode:
		return string(*d)
	}
}

func testRow(t *testing.T, open func(...Option) *DB) {
	db := open()
	must(t, db.Write(ctx, func(tx *Tx) error {
		var n int
		if err := tx.Row("SELECT n FROM item WHERE id = $1", key(1)).Scan(&n); err != ErrNoRows {
			return fmt.Errorf("no row gave %w", err)
		}
		// ErrNoRows does not end the transaction, and a parameter may be
		// used twice.
		if err := tx.Row("INSERT INTO counter (name, value) VALUES ($1, 1) RETURNING value", "a").Scan(&n); err != nil || n != 1 {
			return fmt.Errorf("RETURNING gave %d: %w", n, err)
		}
		if err := tx.Row(`INSERT INTO counter (name, value) VALUES ($2, $1) ON CONFLICT (name)
			DO UPDATE SET value = counter.value + $1 RETURNING value`, 5, "a").Scan(&n); err != nil || n != 6 {
			return fmt.Errorf("ON CONFLICT gave %d: %w", n, err)
		}
		changed, err := tx.Exec("INSERT INTO counter (name, value) VALUES ($1, 1) ON CONFLICT DO NOTHING", "a")
		if err != nil || changed != 0 {
			return fmt.Errorf("DO NOTHING changed %d: %w", changed, err)
		}
		changed, err = tx.Exec("UPDATE counter SET value = 9")
		if err != nil || changed != 1 {
			return fmt.Errorf("UPDATE changed %d: %w", changed, err)
		}
		return nil
	}))
}

func testQuery(t *testing.T, open func(...Option) *DB) {
	db := open()
	must(t, db.Write(ctx, func(tx *Tx) error {
		for n := range 10 {
			if err := add(tx, n); err != nil {
				return err
			}
		}
		return nil
	}))
	enough := errors.New("enough")
	must(t, db.Read(ctx, func(tx *Tx) error {
		var got []int
		err := tx.Query("SELECT n FROM item WHERE n >= $1 ORDER BY n", []any{3}, func(scan func(...any) error) error {
			var n int
			if err := scan(&n); err != nil {
				return err
			}
			got = append(got, n)
			if n == 6 {
				return enough
			}
			return nil
		})
		if err != enough || fmt.Sprint(got) != "[3 4 5 6]" {
			return fmt.Errorf("got %v: %w", got, err)
		}
		// Stopping early ends the query, not the transaction.
		var n int
		return tx.Row("SELECT count(*) FROM item").Scan(&n)
	}))
	// A statement inside the loop is refused on every engine alike.
	err := db.Read(ctx, func(tx *Tx) error {
		return tx.Query("SELECT n FROM item", nil, func(func(...any) error) error {
			var n int
			_ = tx.Row("SELECT 1").Scan(&n)
			return nil
		})
	})
	if err != errBusy {
		t.Errorf("nested statement: %v", err)
	}
}

func testMismatch(t *testing.T, open func(...Option) *DB) {
	db := open()
	var a, b int
	for name, fn := range map[string]func(tx *Tx) error{
		"too few variables":  func(tx *Tx) error { return tx.Row("SELECT 1, 2").Scan(&a) },
		"too many variables": func(tx *Tx) error { return tx.Row("SELECT 1").Scan(&a, &b) },
		"no pointer":         func(tx *Tx) error { return tx.Row("SELECT 1").Scan(a) },
		"nil pointer":        func(tx *Tx) error { return tx.Row("SELECT 1").Scan((*int)(nil)) },
		"too few arguments":  func(tx *Tx) error { return tx.Row("SELECT n FROM item WHERE n = $1 AND n = $2", 1).Scan(&a) },
		"too many arguments": func(tx *Tx) error { return tx.Row("SELECT n FROM item WHERE n = $1", 1, 2).Scan(&a) },
		"syntax":             func(tx *Tx) error { return tx.Row("SELEKT 1").Scan(&a) },
		"two statements":     func(tx *Tx) error { _, err := tx.Exec("DELETE FROM item; DELETE FROM item"); return err },
		"no statement":       func(tx *Tx) error { _, err := tx.Exec(" -- nothing"); return err },
		"begin":              func(tx *Tx) error { _, err := tx.Exec("COMMIT"); return err },
	} {
		if err := db.Write(ctx, fn); err == nil || errors.Is(err, ErrNoRows) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func testDiscreetErrors(t *testing.T, open func(...Option) *DB) {
	db := open()
	secret := "Jane Roe"
	var n int
	for name, fn := range map[string]func(tx *Tx) error{
		"constraint": func(tx *Tx) error {
			for range 2 {
				if _, err := tx.Exec("INSERT INTO counter (name, value) VALUES ($1, 1)", secret); err != nil {
					return err
				}
			}
			return nil
		},
		"type": func(tx *Tx) error {
			_, err := tx.Exec("INSERT INTO item (id, n) VALUES ($1, $2)", key(1), secret)
			return err
		},
		"scan":    func(tx *Tx) error { return tx.Row("SELECT CAST($1 AS TEXT)", secret).Scan(&n) },
		"scanner": func(tx *Tx) error { return tx.Row("SELECT CAST($1 AS TEXT)", secret).Scan(new(sql.NullInt64)) },
	} {
		err := db.Write(ctx, fn)
		if err == nil || strings.Contains(err.Error(), "Jane") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
