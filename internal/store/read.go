package store

import "context"

// Read runs fn on one consistent snapshot of the database, beside the writer
// and other readers. fn can change nothing, and must not call Read: each
// holds a connection of a small pool. Read waits for an idle connection unless
// ctx ends first; fn itself is not interrupted.
func (db *DB) Read(ctx context.Context, fn func(tx *Tx) error) error {
	c, err := db.reader(ctx)
	if err != nil {
		return err
	}
	defer func() {
		// Still active: fn failed or ended its goroutine. A connection that
		// cannot be ended is dropped, and the next Read makes a new one.
		if c.active && c.end("ROLLBACK") != nil {
			_ = c.close()
			c = nil
		}
		db.readers <- c
	}()
	if err := c.begin(); err != nil {
		return err
	}
	if err := c.call(fn); err != nil {
		return err
	}
	return c.end("COMMIT")
}

// reader takes an idle reading connection out of the pool, or makes the one
// that belongs in the place it took.
func (db *DB) reader(ctx context.Context) (*conn, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return nil, ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case c := <-db.readers:
		if c != nil {
			return c, nil
		}
		c, err := db.connect(ctx, false)
		if err != nil {
			db.readers <- nil
		}
		return c, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
