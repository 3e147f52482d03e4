//go:build !linux

package turns

import "time"

// threadTime is not known: batches give way within their process alone.
func threadTime() time.Duration { return 0 }
