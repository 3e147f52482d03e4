//go:build planted

// Package planted has the bugs that the deterministic simulation must find; this
// is the build that can have them.
package planted

import "sync/atomic"

var name atomic.Value

// Plant puts one bug into the program, or none.
func Plant(bug string) { name.Store(bug) }

// Bug reports whether the bug of that name is planted.
//
//nolint:godox // the name is what it is
func Bug(bug string) bool {
	planted, _ := name.Load().(string)
	return planted == bug && bug != ""
}
