package store

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/waypost/waypost"
)

// bind appends to values the arguments as every driver takes them: nil, int64,
// string and []byte.
func bind(values []driver.Value, args []any) ([]driver.Value, error) {
	for i, a := range args {
		v, err := argument(a)
		if err != nil {
			return values, fmt.Errorf("argument $%d: %w", i+1, err)
		}
		values = append(values, v)
	}
	return values, nil
}

// bindAll is bind for several lists of about the same length.
func bindAll(lists [][]any) (bound [][]driver.Value, err error) {
	bound = make([][]driver.Value, len(lists))
	var values []driver.Value
	if len(lists) > 0 {
		values = make([]driver.Value, 0, len(lists)*len(lists[0]))
	}
	for i, args := range lists {
		from := len(values)
		if values, err = bind(values, args); err != nil {
			return nil, err
		}
		bound[i] = values[from:len(values):len(values)]
	}
	return bound, nil
}

func argument(a any) (driver.Value, error) {
	switch v := a.(type) {
	case nil, int64:
		return v, nil
	case string:
		return text(v)
	case []byte:
		if v == nil {
			return nil, nil
		}
		return v, nil
	case int:
		return int64(v), nil
	case [16]byte:
		return v[:], nil
	case [32]byte:
		return v[:], nil
	case driver.Valuer:
		return value(v)
	}
	return argumentOfKind(reflect.ValueOf(a))
}

// text takes what PostgreSQL takes as TEXT. Anything else came from outside, as every text
// of the program's own is one: it is refused as what somebody sent, and is no fault.
func text(s string) (driver.Value, error) {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return nil, waypost.Errorf(waypost.InvalidArgument, "what was sent has a text with a byte of zero in it, or that is not UTF-8")
	}
	return s, nil
}

// value asks a Valuer, which must answer with a type that argument takes.
func value(v driver.Valuer) (driver.Value, error) {
	x, err := v.Value()
	if err != nil {
		return nil, err
	}
	if _, again := x.(driver.Valuer); again {
		return nil, fmt.Errorf("%T gives another Valuer", v)
	}
	return argument(x)
}

// argumentOfKind serves types made from the basic ones, by reflection.
func argumentOfKind(v reflect.Value) (driver.Value, error) {
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return int64(1), nil
		}
		return int64(0), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if v.Uint() > math.MaxInt64 {
			return nil, waypost.Errorf(waypost.InvalidArgument, "what was sent has a number beyond 63 bits")
		}
		return int64(v.Uint()), nil
	case reflect.String:
		return text(v.String())
	case reflect.Pointer:
		if v.IsNil() {
			return nil, nil
		}
		return argument(v.Elem().Interface())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if v.IsNil() {
				return nil, nil
			}
			return v.Bytes(), nil
		}
	case reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, v.Len())
			reflect.Copy(reflect.ValueOf(b), v)
			return b, nil
		}
	}
	return nil, fmt.Errorf("a %s cannot be stored", v.Type())
}

// assignAll stores a row in dest. Its errors name columns and types, never
// what is in them.
func assignAll(query string, dest []any, row []driver.Value) error {
	if len(dest) != len(row) {
		return fmt.Errorf("store: %d columns for %d variables in %q", len(row), len(dest), query)
	}
	for i, d := range dest {
		if err := assign(d, row[i]); err != nil {
			return fmt.Errorf("store: column %d: %w in %q", i+1, err, query)
		}
	}
	return nil
}

// assign stores one column. The driver hands over ownership of byte slices.
func assign(dest any, v driver.Value) error {
	switch d := dest.(type) {
	case *int64:
		if x, ok := v.(int64); ok {
			*d = x
			return nil
		}
	case *string:
		if x, ok := v.(string); ok {
			*d = x
			return nil
		}
	case *[]byte:
		switch x := v.(type) {
		case nil:
			*d = nil
			return nil
		case []byte:
			if x == nil {
				x = []byte{} // empty is not NULL
			}
			*d = x
			return nil
		}
	case *[16]byte:
		if x, ok := v.([]byte); ok && len(x) == len(d) {
			copy(d[:], x)
			return nil
		}
	case *[32]byte:
		if x, ok := v.([]byte); ok && len(x) == len(d) {
			copy(d[:], x)
			return nil
		}
	case sql.Scanner:
		if d.Scan(v) != nil { // its message would quote the value
			return fmt.Errorf("%T does not take a %T", dest, v)
		}
		return nil
	}
	p := reflect.ValueOf(dest)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return fmt.Errorf("a %T is not a place to store in", dest)
	}
	return assignKind(p.Elem(), v)
}

// assignKind serves the other integers and types made from the basic ones.
func assignKind(d reflect.Value, v driver.Value) error {
	switch x := v.(type) {
	case nil:
		if d.Kind() == reflect.Pointer || d.Kind() == reflect.Slice {
			d.SetZero()
			return nil
		}
		return fmt.Errorf("NULL for a %s", d.Type())
	case int64:
		switch {
		case d.CanInt() && !d.OverflowInt(x):
			d.SetInt(x)
			return nil
		case d.CanUint() && x >= 0 && !d.OverflowUint(uint64(x)):
			d.SetUint(uint64(x))
			return nil
		case d.Kind() == reflect.Bool && (x == 0 || x == 1):
			d.SetBool(x == 1)
			return nil
		}
	case string:
		if d.Kind() == reflect.String {
			d.SetString(x)
			return nil
		}
	case []byte:
		switch {
		case d.Kind() == reflect.Slice && d.Type().Elem().Kind() == reflect.Uint8:
			d.SetBytes(x)
			return nil
		case d.Kind() == reflect.Array && d.Type().Elem().Kind() == reflect.Uint8 && d.Len() == len(x):
			reflect.Copy(d, reflect.ValueOf(x))
			return nil
		}
	}
	if d.Kind() == reflect.Pointer {
		p := reflect.New(d.Type().Elem())
		if err := assign(p.Interface(), v); err != nil {
			return err
		}
		d.Set(p)
		return nil
	}
	return fmt.Errorf("a %T does not fit a %s", v, d.Type())
}
