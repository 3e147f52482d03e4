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
	defer func() { // even if fn ended its goroutine
		c.leave()
		db.readers <- c
	}()
	c.begin()
	return c.call(fn)
}

// reader takes an idle reading connection out of the pool.
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
		if err := c.connect(ctx); err != nil {
			db.readers <- c
			return nil, err
		}
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
