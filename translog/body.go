package translog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// MaxBody is the largest body of an entry, in bytes.
const MaxBody = 64 << 10

var errBody = errors.New("the body of an entry is not a canonical object of strings")

// FormatBody returns the canonical encoding of the fields of an entry: a JSON
// object without white space whose keys are sorted and whose values are
// strings, as RFC 8785 has it, of at most MaxBody bytes. A name is 1 to 32 of
// a-z, 0-9 and _; a value is printable UTF-8. Errors give no values.
func FormatBody(fields map[string]string) ([]byte, error) {
	for name, value := range fields {
		switch {
		case !isName(name):
			return nil, errors.New("the name of a field is 1 to 32 of a-z, 0-9 and _")
		case !isPrintable(value):
			// Printable text has one JSON form, on which Go and RFC 8785 agree.
			return nil, fmt.Errorf("the value of %q is not printable text", name)
		}
	}
	if fields == nil {
		fields = map[string]string{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(fields); err != nil { // sorts the names
		return nil, err
	}
	body := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(body) > MaxBody {
		return nil, fmt.Errorf("a body of %d bytes; at most %d", len(body), MaxBody)
	}
	return body, nil
}

// ParseBody returns the fields of a body by name. It accepts nothing that
// FormatBody could not have made.
func ParseBody(body []byte) (map[string]string, error) {
	var fields map[string]string
	if len(body) > MaxBody || json.Unmarshal(body, &fields) != nil || fields == nil {
		return nil, errBody
	}
	again, err := FormatBody(fields)
	if err != nil || !bytes.Equal(body, again) {
		return nil, errBody
	}
	return fields, nil
}

// isName holds for kinds of entries, roles and names of fields.
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

// checkOrigin accepts what can be the first line of a C2SP checkpoint and the
// name of the key that signs it.
func checkOrigin(origin string) error {
	ok := len(origin) >= 1 && len(origin) <= 255
	for i := 0; ok && i < len(origin); i++ {
		ok = origin[i] > ' ' && origin[i] < 0x7f && origin[i] != '+'
	}
	if !ok {
		return errors.New("the origin of a log is 1 to 255 printable ASCII characters without space or plus")
	}
	return nil
}
