package clerk

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/audit"
	"github.com/waypost/waypost/internal/store"
)

// owners are the states that have the records on the list.
var owners = []waypost.Jurisdiction{"CA", "NY"}

// noticed is the first time that somebody was told.
type noticed struct {
	looks int // tickets until then
	after time.Duration
}

func (n *noticed) words(who string) string {
	if n == nil {
		return "nobody: " + who + " did not fire"
	}
	return fmt.Sprintf("%s, at ticket %d, after %v", who, n.looks, n.after.Round(time.Second))
}

func (n *noticed) seconds() *float64 {
	if n == nil {
		return nil
	}
	s := n.after.Seconds()
	return &s
}

// watch looks for the hub's next alarm.
type watch struct {
	p      *play
	began  time.Time
	before int
}

func (p *play) watch(ctx context.Context) (*watch, error) {
	n, err := p.entriesAt(ctx, "hub", "alarm")
	return &watch{p: p, began: p.x.Clock.Now(), before: n}, err
}

func (w *watch) alarm(ctx context.Context, looks int) (*noticed, error) {
	n, err := w.p.entriesAt(ctx, "hub", "alarm")
	if err != nil || n == w.before {
		return nil, err
	}
	return &noticed{looks: looks, after: w.p.x.Clock.Now().Sub(w.began)}, nil
}

// entriesAt counts the entries of a kind in the ledger of a role.
func (p *play) entriesAt(ctx context.Context, role, kind string) (n int, err error) {
	err = p.x.Role(role).DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT count(*) FROM journal WHERE kind = $1`, kind).Scan(&n)
	})
	return n, err
}

// entries counts them at each of the owners, and at the hub under its own name.
func (p *play) entries(ctx context.Context, kind string) (map[waypost.Jurisdiction]int, error) {
	all := make(map[waypost.Jurisdiction]int)
	for _, state := range append(slices.Clone(owners), rogueState, clerkState) {
		if p.x.Role(string(state)) == nil {
			continue // stopped
		}
		n, err := p.entriesAt(ctx, string(state), kind)
		if err != nil {
			return nil, err
		}
		all[state] = n
	}
	delivered, err := p.entriesAt(ctx, "hub", "deliver")
	all["hub"] = delivered
	return all, err
}

// toldOf is how many looks stand in the ledgers of the states whose records were found.
type toldOf struct {
	delivered int // as the hub's ledger has it
	by        map[waypost.Jurisdiction]int
}

func (t toldOf) sum() (n int) {
	for _, each := range t.by {
		n += each
	}
	return n
}

// all reports whether every candidate that the hub showed was told to its owner.
func (t toldOf) all() bool { return t.delivered > 0 && t.sum() == t.delivered }

func (t toldOf) String() string {
	var each []string
	for _, state := range slices.Sorted(maps.Keys(t.by)) {
		if t.by[state] > 0 {
			each = append(each, fmt.Sprintf("%s %d", state, t.by[state]))
		}
	}
	return fmt.Sprintf("of %d candidates shown, %d stand in the ledger of their state with who looked, when and for which purpose (%s)", t.delivered, t.sum(), strings.Join(each, ", "))
}

// told waits until the notices have arrived, and returns what came since before.
func (p *play) told(ctx context.Context, before map[waypost.Jurisdiction]int) (toldOf, error) {
	for deadline := time.Now().Add(2 * time.Minute); ; {
		now, err := p.entries(ctx, "notified")
		if err != nil {
			return toldOf{}, err
		}
		t := toldOf{delivered: now["hub"] - before["hub"], by: make(map[waypost.Jurisdiction]int)}
		for state, n := range now {
			// The state that looked was stopped before, and is told of nobody's record but its own.
			if was, running := before[state]; running && state != "hub" {
				t.by[state] = n - was
			}
		}
		if t.sum() >= t.delivered || time.Now().After(deadline) {
			return t, nil
		}
		select {
		case <-ctx.Done():
			return t, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// settle lets three minutes pass as they do: all publish and look at each other's
// ledgers. Evidence of a receipt without its leaf needs a ledger that was witnessed
// for a minute after the receipt's deadline without it.
func (p *play) settle(ctx context.Context) error {
	const step = 30 * time.Second
	for range 6 {
		p.x.Clock.Advance(step)
		if err := p.x.Publish(ctx); err != nil {
			return err
		}
		for _, m := range p.x.Roster().Members {
			if r := p.x.Role(m.Name); r != nil {
				if err := r.Follower.Round(ctx); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// findings has an auditor read what is new in all ledgers, and counts what it finds by
// member and kind.
func (p *play) findings(ctx context.Context) (map[string]map[string]int, error) {
	if err := p.x.Publish(ctx); err != nil {
		return nil, err
	}
	o, err := audit.FromDir(p.x.Dir)
	if err != nil {
		return nil, err
	}
	work, err := p.Dir("auditor")
	if err != nil {
		return nil, err
	}
	o.State, o.WorkDir, o.Now = filepath.Join(work, "state"), work, p.x.Clock.Now()
	report, err := audit.Reconcile(ctx, o)
	if err != nil {
		return nil, err
	}
	found := make(map[string]map[string]int)
	for _, f := range report.Findings {
		if found[f.Member] == nil {
			found[f.Member] = make(map[string]int)
		}
		found[f.Member][f.Kind]++
	}
	return found, nil
}

// sample draws among all tickets of the replaced gateway that honest key holders have
// evaluated, and has the state's own gateway open what was drawn: how many it can show
// an applicant for.
func (p *play) sample(ctx context.Context) (drawn, opened int, err error) {
	o, err := audit.FromDir(p.x.Dir)
	if err != nil {
		return 0, 0, err
	}
	s, err := audit.Draw(ctx, o, "0.5", nil)
	if err != nil {
		return 0, 0, err
	}
	for _, ticket := range s.Drawn[string(rogueState)] {
		id, err := hex.DecodeString(ticket)
		if err != nil {
			return 0, 0, err
		}
		drawn++
		switch _, err := p.x.Gateway(rogueState).Answer(ctx, waypost.TicketID(id)); waypost.CodeOf(err) {
		case waypost.NotFound:
		case "":
			opened++
		default:
			return 0, 0, err
		}
	}
	return drawn, opened, nil
}

// inWords lists findings as "NV: 24 evaluation_without_owner".
func inWords(found map[string]map[string]int) string {
	var words []string
	for _, member := range slices.Sorted(maps.Keys(found)) {
		for _, kind := range slices.Sorted(maps.Keys(found[member])) {
			words = append(words, fmt.Sprintf("%s: %d %s", member, found[member][kind], kind))
		}
	}
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, ", ")
}
