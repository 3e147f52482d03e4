package rpc

import (
	"context"
	"errors"
	"io"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// wireCodes gives other people's tools a sensible code; between ourselves the
// ErrorCode detail counts.
var wireCodes = map[waypost.Code]connect.Code{
	waypost.InvalidArgument:  connect.CodeInvalidArgument,
	waypost.Unauthenticated:  connect.CodeUnauthenticated,
	waypost.PermissionDenied: connect.CodePermissionDenied,
	waypost.Expired:          connect.CodeFailedPrecondition,
	waypost.AlreadyExists:    connect.CodeAlreadyExists,
	waypost.NotFound:         connect.CodeNotFound,
	waypost.QuotaExceeded:    connect.CodeResourceExhausted,
	waypost.Unavailable:      connect.CodeUnavailable,
	waypost.KeyRetired:       connect.CodeAborted,
	waypost.Misuse:           connect.CodePermissionDenied,
	waypost.Internal:         connect.CodeInternal,
}

// toWire turns any error into one that may leave the process: code and public
// message only.
func toWire(err error) error {
	if errors.Is(err, context.Canceled) {
		return connect.NewError(connect.CodeCanceled, "the call was cancelled")
	}
	var own *connect.Error
	if errors.As(err, &own) && !own.IsRemote() {
		return own // the framework's own refusals: malformed, too large, unknown
	}
	message := "internal error: see the log of the party that answered"
	code := waypost.CodeOf(err)
	var e *waypost.Error
	if errors.As(err, &e) && code != waypost.Internal {
		message = e.Message
	}
	wire := connect.NewError(wireCodes[code], message)
	if detail, err := connectproto.NewErrorDetail(&waypostv1.ErrorCode{Code: string(code)}); err == nil {
		wire = wire.WithDetail(detail)
	}
	return wire
}

// fromWire is the other half: a peer's verdict becomes a waypost error, and a
// peer that cannot be reached is Unavailable.
func fromWire(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var wire *connect.Error
	if !errors.As(err, &wire) {
		return err
	}
	for _, d := range wire.Details() {
		msg, decodeErr := connectproto.UnmarshalErrorDetail(d)
		if code, ok := msg.(*waypostv1.ErrorCode); decodeErr == nil && ok {
			if _, known := wireCodes[waypost.Code(code.Code)]; known {
				return waypost.Errorf(waypost.Code(code.Code), "%s", wire.Message()).WithCause(err)
			}
		}
	}
	// The peer's TLS refusal or our own of its certificate arrives here with a
	// cause that says which; it names members, never persons.
	return waypost.Errorf(waypost.Unavailable, "no answer from the other party").WithCause(err)
}

// errorsFromWire applies fromWire to all that a client stream reports.
func errorsFromWire(next connect.ClientFunc) connect.ClientFunc {
	return func(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
		stream, err := next(ctx, spec)
		if err != nil {
			return nil, fromWire(err)
		}
		return translated{stream}, nil
	}
}

type translated struct{ connect.ClientStream }

func (t translated) SendHeaders() error    { return fromWire(t.ClientStream.SendHeaders()) }
func (t translated) Send(msg any) error    { return fromWire(t.ClientStream.Send(msg)) }
func (t translated) CloseSend() error      { return fromWire(t.ClientStream.CloseSend()) }
func (t translated) Receive(msg any) error { return fromWire(t.ClientStream.Receive(msg)) }
