package turns

import (
	"time"

	"golang.org/x/sys/unix"
)

// threadTime is the processor time of the thread that calls. A goroutine that was moved
// to another thread in the middle of a step is told nothing useful, and rests once too
// often or too seldom.
func threadTime() time.Duration {
	var used unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &used) != nil {
		return 0
	}
	return time.Duration(used.Nano())
}
