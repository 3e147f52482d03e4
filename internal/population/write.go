package population

import (
	"bufio"
	"context"
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/waypost/waypost"
)

// header is the first line of a state's file, as package statefile reads it.
var header = []string{"id", "family", "given", "middle", "suffix", "dob", "sex", "ssn5",
	"card_number", "card_kind", "status", "real_id", "protected"}

func row(rec waypost.Record) []string {
	return []string{rec.ID, rec.Family, rec.Given, rec.Middle, rec.Suffix, rec.Born.String(), string(rec.Sex), rec.SSN5,
		rec.CardNumber, string(rec.Kind), string(rec.Status), strconv.FormatBool(rec.RealID), strconv.FormatBool(rec.Protected)}
}

// Write generates the population and writes it to dir: one file a state, named
// CA.csv and so on, and truth.csv. It calls progress, unless nil, with the
// number of records written and the total, now and then and at the end.
func Write(ctx context.Context, c Config, dir string, progress func(done, total int)) error {
	p, err := Generate(c)
	if err != nil {
		return err
	}
	return p.write(ctx, dir, progress)
}

// WriteCSV writes the population to dir, which is made if need be: one file
// for each state with the columns id, family, given, middle, suffix, dob, sex,
// ssn5, card_number, card_kind, status, real_id and protected, and truth.csv
// with a, b and why. Fields are quoted as in RFC 4180; lines end in LF. A file
// appears whole or not at all.
func (p *Population) WriteCSV(dir string) error { return p.write(context.Background(), dir, nil) }

func (p *Population) write(ctx context.Context, dir string, progress func(done, total int)) error {
	if progress == nil {
		progress = func(int, int) {}
	}
	// The people are synthetic, but the files train hands for real ones: only
	// their owner may read them.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return cannotWrite(err)
	}
	done, total := 0, len(p.config.States)*p.config.PerState
	for _, state := range p.config.States {
		err := writeFile(filepath.Join(dir, string(state)+".csv"), header, func(w *csv.Writer) error {
			return p.Each(state, func(rec waypost.Record) error {
				if done++; done%1000 == 0 {
					progress(done, total)
					if err := ctx.Err(); err != nil {
						return err
					}
				}
				return w.Write(row(rec))
			})
		})
		if err != nil {
			return cannotWrite(err)
		}
	}
	err := writeFile(filepath.Join(dir, "truth.csv"), []string{"a", "b", "why"}, func(w *csv.Writer) error {
		return p.EachTruth(func(t Truth) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return w.Write([]string{t.A, t.B, t.Why})
		})
	})
	if err != nil {
		return cannotWrite(err)
	}
	progress(total, total)
	return nil
}

func cannotWrite(err error) error {
	return waypost.Errorf(waypost.Internal, "the population was not written: %v", err).WithCause(err)
}

// writeFile writes a temporary file beside path and renames it when it is
// complete and on disk.
func writeFile(path string, header []string, body func(*csv.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := writeRows(f, header, body); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func writeRows(out io.Writer, header []string, body func(*csv.Writer) error) error {
	buffered := bufio.NewWriterSize(out, 1<<16)
	w := csv.NewWriter(buffered)
	if err := w.Write(header); err != nil {
		return err
	}
	if err := body(w); err != nil {
		return err
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	return buffered.Flush()
}
