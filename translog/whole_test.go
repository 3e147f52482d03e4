package translog

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

func TestVerifyAll(t *testing.T) {
	sizes := []int64{0, 1, 2, 255, 256, 257, 512, 700, 65535, 65536, 65537, 66000}
	l := newLog(t, 66000, sizes[1:11]...)
	for _, size := range sizes {
		last := int64(0)
		err := VerifyAll(t.Context(), l.reader(t), l.at(t, size), func(done, total int64) {
			if done <= last || done > total || total != size {
				t.Errorf("size %d: progress %d after %d of %d", size, done, last, total)
			}
			last = done
		})
		if err != nil || last != size {
			t.Errorf("size %d: %d done, %v", size, last, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := VerifyAll(ctx, l.reader(t), l.at(t, 700), nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestDamage alters, cuts and removes each object of a log. VerifyAll finds it
// and names the object; whoever reads what depends on it is told.
func TestDamage(t *testing.T) {
	for _, size := range []int64{3, 700} {
		l := newLog(t, size)
		r, cp := l.reader(t), l.at(t, size)
		for _, object := range l.objects(size) {
			good := l.read(t, object)
			for _, at := range []int{0, 2, len(good) / 2, len(good) - 1} {
				bad := append([]byte{}, good...)
				bad[at] ^= 1
				l.write(t, object, bad)
				if err := VerifyAll(t.Context(), r, cp, nil); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), object) {
					t.Errorf("%s altered at %d: %v", object, at, err)
				}
				// A whole tile of level 0 stands between hashes that suffice.
				needless := strings.HasPrefix(object, "tile/0/") && !strings.Contains(object, ".p/")
				if _, err := collect(t.Context(), r, cp, 0); !needless && !errors.Is(err, ErrDamaged) {
					t.Errorf("%s altered at %d: the leaves are read as if nothing were wrong, %v", object, at, err)
				}
			}
			l.write(t, object, good[:len(good)-1])
			if err := VerifyAll(t.Context(), r, cp, nil); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), object) {
				t.Errorf("%s cut off: %v", object, err)
			}
			l.remove(t, object)
			if err := VerifyAll(t.Context(), r, cp, nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), object) {
				t.Errorf("%s removed: %v", object, err)
			}
			l.write(t, object, good)
		}
		if err := VerifyAll(t.Context(), r, cp, nil); err != nil {
			t.Error(err)
		}
		cp.Hash[0] ^= 1
		if err := VerifyAll(t.Context(), r, cp, nil); !errors.Is(err, ErrDamaged) {
			t.Error("another root:", err)
		}
	}
}

// A log whose tiles are consistent with an altered entry is not the log of the
// checkpoint.
func TestRewritten(t *testing.T) {
	l := newLog(t, 700)
	cp := l.at(t, 700)
	l.stored = nil
	l.leaves[5][0] ^= 1
	for i, leaf := range l.leaves {
		l.stored.add(t, int64(i), leaf)
	}
	l.publish(t, 0, 700)
	if err := VerifyAll(t.Context(), l.reader(t), l.at(t, 700), nil); err != nil {
		t.Error("it is not consistent:", err)
	}
	if err := VerifyAll(t.Context(), l.reader(t), cp, nil); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	if _, _, err := Leaf(t.Context(), l.reader(t), cp, 5); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

func BenchmarkVerifyAll(b *testing.B) {
	const size = 1 << 17
	l := newLog(b, size)
	r, cp := l.reader(b), l.at(b, size)
	for _, run := range []struct {
		name string
		do   func() error
	}{
		{"whole", func() error { return VerifyAll(b.Context(), r, cp, nil) }},
		{"bundles", func() error { _, err := collect(b.Context(), r, cp, 0); return err }},
	} {
		b.Run(run.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := run.do(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "leaves/s")
		})
	}
}

func TestConsistency(t *testing.T) {
	l := newLog(t, 1000, 10, 300)
	r := l.reader(t)
	sizes := []int64{0, 1, 10, 255, 256, 300, 999, 1000}
	for i, older := range sizes {
		for _, newer := range sizes[i:] {
			if newer != 10 && newer != 300 && newer != 1000 && newer != older {
				continue // no tiles were published for it
			}
			if err := CheckConsistency(t.Context(), r, l.at(t, older), l.at(t, newer)); err != nil {
				t.Errorf("%d to %d: %v", older, newer, err)
			}
			if older == newer {
				continue
			}
			if err := CheckConsistency(t.Context(), r, l.at(t, newer), l.at(t, older)); !errors.Is(err, ErrRollback) {
				t.Errorf("%d to %d: %v", newer, older, err)
			}
		}
	}
	for _, older := range []int64{1, 256, 300, 1000} {
		forked := l.at(t, older)
		forked.Hash = tlog.RecordHash([]byte("another"))
		if err := CheckConsistency(t.Context(), r, forked, l.at(t, 1000)); !errors.Is(err, ErrFork) {
			t.Errorf("from %d: %v", older, err)
		}
	}
	other := l.at(t, 10)
	other.Origin = "waypost.test/hub/1"
	if err := CheckConsistency(t.Context(), r, other, l.at(t, 1000)); err == nil || errors.Is(err, ErrFork) {
		t.Error("of two logs:", err)
	}
	// Tiles that do not fit prove nothing against the log.
	l.write(t, "tile/1/000.p/3", make([]byte, 96))
	if err := CheckConsistency(t.Context(), r, l.at(t, 300), l.at(t, 1000)); !errors.Is(err, ErrDamaged) || errors.Is(err, ErrFork) {
		t.Error("with bad tiles:", err)
	}
	l.remove(t, "tile/1/000.p/3")
	if err := CheckConsistency(t.Context(), r, l.at(t, 300), l.at(t, 1000)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("without tiles:", err)
	}
}
