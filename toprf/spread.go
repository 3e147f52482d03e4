package toprf

import "sync"

// Option adjusts how a batch is computed, never what.
type Option func(*int)

// Workers lets a batch use up to n goroutines. Without it everything runs on
// the goroutine of the caller, which is what a server with many requests wants.
func Workers(n int) Option { return func(w *int) { *w = n } }

// spread runs f over [0, n) cut into consecutive parts, one a worker, and
// returns the error of the first part that failed.
func spread(opts []Option, n int, f func(lo, hi int) error) error {
	workers := 1
	for _, o := range opts {
		o(&workers)
	}
	workers = min(workers, n)
	if workers <= 1 {
		return f(0, n)
	}
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { errs[w] = f(w*n/workers, (w+1)*n/workers) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
