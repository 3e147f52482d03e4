package duplicate

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// Searcher makes checks that stop after the first legs: no applicant is ever named.
type Searcher interface {
	// TagSearch looks for the person in all other states. What comes back is
	// Found later.
	TagSearch(ctx context.Context, who waypost.Person, s Search) error
	// Found returns what is known of a search now.
	Found(ctx context.Context, search waypost.TicketID) (Found, error)
}

// Search is why a tag search is made.
type Search struct {
	Operator string
	Case     string
	Cites    waypost.TicketID // a search that was cut off, or zero
	// NamesOnly leaves the part with the SSN out. The pointer of a record that has come
	// from another state has that state's tokens in its SSN slots: a hub that watched
	// would see them searched for where there is an SSN, and not where there is none.
	NamesOnly bool
	// Began is called in the transaction that commits the ticket, before it
	// leaves.
	Began func(tx *store.Tx, search waypost.TicketID) error
}

// Found is what a tag search has come to so far.
type Found struct {
	Over     bool                // every candidate's state has answered, or their time is over
	GivenUp  bool                // it was not made, or in part: it is to be made again
	Agreeing []waypost.Candidate // whose states said continue
}

// campaignState says how far the campaign is.
type campaignState int

const (
	running campaignState = iota
	paused
	stopped
	finished
)

var campaignWords = []string{"running", "paused", "stopped", "done"}

// campaign is the row of the one campaign there is.
type campaign struct {
	state                   campaignState
	why, operator, after    string
	over                    bool // every record was taken up
	records, asked          int64
	opened, skipped         int64
	perMinute, perDay       int
	fromHour, toHour        int
	minute, day             int64
	usedMinute, usedDay     int
	notBefore, began, ended int64
}

// item is a record that was taken up.
type item struct {
	record string
	search waypost.TicketID // zero before the first
	tries  int
	at     int64 // of the search
}

const (
	maxWaiting  = 1000             // records whose answers are outstanding
	maxTries    = 5                // searches of one record that were cut off
	maxPerStep  = 20               // searches in one Step
	looksAStep  = 50               // results looked at in one Step
	againAfter  = time.Minute      // after somebody could not be reached
	lookFirst   = 10 * time.Second // after a search
	lookLongest = 30 * time.Minute // between two looks for late answers
)

func (t Throttle) check() error {
	if t.PerMinute < 1 || t.PerMinute > 60*maxPerStep || t.PerDay < 1 || t.FromHour < 0 || t.FromHour > 23 || t.ToHour < 0 || t.ToHour > 23 {
		return waypost.Errorf(waypost.InvalidArgument, "a campaign asks 1 to %d times a minute, at least once a day, and between two hours from 0 to 23", 60*maxPerStep)
	}
	return nil
}

// within reports whether the campaign may work at that time.
func (k campaign) within(now time.Time) bool {
	h := now.UTC().Hour()
	switch {
	case k.fromHour == k.toHour:
		return true
	case k.fromHour < k.toHour:
		return h >= k.fromHour && h < k.toHour
	}
	return h >= k.fromHour || h < k.toHour
}

// left is how many searches are still allowed in this minute and on this day.
func (k campaign) left(now time.Time) int {
	minute, day := k.perMinute, k.perDay
	if k.minute == now.Unix()/60 {
		minute -= k.usedMinute
	}
	if k.day == now.Unix()/86400 {
		day -= k.usedDay
	}
	return min(minute, day)
}

// stepCampaign looks at what has come of earlier searches, and makes as many new
// ones as are allowed now.
func (c *Cases) stepCampaign(ctx context.Context) error {
	if c.Searcher == nil {
		return nil
	}
	k, ok, err := c.campaign(ctx)
	if err != nil || !ok {
		return err
	}
	if err := c.lookAll(ctx); err != nil {
		return err
	}
	// Spread over the minute, as far as steps come once a second.
	for range min(k.perMinute/60+1, maxPerStep) {
		more, err := c.searchNext(ctx)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// campaign returns the campaign, ok if there is or was one.
func (c *Cases) campaign(ctx context.Context) (k campaign, ok bool, err error) {
	err = c.DB.Read(ctx, func(tx *store.Tx) (err error) {
		k, ok, err = campaignIn(tx)
		return err
	})
	return k, ok, err
}

func campaignIn(tx *store.Tx) (k campaign, ok bool, err error) {
	err = tx.Row(`SELECT state, why, operator, after, over, records, asked, opened, skipped, per_minute, per_day, from_hour, to_hour,
		minute, day, used_minute, used_day, not_before, started, ended FROM campaign WHERE id = 1`).
		Scan(&k.state, &k.why, &k.operator, &k.after, &k.over, &k.records, &k.asked, &k.opened, &k.skipped, &k.perMinute, &k.perDay,
			&k.fromHour, &k.toHour, &k.minute, &k.day, &k.usedMinute, &k.usedDay, &k.notBefore, &k.began, &k.ended)
	if errors.Is(err, store.ErrNoRows) {
		return k, false, nil
	}
	return k, err == nil, err
}

func (k campaign) put(tx *store.Tx) error {
	_, err := tx.Exec(`INSERT INTO campaign (id, state, why, operator, after, over, records, asked, opened, skipped, per_minute, per_day, from_hour, to_hour,
			minute, day, used_minute, used_day, not_before, started, ended)
		VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, why = excluded.why, operator = excluded.operator, after = excluded.after,
			over = excluded.over, records = excluded.records, asked = excluded.asked, opened = excluded.opened, skipped = excluded.skipped,
			per_minute = excluded.per_minute, per_day = excluded.per_day, from_hour = excluded.from_hour, to_hour = excluded.to_hour,
			minute = excluded.minute, day = excluded.day, used_minute = excluded.used_minute, used_day = excluded.used_day,
			not_before = excluded.not_before, started = excluded.started, ended = excluded.ended`,
		int(k.state), k.why, k.operator, k.after, k.over, k.records, k.asked, k.opened, k.skipped, k.perMinute, k.perDay, k.fromHour, k.toHour,
		k.minute, k.day, k.usedMinute, k.usedDay, k.notBefore, k.began, k.ended)
	return err
}

// change reads the campaign, changes it and writes it, in one transaction.
func (c *Cases) change(ctx context.Context, how func(tx *store.Tx, k *campaign) error) error {
	return c.DB.Write(ctx, func(tx *store.Tx) error {
		k, ok, err := campaignIn(tx)
		if err != nil || !ok {
			return err
		}
		if err := how(tx, &k); err != nil {
			return err
		}
		return k.put(tx)
	})
}

// searchNext makes one search, if one may be made now.
func (c *Cases) searchNext(ctx context.Context) (more bool, err error) {
	now := c.Now()
	k, ok, err := c.campaign(ctx)
	if err != nil || !ok || k.state != running || now.Unix() < k.notBefore || !k.within(now) || k.left(now) <= 0 {
		return false, err
	}
	i, ok, err := c.takeUp(ctx)
	if err != nil || !ok {
		return false, err
	}
	record, err := c.File.Record(ctx, i.record)
	switch {
	case waypost.CodeOf(err) == waypost.NotFound || err == nil && record.Protected:
		// Gone, or a person about whom no case may be opened by a program.
		return true, c.drop(ctx, i)
	case err != nil:
		return false, err
	}
	var passedIn bool
	if err := c.DB.Read(ctx, func(tx *store.Tx) (err error) {
		passedIn, err = c.File.PassedIn(tx, i.record)
		return err
	}); err != nil {
		return false, err
	}
	err = c.Searcher.TagSearch(ctx, record.Person, Search{
		Operator: k.operator, Case: "duplicate campaign " + i.record, Cites: i.search, NamesOnly: passedIn,
		Began: func(tx *store.Tx, search waypost.TicketID) error { return c.began(tx, i, search) },
	})
	switch waypost.CodeOf(err) {
	case "":
		return true, nil
	case waypost.QuotaExceeded, waypost.Unavailable:
		c.Log.Warn("the duplicate campaign waits", "code", waypost.CodeOf(err), "cause", err)
		until := now.Add(againAfter)
		if at := waypost.RetryAfterOf(err); at.After(until) {
			until = at
		}
		return false, c.change(ctx, func(_ *store.Tx, k *campaign) error {
			k.notBefore, k.why = until.Unix(), "waits until "+until.UTC().Format(time.RFC3339)+": "+cut(clean(err.Error()), 200)
			return nil
		})
	case waypost.InvalidArgument: // a record that cannot be asked about, such as one without a date of birth
		return true, c.drop(ctx, i)
	}
	if ctx.Err() != nil {
		return false, err
	}
	return false, errors.Join(err, c.change(ctx, func(_ *store.Tx, k *campaign) error {
		k.state, k.why = paused, "a search failed: "+string(waypost.CodeOf(err))+"; the log has the cause"
		return nil
	}))
}

// takeUp returns a record whose search was cut off before anybody was asked, or
// the next one after the cursor, which moves on in the same transaction.
func (c *Cases) takeUp(ctx context.Context) (i item, ok bool, err error) {
	err = c.change(ctx, func(tx *store.Tx, k *campaign) error {
		i, ok = item{}, false
		var search []byte
		err := tx.Row(`SELECT record, ticket, tries FROM campaign_record WHERE state = $1 ORDER BY record LIMIT 1`, wanted).Scan(&i.record, &search, &i.tries)
		if err == nil {
			copy(i.search[:], search)
			ok = true
			return nil
		}
		if !errors.Is(err, store.ErrNoRows) || k.over {
			return ignore(err, store.ErrNoRows)
		}
		var waiting int
		if err := tx.Row(`SELECT count(*) FROM campaign_record`).Scan(&waiting); err != nil || waiting >= maxWaiting {
			return err
		}
		next, err := c.File.Findable(tx, k.after, 1)
		if err != nil {
			return err
		}
		if k.over = len(next) == 0; k.over {
			return c.finish(tx, k)
		}
		i.record, k.after, ok = next[0], next[0], true
		_, err = tx.Exec(`INSERT INTO campaign_record (record, state, ticket, tries, at, due) VALUES ($1, $2, $3, 0, 0, 0) ON CONFLICT (record) DO NOTHING`,
			i.record, wanted, []byte{})
		return err
	})
	return i, ok, err
}

func ignore(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}

// Whether a record is to be searched for, or its answers are awaited.
const (
	wanted = iota
	searched
)

// began counts a search, and notes it, in the transaction of its ledger entry:
// what a crash follows is neither forgotten nor made again.
func (c *Cases) began(tx *store.Tx, i item, search waypost.TicketID) error {
	k, ok, err := campaignIn(tx)
	if err != nil || !ok {
		return err
	}
	now := c.Now()
	if minute := now.Unix() / 60; k.minute != minute {
		k.minute, k.usedMinute = minute, 0
	}
	if day := now.Unix() / 86400; k.day != day {
		k.day, k.usedDay = day, 0
	}
	k.usedMinute++
	k.usedDay++
	k.asked++
	k.why = ""
	if err := k.put(tx); err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE campaign_record SET state = $1, ticket = $2, tries = tries + 1, at = $3, due = $4 WHERE record = $5`,
		searched, search[:], now.Unix(), now.Add(lookFirst).Unix(), i.record)
	return err
}

// drop is done with a record that nobody is asked about.
func (c *Cases) drop(ctx context.Context, i item) error {
	return c.change(ctx, func(tx *store.Tx, k *campaign) error {
		k.skipped++
		return c.forget(tx, k, i)
	})
}

func (c *Cases) forget(tx *store.Tx, k *campaign, i item) error {
	if _, err := tx.Exec(`DELETE FROM campaign_record WHERE record = $1`, i.record); err != nil {
		return err
	}
	return c.finish(tx, k)
}

// finish ends the campaign once every record was taken up and is done with.
func (c *Cases) finish(tx *store.Tx, k *campaign) error {
	var waiting int
	if err := tx.Row(`SELECT count(*) FROM campaign_record`).Scan(&waiting); err != nil || waiting > 0 || !k.over || k.state != running {
		return err
	}
	k.state, k.why, k.ended = finished, "", c.Now().Unix()
	return nil
}

// lookAll looks at what has come of the searches that are due.
func (c *Cases) lookAll(ctx context.Context) error {
	var due []item
	err := c.DB.Read(ctx, func(tx *store.Tx) error {
		due = nil
		return tx.Query(`SELECT record, ticket, tries, at FROM campaign_record WHERE state = $1 AND due <= $2 ORDER BY due, record LIMIT $3`,
			[]any{searched, c.Now().Unix(), looksAStep}, func(scan func(dest ...any) error) error {
				var i item
				err := scan(&i.record, &i.search, &i.tries, &i.at)
				due = append(due, i)
				return err
			})
	})
	for _, i := range due {
		err = errors.Join(err, c.look(ctx, i))
	}
	return err
}

// look opens a case with each state that said continue.
func (c *Cases) look(ctx context.Context, i item) error {
	found, err := c.Searcher.Found(ctx, i.search)
	if err != nil {
		return err
	}
	return c.change(ctx, func(tx *store.Tx, k *campaign) error {
		switch {
		case found.GivenUp && i.tries >= maxTries:
			k.skipped++
			return c.forget(tx, k, i)
		case found.GivenUp:
			_, err := tx.Exec(`UPDATE campaign_record SET state = $1 WHERE record = $2`, wanted, i.record)
			return err
		}
		if err := c.openFound(tx, k, i, found); err != nil {
			return err
		}
		if found.Over {
			return c.forget(tx, k, i)
		}
		// The longer it has waited already the longer it may: late answers cost little.
		now := c.Now()
		pause := min(lookLongest, max(lookFirst, now.Sub(time.Unix(i.at, 0))))
		_, err := tx.Exec(`UPDATE campaign_record SET due = $1 WHERE record = $2`, now.Add(pause).Unix(), i.record)
		return err
	})
}

// openFound opens the cases of one record. Candidates of a state of which as many
// records were cleared before are those; where there is one more, it cannot be
// told which, and the other state says which it knows.
func (c *Cases) openFound(tx *store.Tx, k *campaign, i item, found Found) error {
	for _, state := range statesOf(found.Agreeing) {
		of := slices.DeleteFunc(slices.Clone(found.Agreeing), func(f waypost.Candidate) bool { return f.Owner != state })
		for n, candidate := range of {
			asked, err := c.File.Asked(tx, i.search, candidate.Reference)
			if err != nil {
				return err
			}
			who, _ := personOf(asked.Applicant)
			before, err := clearedElsewhere(tx, c.pseudonym(state, who, i.record), state)
			if err != nil {
				return err
			}
			if before > 0 && !found.Over {
				break // until it is known how many there are
			}
			var already int
			if err := tx.Row(`SELECT count(*) FROM duplicate WHERE record = $1 AND other = $2 AND ((state <> $3 AND ticket <> $4) OR (ticket = $4 AND reference = $5))`,
				i.record, state, int(closed), i.search[:], candidate.Reference[:]).Scan(&already); err != nil {
				return err
			}
			if len(of) <= before || already > 0 {
				if n == 0 && len(of) <= before {
					k.skipped++
				}
				continue
			}
			if _, err := c.begin(tx, asked, i.search, candidate.Reference, fromCampaign, i.record, note{operator: k.operator, class: waypost.Unattended}); err != nil {
				return err
			}
			k.opened++
		}
	}
	return nil
}

// statesOf lists the owners, each once, in order.
func statesOf(candidates []waypost.Candidate) (states []waypost.Jurisdiction) {
	for _, f := range candidates {
		states = append(states, f.Owner)
	}
	slices.Sort(states)
	return slices.Compact(states)
}
