package waypost

import (
	"errors"
	"fmt"
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
	QuotaExceeded    Code = "quota_exceeded" // try again later; the message says when
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
	cause   error
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
	return &Error{Code: e.Code, Message: e.Message, cause: cause}
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
