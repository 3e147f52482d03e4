//go:build !libsodium || !cgo

package holder

import "time"

// LibsodiumMultiplications reports false: this program was built without
// libsodium. Build with CGO_ENABLED=1 and -tags libsodium to measure it.
func LibsodiumMultiplications(int, time.Duration) (float64, bool, error) { return 0, false, nil }
