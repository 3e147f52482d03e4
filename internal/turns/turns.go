// Package turns keeps arithmetic in bulk, as of a load, from standing in the way of
// a check at a counter: as many batches are computed at once as there are
// processors, and each pauses every millisecond or so, that others go first.
package turns

import (
	"runtime"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/toprf"
)

// Turns are the places for batches in one process. Nil is as many as come.
type Turns chan struct{}

// New makes a place for each processor.
func New() Turns { return make(Turns, runtime.GOMAXPROCS(0)) }

// Take computes something about so many elements: at once for one check, else in
// its turn and with the options that make it pause. It returns compute's error.
func (t Turns) Take(elements int, compute func(opts ...toprf.Option) error) error {
	if t == nil || elements <= waypost.CheckElements {
		return compute()
	}
	t <- struct{}{}
	defer func() { <-t }()
	return compute(toprf.Between(runtime.Gosched))
}
