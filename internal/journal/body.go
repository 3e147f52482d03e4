package journal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/waypost/waypost"
)

// A Field is one named fact in the body of an entry.
type Field struct{ Name, Value string }

var errBody = errors.New("journal: not a canonical body")

// Body returns the canonical encoding of an entry's fields: a JSON object
// without white space whose keys are sorted and whose values are strings, as
// RFC 8785 has it. A name is 1 to 32 of a-z, 0-9 and _, and occurs once; a
// value is printable UTF-8. The whole is at most [MaxBody] bytes. Errors give
// names, not values.
func Body(fields ...Field) ([]byte, error) {
	object := make(map[string]string, len(fields))
	for _, f := range fields {
		if !isName(f.Name) {
			return nil, errors.New("journal: the name of a field is 1 to 32 of a-z, 0-9 and _")
		}
		if _, twice := object[f.Name]; twice {
			return nil, fmt.Errorf("journal: the field %q is given twice", f.Name)
		}
		// Printable text has one JSON form; Go and RFC 8785 agree on it.
		if !isPrintable(f.Value) {
			return nil, fmt.Errorf("journal: the value of %q is not printable text", f.Name)
		}
		object[f.Name] = f.Value
	}
	return marshal(object)
}

func marshal(object map[string]string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(object); err != nil { // sorts the keys
		return nil, fmt.Errorf("journal: %w", err)
	}
	body := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(body) > MaxBody {
		return nil, fmt.Errorf("journal: a body of %d bytes; at most %d", len(body), MaxBody)
	}
	return body, nil
}

// ParseBody returns the fields of a body by name. It accepts nothing that
// [Body] could not have made.
func ParseBody(body []byte) (map[string]string, error) {
	var object map[string]string
	if len(body) > MaxBody || json.Unmarshal(body, &object) != nil || object == nil {
		return nil, errBody
	}
	for name, value := range object {
		if !isName(name) || !isPrintable(value) {
			return nil, errBody
		}
	}
	again, err := marshal(object)
	if err != nil || !bytes.Equal(body, again) {
		return nil, errBody
	}
	return object, nil
}

// TicketFields returns what every entry about a ticket says of it: who asked,
// for which purpose, and in which minute. The operator and the case stand
// behind the gateway's own keys. The id and τ have their places in [Entry].
func TicketFields(t waypost.Ticket) []Field {
	fields := []Field{
		{"soi", string(t.SOI)},
		{"kind", string(t.Kind)},
		{"purpose", string(t.Purpose)},
		{"class", string(t.Class)},
		{"operator", hex.EncodeToString(t.Operator[:])},
		{"case", hex.EncodeToString(t.Case[:])},
		{"minute", t.IssuedAt.UTC().Truncate(time.Minute).Format("2006-01-02T15:04Z")},
		{"elements", strconv.Itoa(t.Elements)},
		{"environment", string(t.Environment)},
		{"epoch", strconv.FormatUint(uint64(t.Epoch), 10)},
		{"roster", strconv.FormatUint(t.RosterVersion, 10)},
	}
	if !t.Cites.IsZero() {
		fields = append(fields, Field{"cites", hex.EncodeToString(t.Cites[:])})
	}
	return fields
}

func isName(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 32
}

func isPrintable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}
