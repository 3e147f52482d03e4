package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

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
	var e *waypost.Error
	var framework *connect.Error
	switch {
	case errors.As(err, &e) && e.Code != waypost.Internal:
		return wireError(e.Code, e.Message, e.RetryAfter)
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, "the call was cancelled")
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, "the call took longer than the caller would wait")
	case !errors.As(err, &framework):
		return wireError(waypost.Internal, "internal error: see the log of the party that answered", never)
	}
	// The framework's own refusals. Its words may quote the request.
	switch framework.Code() {
	case connect.CodeUnimplemented:
		return framework
	case connect.CodeResourceExhausted:
		return wireError(waypost.InvalidArgument, fmt.Sprintf("the request is larger than %d bytes", MaxMessage), never)
	}
	return wireError(waypost.InvalidArgument, "the request cannot be read: it is malformed or incomplete", never)
}

// never is the time to try again where waiting does not help.
var never time.Time

func wireError(code waypost.Code, message string, retryAfter time.Time) error {
	wire := connect.NewError(wireCodes[code], message)
	said := &waypostv1.ErrorCode{Code: string(code)}
	if !retryAfter.IsZero() {
		said.RetryAfter = retryAfter.Unix()
	}
	if detail, err := connectproto.NewErrorDetail(said); err == nil {
		wire = wire.WithDetail(detail)
	}
	return wire
}

// fault reports whether the error is this process's own: such an error goes
// into its log, because the caller learns nothing about it.
func fault(err error) bool {
	var framework *connect.Error
	return waypost.CodeOf(err) == waypost.Internal && !errors.As(err, &framework) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
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
				verdict := waypost.Errorf(waypost.Code(code.Code), "%s", printable(wire.Message())).WithCause(err)
				if 0 < code.RetryAfter && code.RetryAfter <= endOfTime {
					verdict = verdict.WithRetryAfter(time.Unix(code.RetryAfter, 0))
				}
				return verdict
			}
		}
	}
	// Our own refusal of the peer's certificate says which member and why.
	if refusal, ok := errors.AsType[*waypost.Error](err); ok {
		return waypost.Errorf(waypost.Unavailable, "no answer from the other party: %s", refusal.Message).WithCause(err)
	}
	return waypost.Errorf(waypost.Unavailable, "no answer from the other party").WithCause(err)
}

// AsSeen is what the caller of another party sees of an error that the party's
// handler returned, where no wire lies between them.
func AsSeen(err error) error {
	if err == nil {
		return nil
	}
	return fromWire(toWire(err))
}

// endOfTime is the last second that has four digits for its year: no screen has
// to show a later one.
var endOfTime = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()

// maxWords bounds what a peer can make us say, in characters.
const maxWords = 500

// printable is a peer's message without what could disturb a screen or a log.
func printable(message string) string {
	var b strings.Builder
	for _, r := range message {
		if b.Len() >= maxWords {
			break
		}
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		}
	}
	return b.String()
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
