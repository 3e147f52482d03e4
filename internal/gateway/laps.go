package gateway

import (
	"context"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect/v2"
)

// The stages of a check, for who measures it: each ends where the next begins.
const (
	stageTicket     = "ticket"     // match keys, blinding, the ticket and its entry committed
	stageEvaluate   = "evaluate"   // t verified answers of key holders, unblinded
	stageSearch     = "search"     // the hub's candidates, each with a sealed question in the outbox
	stageFirstLeg   = "first_leg"  // the one bit of each candidate's state
	stageDisclosure = "disclosure" // the answers of those that said continue
	stageConclude   = "conclude"   // the second part where it is due, and the answer committed
)

// laps are how long the stages of one check took. It is for one goroutine.
type laps struct {
	now  func() time.Time
	last time.Time
	text []string
}

type lapsKey struct{}

// timed has the stages of the check made under the context measured.
func timed(ctx context.Context, now func() time.Time) (context.Context, *laps) {
	l := &laps{now: now, last: now()}
	return context.WithValue(ctx, lapsKey{}, l), l
}

// lapper returns what is called at the end of each stage; it does nothing where
// nobody measures.
func lapper(ctx context.Context) func(stage string) {
	l, ok := ctx.Value(lapsKey{}).(*laps)
	if !ok {
		return func(string) {}
	}
	return func(stage string) {
		now := l.now()
		l.text = append(l.text, fmt.Sprintf("%s;dur=%.3f", stage, now.Sub(l.last).Seconds()*1e3))
		l.last = now
	}
}

// tell puts the stages into the header of the answer, as the W3C's Server Timing
// has it: names and milliseconds. It goes to the state's own counter only.
func (l *laps) tell(ctx context.Context) {
	if info, ok := connect.CallInfoForServerContext(ctx); ok && len(l.text) > 0 {
		info.ResponseHeader().Set(ServerTiming, strings.Join(l.text, ", "))
	}
}

// ServerTiming is the header of an answer that tells how long each stage of the
// check took.
const ServerTiming = "Server-Timing"
