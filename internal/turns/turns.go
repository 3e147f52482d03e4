// Package turns keeps arithmetic in bulk, as of a load, from standing in the way of
// a check at a counter: as many batches are computed at once as there are
// processors, and each pauses every millisecond or so, that others go first, those of
// other processes too.
package turns

import (
	"runtime"
	"time"

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
	return compute(toprf.Between(new(pace).pause))
}

const (
	// givenWay is how many times as long as a step took a batch rests where somebody else
	// wanted the processor meanwhile: it keeps a fifth of it then.
	givenWay = 4
	// longestRest bounds one rest, also where a step was stopped for long.
	longestRest = 20 * time.Millisecond
)

// pace is that of one batch.
type pace struct {
	began  time.Time     // of the step
	worked time.Duration // by the thread, until then
}

// pause comes between two steps. Others of this process go first by the scheduler of
// goroutines. Those of other processes are not seen, but felt: a step during which its
// thread did not work all the time was stopped by the system for somebody else.
func (p *pace) pause() {
	if took, worked := time.Since(p.began), threadTime()-p.worked; !p.began.IsZero() && worked > 0 && took > worked+worked/4 {
		time.Sleep(min(givenWay*took, longestRest))
	}
	runtime.Gosched()
	p.began, p.worked = time.Now(), threadTime()
}
