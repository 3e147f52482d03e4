package simulate

import (
	"container/heap"
	"context"
	"fmt"
	"iter"
	"runtime/debug"
	"slices"
	"time"
)

// loop runs tasks one at a time on a clock of its own. A task is a coroutine: it
// runs until it waits or ends, and then the task whose time is next goes on. What
// runs when follows from the seed alone.
type loop struct {
	now     time.Time
	events  events
	order   int // of the last event: those of one time run in the order in which they were set
	running *task
	waiting []*task // for something to change; in the order in which they began to
	hands   []*hand // all coroutines
	idle    []*hand // those with nothing to do
	passed  func()  // called whenever the clock moves
	stepped func()  // called after each slice of a task
}

// task is something that is done, with waits in between.
type task struct {
	name    string
	do      func()
	hand    *hand           // that does it; nil before it has begun
	changed <-chan struct{} // waited for besides the time, or nil
	wake    *event          // when it goes on if nothing changes
}

// hand is a coroutine that does one task after the other: its stack has grown by
// then, which costs more than many tasks do.
type hand struct {
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	task  *task
}

// event is a task that is due.
type event struct {
	at    time.Time
	order int
	task  *task // nil: it went on before its time
}

type events []*event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(*event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// in begins a task after a while.
func (l *loop) in(d time.Duration, name string, do func()) {
	l.due(&task{name: name, do: do}, d)
}

// take returns a coroutine that has nothing to do.
func (l *loop) take() *hand {
	if last := len(l.idle) - 1; last >= 0 {
		h := l.idle[last]
		l.idle = l.idle[:last]
		return h
	}
	h := &hand{}
	h.next, h.stop = iter.Pull(func(yield func(struct{}) bool) {
		h.yield = yield
		for h.work() {
			l.idle = append(l.idle, h)
			if !yield(struct{}{}) {
				return
			}
		}
	})
	l.hands = append(l.hands, h)
	return h
}

// work does the task to its end, and reports whether the world has not ended
// meanwhile.
func (h *hand) work() (done bool) {
	name := h.task.name
	defer func() {
		// The stack would be lost on the way out.
		if p := recover(); p != nil && p != any(abandoned{}) {
			panic(fmt.Sprintf("%s: %v\n%s", name, p, debug.Stack()))
		}
	}()
	h.task.do()
	h.task = nil
	return true
}

func (l *loop) due(t *task, d time.Duration) {
	l.order++
	t.wake = &event{l.now.Add(max(0, d)), l.order, t}
	heap.Push(&l.events, t.wake)
}

// sleep lets others go on for a while.
func (l *loop) sleep(d time.Duration) { _ = l.Wait(context.Background(), nil, d) }

// Wait implements [gateway.Loop].
func (l *loop) Wait(ctx context.Context, changed <-chan struct{}, d time.Duration) error {
	t := l.running
	if t == nil {
		panic("simulate: somebody waits outside a task")
	}
	if t.changed = changed; changed != nil {
		l.waiting = append(l.waiting, t)
	}
	l.due(t, d)
	if !t.hand.yield(struct{}{}) {
		panic(abandoned{}) // the world has ended
	}
	return ctx.Err()
}

// abandoned unwinds a task whose world has ended.
type abandoned struct{}

// until runs what is due until the given time.
func (l *loop) until(end time.Time) {
	for len(l.events) > 0 && !l.events[0].at.After(end) {
		e := heap.Pop(&l.events).(*event)
		if e.task == nil {
			continue
		}
		if e.at.After(l.now) {
			l.now = e.at
			l.passed()
		}
		l.run(e.task)
	}
	if end.After(l.now) {
		l.now = end
		l.passed()
	}
}

// run lets a task go on, and then makes due what it has changed.
func (l *loop) run(t *task) {
	l.waiting = slices.DeleteFunc(l.waiting, func(w *task) bool { return w == t })
	if t.hand == nil {
		t.hand = l.take()
		t.hand.task = t
	}
	l.running = t
	t.hand.next()
	l.running = nil
	l.stepped()
	l.waiting = slices.DeleteFunc(l.waiting, func(w *task) bool {
		if !closed(w.changed) {
			return false
		}
		w.wake.task = nil
		l.due(w, 0)
		return true
	})
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// end abandons what still waits.
func (l *loop) end() {
	for _, h := range l.hands {
		h.stop() // unwinds its stack
	}
	l.events, l.waiting, l.hands, l.idle = nil, nil, nil, nil
}
