package audit

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"sync"
)

// pageSize is how much of a partition is kept in memory, in bytes.
const pageSize = 4 << 10

// spill is a temporary file of byte strings in partitions. What was put into a
// partition comes back from it, in some order. Put is safe for concurrent use;
// reading begins after the last put. Each page on disk begins with the place of
// the one before, so that the memory does not grow with the file.
type spill struct {
	file  *os.File
	parts []partition

	mu  sync.Mutex // of what follows
	end int64
}

type partition struct {
	mu   sync.Mutex
	page []byte // begins with the header, once there is one
	last span   // the newest page on disk
}

// span is a page on disk; without size there is none.
type span struct {
	at   int64
	size uint32
}

const spanSize = 8 + 4

// newSpill makes the file in dir, or where the system keeps such files. It is
// readable by the owner only, and gone with Close.
func newSpill(dir string, partitions int) (*spill, error) {
	file, err := os.CreateTemp(dir, "waypost-audit-") // mode 0600
	if err != nil {
		return nil, err
	}
	return &spill{file: file, parts: make([]partition, partitions)}, nil
}

// Close deletes the file.
func (s *spill) Close() {
	s.file.Close()
	os.Remove(s.file.Name())
}

func (s *spill) put(n int, b []byte) error {
	p := &s.parts[n]
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.page) > spanSize && len(p.page)+len(b) > pageSize {
		if err := s.write(p); err != nil {
			return err
		}
	}
	if len(p.page) == 0 {
		if p.page == nil {
			p.page = make([]byte, 0, pageSize)
		}
		p.page = binary.BigEndian.AppendUint64(p.page, uint64(p.last.at))
		p.page = binary.BigEndian.AppendUint32(p.page, p.last.size)
	}
	p.page = append(p.page, b...)
	return nil
}

func (s *spill) write(p *partition) error {
	s.mu.Lock()
	at := s.end
	s.end += int64(len(p.page))
	s.mu.Unlock()
	if _, err := s.file.WriteAt(p.page, at); err != nil {
		return fmt.Errorf("the temporary file cannot be written: %w", err)
	}
	p.last = span{at, uint32(len(p.page))}
	p.page = p.page[:0]
	return nil
}

// empty reports whether nothing was put into a partition.
func (s *spill) empty(n int) bool { return len(s.parts[n].page) == 0 && s.parts[n].last.size == 0 }

// read returns a partition, in buf if that is large enough. The partition is
// empty afterwards.
func (s *spill) read(n int, buf []byte) ([]byte, error) {
	p := &s.parts[n]
	buf = buf[:0]
	if len(p.page) > 0 {
		buf = append(buf, p.page[spanSize:]...)
	}
	var page []byte // most partitions of a short run have none on disk
	for next := p.last; next.size > 0; {
		page = slices.Grow(page[:0], int(next.size))[:next.size]
		if _, err := s.file.ReadAt(page, next.at); err != nil {
			return nil, fmt.Errorf("the temporary file cannot be read: %w", err)
		}
		next = span{int64(binary.BigEndian.Uint64(page)), binary.BigEndian.Uint32(page[8:])}
		buf = append(buf, page[spanSize:]...)
	}
	*p = partition{}
	return buf, nil
}
