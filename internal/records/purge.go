package records

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// Retention is for how many years a record stays findable after it got a status;
// zero, or no entry, is for ever.
type Retention map[waypost.Status]int

// DefaultRetention keeps a record of somebody who has died for 3 years, as long as
// a conviction that is reported late may still ask for it, and one whose card has
// run out or was given up for 10: as long as images of what a REAL ID was issued on
// are kept (6 CFR 37.31(b)), and longer than an expired card is renewed without a
// new application. What was suspended, revoked or disqualified stays: that others
// find it is what it is in the index for (49 USC 30304).
func DefaultRetention() Retention {
	return Retention{waypost.Closed: 3, waypost.ExpiredCard: 10, waypost.Surrendered: 10}
}

// Validate refuses a status that there is none, and a negative number of years.
func (r Retention) Validate() error {
	for status, years := range r {
		if !slices.Contains(Statuses, status) || years < 0 {
			return waypost.Errorf(waypost.InvalidArgument, "the retention of records names statuses, like closed or expired, and whole years")
		}
	}
	return nil
}

// PurgeCount is how many records have a status since so many whole years.
type PurgeCount struct {
	Status  waypost.Status
	Years   int
	Records uint64
}

// Purged is what a purge has found.
type Purged struct {
	Counts []PurgeCount // of the records whose time is over, by status and years
	IDs    []string     // the first thousand of them
	// UnknownSince counts records with a status that has a retention, of which it is
	// not known when the status began. They stay.
	UnknownSince uint64
}

const (
	maxPurgedIDs = 1000
	purgePage    = 500
)

// Purge takes the records out of the index whose time is over, or with preview only
// says which they are. The state system keeps them.
func (f *File) Purge(ctx context.Context, operator string, preview bool) (Purged, error) {
	var found Purged
	counts := make(map[PurgeCount]uint64)
	after := ""
	for {
		var ids []string
		err := f.DB.Read(ctx, func(tx *store.Tx) (err error) {
			ids, err = f.Findable(tx, after, purgePage)
			return err
		})
		if err != nil {
			return found, err
		}
		if len(ids) == 0 {
			break
		}
		after = ids[len(ids)-1]
		for _, id := range ids {
			if err := f.purge(ctx, operator, id, preview, &found, counts); err != nil {
				return found, err
			}
		}
	}
	for c, n := range counts {
		c.Records = n
		found.Counts = append(found.Counts, c)
	}
	slices.SortFunc(found.Counts, func(a, b PurgeCount) int {
		return cmp.Or(cmp.Compare(a.Status, b.Status), cmp.Compare(a.Years, b.Years))
	})
	return found, nil
}

// purge looks at one record.
func (f *File) purge(ctx context.Context, operator, id string, preview bool, found *Purged, counts map[PurgeCount]uint64) error {
	r, err := f.Record(ctx, id)
	if waypost.CodeOf(err) == waypost.NotFound {
		return nil // deleted in the state system: for whoever did it to withdraw
	}
	if err != nil {
		return err
	}
	years, over := f.Retention.over(r, f.Now())
	if f.Retention[r.Status] > 0 && r.Since.IsZero() {
		found.UnknownSince++
	}
	if !over {
		return nil
	}
	if !preview {
		if _, err := f.Withdraw(ctx, operator, id); err != nil {
			if waypost.CodeOf(err) == waypost.Unavailable || waypost.CodeOf(err) == waypost.NotFound {
				return nil // somebody is at work on it: next time
			}
			return err
		}
	}
	counts[PurgeCount{Status: r.Status, Years: years}]++
	if len(found.IDs) < maxPurgedIDs {
		found.IDs = append(found.IDs, id)
	}
	return nil
}

// over reports whether a record's time is over, and how many whole years ago its
// status began.
func (r Retention) over(record waypost.Record, now time.Time) (years int, over bool) {
	keep := r[record.Status]
	if keep == 0 || record.Since.IsZero() {
		return 0, false
	}
	for !record.Since.AddDate(years+1, 0, 0).After(now) {
		years++
	}
	return years, years >= keep
}

// Generation is a load that is not visible at once, and how it stands.
type Generation struct {
	Number       uint32
	State        string // dark, active, rolled back
	Live, Wanted uint64
}

// Generations lists them in order.
func (f *File) Generations(ctx context.Context) (all []Generation, err error) {
	names := []string{dark: "dark", active: "active", rolledBack: "rolled back"}
	err = f.DB.Read(ctx, func(tx *store.Tx) error {
		all = nil
		return tx.Query(`SELECT g.number, g.state, coalesce(sum(CASE WHEN p.state IN ($1, $2) THEN 1 ELSE 0 END), 0),
			coalesce(sum(CASE WHEN p.state = $3 THEN 1 ELSE 0 END), 0)
			FROM generation g LEFT JOIN pointer p ON p.generation = g.number GROUP BY g.number, g.state ORDER BY g.number`,
			[]any{int(Live), int(Ending), int(Wanted)}, func(scan func(dest ...any) error) error {
				var g Generation
				var state int
				if err := scan(&g.Number, &state, &g.Live, &g.Wanted); err != nil {
					return err
				}
				if state < 0 || state >= len(names) {
					return errors.New("records: the state of a generation is damaged")
				}
				g.State = names[state]
				all = append(all, g)
				return nil
			})
	})
	return all, err
}
