package dryrun

import (
	"bufio"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"hash/maphash"
	"io"
	"math"
	"os"
	"strconv"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

// strangers is the number of other people in the file who are expected to share
// a key, up to which sharing it is worth a look.
const strangers = 0.005

// crowd is a number of records with one key above which they are no pairs: a
// name and date that stand for no one.
const crowd = 20

// What an entry is about, beside the kinds of matchkey.
const (
	aboutID   = 64
	aboutCard = 65
)

// finder finds records that look like one person, and ids that stand twice. It
// keeps keys of names and dates only, hashed under a seed that nobody keeps.
type finder struct {
	seed  maphash.Seed
	keys  *sorter
	pairs *sorter
	ids   *idFile // nil where no list of pairs is wanted
}

func newFinder(dir string, listed bool) (f *finder, err error) {
	f = &finder{seed: maphash.MakeSeed(), keys: newSorter(dir), pairs: newSorter(dir)}
	if listed {
		f.ids, err = newIDFile(dir)
	}
	return f, err
}

func (f *finder) close() error {
	err := errors.Join(f.keys.close(), f.pairs.close())
	if f.ids != nil {
		err = errors.Join(err, f.ids.close())
	}
	return err
}

// An entry's rest is, from the top: 40 bits line, 8 bits about, 16 bits how
// common the key is. Lines beyond 40 bits do not happen.
func rest(line, about int, common uint16) uint64 {
	return uint64(line)<<24 | uint64(about)<<16 | uint64(common)
}

func lineOf(rest uint64) int { return int(rest >> 24) }

// entries are what a record is sorted by. rows is how many rows there are at
// least: a key that is too common among them is not worth sorting.
func (f *finder) entries(line int, r waypost.Record, rows int) []entry {
	out := make([]entry, 0, matchkey.NameSlots+2)
	out = append(out, entry{f.hash(aboutID, []byte(r.ID)), rest(line, aboutID, 0)})
	if r.CardNumber != "" && r.CardNumber != r.ID {
		out = append(out, entry{f.hash(aboutCard, []byte(r.CardNumber)), rest(line, aboutCard, 0)})
	}
	r.SSN5 = "" // who has one is not looked at more closely than who has none
	for _, slot := range name(r.Person) {
		if slot.Decoy || !telling(slot.Expected, rows) {
			continue
		}
		out = append(out, entry{f.hash(int(slot.Kind), slot.Key), rest(line, int(slot.Kind), quantise(slot.Expected))})
	}
	return out
}

func name(p waypost.Person) []matchkey.Slot {
	var secret [32]byte // only for the slots that are cut off here
	slots := matchkey.Index(p, secret[:])
	return slots[:matchkey.NameSlots]
}

func (f *finder) hash(about int, key []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(f.seed)
	_ = h.WriteByte(byte(about))
	_, _ = h.Write(key)
	return h.Sum64()
}

// telling reports whether so few strangers among the rows are expected to share
// a key that records which do may be one person's.
func telling(expected float64, rows int) bool {
	return expected*float64(rows)/matchkey.Population <= strangers
}

// quantise keeps an expectation in 16 bits: its logarithm, within half a percent.
func quantise(expected float64) uint16 {
	return uint16(max(0, min(math.MaxUint16, (math.Log2(max(expected, 1e-15))+60)*512)))
}

func expectation(q uint16) float64 { return math.Exp2(float64(q)/512 - 60) }

// found is what the finder has found.
type found struct {
	repeatedIDs, repeatedCards, crowds, pairs int
}

// find goes through the keys in order. It calls repeated with each line whose id
// stands on an earlier one.
func (f *finder) find(rows int, repeated func(line int) error) (out found, err error) {
	var group []entry
	end := func() error {
		defer func() { group = group[:0] }()
		if len(group) < 2 {
			return nil
		}
		return f.group(group, rows, &out, repeated)
	}
	err = f.keys.each(func(e entry) error {
		if len(group) > 0 && group[0].key != e.key {
			if err := end(); err != nil {
				return err
			}
		}
		group = append(group, e)
		return nil
	})
	return out, errors.Join(err, end())
}

func (f *finder) group(group []entry, rows int, out *found, repeated func(line int) error) error {
	about := int(group[0].rest >> 16 & 0xff)
	switch about {
	case aboutID:
		out.repeatedIDs += len(group) - 1
		for _, e := range group[1:] {
			if err := repeated(lineOf(e.rest)); err != nil {
				return err
			}
		}
	case aboutCard:
		out.repeatedCards += len(group) - 1
		return nil
	default:
		if !telling(expectation(uint16(group[0].rest)), rows) {
			return nil
		}
	}
	if len(group) > crowd {
		if about != aboutID {
			out.crowds++
		}
		group = group[:crowd]
	}
	for i, a := range group {
		for _, b := range group[i+1:] {
			// Pairs with one id sort before the same pair for another reason.
			if err := f.pairs.add(entry{uint64(lineOf(a.rest)), rest(lineOf(b.rest), (about+aboutID)%(2*aboutID), 0)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// list counts the pairs, each once, without those that have one id, and writes
// their ids.
func (f *finder) list(to io.Writer) (pairs int, err error) {
	var w *csv.Writer
	if to != nil {
		w = csv.NewWriter(to)
		if err := w.Write([]string{"a", "b", "line_a", "line_b"}); err != nil {
			return 0, err
		}
	}
	lastA, lastB := -1, -1
	err = f.pairs.each(func(e entry) error {
		a, b := int(e.key), lineOf(e.rest)
		if a == lastA && b == lastB {
			return nil
		}
		lastA, lastB = a, b
		if int(e.rest>>16&0xff) == 0 { // aboutID
			return nil
		}
		pairs++
		if w == nil {
			return nil
		}
		idA, errA := f.ids.get(a)
		idB, errB := f.ids.get(b)
		return errors.Join(errA, errB, w.Write([]string{idA, idB, strconv.Itoa(a), strconv.Itoa(b)}))
	})
	if w != nil {
		w.Flush()
		err = errors.Join(err, w.Error())
	}
	return pairs, err
}

// idFile keeps the ids of the rows on disk, by line.
type idFile struct {
	text, at       *os.File
	toText, toAt   *bufio.Writer
	lines, written int
}

func newIDFile(dir string) (*idFile, error) {
	text, err := scratch(dir)
	if err != nil {
		return nil, err
	}
	at, err := scratch(dir)
	if err != nil {
		return nil, errors.Join(err, discard(text))
	}
	return &idFile{text: text, at: at, toText: bufio.NewWriterSize(text, 1<<18), toAt: bufio.NewWriterSize(at, 1<<18)}, nil
}

func (f *idFile) close() error { return errors.Join(discard(f.text), discard(f.at)) }

// put keeps the id of a line; lines only rise.
func (f *idFile) put(line int, id string) error {
	for ; f.lines <= line; f.lines++ {
		var at [8]byte
		binary.BigEndian.PutUint64(at[:], uint64(f.written))
		if _, err := f.toAt.Write(at[:]); err != nil {
			return err
		}
	}
	n, err := f.toText.Write(append([]byte{byte(len(id))}, id...)) // an id has at most 64 bytes
	f.written += n
	return err
}

func (f *idFile) flush() error { return errors.Join(f.toText.Flush(), f.toAt.Flush()) }

func (f *idFile) get(line int) (string, error) {
	var at [8]byte
	if _, err := f.at.ReadAt(at[:], int64(line)*8); err != nil {
		return "", err
	}
	text := make([]byte, 256)
	n, err := f.text.ReadAt(text, int64(binary.BigEndian.Uint64(at[:])))
	if n == 0 || n < 1+int(text[0]) {
		return "", errors.Join(err, io.ErrUnexpectedEOF)
	}
	return string(text[1 : 1+text[0]]), nil
}
