package duplicate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/metrics"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
)

// Item is something that waits for a person.
type Item struct {
	Type  string               // case, clearing, escalated, fraud, merge, frequent, campaign, or another room's word
	ID    string               // for the command that shows it
	Other waypost.Jurisdiction // the other state, if there is one
	Since time.Time
	Late  bool
	Count int    // where one item stands for several
	Next  string // what is to be done, in words
}

// Source is another room's part of the worklist.
type Source interface {
	Items(ctx context.Context) ([]Item, error)
}

// SourceFunc is a function that is a Source.
type SourceFunc func(ctx context.Context) ([]Item, error)

// Items calls the function.
func (f SourceFunc) Items(ctx context.Context) ([]Item, error) { return f(ctx) }

// maxItems of one source on one worklist.
const maxItems = 500

// Worklist is all that waits for a person: what is late first, then what waits
// longest. Cases about protected persons are only on that of the special unit.
func (c *Cases) Worklist(ctx context.Context) ([]Item, error) {
	all, err := c.ownItems(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range c.Sources {
		more, err := s.Items(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	slices.SortStableFunc(all, func(a, b Item) int {
		return cmp.Or(cmp.Compare(btoi(b.Late), btoi(a.Late)), a.Since.Compare(b.Since), cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ownItems are those of cases, of frequent inquiry and of the campaign.
func (c *Cases) ownItems(ctx context.Context) (all []Item, err error) {
	err = c.DB.Read(ctx, func(tx *store.Tx) error {
		all = nil
		pairs, err := selectPairs(tx, `WHERE state <> $1 AND (protected = 0 OR $2 = 1) ORDER BY opened, id LIMIT $3`, int(closed), btoi(rpc.OfUnit(ctx)), maxItems)
		for _, p := range pairs {
			if kind, next := c.next(p); next != "" {
				all = append(all, Item{Type: kind, ID: p.id.String(), Other: p.other, Since: time.Unix(p.opened, 0).UTC(), Late: c.late(p), Next: next})
			}
		}
		if err != nil {
			return err
		}
		var often, since int64
		if err := tx.Row(`SELECT count(*), coalesce(min(since), 0) FROM frequent WHERE open = 1`).Scan(&often, &since); err != nil {
			return err
		}
		if often > 0 {
			all = append(all, Item{Type: "frequent", ID: "frequent", Since: time.Unix(since, 0).UTC(), Count: int(often),
				Next: "look who has asked so often and why: waypost case frequent; call those states if it has no good reason"})
		}
		k, ok, err := campaignIn(tx)
		if ok && k.state == paused {
			all = append(all, Item{Type: "campaign", ID: "campaign", Since: time.Unix(k.began, 0).UTC(), Next: "the campaign is paused (" + k.why + "): resume or stop it"})
		}
		return err
	})
	return all, err
}

// next says what a case waits for here, and as what kind of item; nothing where
// the other state has to act.
func (c *Cases) next(p pair) (kind, next string) {
	switch {
	case p.state == closed:
		return "", ""
	case p.fraud:
		return "fraud", "an investigator looks at it; when that is over: waypost case note --close"
	case p.state == decided:
		return c.nextMerge(p)
	case p.why != "":
		return "escalated", p.why + ": call " + p.otherName() + ", then decide again or leave it to them in writing"
	case p.ours == "" && p.origin == fromCorrection && p.theirs == Different:
		return "clearing", fmt.Sprintf("%s says that the person found is somebody else: look at both, then decide different, or what you find", p.other)
	case p.ours == "" && p.told == waypost.Pending && p.asked:
		return "case", "make a check for this record (purpose duplicate_resolution) to see what agrees, then decide"
	case p.ours == "":
		return "case", "compare the two, with portraits if there are, then decide"
	case p.ours == Undecided || p.theirs == Undecided && p.ours != Left:
		return "case", p.otherName() + " sees it differently: agree with them, or leave it to them in writing"
	}
	return "", "" // the other state's turn
}

func (p pair) otherName() string {
	if p.other == "" {
		return "the other clerk"
	}
	return string(p.other)
}

// due is by when a case should be decided.
func (c *Cases) due(p pair) time.Time { return time.Unix(p.opened, 0).UTC().Add(c.config.Due) }

// late reports whether a case is past the time after which it is escalated.
func (c *Cases) late(p pair) bool {
	return p.state == open && c.Now().Sub(time.Unix(p.opened, 0)) >= c.config.Late
}

// band is the class of age in which a case is counted.
func band(age time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case age < 8*day:
		return "0-7"
	case age < 31*day:
		return "8-30"
	case age < 61*day:
		return "31-60"
	}
	return "over-60"
}

// measure shows in the metrics how many cases are open, by age, and how many
// records were asked about often.
func (c *Cases) measure() {
	c.Metrics.Gauge(metrics.DuplicateCases, func(ctx context.Context) ([]metrics.Value, error) {
		counts := make(map[string]float64)
		err := c.DB.Read(ctx, func(tx *store.Tx) error {
			clear(counts)
			return tx.Query(`SELECT opened FROM duplicate WHERE state <> $1`, []any{int(closed)}, func(scan func(dest ...any) error) error {
				var opened int64
				err := scan(&opened)
				counts[band(c.Now().Sub(time.Unix(opened, 0)))]++
				return err
			})
		})
		var values []metrics.Value
		for _, b := range []string{"0-7", "8-30", "31-60", "over-60"} {
			values = append(values, metrics.Value{Labels: []string{b}, Value: counts[b]})
		}
		return values, err
	})
	c.Metrics.Gauge(metrics.FrequentInquiries, func(ctx context.Context) ([]metrics.Value, error) {
		var n int64
		err := c.DB.Read(ctx, func(tx *store.Tx) error {
			return tx.Row(`SELECT count(*) FROM frequent WHERE open = 1`).Scan(&n)
		})
		return []metrics.Value{{Value: float64(n)}}, err
	})
}
