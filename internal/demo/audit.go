package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/waypost/waypost/internal/audit"
)

const (
	// attemptsFolder has the exchange in which attempts to cheat are played, so
	// that the ledgers of the demonstration itself stay those of honest members.
	attemptsFolder = "attempts"
	// attemptsPeople is how many people each state has there.
	attemptsPeople = 30
)

// cheat opens a second, small exchange, plays the attempts there, and has an
// auditor find who made them.
func (d *Demo) cheat(ctx context.Context) (results []result, err error) {
	o := d.options
	o.Dir, o.People, o.Records, o.Progress, o.Out = filepath.Join(o.Dir, attemptsFolder), attemptsPeople, nil, nil, io.Discard
	other, err := Open(ctx, o)
	if err != nil {
		return nil, err
	}
	other.options.Out = d.options.Out
	if results, err = other.attempts(ctx); err == nil {
		err = other.exchange.Publish(ctx) // a busy machine may not come to it when it stops
	}
	if err = errors.Join(err, other.Close()); err != nil {
		return nil, err
	}
	culprit := string(other.sceneWithRecord().Ask)
	report, err := reconcile(ctx, o.Dir, time.Now())
	if err != nil {
		return nil, err
	}
	r := result{name: "found by the auditor", asked: "all ledgers", outcome: fmt.Sprintf("%d findings", len(report.Findings))}
	kinds := make(map[string]int)
	for _, f := range report.Findings {
		kinds[f.Kind]++
		fmt.Fprintf(d.options.Out, "    The auditor, about %s: %s\n", f.Member, f.Words)
		if f.Member != culprit {
			r.note = fmt.Sprintf("%s is accused, and %s it was", f.Member, culprit)
		}
	}
	if r.ok = kinds["misuse"] > 0 && kinds["evaluation_without_owner"] > 0 && r.note == ""; !r.ok && r.note == "" {
		r.note = "not everything was found"
	}
	return append(results, r), nil
}

// audit reconciles the ledgers of the exchange, which goes on running.
func (d *Demo) audit(ctx context.Context) (result, error) {
	r := result{name: "reconciliation", asked: "all ledgers"}
	if err := d.exchange.Publish(ctx); err != nil {
		return r, err
	}
	start := time.Now()
	report, err := reconcile(ctx, d.options.Dir, d.exchange.Clock.Now())
	if err != nil {
		return r, err
	}
	r.took = time.Since(start)
	r.outcome = fmt.Sprintf("%d findings", len(report.Findings))
	r.ok = len(report.Findings) == 0 && report.Tickets > 0
	fmt.Fprintf(d.options.Out, "\nTHE AUDITOR\n\n    read %d ledgers: %d entries about %d tickets, each opened and held against the others'. %s\n",
		len(report.Logs), report.Entries, report.Tickets, plural(len(report.Findings)))
	for _, f := range report.Findings {
		r.note += fmt.Sprintf("%s (%s) ", f.Words, f.Member)
	}
	return r, nil
}

func plural(findings int) string {
	if findings == 0 {
		return "Nothing is missing, nothing is there twice."
	}
	return fmt.Sprintf("%d findings.", findings)
}

// reconcile is waypost audit reconcile --dir.
func reconcile(ctx context.Context, dir string, now time.Time) (*audit.Report, error) {
	o, err := audit.FromDir(dir)
	if err != nil {
		return nil, err
	}
	o.Now = now
	return audit.Reconcile(ctx, o)
}
