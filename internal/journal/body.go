package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

var errBody = errors.New("journal: not a canonical body")

// Body returns the canonical encoding of an entry's fields: a JSON object
// without white space whose keys are sorted and whose values are strings, as
// RFC 8785 has it. A name is 1 to 32 of a-z, 0-9 and _; a value is printable
// UTF-8. The whole is at most [MaxBody] bytes. Errors give names, not values.
func Body(fields map[string]string) ([]byte, error) {
	for name, value := range fields {
		if !isName(name) {
			return nil, errors.New("journal: the name of a field is 1 to 32 of a-z, 0-9 and _")
		}
		// Printable text has one JSON form; Go and RFC 8785 agree on it.
		if !isPrintable(value) {
			return nil, fmt.Errorf("journal: the value of %q is not printable text", name)
		}
	}
	if fields == nil {
		fields = map[string]string{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(fields); err != nil { // sorts the keys
		return nil, fmt.Errorf("journal: %w", err)
	}
	body := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(body) > MaxBody {
		return nil, fmt.Errorf("journal: a body of %d bytes; at most %d", len(body), MaxBody)
	}
	return body, nil
}

// ParseBody returns the fields of a body. It accepts nothing that [Body] could
// not have made.
func ParseBody(body []byte) (map[string]string, error) {
	if len(body) > MaxBody {
		return nil, errBody
	}
	var fields map[string]string
	if json.Unmarshal(body, &fields) != nil || fields == nil {
		return nil, errBody
	}
	again, err := Body(fields)
	if err != nil || !bytes.Equal(body, again) {
		return nil, errBody
	}
	return fields, nil
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
