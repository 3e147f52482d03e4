package dryrun

import (
	"bufio"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
)

// entry is what is sorted: by key, then by rest.
type entry struct{ key, rest uint64 }

const entrySize = 16

// runEntries are sorted in memory at a time: 64 MiB.
const runEntries = 4 << 20

// sorter sorts any number of entries. What does not fit lies in files that are
// unlinked as soon as they are open, so that nothing stays behind.
type sorter struct {
	dir  string
	size int // entries of a run
	run  []entry
	runs []*os.File
}

func newSorter(dir string) *sorter { return &sorter{dir: dir, size: runEntries} }

func (s *sorter) add(e entry) error {
	if s.run = append(s.run, e); len(s.run) < s.size {
		return nil
	}
	return s.spill()
}

func compareEntries(a, b entry) int {
	return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.rest, b.rest))
}

func (s *sorter) spill() error {
	f, err := scratch(s.dir)
	if err != nil {
		return err
	}
	s.runs = append(s.runs, f)
	slices.SortFunc(s.run, compareEntries)
	w := bufio.NewWriterSize(f, 1<<18)
	var b [entrySize]byte
	for _, e := range s.run {
		binary.BigEndian.PutUint64(b[:8], e.key)
		binary.BigEndian.PutUint64(b[8:], e.rest)
		if _, err := w.Write(b[:]); err != nil {
			return err
		}
	}
	s.run = s.run[:0]
	return w.Flush()
}

// each calls fn for every entry in order. It can be called once.
func (s *sorter) each(fn func(entry) error) error {
	slices.SortFunc(s.run, compareEntries)
	heads := make(merge, 0, len(s.runs)+1)
	sources := []func() (entry, error){inMemory(s.run)}
	for _, f := range s.runs {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		sources = append(sources, fromFile(f))
	}
	for _, next := range sources {
		first, err := next()
		if errors.Is(err, io.EOF) {
			continue
		}
		if err != nil {
			return err
		}
		heads = append(heads, head{first, next})
	}
	heap.Init(&heads)
	for len(heads) > 0 {
		if err := fn(heads[0].entry); err != nil {
			return err
		}
		following, err := heads[0].next()
		switch {
		case errors.Is(err, io.EOF):
			heap.Pop(&heads)
		case err != nil:
			return err
		default:
			heads[0].entry = following
			heap.Fix(&heads, 0)
		}
	}
	return nil
}

func (s *sorter) close() (err error) {
	for _, f := range s.runs {
		err = errors.Join(err, discard(f))
	}
	s.run, s.runs = nil, nil
	return err
}

func inMemory(run []entry) func() (entry, error) {
	return func() (entry, error) {
		if len(run) == 0 {
			return entry{}, io.EOF
		}
		e := run[0]
		run = run[1:]
		return e, nil
	}
}

func fromFile(f *os.File) func() (entry, error) {
	r := bufio.NewReaderSize(f, 1<<18)
	return func() (entry, error) {
		var b [entrySize]byte
		_, err := io.ReadFull(r, b[:])
		return entry{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}, err
	}
}

// head is the first entry of a source, and how to get the next.
type head struct {
	entry
	next func() (entry, error)
}

// merge is a heap of sources.
type merge []head

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return compareEntries(m[i].entry, m[j].entry) < 0 }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }

// Push is never called: sources only leave.
func (m *merge) Push(any) {}

// Pop takes the last source away.
func (m *merge) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}

// scratch opens a file that has no name any more where the system allows that.
func scratch(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "waypost-check-*")
	if err == nil {
		_ = os.Remove(f.Name()) // where it fails, discard removes it
	}
	return f, err
}

func discard(f *os.File) error {
	err := f.Close()
	_ = os.Remove(f.Name())
	return err
}
