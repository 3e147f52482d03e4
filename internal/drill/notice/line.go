package notice

import (
	"fmt"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/drill"
)

// NoTrace is what the baselines have against those who break the rules.
const NoTrace = "plain and unkeyed index: nobody, ever; the line about them shows it"

// Line completes a line about the case, which must be named within a time by the clock
// of the exchange. It is well only where all that is waited for has come.
func (c *Case) Line(l drill.Line, within time.Duration) drill.Line {
	first, named := c.Named()
	l.Noticed, l.Baseline = c.Words(), NoTrace
	l.Target, l.OK = fmt.Sprintf("named within %s; waited for: %s", Span(within), strings.Join(c.awaited(true), ", ")), named && c.Done()
	if missing := c.awaited(false); len(missing) > 0 {
		l.Noticed += "; never came: " + strings.Join(missing, ", ")
	}
	if named {
		minutes, seconds := first.After.Minutes(), first.After.Seconds()
		l.NoticedSeconds = &seconds
		l.Figure = &drill.Figure{Name: "minutes until named", Value: minutes, Low: minutes, High: minutes, Bound: within.Minutes(), AtMost: true}
	}
	return l
}

// Span is a time in words, in minutes or hours.
func Span(d time.Duration) string {
	switch {
	case d >= 2*time.Hour:
		return fmt.Sprintf("%.0f hours", d.Hours())
	case d == time.Minute:
		return "1 minute"
	}
	return fmt.Sprintf("%.0f minutes", d.Minutes())
}

// Innocent is the line about those who had no part in anything, while checks went on.
// The auditor must have read what they did.
func (w *Watch) Innocent() drill.Line {
	n, words := float64(len(w.Framed)), ""
	if n > 0 {
		words = ": " + strings.Join(w.Framed[:min(len(w.Framed), 5)], "; ")
	}
	return drill.Line{
		Party: "every honest member", Attempted: "none: checks went on between the cheats",
		Obtained: fmt.Sprintf("%d accusations of somebody who had no part in it%s", len(w.Framed), words),
		Noticed: fmt.Sprintf("the auditor read what was new %d times, %d entries, in %.1f s of real time",
			w.Audits, w.Entries, w.Took.Seconds()),
		Target: "nobody is named who had no part in it", OK: n == 0 && w.Audits > 1 && w.Entries > 0,
		Figure: &drill.Figure{Name: "honest members accused", Value: n, Low: n, High: n, Bound: 0, AtMost: true},
	}
}
