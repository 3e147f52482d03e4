// Package duplicate keeps cases: two records that may be one person's, looked at
// by the clerks of the two states that have them, or of the one that has both.
//
// A case is the set of notes that both states have written in it, and nothing
// else: how it stands follows from the set ([judge]). So the states need no order
// and no turn. Each note goes to the other state as an errand of kind "case" that
// also says which case it belongs to, whichever comes first opens it there, and
// once all have arrived both states see the same.
//
// What was decided is remembered. A pair that was found to be two people is not
// raised again, by a check or by a campaign, unless the record has changed; a pair
// that is one person has one card ended, after notice to the resident, by the
// rooms that end cards.
//
//	duplicate.go  what the room works with
//	note.go       notes, and what follows from them
//	case.go       cases in the database
//	open.go       how a case begins
//	exchange.go   notes on their way between two states
//	wire.go       their form, decoded strictly
//	cleared.go    pairs that are two people
//	portrait.go   the two portraits of a case, side by side
//	merge.go      the end of the card that is not kept
//	campaign.go   looking for duplicates of all own records, by tags only
//	frequent.go   records that are asked about unusually often
//	worklist.go   what waits for a person
//	door.go       the counter door to it
//	show.go       cases as the door shows them
package duplicate

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"log/slog"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/metrics"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// Config is what a state decides about its cases. A field that is zero has the
// value of [Defaults].
type Config struct {
	Due       time.Duration // by when a case should be decided
	Late      time.Duration // from when on it is escalated
	Keep      time.Duration // how long a closed case is kept
	Portraits int           // of the other state, asked for in one case
	// AcceptClearing has this state agree at once when another state says that
	// what this state called possible is somebody else. A match always waits for a
	// person.
	AcceptClearing bool
	Campaign       Throttle
	Frequent       Frequency
}

// Throttle bounds a campaign.
type Throttle struct {
	PerMinute int
	PerDay    int // well below the roster's quota for unattended checks
	// Hours of the day, UTC, between which it works: from FromHour until before
	// ToHour, over midnight if ToHour is the smaller. Equal: always.
	FromHour, ToHour int
}

// Frequency says what is unusually often for one record: so many checks of
// other states within a time, or checks of so many states.
type Frequency struct {
	Checks       int
	ChecksWithin time.Duration // at most 28 days: no longer is known who asked
	States       int
	StatesWithin time.Duration
}

// Defaults are the values of a Config that says nothing.
func Defaults() Config {
	const day = 24 * time.Hour
	return Config{
		Due: 30 * day, Late: 60 * day, Keep: 365 * day, Portraits: 3,
		Campaign: Throttle{PerMinute: 20, PerDay: 2000},
		Frequent: Frequency{Checks: 3, ChecksWithin: 28 * day, States: 2, StatesWithin: 7 * day},
	}
}

// orDefaults fills in what is zero.
func (c Config) orDefaults() Config {
	d := Defaults()
	or(&c.Due, d.Due)
	or(&c.Late, d.Late)
	or(&c.Keep, d.Keep)
	or(&c.Portraits, d.Portraits)
	or(&c.Campaign.PerMinute, d.Campaign.PerMinute)
	or(&c.Campaign.PerDay, d.Campaign.PerDay)
	or(&c.Frequent.Checks, d.Frequent.Checks)
	or(&c.Frequent.ChecksWithin, d.Frequent.ChecksWithin)
	or(&c.Frequent.States, d.Frequent.States)
	or(&c.Frequent.StatesWithin, d.Frequent.StatesWithin)
	return c
}

func or[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// Errands carries notes: see [errand.Engine].
type Errands interface {
	Handle(kind waypost.Kind, h errand.Handler)
	Begin(tx *store.Tx, e errand.Errand) error
}

// File is what the room asks of the state's own records: see [records.File].
type File interface {
	System() records.System
	Record(ctx context.Context, id string) (waypost.Record, error)
	Asked(tx *store.Tx, check waypost.TicketID, reference waypost.Reference) (records.Asked, error)
	Continued(tx *store.Tx, check waypost.TicketID, reference []byte) (records.Answered, error)
	Inquiries(tx *store.Tx, since time.Time) ([]records.Inquiry, error)
	Findable(tx *store.Tx, after string, n int) ([]string, error)
	CountFindable(tx *store.Tx) (int64, error)
	PassedIn(tx *store.Tx, record string) (bool, error)
}

// Deps is what the room works with.
type Deps struct {
	State      waypost.Jurisdiction
	DB         *store.DB // of the gateway
	File       File
	Errands    Errands
	Portraits  Portraits  // may be nil: then there are none of other states
	Terminator Terminator // may be nil: then a merge is refused
	Searcher   Searcher   // may be nil: then there is no campaign
	// UnattendedPerDay is the roster's quota, of which a campaign takes at most
	// half; zero: not known.
	UnattendedPerDay func() int
	// Moving reports whether a record is on its way to that state, or has gone
	// there: its checks are explained. May be nil.
	Moving  func(tx *store.Tx, record string, to waypost.Jurisdiction) (bool, error)
	Sources []Source // what else waits for a person
	Secret  [32]byte // of the gateway: digests are keyed under it
	Now     func() time.Time
	Log     *slog.Logger
	Metrics *metrics.Set // may be nil
}

// Cases is the room of one state. It is safe for concurrent use.
type Cases struct {
	Deps
	config              Config
	persons, pseudonyms []byte // keys of digests
	nextLook            time.Time
	nextPurge           time.Time
}

// New returns the room, and registers what it does with errands of kind "case".
func New(config Config, deps Deps) (*Cases, error) {
	c := &Cases{Deps: deps, config: config.orDefaults(),
		persons: derive(deps.Secret, "persons"), pseudonyms: derive(deps.Secret, "pseudonyms")}
	if c.config.Frequent.ChecksWithin > 28*24*time.Hour || c.config.Frequent.StatesWithin > 28*24*time.Hour {
		return nil, errors.New("duplicate: who asked is known for 28 days, and frequent inquiry cannot look further back")
	}
	if err := c.config.Campaign.check(); err != nil {
		return nil, err
	}
	deps.Errands.Handle(waypost.KindCase, errand.Handler{Answer: c.answer, Take: c.take, Words: []string{noted, clearedBefore}})
	c.measure()
	return c, nil
}

// derive makes a key for one use of the gateway's secret.
func derive(secret [32]byte, use string) []byte {
	m := hmac.New(sha256.New, secret[:])
	m.Write([]byte("waypost duplicates v1 " + use))
	return m.Sum(nil)
}

// Step does what is due now: one record of a campaign, a look at who was asked
// about often, the deletion of what is too old.
func (c *Cases) Step(ctx context.Context) error {
	return errors.Join(c.stepCampaign(ctx), c.stepFrequent(ctx), c.purge(ctx))
}

const purgeEvery = time.Hour

// purge deletes cases that were closed long ago. What they came to stays
// remembered.
func (c *Cases) purge(ctx context.Context) error {
	now := c.Now()
	if wait := c.nextPurge.Sub(now); wait > 0 && wait <= purgeEvery { // or a clock was ahead
		return nil
	}
	c.nextPurge = now.Add(purgeEvery)
	before := now.Add(-c.config.Keep).Unix()
	return c.DB.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`DELETE FROM duplicate_note WHERE duplicate IN (SELECT id FROM duplicate WHERE state = $1 AND changed < $2)`,
			int(closed), before); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM duplicate WHERE state = $1 AND changed < $2`, int(closed), before)
		return err
	})
}
