package roster

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost"
)

const (
	// Grace is how long, counted from a roster's NotBefore, the version
	// before it is still good.
	Grace = 24 * time.Hour
	// keptVersions is how many versions a View remembers, more than a year
	// of weekly ones: far longer than any message stays in a mailbox.
	keptVersions = 64
)

// A View is the authority against which a ticket's chain is verified.
var _ waypost.Authority = (*View)(nil)

// View is what a running role knows about the membership: the current roster
// and those before it. All methods may be called concurrently; an update
// takes effect for the next call.
type View struct {
	now   func() time.Time
	mu    sync.Mutex // serialises Update
	state atomic.Pointer[chain]

	onChange []func()     // under mu
	came     atomic.Int64 // when the newest version came, Unix nanoseconds; 0: it was there from the start
}

// NewView starts from signed rosters in order of version without a gap, as
// kept by the caller: the first must be signed by the trusted governance, each
// further one by the governance of the one before. Only the last must be
// valid at this time. The older ones matter to a role that restarts with
// stored messages which name them.
func NewView(trusted Governance, now func() time.Time, signed ...[]byte) (*View, error) {
	if len(signed) == 0 {
		return nil, invalid("none given")
	}
	first, err := verify(signed[0], trusted)
	if err != nil {
		return nil, err
	}
	head, err := index(first, signed[0])
	if err != nil {
		return nil, err
	}
	c, err := chain{head}.extend(signed[1:])
	if err != nil {
		return nil, err
	}
	if err := c.last().checkTime(now()); err != nil {
		return nil, err
	}
	v := &View{now: now}
	v.state.Store(&c)
	return v, nil
}

// Update installs the successors of the current roster, in order of version
// without a gap; only the last must be valid at this time. Rosters that are
// already known are passed over, so that an update can be repeated. A second
// roster under a known version is AlreadyExists, and evidence of a fork. On
// an error nothing changes.
func (v *View) Update(signed ...[]byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	c, err := v.check(signed...)
	if err != nil || c.last() == v.chain().last() {
		return err
	}
	v.came.Store(v.now().UnixNano())
	v.state.Store(&c)
	for _, told := range v.onChange {
		told()
	}
	return nil
}

// OnChange has f called after each update that brought a new version. It must
// not call Update.
func (v *View) OnChange(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.onChange = append(v.onChange, f)
}

// check is Update without the installing. Nothing new is nothing wrong.
func (v *View) check(signed ...[]byte) (chain, error) {
	c, err := v.chain().extend(signed)
	if err != nil || c.last() == v.chain().last() {
		return c, err
	}
	return c, c.last().checkTime(v.now())
}

// Current returns what the newest roster amounts to at this time: see
// [Roster.InForce]. It may have run out since: Allowed and Accepts say so.
func (v *View) Current() *Roster { return v.inForce().Roster }

// settles is how long after its arrival here a version may still be unknown to
// others, who ask for it every FollowEvery.
const settles = 3 * FollowEvery

// Settled is Current, except that for some seconds after a new version has come it
// is the one before, as long as that is good: what a new ticket names, so that
// nobody who has to judge it does not know it yet.
func (v *View) Settled() *Roster {
	c, now := v.chain(), v.now()
	if came := v.came.Load(); came != 0 && now.Before(time.Unix(0, came).Add(settles)) {
		if previous := c.inGrace(now); previous != nil && previous.Epoch != 0 {
			return previous.inForce(now).Roster
		}
	}
	return c.last().inForce(now).Roster
}

// Latest returns the newest roster as it was signed, to which a successor is
// made.
func (v *View) Latest() *Roster { return v.chain().last().Roster }

// Signed returns the signed note of a version, if it is known here: the newest
// one and those before it, back to a year.
func (v *View) Signed(version uint64) ([]byte, bool) {
	x := v.chain().version(version)
	if x == nil {
		return nil, false
	}
	return bytes.Clone(x.signed), true
}

// Version returns one version as it was signed, nil if it is not known here.
func (v *View) Version(n uint64) *Roster {
	if x := v.chain().version(n); x != nil {
		return x.Roster
	}
	return nil
}

// Member returns the member of that name, if it is one at this time.
func (v *View) Member(name string) (Member, bool) {
	m, ok := v.inForce().byName[name]
	if !ok {
		return Member{}, false
	}
	return *m, true
}

// ByCert returns the current member whose TLS certificate has the key with
// this SHA-256 of its SubjectPublicKeyInfo. During the grace of the previous
// roster the key pinned there is good too, for one who is still a member; in
// the Member returned CertKey is the key that was asked for.
func (v *View) ByCert(spki [32]byte) (Member, bool) {
	c, at := v.chain(), v.now()
	now := c.last().inForce(at)
	if m, ok := now.byCert[spki]; ok {
		return *m, true
	}
	if previous := c.inGrace(at); previous != nil {
		if old, ok := previous.byCert[spki]; ok {
			if m, ok := now.byName[old.Name]; ok {
				renewed := *m
				renewed.CertKey = spki
				return renewed, true
			}
		}
	}
	return Member{}, false
}

// Allowed says in words why the member, as once returned by ByCert or Peer,
// may no longer take part; nil while it may. Connections outlive rosters:
// handlers ask before each request.
func (v *View) Allowed(m Member) error {
	if err := v.chain().last().checkTime(v.now()); err != nil {
		return err
	}
	now, ok := v.ByCert(m.CertKey)
	if !ok || now.Name != m.Name || now.Role != m.Role {
		return waypost.Errorf(waypost.Unauthenticated, "%s is not in roster version %d with this certificate key", m.Name, v.Current().Version)
	}
	return nil
}

// warnBefore is how long before its end an unsigned successor is an alarm.
const warnBefore = 48 * time.Hour

// Status reports how long the newest roster is good for, and whether
// governance must act: less than 48 hours are left, or none.
func (v *View) Status() (report string, urgent bool) {
	current, now := v.Latest(), v.now()
	left := current.NotAfter.Sub(now)
	switch {
	case left <= 0:
		return fmt.Sprintf("roster version %d ran out on %s: nobody is admitted until governance signs its successor", current.Version, words(current.NotAfter)), true
	case left < warnBefore:
		return fmt.Sprintf("roster version %d runs out on %s, in %d hours: governance must sign its successor", current.Version, words(current.NotAfter), int(left.Hours())), true
	}
	return fmt.Sprintf("roster version %d is good until %s", current.Version, words(current.NotAfter)), false
}

// Accepts says in words why something made today may not name this roster
// version; nil for the current version and, within its grace, the one before.
func (v *View) Accepts(version uint64) error {
	c, now := v.chain(), v.now()
	current := c.last()
	if err := current.checkTime(now); err != nil {
		return err
	}
	if version == current.Version {
		return nil
	}
	if previous := c.inGrace(now); previous != nil && version == previous.Version {
		return nil
	}
	if version > current.Version {
		return waypost.Errorf(waypost.Unavailable, "roster version %d is not known here yet; the newest is %d", version, current.Version)
	}
	return waypost.Errorf(waypost.Expired, "roster version %d is over: use version %d", version, current.Version)
}

// SenderKey returns the identity key that the version named gives to the
// member, as long as it is still a member and the version is not revoked. It
// has the shape that seal.Open asks for.
func (v *View) SenderKey(version uint64, name string) (ed25519.PublicKey, error) {
	return v.identity(version, name, "")
}

// StateKey is SenderKey for the gateway of a jurisdiction, which signs
// tickets. Whether a new ticket may name the version is for Accepts to say.
func (v *View) StateKey(version uint64, j waypost.Jurisdiction) (ed25519.PublicKey, error) {
	return v.identity(version, string(j), Gateway)
}

// HolderKey is SenderKey for a key holder, which signs receipts.
//
// One that has no share in that version has nothing to sign.
func (v *View) HolderKey(version uint64, name string) (ed25519.PublicKey, error) {
	key, err := v.identity(version, name, KeyHolder)
	if err == nil && v.Version(version).index(name) == 0 {
		return nil, waypost.Errorf(waypost.PermissionDenied, "%s has no share in roster version %d", name, version)
	}
	return key, err
}

// Environment is the environment of the rosters; it never changes.
func (v *View) Environment() waypost.Environment { return v.Current().Environment }

// Threshold is how many key holders had to evaluate under the version named: its
// quorum.
func (v *View) Threshold(version uint64) (int, error) {
	named, err := v.named(version)
	if err != nil {
		return 0, err
	}
	if named.Epoch == 0 {
		return 0, named.noKey() // and not that nobody is needed
	}
	return named.Quorum(), nil
}

func (v *View) identity(version uint64, name string, role Role) (ed25519.PublicKey, error) {
	named, err := v.named(version)
	if err != nil {
		return nil, err
	}
	then, ok := named.byName[name]
	if !ok || role != "" && then.Role != role {
		return nil, waypost.Errorf(waypost.PermissionDenied, "the sender is not in roster version %d in that role", version)
	}
	now, still := v.Member(name)
	if !still {
		return nil, waypost.Errorf(waypost.PermissionDenied, "%s is not a member now", name)
	}
	// One that left and joined again with another key left because of the old.
	if !now.Identity.Equal(then.Identity) && now.From.After(named.NotBefore) {
		return nil, waypost.Errorf(waypost.PermissionDenied, "the key that roster version %d names for %s is withdrawn", version, name)
	}
	return then.Identity, nil
}

// named returns a version that stored messages and tickets may still name.
func (v *View) named(version uint64) (*indexed, error) {
	c := v.chain()
	if err := c.last().checkTime(v.now()); err != nil {
		return nil, err
	}
	if version < c.last().RevokedBefore {
		return nil, waypost.Errorf(waypost.PermissionDenied, "roster version %d is revoked", version)
	}
	if named := c.version(version); named != nil {
		return named, nil
	}
	return nil, waypost.Errorf(waypost.Unavailable, "roster version %d is not known here", version)
}

func (v *View) chain() chain { return *v.state.Load() }

func (v *View) inForce() lookup { return v.chain().last().inForce(v.now()) }
