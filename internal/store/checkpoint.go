package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"time"
)

const (
	// checkpointAt is how many pages of the write-ahead log that are not in the file yet are
	// copied there at once (2 MiB): a page that is written again and again is copied once,
	// and a commit that meets the sync of the copies does not wait for many of them.
	checkpointAt = 500
	// anewAt is how long the log becomes until it is to begin anew (32 MiB), for which all of it
	// must be copied, also what is appended meanwhile: anewTries bounds how often that is
	// looked at, for each time costs two syncs.
	anewAt    = 8000
	anewTries = 8
	// checkpointRest is between two looks at the log, and after a failure.
	checkpointRest = 20 * time.Millisecond
)

// checkpoints copies the write-ahead log into the file, on a connection of its own and
// beside the writer, after commits: a commit that did it would keep everybody waiting who
// writes. A checkpoint that is "passive" waits for nobody
// and nobody for it. Where it fails or cannot keep up, nothing is lost: all stays in the
// log, which grows, and from the writer's own limit on (writerSettings) commits try too.
// A disk that takes no more is met by the next commit, which appends to the log.
func (f *sqliteFile) checkpoints(committed, stopping <-chan struct{}) {
	var s *sqliteSession
	drop := func() {
		if s != nil {
			_ = s.close(nil)
			s = nil
		}
	}
	defer drop()
	for {
		select {
		case <-stopping:
			return
		case <-committed:
		}
		if s == nil {
			if raw, err := f.open(context.Background(), checkpointSettings); err == nil {
				s = &sqliteSession{raw: raw}
			}
		}
		if s != nil && s.shorten() != nil {
			drop()
		}
		select {
		case <-stopping:
			return
		case <-time.After(checkpointRest):
		}
	}
}

// shorten copies what is due of the log, and of a long one all, to its end.
func (s *sqliteSession) shorten() error {
	pages, copied, err := s.checkpoint("NOOP") // counts, and copies nothing
	for range anewTries {
		if err != nil || copied == pages || pages < anewAt && pages-copied < checkpointAt {
			return err
		}
		before := copied
		if pages, copied, err = s.checkpoint("PASSIVE"); copied == before {
			return err // somebody still reads what was before these pages
		}
	}
	return err
}

// checkpoint returns how many pages the log has and how many of them are in the file.
func (s *sqliteSession) checkpoint(mode string) (pages, copied int64, err error) {
	p, err := s.prepare("PRAGMA wal_checkpoint(" + mode + ")")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	return pages, copied, s.rows(p.(sqliteStmt), nil, 0, func(_ int, row []driver.Value) (bool, error) {
		pages, _ = row[1].(int64) // row[0]: another checkpoint is at work
		copied, _ = row[2].(int64)
		return false, nil
	})
}
