package roster

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/toprf"
)

// MaxValidity is how long one roster may be valid.
const MaxValidity = 7 * 24 * time.Hour

// Roster is one version of the signed membership. Slices are in the order in
// which they were signed. A Roster that came from Parse or a View is shared
// and must not be modified.
type Roster struct {
	Version     uint64              `json:"version"` // from 1, dense
	Environment waypost.Environment `json:"environment"`
	// Previous is the Hash of the version before; zero for version 1.
	Previous  Digest    `json:"previous"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"` // exclusive
	// RevokedBefore ends the grace of earlier versions: whatever names a
	// version below it is refused, stored messages included. It never falls.
	RevokedBefore uint64 `json:"revoked_before"`

	Profile   int    `json:"profile"`             // match-key profile
	Epoch     uint32 `json:"epoch,omitempty"`     // of the OPRF key, from 1
	Threshold int    `json:"threshold,omitempty"` // t: key holders that make a token
	GroupKey  []byte `json:"group_key,omitempty"` // OPRF public key, ristretto255, 32 bytes
	// Ceremony is the hash of the transcript with which the shares were made. It
	// changes with them. A roster without a key, under which the key holders hold
	// their first ceremony, has none of these four.
	Ceremony Digest `json:"ceremony,omitzero"`
	// Beside is a second key that is served: before a rotation's switch the next
	// one, after it the one before.
	Beside   *Key              `json:"beside,omitempty"`
	Purposes []waypost.Purpose `json:"purposes"`
	Members  []Member          `json:"members"`
	// Witnesses are the ledger witnesses outside the key holders.
	Witnesses     []Witness     `json:"witnesses,omitempty"`
	WitnessPolicy WitnessPolicy `json:"witness_policy,omitzero"`
	// Auditors are the age recipients to whom every ledger's entries are opened.
	Auditors []string `json:"auditors,omitempty"`
	// Grants are bursts: more than the quota, for a while.
	Grants []Grant `json:"grants,omitempty"`
	// Announced is what a later version may contain.
	Announced  []Announcement `json:"announced,omitempty"`
	Governance Governance     `json:"governance"`

	// shares, in what InForce returns, are the key holders of the whole
	// roster: the shares of those not in force lie on the polynomial too.
	shares []Member
}

// Witness is a C2SP tlog-witness.
type Witness struct {
	Key string `json:"key"` // verifier key "name+hash+keydata" of type cosignature/v1
	URL string `json:"url"` // submission prefix: add-checkpoint is below it
	// CertKey is the SHA-256 of the SubjectPublicKeyInfo of its TLS certificate;
	// where it is zero the certificate authorities of the system vouch for it.
	CertKey Digest `json:"cert_key,omitzero"`
}

// WitnessPolicy is how many cosignatures a checkpoint needs before anybody
// relies on it.
type WitnessPolicy struct {
	Holders int `json:"holders"` // of key holders
	Outside int `json:"outside"` // of Witnesses, at least one
}

// Governance is who signs rosters: Threshold distinct keys out of Keys, each a
// signed-note verifier key "name+hash+keydata" of type Ed25519.
type Governance struct {
	Threshold int      `json:"threshold"`
	Keys      []string `json:"keys"`
}

// Role is what a member runs.
type Role string

const (
	Gateway   Role = "gateway"
	Hub       Role = "hub"
	KeyHolder Role = "keyholder"
)

// Capability is one thing a jurisdiction does beyond being a member.
type Capability string

const (
	Search  Capability = "search"  // asks about its applicants
	Answer  Capability = "answer"  // answers about its records
	Publish Capability = "publish" // its records are in the index
	History Capability = "history" // exchanges driver history
	RealID  Capability = "real_id" // takes part for REAL ID checks
)

// Participation is how far a jurisdiction's records can be found. The coverage
// line on the clerk's screen is made from it.
type Participation string

const (
	Full        Participation = "full"
	Loading     Participation = "loading"      // its records are being loaded
	InquiryOnly Participation = "inquiry_only" // asks, but its records are not in the index
)

// Member is one party. Its name is for ever: it never passes to another role
// or jurisdiction.
type Member struct {
	// Name is "hub", "keyholder-1", or for a gateway its jurisdiction, "CA".
	Name     string `json:"name"`
	Role     Role   `json:"role"`
	Operator string `json:"operator"` // legal name, for people
	// Jurisdiction is set for gateways only.
	Jurisdiction waypost.Jurisdiction `json:"jurisdiction,omitempty"`
	// URL is "https://host:port" of a hub or key holder. Gateways dial out
	// and have none.
	URL string `json:"url,omitempty"`
	// CertKey is the SHA-256 of the SubjectPublicKeyInfo of its TLS
	// certificate.
	CertKey  Digest            `json:"cert_key"`
	Identity ed25519.PublicKey `json:"identity"` // signs tickets, receipts, messages
	LogKey   ed25519.PublicKey `json:"log_key"`  // signs its ledger's checkpoints
	Protocol Protocol          `json:"protocol"`
	// Public is "https://host:port" of a hub's or key holder's public door: its
	// log, at a hub the logs of the gateways, at a key holder its witness.
	Public string `json:"public,omitempty"`
	// Also are the addresses of further processes of a hub.
	Also []Doors `json:"also,omitempty"`
	// From is when the member joins; until then it is not a member. Zero: it
	// was there in version 1. It stays as it is while the member stays.
	From time.Time `json:"from,omitzero"`
	// Removed is the removal of a hub or key holder whose entry must stay: a
	// roster has one hub, and the key holders' shares lie on one polynomial. It
	// is not a member. Everybody else is removed by leaving out the entry.
	Removed bool `json:"removed,omitempty"`

	// For gateways.
	Participation Participation `json:"participation,omitempty"`
	Capabilities  []Capability  `json:"capabilities,omitempty"`
	Quota         Quota         `json:"quota,omitzero"`
	Rise          Rise          `json:"rise,omitzero"` // to come

	// For key holders that have a share: its index, 1 to n, and the public share,
	// that is the share times the generator, ristretto255, 32 bytes. One that has
	// neither waits for a ceremony, or has dealt its share to others.
	Index       int    `json:"index,omitempty"`
	PublicShare []byte `json:"public_share,omitempty"`
	// WitnessKey is the key with which a key holder cosigns checkpoints.
	WitnessKey ed25519.PublicKey `json:"witness_key,omitempty"`
}

// Protocol is the range of protocol versions that a member speaks, inclusive.
type Protocol struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

// Quota is what one jurisdiction may ask for.
type Quota struct {
	TicketsPerDay           int `json:"tickets_per_day"`             // 1.3 x its mean daily issuances
	UnattendedPerDay        int `json:"unattended_per_day"`          // of those, mail and web renewals
	TicketsPerOperatorHour  int `json:"tickets_per_operator_hour"`   // per operator tag
	Operators               int `json:"operators"`                   // declared staff: distinct operator tags a day
	PublishElementsPerDay   int `json:"publish_elements_per_day"`    // corrections; 10 a record
	PublishElementsForALoad int `json:"publish_elements_for_a_load"` // total granted for onboarding
	// FollowUpsPerDay is what may follow checks: questions to one state, with a
	// ticket each. 0: as many as checks; see [Quota.FollowUps].
	FollowUpsPerDay int `json:"follow_ups_per_day,omitempty"`
	// RepublishRecords is how many records it may publish once more under the
	// newest key: what the hub has counted and some to spare, for batches that are
	// cut off and records that come from other states meanwhile.
	RepublishRecords int `json:"republish_records,omitempty"`
}

// FollowUps is how many questions to one state may follow checks in a day.
func (q Quota) FollowUps() int {
	if q.FollowUpsPerDay == 0 {
		return q.TicketsPerDay
	}
	return q.FollowUpsPerDay
}

// Rise is what a member gets at a later time.
type Rise struct {
	From         time.Time    `json:"from"`
	Quota        Quota        `json:"quota,omitzero"`         // replaces the quota; zero: as it is
	Capabilities []Capability `json:"capabilities,omitempty"` // on top of those it has
}

// GrantClass is what a Grant adds to.
type GrantClass string

const (
	AttendedChecks    GrantClass = "attended"   // tickets, on top of TicketsPerDay
	UnattendedChecks  GrantClass = "unattended" // tickets, on top of UnattendedPerDay and TicketsPerDay
	PublishedElements GrantClass = "publish"    // elements, on top of PublishElementsPerDay
)

// Grant is a burst: Extra tickets or elements in all, not a day, from From
// until before Until, taken when the quota is used up. Two grants to one member
// in one class never overlap.
type Grant struct {
	Member string     `json:"member"` // a gateway
	Class  GrantClass `json:"class"`
	Extra  int        `json:"extra"`
	From   time.Time  `json:"from"`
	Until  time.Time  `json:"until"`
}

// Announcement says what a later version, one that begins at From or after,
// may contain. It changes nothing by itself. It is the way of what all parties
// must agree on within one version; what concerns one member and is looked up
// when it is used takes effect by the clock (Member.From, Rise, Grant).
type Announcement struct {
	From          time.Time         `json:"from"`
	Purposes      []waypost.Purpose `json:"purposes,omitempty"`      // added
	Threshold     int               `json:"threshold,omitempty"`     // lowered to
	GroupKey      []byte            `json:"group_key,omitempty"`     // of the next epoch
	WitnessPolicy WitnessPolicy     `json:"witness_policy,omitzero"` // lowered to
	Witnesses     []Witness         `json:"witnesses,omitempty"`     // added
	Auditors      []string          `json:"auditors,omitempty"`      // added
	Keys          []KeyChange       `json:"keys,omitempty"`          // replaced
}

// KeyChange announces keys of a member; those that stay are left out.
type KeyChange struct {
	Member     string            `json:"member"`
	Identity   ed25519.PublicKey `json:"identity,omitempty"`
	LogKey     ed25519.PublicKey `json:"log_key,omitempty"`
	WitnessKey ed25519.PublicKey `json:"witness_key,omitempty"`
}

// Can reports whether the member has the capability.
func (m Member) Can(c Capability) bool {
	return slices.Contains(m.Capabilities, c)
}

// Member returns the member of that name.
func (r *Roster) Member(name string) (Member, bool) {
	for i := range r.Members {
		if r.Members[i].Name == name {
			return r.Members[i], true
		}
	}
	return Member{}, false
}

// Hub returns the one hub of a valid roster, removed or not: whether it may
// take part is for the View to say.
func (r *Roster) Hub() Member { return r.withRole(Hub)[0] }

// Holders returns the key holders that have a share, by its index. In a roster as
// signed the holder with index i is at position i-1; among those in force there
// may be gaps.
func (r *Roster) Holders() []Member {
	holders := slices.DeleteFunc(r.KeyHolders(), func(m Member) bool { return m.Index == 0 })
	sort.Slice(holders, func(a, b int) bool { return holders[a].Index < holders[b].Index })
	return holders
}

// KeyHolders returns all key holders, those without a share too: each has a ledger
// and cosigns those of others.
func (r *Roster) KeyHolders() []Member { return r.withRole(KeyHolder) }

// Gateways returns the jurisdictions in alphabetical order.
func (r *Roster) Gateways() []Member {
	gateways := r.withRole(Gateway)
	sort.Slice(gateways, func(a, b int) bool { return gateways[a].Name < gateways[b].Name })
	return gateways
}

// Keys returns the OPRF public keys: the group key and the key holders' public
// shares, which must lie on one polynomial with it. They include the shares of
// key holders that are not in force.
func (r *Roster) Keys() (*toprf.PublicKeys, error) { return r.Key().Public() }

// HolderShare is how much of a quota one key holder grants by itself. A
// ticket goes to t of n holders and sometimes to one more, so that each sees
// (t+1)/n of them; a third is added for unevenness. It never exceeds the
// quota.
func (r *Roster) HolderShare(quota int) int {
	n := 0
	for i := range r.Members { // not copied: every evaluation asks
		if r.Members[i].Role == KeyHolder && r.Members[i].Index > 0 {
			n++
		}
	}
	if n == 0 {
		return 0
	}
	share := (4*quota*(r.Quorum()+1) + 3*n - 1) / (3 * n)
	return min(quota, share)
}

// AllowsPurpose reports whether the roster admits the purpose at all.
func (r *Roster) AllowsPurpose(p waypost.Purpose) bool {
	return slices.Contains(r.Purposes, p)
}

func (r *Roster) withRole(role Role) []Member {
	var found []Member
	for _, m := range r.Members {
		if m.Role == role {
			found = append(found, m)
		}
	}
	return found
}

// checkTime says in words whether the roster is valid at the time. Clocks may
// differ by clockSkew at the beginning; the end is the end.
func (r *Roster) checkTime(now time.Time) error {
	switch {
	case now.Before(r.NotBefore.Add(-clockSkew)):
		return waypost.Errorf(waypost.Expired, "roster version %d is valid only from %s", r.Version, words(r.NotBefore))
	case !now.Before(r.NotAfter):
		return waypost.Errorf(waypost.Expired, "roster version %d ran out on %s: install its successor", r.Version, words(r.NotAfter))
	}
	return nil
}

// clockSkew is how far the clocks of two members may lie apart.
const clockSkew = 5 * time.Minute

func words(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func invalid(format string, args ...any) *waypost.Error {
	return waypost.Errorf(waypost.InvalidArgument, "roster: %s", fmt.Sprintf(format, args...))
}
