// Package turns keeps arithmetic in bulk, as of a load, from standing in the way of
// a check at a counter: as many batches are computed at once as there are
// processors, and each pauses every millisecond or so, that others go first; where checks
// come, those of other processes too.
package turns

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/toprf"
)

// Turns are the places for batches in one process. Nil is as many as come.
type Turns struct {
	places  chan struct{}
	started time.Time
	checked atomic.Int64 // when something was last computed for a check, since started; 0 is never
}

// New makes a place for each processor.
func New() *Turns {
	return &Turns{places: make(chan struct{}, runtime.GOMAXPROCS(0)), started: time.Now()}
}

// Take computes something about so many elements: at once for one check, else in
// its turn and with the options that make it pause. It returns compute's error.
func (t *Turns) Take(elements int, compute func(opts ...toprf.Option) error) error {
	if t == nil {
		return compute()
	}
	if elements <= waypost.CheckElements {
		t.checked.Store(int64(time.Since(t.started)))
		return compute()
	}
	t.places <- struct{}{}
	defer func() { <-t.places }()
	return compute(toprf.Between((&pace{turns: t}).pause))
}

const (
	// lately is for how long after a check others are expected.
	lately = 2 * time.Second
	// givenWay is how many times as long as a step took a batch rests where somebody else
	// wanted the processor meanwhile, and longestRest bounds that, also where the step was
	// stopped for long.
	givenWay    = 12
	longestRest = 60 * time.Millisecond
)

// pace is that of one batch.
type pace struct {
	turns  *Turns
	began  time.Time     // of the step
	worked time.Duration // by the thread, until then
}

// pause comes between two steps. Others of this process go first by the scheduler of
// goroutines. Those of other processes are not seen, but felt: a step during which its
// thread did not work all the time was stopped by the system for somebody else.
func (p *pace) pause() {
	if p.felt() && p.turns.busy() {
		time.Sleep(min(givenWay*time.Since(p.began), longestRest))
	}
	runtime.Gosched()
	p.began, p.worked = time.Now(), threadTime()
}

// felt reports whether somebody else had the processor for a part of the step.
func (p *pace) felt() bool {
	took, worked := time.Since(p.began), threadTime()-p.worked
	return !p.began.IsZero() && worked > 0 && took > worked+worked/4
}

// busy reports whether checks come.
func (t *Turns) busy() bool {
	last := time.Duration(t.checked.Load())
	return last > 0 && time.Since(t.started)-last < lately
}
