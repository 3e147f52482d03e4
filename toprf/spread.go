package toprf

import "sync"

// Option adjusts how a batch is computed, never what.
type Option func(*manner)

type manner struct {
	workers int
	between func()
}

// Workers lets a batch use up to n goroutines. Without it everything runs on
// the goroutine of the caller, which is what a server with many requests wants.
func Workers(n int) Option { return func(m *manner) { m.workers = n } }

// Between has f called in the middle of a batch, after every millisecond or so of
// work, by each goroutine that works on it: runtime.Gosched lets those go first who
// want little.
func Between(f func()) Option { return func(m *manner) { m.between = f } }

// Inputs that are worked on without a pause: one by one, and as terms of a sum,
// which is faster the more of them there are.
const (
	atOnce      = 32
	termsAtOnce = 512
)

func settle(opts []Option) manner {
	m := manner{workers: 1}
	for _, o := range opts {
		o(&m)
	}
	return m
}

// spread runs f over [0, n) cut into consecutive parts, at least one a worker, and
// returns the error of the first part that failed.
func spread(opts []Option, n int, f func(lo, hi int) error) error {
	m := settle(opts)
	workers := min(m.workers, n)
	if workers <= 1 {
		return m.parts(0, n, atOnce, f)
	}
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { errs[w] = m.parts(w*n/workers, (w+1)*n/workers, atOnce, f) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// parts runs f over [lo, hi), all at once or with pauses.
func (m manner) parts(lo, hi, size int, f func(lo, hi int) error) error {
	if m.between == nil {
		return f(lo, hi)
	}
	for ; lo < hi; lo += size {
		m.between()
		if err := f(lo, min(lo+size, hi)); err != nil {
			return err
		}
	}
	return nil
}
