package toprf

import (
	"fmt"
	"io"
	"log/slog"
)

// hidden keeps a value where package fmt cannot print it. A Format method is
// not enough: fmt does not call it on an unexported field of somebody else's
// struct, and prints what it finds there. It cannot look inside a function.
type hidden[T any] func() T

func hide[T any](v T) hidden[T] { return func() T { return v } }

const redacted = "[redacted]"

// Format prints "[redacted]" for every verb.
func (k Scalar) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue logs "[redacted]".
func (k Scalar) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format prints "[redacted]" for every verb.
func (s Share) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue logs "[redacted]".
func (s Share) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format prints "[redacted]" for every verb.
func (b *Blinding) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// Format prints "[redacted]" for every verb.
func (d *Dealer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }
