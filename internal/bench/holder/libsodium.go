//go:build libsodium && cgo

package holder

// #cgo pkg-config: libsodium
// #include <sodium.h>
import "C"

import (
	"errors"
	"unsafe"

	"github.com/waypost/waypost/toprf"
)

// newLibsodium returns crypto_scalarmult_ristretto255 of each element in wire,
// which decodes, multiplies and encodes.
func newLibsodium(wire []byte) (func() error, error) {
	if C.sodium_init() < 0 {
		return nil, errors.New("libsodium does not start")
	}
	scalar := toprf.RandomScalar().Bytes()
	var out [toprf.ElementSize]byte
	return func() error {
		for i := 0; i < len(wire); i += toprf.ElementSize {
			if C.crypto_scalarmult_ristretto255(uchar(out[:]), uchar(scalar), uchar(wire[i:])) != 0 {
				return errors.New("libsodium refuses an element")
			}
		}
		return nil
	}, nil
}

func uchar(b []byte) *C.uchar { return (*C.uchar)(unsafe.Pointer(unsafe.SliceData(b))) }
