package attack

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
)

// Pieces are byte strings to be looked for in files of whatever kind.
type Pieces struct {
	byStart map[[pieceStart]byte][]piece
	maybe   []bool // by the first bytes, for speed
	n       int
}

type piece struct {
	number int
	bytes  []byte
}

// A piece is known by its first seven bytes, which stand in random bytes once in 10^16
// places.
const (
	pieceStart = 7
	filterBits = 22
)

// NewPieces takes all that are long enough not to turn up by chance, in capitals as
// names stand in the states' files; Len says how many those are.
func NewPieces(all [][]byte) *Pieces {
	p := &Pieces{byStart: make(map[[pieceStart]byte][]piece), maybe: make([]bool, 1<<filterBits)}
	for _, b := range all {
		if len(b) < pieceStart {
			continue
		}
		start := [pieceStart]byte(b)
		if slices.ContainsFunc(p.byStart[start], func(have piece) bool { return bytes.Equal(have.bytes, b) }) {
			continue
		}
		p.byStart[start] = append(p.byStart[start], piece{p.n, b})
		p.maybe[filter(b)] = true
		p.n++
	}
	return p
}

func filter(b []byte) int {
	return (int(b[0])<<16 | int(b[1])<<8 | int(b[2])) & (1<<filterBits - 1)
}

// Len is how many different pieces are looked for.
func (p *Pieces) Len() int { return p.n }

// Hits are the pieces that were found, by their numbers.
type Hits map[int]bool

// In adds to hits the pieces that stand in the bytes, whatever surrounds them.
func (p *Pieces) In(content []byte, hits Hits) {
	for at := 0; at+pieceStart <= len(content); at++ {
		if !p.maybe[filter(content[at:])] {
			continue
		}
		for _, one := range p.byStart[[pieceStart]byte(content[at:])] {
			if bytes.HasPrefix(content[at:], one.bytes) {
				hits[one.number] = true
			}
		}
	}
}

// Under are the pieces that stand in the files below a folder, as Files reads them.
func (p *Pieces) Under(dir string) (Hits, error) {
	hits := make(Hits)
	return hits, Files(dir, func(content []byte) { p.In(content, hits) })
}

// Files reads the files below a folder. Files that go away meanwhile are left out; a
// folder that was never there is an error.
func Files(dir string, read func(content []byte)) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			var content []byte
			if content, err = root.ReadFile(name); err == nil {
				read(content)
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}
