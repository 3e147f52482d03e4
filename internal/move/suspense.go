package move

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/metrics"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// Suspended is something that is unfinished.
type Suspended struct {
	ID        [16]byte
	What      string // move, release, termination, ending, publish, or the kind of an errand
	Other     waypost.Jurisdiction
	Record    string
	WaitsFor  string // in words
	Since     time.Time
	Alarm     bool
	CanCancel bool
}

// most is how many of each sort are looked at. This is asked for with every look
// at the metrics: it reads what is unfinished, by indexes that have nothing else,
// and not all that ever was.
const most = 1000

// Suspense returns everything that was begun longer ago than that and is
// unfinished, on either side of whatever is between two states, oldest first.
func (m *Moves) Suspense(ctx context.Context, older time.Duration) ([]Suspended, error) {
	now := m.Now()
	before := now.Add(-older)
	var all []Suspended
	err := m.DB.Read(ctx, func(tx *store.Tx) error {
		all = nil
		for _, of := range []func(*store.Tx, int64) ([]Suspended, error){arriving, onTheWay, requestedEnds, endsHere, owed} {
			some, err := of(tx, before.Unix())
			if err != nil {
				return err
			}
			all = append(all, some...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	errands, err := m.Errands.Suspended(ctx, older)
	if err != nil {
		return nil, err
	}
	for _, p := range errands {
		if p.Kind != waypost.KindChangeSOR && p.Kind != waypost.KindTerminate { // they are above
			all = append(all, Suspended{ID: p.ID, What: string(p.Kind), Other: p.To, WaitsFor: waiting(p), Since: p.Begun})
		}
	}
	for i := range all {
		all[i].Alarm = now.Sub(all[i].Since) >= m.alarm
	}
	slices.SortStableFunc(all, func(a, b Suspended) int { return a.Since.Compare(b.Since) })
	return all, nil
}

func arriving(tx *store.Tx, before int64) (all []Suspended, err error) {
	rows, err := arrivals(tx, `WHERE due IS NOT NULL AND begun <= $1 ORDER BY begun, id LIMIT $2`, before, most)
	for _, a := range rows {
		all = append(all, Suspended{ID: a.id, What: "move", Other: a.owner, Record: a.record, WaitsFor: a.sentence(),
			Since: time.Unix(a.begun, 0), CanCancel: a.state < passing})
	}
	return all, err
}

// sentence says how a move stands.
func (a arrival) sentence() string {
	why := ""
	if a.words != "" {
		why = ": " + a.words
	}
	switch a.state {
	case asked:
		return string(a.owner) + " has not answered"
	case arrived:
		return "the record is being prepared" + why
	case stored:
		return "a ticket for the hub is wanted" + why
	case passing:
		return "the hub's word is missing" + why
	case passed:
		return "the pointers are here; this state's own system is to be told" + why
	case done:
		return "this state is the state of record"
	case cancelled:
		return "cancelled"
	}
	return a.words
}

func onTheWay(tx *store.Tx, before int64) (all []Suspended, err error) {
	rows, err := leavings(tx, `WHERE due IS NOT NULL AND begun <= $1 ORDER BY begun, change_id LIMIT $2`, before, most)
	for _, l := range rows {
		words := string(l.receiver) + " has not taken the record over; the card is good until it does, or the release runs out on " +
			time.Unix(l.expires, 0).UTC().Format(time.DateOnly)
		if l.state == gone {
			words = "the record has gone to " + string(l.receiver) + "; this state's own system is to be told"
		}
		all = append(all, Suspended{ID: l.change, What: "release", Other: l.receiver, Record: l.record, WaitsFor: words, Since: time.Unix(l.begun, 0)})
	}
	return all, err
}

func requestedEnds(tx *store.Tx, before int64) (all []Suspended, err error) {
	rows, err := terminations(tx, `WHERE due IS NOT NULL AND begun <= $1 ORDER BY begun, id LIMIT $2`, before, most)
	for _, t := range rows {
		all = append(all, Suspended{ID: t.id, What: "termination", Other: t.owner, Record: t.record, WaitsFor: t.sentence(),
			Since: time.Unix(t.begun, 0), CanCancel: t.state == requested})
	}
	return all, err
}

func endsHere(tx *store.Tx, before int64) (all []Suspended, err error) {
	rows, err := endings(tx, `WHERE state < 3 AND begun <= $1 ORDER BY begun, id LIMIT $2`, before, most)
	for _, e := range rows {
		all = append(all, Suspended{ID: e.id, What: "ending", Other: e.asking, Record: e.record, WaitsFor: e.sentence(), Since: time.Unix(e.begun, 0)})
	}
	return all, err
}

// owed are pointers that are still to be published.
func owed(tx *store.Tx, before int64) (all []Suspended, err error) {
	err = tx.Query(`SELECT handle, record, changed FROM pointer WHERE state = $1 AND due IS NOT NULL AND changed <= $2 ORDER BY changed, handle LIMIT $3`,
		[]any{int(records.Wanted), before, most}, func(scan func(dest ...any) error) error {
			s := Suspended{What: "publish", WaitsFor: "the pointer of the record is still to be published"}
			var changed int64
			err := scan(&s.ID, &s.Record, &changed)
			s.Since = time.Unix(changed, 0)
			all = append(all, s)
			return err
		})
	return all, err
}

// waiting says what an errand waits for.
func waiting(p errand.Progress) string {
	switch {
	case p.State != errand.Wanted:
		return string(p.To) + " has not answered"
	case p.Tries == 0:
		return "too few key holders, or not the encryption key of " + string(p.To) + ", can be reached"
	}
	return string(p.To) + " has not answered; it is to be asked again"
}

// Resume has something that waits tried again at once. What waits for somebody
// else goes on waiting. NotFound where there is nothing of this id.
func (m *Moves) Resume(ctx context.Context, id [16]byte) error {
	return m.DB.Write(ctx, func(tx *store.Tx) error {
		var found int64
		for _, statement := range []string{
			`UPDATE move SET due = $1 WHERE id = $2 AND due IS NOT NULL`,
			`UPDATE moving SET due = $1 WHERE change_id = $2 AND due IS NOT NULL AND state = 1`,
			`UPDATE termination SET due = $1 WHERE id = $2 AND due IS NOT NULL`,
			`UPDATE ending SET due = $1 WHERE id = $2 AND due IS NOT NULL AND state = 2`,
		} {
			n, err := tx.Exec(statement, m.Now().Unix(), id[:])
			if err != nil {
				return err
			}
			found += n
		}
		if found == 0 {
			return waypost.Errorf(waypost.NotFound, "nothing of this id waits for this gateway; what waits for another state, or for a person, does not go faster")
		}
		return nil
	})
}

// raiseEvery is how often it is looked for what is too old.
const raiseEvery = time.Hour

// raise says aloud, once for each, what has been unfinished for too long.
func (m *Moves) raise(ctx context.Context) error {
	now := m.Now().Unix()
	if last := m.raised.Load(); last != 0 && now-last < int64(raiseEvery/time.Second) && now >= last {
		return nil
	}
	old, err := m.Suspense(ctx, m.alarm)
	if err != nil {
		return err
	}
	for _, s := range old {
		var n int64
		err = errors.Join(err, m.DB.Write(ctx, func(tx *store.Tx) (err error) {
			n, err = tx.Exec(`INSERT INTO alarm (id, at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, s.ID[:], now)
			return err
		}))
		if n > 0 {
			m.Log.Warn("unfinished for too long: waypost suspense shows it", "what", s.What, "id", hex.EncodeToString(s.ID[:]), "state", s.Other)
		}
	}
	if err == nil {
		m.raised.Store(now)
	}
	return err
}

// measure shows in the metrics how much is in suspense.
func (m *Moves) measure() {
	m.Metrics.Gauge(metrics.Suspense, func(ctx context.Context) ([]metrics.Value, error) {
		all, err := m.Suspense(ctx, m.suspend)
		alarms := 0
		for _, s := range all {
			if s.Alarm {
				alarms++
			}
		}
		return []metrics.Value{{Labels: []string{"suspense"}, Value: float64(len(all) - alarms)}, {Labels: []string{"alarm"}, Value: float64(alarms)}}, err
	})
}
