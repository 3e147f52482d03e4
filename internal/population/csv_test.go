package population

import (
	"context"
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/statefile"
)

func TestWriteThenRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by", "write")
	c := Config{States: four, PerState: 1200, Seed: 5}
	var last [2]int
	if err := Write(context.Background(), c, dir, func(done, total int) { last = [2]int{done, total} }); err != nil {
		t.Fatal(err)
	}
	if last != [2]int{4800, 4800} {
		t.Errorf("progress ended at %v", last)
	}
	p := generate(t, c)
	for _, s := range four {
		var want, got []waypost.Record
		_ = p.Each(s, func(rec waypost.Record) error { want = append(want, rec); return nil })
		f, err := os.Open(filepath.Join(dir, string(s)+".csv"))
		if err != nil {
			t.Fatal(err)
		}
		err = statefile.Read(f, nil, func(row statefile.Row) error {
			if row.Line != len(got)+2 {
				t.Fatalf("line %d after %d records", row.Line, len(got))
			}
			got = append(got, row.Record)
			return row.Err
		})
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-written +read):\n%s", s, d)
		}
	}
	f, err := os.Open(filepath.Join(dir, "truth.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"a", "b", "why"}}
	for _, tr := range truths(t, p) {
		want = append(want, []string{tr.A, tr.B, tr.Why})
	}
	if d := cmp.Diff(want, rows); d != "" {
		t.Errorf("truth.csv (-want +got):\n%s", d)
	}
}

// TestWriteIsWholeOrNothing: a write that is cancelled leaves no file behind,
// neither half nor temporary, and one that cannot start says so.
func TestWriteIsWholeOrNothing(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := Write(ctx, Config{States: four, PerState: 2000}, dir, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(context.Background(), Config{States: four, PerState: 100}, filepath.Join(file, "dir"), nil); err == nil {
		t.Error("a folder was made inside a file")
	}
}
