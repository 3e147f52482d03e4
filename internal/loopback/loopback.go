// Package loopback gives out addresses on this machine, for exchanges that run on one
// machine: no two that are created at the same time get the same.
package loopback

import (
	"crypto/rand"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// The ports lie below the range from which systems take those of outgoing connections,
// so that who stops listening on one finds it free at its next start.
const from, to = 10000, 32000

// Address is one where nobody listens, and which nobody else is given until all others
// have been: whoever got it may well start to listen much later, and stop and start.
func Address() (string, error) {
	l, err := Listen()
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// Listen listens on such an address.
func Listen() (net.Listener, error) {
	for range to - from {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.FormatInt(from+next()%(to-from), 10)))
		if err == nil {
			return l, nil
		}
	}
	return nil, errors.New("no free port between " + strconv.Itoa(from) + " and " + strconv.Itoa(to) + " on 127.0.0.1")
}

// next counts up, for all programs of this user: each adds a byte to one file, and where
// its byte came to lie is its number. Appending is atomic, and needs no lock. Where there
// is no folder for such a file the number is random.
func next() int64 {
	if n, err := count(); err == nil {
		return n
	}
	n, _ := rand.Int(rand.Reader, big.NewInt(to-from)) // never fails (Go 1.24)
	return n.Int64()
}

func count() (int64, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return 0, err
	}
	folder := filepath.Join(cache, "waypost")
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return 0, err
	}
	file, err := os.OpenFile(filepath.Join(folder, "ports"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if _, err := file.Write([]byte{'.'}); err != nil {
		return 0, err
	}
	return file.Seek(0, 1) // after the byte
}
