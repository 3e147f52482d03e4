//go:build libsodium && cgo

package holder

// #cgo pkg-config: libsodium
// #include <sodium.h>
import "C"

import (
	"errors"
	"time"
	"unsafe"

	"github.com/waypost/waypost/toprf"
)

// LibsodiumMultiplications measures crypto_scalarmult_ristretto255 (decode,
// multiply, encode; no proof) on batch elements, on the calling goroutine, for
// about budget. It returns elements per second and true. Needs libsodium's
// header (Debian: libsodium-dev) and the build tag libsodium.
func LibsodiumMultiplications(batch int, budget time.Duration) (float64, bool, error) {
	wire, err := request(batch)
	if err != nil {
		return 0, true, err
	}
	if C.sodium_init() < 0 {
		return 0, true, errors.New("libsodium does not start")
	}
	scalar := toprf.RandomScalar().Bytes()
	var out [toprf.ElementSize]byte
	perSecond, err := rate(batch, budget, func() error {
		for i := 0; i < len(wire); i += toprf.ElementSize {
			if C.crypto_scalarmult_ristretto255(uchar(out[:]), uchar(scalar), uchar(wire[i:])) != 0 {
				return errors.New("libsodium refuses an element")
			}
		}
		return nil
	})
	return perSecond, true, err
}

func uchar(b []byte) *C.uchar { return (*C.uchar)(unsafe.Pointer(unsafe.SliceData(b))) }
