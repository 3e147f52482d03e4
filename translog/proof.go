package translog

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"
)

// Proof shows offline that an entry stands in a ledger: the entry opened, its
// leaf, where that stands, and a checkpoint that covers it. It contains the
// audit secret of the entry's ticket, with which its holder finds the other
// lines about that ticket. Its JSON is in spec/ledger.md.
type Proof struct {
	Origin     string
	Index      int64
	Leaf       []byte // LeafSize bytes
	Entry      Entry
	Inclusion  tlog.RecordProof
	Checkpoint []byte // signed
}

const (
	maxProof     = 512 << 10 // bytes of a Proof as JSON
	maxInclusion = 48        // hashes: the logarithm of maxSize
)

var errProof = errors.New("this is not the proof of an entry")

type proofJSON struct {
	Origin     string          `json:"origin"`
	Index      int64           `json:"index"`
	Leaf       string          `json:"leaf"`
	Entry      json.RawMessage `json:"entry"`
	Inclusion  []string        `json:"proof"`
	Checkpoint string          `json:"checkpoint"`
}

// Marshal returns the proof as a JSON document. It fails where the body of the
// entry is not canonical.
func (p Proof) Marshal() ([]byte, error) {
	entry, err := FormatEntry(p.Entry)
	if err != nil {
		return nil, err
	}
	doc := proofJSON{p.Origin, p.Index, base64.StdEncoding.EncodeToString(p.Leaf), entry, []string{}, string(p.Checkpoint)}
	for _, h := range p.Inclusion {
		doc.Inclusion = append(doc.Inclusion, h.String())
	}
	return marshal(doc)
}

// ParseProof decodes a document strictly: what Marshal would not write, but for
// white space, escapes and the order of fields, is refused. It checks nothing
// else; see [Proof.Verify].
func ParseProof(b []byte) (Proof, error) {
	var doc proofJSON
	if len(b) > maxProof || json.Unmarshal(b, &doc) != nil || len(doc.Inclusion) > maxInclusion {
		return Proof{}, errProof
	}
	p := Proof{Origin: doc.Origin, Index: doc.Index, Checkpoint: []byte(doc.Checkpoint)}
	var err error
	if p.Leaf, err = base64.StdEncoding.DecodeString(doc.Leaf); err != nil {
		return Proof{}, errProof
	}
	for _, s := range doc.Inclusion {
		h, err := tlog.ParseHash(s)
		if err != nil {
			return Proof{}, errProof
		}
		p.Inclusion = append(p.Inclusion, h)
	}
	if p.Entry, err = ParseEntry(doc.Entry); err != nil {
		return Proof{}, errProof
	}
	if again, err := p.Marshal(); err != nil || !sameJSON(b, again) {
		return Proof{}, errProof
	}
	return p, nil
}

// Verify checks that the entry is one of a member of the given role and stands
// in the log that policy names, and returns the entry and the checkpoint that
// shows it. Nothing but the proof and the policy is needed.
func (p Proof) Verify(policy Policy, role string) (Entry, Checkpoint, error) {
	if p.Origin != policy.Origin {
		return Entry{}, Checkpoint{}, fmt.Errorf("the proof is about the log %.300q, not %s", p.Origin, policy.Origin)
	}
	if err := p.Entry.check(); err != nil {
		return Entry{}, Checkpoint{}, err
	}
	if !bytes.Equal(p.Entry.Leaf(role, p.Origin), p.Leaf) {
		return Entry{}, Checkpoint{}, fmt.Errorf("%w: the entry is not the one behind the leaf", ErrDamaged)
	}
	cp, err := policy.Verify(p.Checkpoint)
	if err != nil {
		return Entry{}, Checkpoint{}, err
	}
	if err := CheckLeaf(cp, p.Index, p.Leaf, p.Inclusion); err != nil {
		return Entry{}, Checkpoint{}, err
	}
	return p.Entry, cp, nil
}

type entryJSON struct {
	Kind    string            `json:"kind"`
	Ordinal uint64            `json:"ordinal"`
	At      int64             `json:"at"` // Unix seconds
	Ticket  string            `json:"ticket"`
	Tau     string            `json:"tau"`
	Salt    string            `json:"salt"`
	Body    map[string]string `json:"body"`
}

// FormatEntry returns an opened entry as JSON: its time in Unix seconds, its
// ticket, τ and salt in hex, its body as the object that it is.
func FormatEntry(e Entry) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	fields, err := ParseBody(e.Body)
	if err != nil {
		return nil, err
	}
	return marshal(entryJSON{e.Kind, e.Ordinal, e.At.Unix(), hex.EncodeToString(e.Ticket[:]),
		hex.EncodeToString(e.Tau[:]), hex.EncodeToString(e.Salt[:]), fields})
}

// ParseEntry is the inverse of FormatEntry, as strict as [ParseProof].
func ParseEntry(b []byte) (e Entry, err error) {
	bad := errors.New("this is not an opened entry")
	var doc entryJSON
	if len(b) > maxProof || json.Unmarshal(b, &doc) != nil {
		return Entry{}, bad
	}
	e = Entry{Kind: doc.Kind, Ordinal: doc.Ordinal, At: time.Unix(doc.At, 0).UTC()}
	for _, f := range []struct {
		to   *[32]byte
		text string
	}{{&e.Ticket, doc.Ticket}, {&e.Tau, doc.Tau}, {&e.Salt, doc.Salt}} {
		b, err := hex.DecodeString(f.text)
		if err != nil || len(b) != len(f.to) {
			return Entry{}, bad
		}
		copy(f.to[:], b)
	}
	if e.Body, err = FormatBody(doc.Body); err != nil {
		return Entry{}, bad
	}
	if again, err := FormatEntry(e); err != nil || !sameJSON(b, again) {
		return Entry{}, bad
	}
	return e, nil
}

func marshal(doc any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(doc)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// sameJSON holds where two documents say the same: they have the same names,
// none of them twice in an object, and the same values, in any order and with
// any white space.
func sameJSON(a, b []byte) bool {
	x, okX := oneValue(a)
	y, okY := oneValue(b)
	return okX && okY && reflect.DeepEqual(x, y)
}

// oneValue decodes a document. A name given twice is refused: one reader would
// take the first and another the last.
func oneValue(b []byte) (any, bool) {
	if !utf8.Valid(b) {
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	v, ok := value(dec, 0)
	if _, err := dec.Token(); !ok || err != io.EOF {
		return nil, false
	}
	return v, true
}

func value(dec *json.Decoder, depth int) (any, bool) {
	t, err := dec.Token()
	if err != nil || depth > 4 {
		return nil, false
	}
	switch t {
	case json.Delim('{'):
		object := make(map[string]any)
		for dec.More() {
			name, err := dec.Token()
			v, ok := value(dec, depth+1)
			key, isName := name.(string)
			if _, twice := object[key]; err != nil || !ok || !isName || twice {
				return nil, false
			}
			object[key] = v
		}
		_, err := dec.Token()
		return object, err == nil
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, ok := value(dec, depth+1)
			if !ok {
				return nil, false
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		return list, err == nil
	}
	return t, true
}
