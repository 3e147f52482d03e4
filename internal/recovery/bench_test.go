package recovery

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/translog"
)

// BenchmarkPositions is what of a backup and of a restore grows with the ledger: the copy
// of the database, and the tree over all entries. WAYPOST_ENTRIES sets how many there are.
func BenchmarkPositions(b *testing.B) {
	entries := 20_000
	if n, err := strconv.Atoi(os.Getenv("WAYPOST_ENTRIES")); err == nil {
		entries = n
	}
	dir := b.TempDir()
	url := "sqlite:" + filepath.Join(dir, "hub.db")
	db, err := store.Open(b.Context(), url, "hub")
	if err != nil {
		b.Fatal(err)
	}
	fill(b, db, entries)
	b.Run("position", func(b *testing.B) {
		for b.Loop() {
			list, err := journal.Positions(b.Context(), db, nil)
			if err != nil || len(list) != 1 || list[0].N != int64(entries) {
				b.Fatal(list, err)
			}
		}
		b.ReportMetric(float64(entries*b.N)/b.Elapsed().Seconds(), "entries/s")
	})
	b.Run("copy", func(b *testing.B) {
		for i := range b.N {
			to := filepath.Join(dir, strconv.Itoa(i)+".db")
			if err := store.Snapshot(b.Context(), url, to); err != nil {
				b.Fatal(err)
			}
			if err := os.Remove(to); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(entries*b.N)/b.Elapsed().Seconds(), "entries/s")
	})
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}

// fill writes entries of the usual size, 1 KiB sealed.
func fill(b *testing.B, db *store.DB, entries int) {
	b.Helper()
	columns := []string{"log", "seq", "leaf", "kind", "ordinal", "at", "sealed"}
	for from := 0; from < entries; from += 10_000 {
		if err := db.Write(b.Context(), func(tx *store.Tx) error {
			if from == 0 {
				if _, err := tx.Exec(`INSERT INTO journal_log (log, origin) VALUES (1, 'waypost.test/hub/1')`); err != nil {
					return err
				}
			}
			var rows [][]any
			for i := from; i < min(from+10_000, entries); i++ {
				leaf, sealed := make([]byte, translog.LeafSize), make([]byte, 1096)
				_, _ = rand.Read(leaf)
				_, _ = rand.Read(sealed)
				rows = append(rows, []any{1, i, leaf, "search_first", 0, 1_900_000_000 + i, sealed})
			}
			return tx.Copy("journal", columns, rows)
		}); err != nil {
			b.Fatal(err)
		}
	}
}
