package journal

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/translog"
)

// A Field is one named fact in the body of an entry.
type Field struct{ Name, Value string }

// Body returns the body of an entry, [translog.FormatBody] of the fields. A
// name occurs once.
func Body(fields ...Field) ([]byte, error) {
	object := make(map[string]string, len(fields))
	for _, f := range fields {
		if _, twice := object[f.Name]; twice {
			return nil, fmt.Errorf("journal: the field %q is given twice", f.Name)
		}
		object[f.Name] = f.Value
	}
	body, err := translog.FormatBody(object)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return body, nil
}

// ParseBody is [translog.ParseBody].
func ParseBody(body []byte) (map[string]string, error) { return translog.ParseBody(body) }

// MinuteFormat is how entries write the minute of a ticket, in UTC.
const MinuteFormat = "2006-01-02T15:04Z"

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
		{"minute", t.IssuedAt.UTC().Truncate(time.Minute).Format(MinuteFormat)},
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
