//go:build !linux && !darwin

package doctor

import "errors"

func room(string) (free, all uint64, err error) { return 0, 0, errors.ErrUnsupported }
