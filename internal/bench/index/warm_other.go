//go:build !linux

package index

import "errors"

func holdFile(string) (func() error, error) {
	return nil, errors.New("files are held in memory on Linux only: run without --warm")
}
