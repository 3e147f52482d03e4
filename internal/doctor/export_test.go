package doctor

import "time"

// Patience has doors, and processes that are watched, answer as late as they may on a busy
// machine; back ends it.
func Patience() (back func()) {
	probe, watch := probeTime, pulse
	probeTime, pulse = 2*time.Minute, 2*time.Minute
	return func() { probeTime, pulse = probe, watch }
}
