// Package freq holds the public name-frequency tables that profile 1 of the
// match keys is bounded with, in one embedded file of about half a megabyte.
//
// # Sources
//
//   - Surnames and their counts: US Census Bureau, "Frequently Occurring
//     Surnames from the Census 2000" (public domain).
//   - First names by year of birth: US Social Security Administration, "Beyond
//     the Top 1000 Names", births 1930-2010 (public domain), with the US Census
//     Bureau's 1990 first-name distribution (public domain) at a weight of one
//     eighth for people who were not born in the US.
//   - Pairs of names that are commoner or rarer together than apart:
//     FiveThirtyEight, "adjusted-name-combinations-list" (CC BY 4.0).
//
// The program matchkey/internal/gentables makes the file from them.
//
// # Shares are whole numbers
//
// Which key a person gets depends on these figures, and two states must get the
// same one. So a share of the population is stored as a Share, a whole number
// of eighths of an octave, and everything that decides about a key adds and
// compares whole numbers only: no rounding of any processor can matter.
package freq

import (
	"bytes"
	"compress/flate"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"sort"
	"sync"
)

// Share is a part of a whole as 2^(-Share/8): 0 is everyone, 8 is one half, and
// one step is nine percent. Adding shares multiplies parts.
type Share int

// MaxShare is the rarest Share a table can hold, about one in four billion.
const MaxShare Share = 255

// FromFloat rounds a part between 0 and 1 to a Share within [0, MaxShare].
func FromFloat(part float64) Share {
	if !(part > 0) {
		return MaxShare
	}
	return min(max(Share(math.Round(-8*math.Log2(part))), 0), MaxShare)
}

// Float returns the part that s stands for. It may be above 1 for a negative s.
func (s Share) Float() float64 { return math.Exp2(-float64(s) / 8) }

// restart is how often an entry is written whole, so that it can be searched for.
const restart = 16

// Table maps a text of capital letters, or such a text and a small letter for
// the time of birth, to a byte. It is read-only and safe for concurrent use.
type Table struct {
	data   []byte
	blocks []uint32 // where every restart-th entry begins
}

// Lookup returns the byte stored for key.
func (t *Table) Lookup(key string) (byte, bool) {
	// The first block whose head is beyond the key; the key is in the one before.
	i := sort.Search(len(t.blocks), func(i int) bool {
		at := t.blocks[i] + 1 // past the shared length, which is 0 in a head
		n := uint32(t.data[at])
		return string(t.data[at+1:at+1+n]) > key
	})
	if i == 0 {
		return 0, false
	}
	var word [256]byte
	at := int(t.blocks[i-1])
	for range restart {
		if at >= len(t.data) {
			break
		}
		shared, n := int(t.data[at]), int(t.data[at+1])
		copy(word[shared:], t.data[at+2:at+2+n])
		if string(word[:shared+n]) == key {
			return t.data[at+2+n], true
		}
		at += 3 + n
	}
	return 0, false
}

// All yields every key with its byte, in the order of the keys.
func (t *Table) All() iter.Seq2[string, byte] {
	return func(yield func(string, byte) bool) {
		var word [256]byte
		for at := 0; at < len(t.data); {
			shared, n := int(t.data[at]), int(t.data[at+1])
			copy(word[shared:], t.data[at+2:at+2+n])
			if !yield(string(word[:shared+n]), t.data[at+2+n]) {
				return
			}
			at += 3 + n
		}
	}
}

// Encode writes tables in the form that Decode reads: for each a name, the
// length of its entries, and the entries in order, each as the number of bytes
// shared with the one before, the number and text of the others, and the value.
func Encode(w io.Writer, tables map[string]map[string]byte) error {
	var out []byte
	for _, name := range sorted(tables) {
		var body []byte
		last := ""
		for i, key := range sorted(tables[name]) {
			if len(key) == 0 || len(key) > 255 {
				return fmt.Errorf("freq: table %s has a key of %d bytes", name, len(key))
			}
			shared := 0
			for i%restart != 0 && shared < min(len(last), len(key)) && last[shared] == key[shared] {
				shared++
			}
			body = append(body, byte(shared), byte(len(key)-shared))
			body = append(body, key[shared:]...)
			body = append(body, tables[name][key])
			last = key
		}
		out = append(out, byte(len(name)))
		out = append(out, name...)
		out = binary.BigEndian.AppendUint32(out, uint32(len(body)))
		out = append(out, body...)
	}
	z, err := flate.NewWriter(w, flate.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(out); err != nil {
		return err
	}
	return z.Close()
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// maxDecoded bounds what a file may unpack to.
const maxDecoded = 16 << 20

var errFormat = errors.New("freq: not a frequency file")

// Decode reads what Encode wrote, and checks every length in it once, so that
// Lookup need not.
func Decode(packed []byte) (map[string]*Table, error) {
	raw, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxDecoded+1))
	if err != nil || len(raw) > maxDecoded {
		return nil, errFormat
	}
	tables := make(map[string]*Table)
	for len(raw) > 0 {
		n := int(raw[0])
		if len(raw) < 1+n+4 {
			return nil, errFormat
		}
		name := string(raw[1 : 1+n])
		size := binary.BigEndian.Uint32(raw[1+n:])
		raw = raw[1+n+4:]
		if uint64(size) > uint64(len(raw)) {
			return nil, errFormat
		}
		t := &Table{data: raw[:size:size]}
		if !t.index() {
			return nil, errFormat
		}
		tables[name], raw = t, raw[size:]
	}
	return tables, nil
}

// index finds the blocks and reports whether the entries are well formed.
func (t *Table) index() bool {
	length := 0 // of the entry before
	for at, i := 0, 0; at < len(t.data); i++ {
		if len(t.data)-at < 3 {
			return false
		}
		shared, n := int(t.data[at]), int(t.data[at+1])
		if i%restart == 0 {
			if shared != 0 {
				return false
			}
			t.blocks = append(t.blocks, uint32(at))
		}
		if shared > length || shared+n > 255 || len(t.data)-at < 3+n {
			return false
		}
		length = shared + n
		at += 3 + n
	}
	return true
}

//go:embed tables.bin
var packed []byte

var embedded = sync.OnceValue(func() map[string]*Table {
	tables, err := Decode(packed)
	if err != nil {
		panic(err) // the program was built with a damaged file
	}
	return tables
})

// Get returns one of the embedded tables, and an empty table for an unknown
// name. The first call unpacks the file, which takes some ten milliseconds.
func Get(name string) *Table {
	if t := embedded()[name]; t != nil {
		return t
	}
	return &Table{}
}
