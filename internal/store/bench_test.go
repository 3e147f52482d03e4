package store

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
)

func benchDB(b *testing.B, rows int) *DB {
	b.Helper()
	db, err := Open(ctx, "sqlite:"+b.TempDir()+"/bench.db", "test")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	for from := 0; from < rows; from += 10_000 {
		if err := db.Write(ctx, func(tx *Tx) error {
			for n := from; n < min(from+10_000, rows); n++ {
				if err := add(tx, n); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	return db
}

// BenchmarkStatement measures one statement in a transaction already open.
func BenchmarkStatement(b *testing.B) {
	const rows = 100_000
	b.Run("lookup", func(b *testing.B) {
		db := benchDB(b, rows)
		_ = db.Read(ctx, func(tx *Tx) error {
			var n int64
			for i := range b.N {
				if err := tx.Row("SELECT n FROM item WHERE id = $1", key(i*7919%rows)).Scan(&n); err != nil {
					b.Fatal(err)
				}
			}
			return nil
		})
	})
	b.Run("insert", func(b *testing.B) {
		db := benchDB(b, rows)
		_ = db.Write(ctx, func(tx *Tx) error {
			for i := range b.N {
				if err := add(tx, rows+i); err != nil {
					b.Fatal(err)
				}
			}
			return nil
		})
	})
	b.Run("update", func(b *testing.B) {
		db := benchDB(b, rows)
		_ = db.Write(ctx, func(tx *Tx) error {
			for i := range b.N {
				if _, err := tx.Exec("UPDATE item SET n = $1 WHERE id = $2", i, key(i*7919%rows)); err != nil {
					b.Fatal(err)
				}
			}
			return nil
		})
	})
}

// BenchmarkRead measures a read transaction with one point lookup.
func BenchmarkRead(b *testing.B) {
	db := benchDB(b, 100_000)
	for i := range b.N {
		if err := db.Read(ctx, func(tx *Tx) error {
			var n int64
			return tx.Row("SELECT n FROM item WHERE id = $1", key(i%100_000)).Scan(&n)
		}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWrite measures durable writes of one insert, alone and with 64
// callers whose writes share commits.
func BenchmarkWrite(b *testing.B) {
	b.Run("lone", func(b *testing.B) {
		db := benchDB(b, 0)
		for i := range b.N {
			if err := db.Write(ctx, func(tx *Tx) error { return add(tx, i) }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("64 callers", func(b *testing.B) {
		db := benchDB(b, 0)
		var next atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
					if err := db.Write(context.Background(), func(tx *Tx) error { return add(tx, int(i)) }); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
		s := db.Stats()
		b.ReportMetric(float64(s.Writes)/float64(s.Groups), "writes/commit")
	})
}
