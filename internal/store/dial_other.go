//go:build !linux

package store

import "syscall"

// impatient does nothing where the system has no such limit for one connection.
func impatient(string, string, syscall.RawConn) error { return nil }
