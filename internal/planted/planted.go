//go:build !planted

// Package planted has the bugs that the deterministic simulation must find. They
// are not in the program: [Bug] is a constant false, which the compiler removes
// together with what it guards, unless the build has the tag "planted".
package planted

// Bug reports whether the bug of that name is planted. Here it never is.
//
//nolint:godox // the name is what it is
func Bug(string) bool { return false }
