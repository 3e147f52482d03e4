package follow

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/translog"
)

const (
	// Limit is how old the newest cosignatures of a ledger may be before its
	// owner is no longer used.
	Limit = 10 * time.Minute
	// Interval is how often the ledgers are looked at, unless configured.
	Interval = 15 * time.Second

	lookTime = 10 * time.Second // for one log, or one look at its leaves
	lookers  = 8                // logs looked at together
	nudgeGap = time.Second      // between two rounds that were asked for
	// clockSkew is how far a cosignature may lie ahead of the clock here.
	clockSkew = 5 * time.Minute
	// firstInstance is the process of a member whose log is followed always;
	// others are when a receipt names them.
	firstInstance = "1"
	maxInstances  = 8 // of one member, that are read in one round
)

// Config says who follows.
type Config struct {
	Member   string        // own name in the roster: nobody follows itself
	Origin   string        // own log; the logs of others have the same domain
	Interval time.Duration // between rounds; 0 means Interval
}

// Deps are what a Follower works with. All are needed.
type Deps struct {
	Roster *roster.View
	DB     *store.DB // of the role: it has the schema "follow"
	// Journal has the receipts that the role was given, and takes the entries
	// receipt_missed. It lies in DB.
	Journal *journal.Journal
	// Open opens the published log of a member; see Remote.
	Open func(member, instance string) (translog.Reader, error)
	// Publish puts an object into the own published log, durably and at once or
	// not at all; see Folder.
	Publish func(path string, content []byte) error
	// Governance is whom a verifier trusts from the beginning, and Rosters
	// returns every signed roster since, oldest first. Evidence is made of them.
	Governance roster.Governance
	Rosters    func() ([][]byte, error)
	Now        func() time.Time
	Log        *slog.Logger
}

// Follower follows the ledgers of the hub and of the key holders.
type Follower struct {
	config Config
	Deps
	domain string

	mu    sync.Mutex      // one round at a time
	logs  map[string]*log // by origin
	words sync.Map        // troubles that were logged and last

	leading   atomic.Bool                         // this process follows for all
	standings atomic.Pointer[map[string]standing] // by member
	nudge     chan struct{}
}

// log is one log that is followed. The fields are those of follow_log; the
// rest is of this process.
type log struct {
	origin, member, instance string
	since                    time.Time
	seen                     translog.Checkpoint // Note is nil before the first
	broken                   string
	contradiction            []byte              // the checkpoint that broke it
	shown                    bool                // what evidence there is of that is published
	owing                    time.Time           // earliest deadline of a receipt whose leaf was not seen; or zero
	failed                   error               // of the last look
	sights                   []time.Time         // cosignatures of the newest checkpoints, oldest first
	tried                    translog.Checkpoint // by which what waits was judged last
	unsettled                bool                // receipts were not judged, for a reason that may pass
	closed                   *closure            // it has a successor; or nil
	sought                   time.Time           // when that was last looked for
}

// standing is what Usable needs to know of a member.
type standing struct {
	since, cosigned, owing time.Time
	broken                 string
	failed                 error
}

// New takes up what the database remembers. Run follows.
func New(ctx context.Context, c Config, d Deps) (*Follower, error) {
	domain, _, err := splitOrigin(c.Origin, c.Member)
	if err != nil {
		return nil, err
	}
	if c.Interval <= 0 {
		c.Interval = Interval
	}
	f := &Follower{config: c, Deps: d, domain: domain, nudge: make(chan struct{}, 1)}
	if f.logs, err = f.load(ctx); err != nil {
		return nil, err
	}
	if err := f.enlist(ctx); err != nil {
		return nil, err
	}
	f.publishStandings()
	return f, nil
}

// Run follows until the context ends. Of several processes that share the database
// one follows for all; the others know what it has found some seconds later.
func (f *Follower) Run(ctx context.Context) error {
	var mirroring sync.WaitGroup
	defer mirroring.Wait()
	if f.DB.Shared() {
		mirroring.Go(func() { f.mirror(ctx) })
	}
	f.DB.Lead(ctx, "follow", func(ctx context.Context) {
		f.leading.Store(true)
		defer f.leading.Store(false)
		f.tell("what the process before has seen", f.reload(ctx))
		f.lead(ctx)
	})
	return nil
}

// mirrorEvery is how often a process that does not follow asks what was found.
const mirrorEvery = 2 * time.Second

func (f *Follower) mirror(ctx context.Context) {
	tick := time.NewTicker(mirrorEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !f.leading.Load() {
			f.tell("what another process has seen", f.reload(ctx))
		}
	}
}

// reload takes up what the database knows by now.
func (f *Follower) reload(ctx context.Context) error {
	if !f.DB.Shared() {
		return nil // all of it came from here
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	logs, err := f.load(ctx)
	if err != nil {
		return err
	}
	f.logs = logs
	f.publishStandings()
	return nil
}

// lead looks again and again. Ticks are of the real clock, so that a clock which is
// set ahead does not stop it.
func (f *Follower) lead(ctx context.Context) {
	tick := time.NewTicker(f.config.Interval)
	defer tick.Stop()
	for {
		err := f.Round(ctx)
		if ctx.Err() != nil {
			return
		}
		f.tell("round", err)
		select { // no faster than this, however often somebody asks
		case <-ctx.Done():
			return
		case <-time.After(min(nudgeGap, f.config.Interval)):
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-f.nudge:
		}
	}
}

// Round looks at every log once and then at the receipts that are due. What it
// cannot read it leaves for the next time; the error is about the own database
// and folder.
func (f *Follower) Round(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enlist(ctx); err != nil {
		return err
	}
	err := errors.Join(f.look(ctx), f.seekSuccessors(ctx), f.showBroken(ctx), f.checkDue(ctx))
	f.publishStandings()
	return err
}

// CheckDue deals with the receipts whose deadline is over, against the
// checkpoints of the last round: those whose leaf is there are forgotten, those
// whose leaf cannot come any more become evidence, the others wait. Round
// includes it.
func (f *Follower) CheckDue(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.checkDue(ctx)
	f.publishStandings()
	return err
}

// Usable says in words why the member must not be used now, because of its
// ledger: it contradicted itself, which is never forgiven; it was not cosigned
// as the roster asks within Limit; or it does not show leaves that it owes. It
// returns nil where none of it holds, and for the role itself. It costs a look
// at memory and the clock.
//
// A member whose ledger was never seen can be used for Limit after it was first
// looked for: an exchange that starts has to start somewhere. That time is in
// the database, so that a restart does not begin it again.
func (f *Follower) Usable(member string) error {
	if member == f.config.Member {
		return nil
	}
	s, ok := (*f.standings.Load())[member]
	if !ok {
		if m, ok := f.Roster.Member(member); ok && m.Role != roster.Gateway {
			f.hurry() // new in the roster
			return nil
		}
		return waypost.Errorf(waypost.PermissionDenied, "no ledger of %.80q is followed here", member)
	}
	err := s.judge(member, f.Now())
	if err != nil && s.broken == "" {
		f.hurry()
	}
	return err
}

func (s standing) judge(member string, now time.Time) error {
	switch {
	case s.broken != "":
		return waypost.Errorf(waypost.PermissionDenied, "%s: it is not used any more; governance must decide", s.broken)
	case s.cosigned.IsZero() && now.Sub(s.since) > Limit:
		return waypost.Errorf(waypost.Unavailable, "the ledger of %s has never been seen since %s: it is not asked until it is%s",
			member, moment(s.since, now), s.reason()).WithCause(s.failed)
	case !s.cosigned.IsZero() && now.Sub(s.cosigned) > Limit:
		return waypost.Errorf(waypost.Unavailable, "the ledger of %s has not been cosigned since %s: it is not asked until it is%s",
			member, moment(s.cosigned, now), s.reason()).WithCause(s.failed)
	case !s.owing.IsZero() && now.Sub(s.owing) > Limit:
		return waypost.Errorf(waypost.Unavailable, "the ledger of %s does not show what was due at %s: it is not asked until it does%s",
			member, moment(s.owing, now), s.reason()).WithCause(s.failed)
	}
	return nil
}

// reason adds to the words what the last look found, where that is more than
// silence.
func (s standing) reason() string {
	for _, known := range []error{translog.ErrUnwitnessed, translog.ErrUnsigned} {
		if errors.Is(s.failed, known) {
			return " (" + known.Error() + ")"
		}
	}
	return ""
}

// moment says when something was, and how long ago.
func moment(at, now time.Time) string {
	ago := now.Sub(at)
	format, age := "15:04 UTC", plural(int(ago/time.Minute), "minute")
	switch {
	case ago >= 48*time.Hour:
		format, age = "2006-01-02 15:04 UTC", plural(int(ago/(24*time.Hour)), "day")
	case ago >= 2*time.Hour:
		format, age = "2006-01-02 15:04 UTC", plural(int(ago/time.Hour), "hour")
	}
	return at.UTC().Format(format) + " (" + age + " ago)"
}

// Seen returns the newest checkpoint of the member's log that was verified
// here, as it was read; nil where there is none. It is published as
// "seen/<member>/<instance>", so that auditors can compare what different
// members were shown.
func (f *Follower) Seen(member string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.logs[f.originOf(member, firstInstance)]; l != nil {
		return l.seen.Note
	}
	return nil
}

// first reports whether the log is the one by which its member is known.
func (f *Follower) first(l *log) bool { return l.origin == f.originOf(l.member, firstInstance) }

func (f *Follower) originOf(member, instance string) string {
	return f.domain + "/" + member + "/" + instance
}

// hurry asks for a round soon; it never waits.
func (f *Follower) hurry() {
	select {
	case f.nudge <- struct{}{}:
	default:
	}
}

// publishStandings makes what a round found visible to Usable. A member with several
// logs is judged by the one that was cosigned last: the others are of processes that
// have ended, or must show what receipts promise in them.
func (f *Follower) publishStandings() {
	current := f.Roster.Current()
	standings := make(map[string]standing)
	for _, l := range f.logs {
		m, ok := current.Member(l.member)
		if !ok || m.Role == roster.Gateway {
			continue
		}
		s := standings[l.member]
		if f.first(l) {
			s.since = l.since
		}
		if f.first(l) && s.cosigned.IsZero() || l.seen.Cosigned.After(s.cosigned) {
			s.cosigned, s.failed = l.seen.Cosigned, l.failed
		}
		if l.broken != "" {
			s.broken = l.broken
		}
		if !l.owing.IsZero() && (s.owing.IsZero() || l.owing.Before(s.owing)) {
			s.owing = l.owing
		}
		standings[l.member] = s
	}
	f.standings.Store(&standings)
}

// tell logs a trouble when it begins and when it is over, not each time.
func (f *Follower) tell(what string, err error) {
	switch {
	case err != nil:
		if _, known := f.words.LoadOrStore(what, true); !known {
			f.Log.Warn("ledgers of others: not in order", "what", what, "cause", err)
		}
	default:
		if _, known := f.words.LoadAndDelete(what); known {
			f.Log.Info("ledgers of others: in order again", "what", what)
		}
	}
}
