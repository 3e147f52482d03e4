package rpc

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/waypost/waypost"
)

// Call is what an Observer learns of one finished call.
type Call struct {
	Procedure string       // "/waypost.v1.Hub/Search", always one that is registered
	Member    string       // the caller; empty where it is no member or was not let in
	Code      waypost.Code // empty for success, Cancelled where the caller left
	Took      time.Duration
}

// Cancelled is the code of a call whose caller left before its answer. It is
// for observers and never on the wire.
const Cancelled waypost.Code = "cancelled"

// Observer is told of every call once it is over. Many goroutines call it, and
// callers wait for it.
type Observer func(Call)

type callKey struct{}

// Observe tells an observer of every call. It comes after ErrorsToWire and
// before who calls is asked; a nil observer is told nothing.
func Observe(o Observer) connect.ServerInterceptor {
	return func(next connect.ServerFunc) connect.ServerFunc {
		if o == nil {
			return next
		}
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) (err error) {
			began := time.Now()
			call := Call{Procedure: spec.Procedure, Code: waypost.Internal} // what a panic leaves
			defer func() {
				call.Took = time.Since(began)
				o(call)
			}()
			err = next(context.WithValue(ctx, callKey{}, &call), spec, stream)
			call.Code = observed(err)
			return err
		}
	}
}

// calledBy tells the observer who calls.
func calledBy(ctx context.Context, member string) {
	if call, ok := ctx.Value(callKey{}).(*Call); ok {
		call.Member = member
	}
}

// observed is the code of an error as toWire sees it.
func observed(err error) waypost.Code {
	var e *waypost.Error
	var framework *connect.Error
	switch {
	case errors.As(err, &e):
		return e.Code
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Cancelled
	case errors.As(err, &framework):
		return waypost.InvalidArgument
	}
	return waypost.CodeOf(err)
}
