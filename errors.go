package waypost

import (
	"errors"
	"fmt"
	"time"
)

// Code classifies an Error. It is the same in every role, crosses the RPC
// boundary, and decides what the caller can do next.
type Code string

const (
	InvalidArgument  Code = "invalid_argument"  // the request can never succeed as it stands
	Unauthenticated  Code = "unauthenticated"   // no certificate, or one the roster does not name
	PermissionDenied Code = "permission_denied" // signature, purpose or party does not allow it
	Expired          Code = "expired"           // the ticket, message or key is past its window
	AlreadyExists    Code = "already_exists"    // the same name with other content
	NotFound         Code = "not_found"
	QuotaExceeded    Code = "quota_exceeded" // try again at RetryAfter; where there is none, ask governance
	Unavailable      Code = "unavailable"    // a party cannot be reached; retry
	KeyRetired       Code = "key_retired"    // seal again to the current key
	Misuse           Code = "misuse"         // the protocol was abused and the abuse is logged
	Internal         Code = "internal"
)

// Error is the one error that crosses an API boundary. Message is public: it
// names the cause and the next step and never carries personal data, keys or
// tokens. The cause stays inside the process.
type Error struct {
	Code    Code
	Message string
	// RetryAfter is when the same request can succeed, in whole seconds; zero
	// where time alone does not help, or nobody knows. The message says it too.
	RetryAfter time.Time
	cause      error
}

// Error returns the public message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the internal cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Errorf makes an Error with a public message. Arguments must not be personal
// data, keys or tokens.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithCause returns a copy of e that carries an internal cause, for the log
// of the process that met it.
func (e *Error) WithCause(cause error) *Error {
	with := *e
	with.cause = cause
	return &with
}

// WithRetryAfter returns a copy of e that says when to try again, rounded up
// to a whole second.
func (e *Error) WithRetryAfter(at time.Time) *Error {
	with := *e
	with.RetryAfter = at.Add(time.Second - 1).UTC().Truncate(time.Second)
	return &with
}

// CodeOf returns the code of the first Error in err's chain, or Internal for
// any other non-nil error, or "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// RetryAfterOf returns when the first Error in err's chain says to try again,
// in UTC; zero where it does not say.
func RetryAfterOf(err error) time.Time {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return time.Time{}
}
