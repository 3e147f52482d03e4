//go:build !unix

package attack

import "time"

var began = time.Now()

// Spent is the time for which this process has run, as if it kept one core busy: the
// system does not tell more in a way that others have.
func Spent() time.Duration { return time.Since(began) }
