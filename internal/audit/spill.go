package audit

import (
	"fmt"
	"os"
	"sync"
)

// pageSize is how much of a partition is kept in memory, in bytes.
const pageSize = 16 << 10

// spill is a temporary file of byte strings in partitions. What was put into a
// partition comes back from it in the order in which it was put. Put is safe
// for concurrent use; reading begins after the last put.
type spill struct {
	file  *os.File
	parts []partition

	mu  sync.Mutex // of what follows
	end int64
}

type partition struct {
	mu    sync.Mutex
	page  []byte
	pages []span // on disk
	size  int64
}

type span struct {
	at   int64
	size int
}

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
	if len(p.page) > 0 && len(p.page)+len(b) > pageSize {
		if err := s.write(p); err != nil {
			return err
		}
	}
	if p.page == nil {
		p.page = make([]byte, 0, pageSize)
	}
	p.page = append(p.page, b...)
	p.size += int64(len(b))
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
	p.pages = append(p.pages, span{at, len(p.page)})
	p.page = p.page[:0]
	return nil
}

// read returns a partition, in buf if that is large enough. The partition is
// empty afterwards.
func (s *spill) read(n int, buf []byte) ([]byte, error) {
	p := &s.parts[n]
	buf = buf[:0]
	for _, page := range p.pages {
		from := len(buf)
		buf = append(buf, make([]byte, page.size)...)
		if _, err := s.file.ReadAt(buf[from:], page.at); err != nil {
			return nil, fmt.Errorf("the temporary file cannot be read: %w", err)
		}
	}
	buf = append(buf, p.page...)
	*p = partition{}
	return buf, nil
}
