package roster

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/translog"
)

// flaw is a change that makes a roster invalid, and words of the refusal.
type flaw struct {
	words  string
	change func(r *Roster)
}

func refuses(t *testing.T, flaws []flaw) {
	t.Helper()
	for _, f := range flaws {
		r := witnessed(t)
		f.change(r)
		t.Run(f.words, func(t *testing.T) { wantError(t, r.Validate(), waypost.InvalidArgument, f.words) })
	}
}

// at is a member of the roster, to be changed in place.
func at(r *Roster, name string) *Member {
	for i := range r.Members {
		if r.Members[i].Name == name {
			return &r.Members[i]
		}
	}
	panic("no member " + name)
}

func TestValidate(t *testing.T) {
	for _, r := range []*Roster{sample(t), witnessed(t), full(t)} {
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, sample(t).NeedsWitnesses(), waypost.InvalidArgument, "names no witnesses")
	if err := witnessed(t).NeedsWitnesses(); err != nil {
		t.Fatal(err)
	}
	refuses(t, []flaw{
		{"count from 1", func(r *Roster) { r.Version = 0 }},
		{"no previous roster", func(r *Roster) { r.Previous = Digest{1} }},
		{"no previous roster", func(r *Roster) { r.Version = 2 }},
		{"revoked_before", func(r *Roster) { r.RevokedBefore = 2 }},
		{"environment", func(r *Roster) { r.Environment = "staging" }},
		{"whole seconds", func(r *Roster) { r.NotAfter = r.NotAfter.Add(-time.Millisecond) }},
		{"whole seconds", func(r *Roster) { r.NotBefore = r.NotBefore.In(time.FixedZone("x", 3600)) }},
		{"seven days", func(r *Roster) { r.NotAfter = r.NotAfter.Add(time.Second) }},
		{"seven days", func(r *Roster) { r.NotAfter = r.NotBefore }},
		{"profile", func(r *Roster) { r.Profile = 0 }},
		{"epochs", func(r *Roster) { r.Epoch = 0 }},
		{"group key is 32", func(r *Roster) { r.GroupKey = r.GroupKey[:31] }},
		{"group key is not", func(r *Roster) { r.GroupKey = make([]byte, 32) }},
		{"group key is not", func(r *Roster) { r.GroupKey = bytes.Repeat([]byte{0xff}, 32) }},
		{"combine", func(r *Roster) { r.GroupKey = r.Holders()[0].PublicShare }},
		{"combine", func(r *Roster) {
			a, b := at(r, "keyholder-1"), at(r, "keyholder-2")
			a.PublicShare, b.PublicShare = b.PublicShare, a.PublicShare
		}},
		{"combine", func(r *Roster) { r.Threshold = 1 }},
		{"purposes", func(r *Roster) { r.Purposes = nil }},
		{"purposes", func(r *Roster) { r.Purposes = append(r.Purposes, r.Purposes[0]) }},
		{"purpose is", func(r *Roster) { r.Purposes = []waypost.Purpose{"Issue ID"} }},
	})
}

func TestValidateMembers(t *testing.T) {
	refuses(t, []flaw{
		{"one hub, not 0", func(r *Roster) { r.Members = r.Members[1:] }},
		{"one hub, not 2", func(r *Roster) {
			m := r.Members[0]
			m.Name, m.URL = "hub-2", "https://hub-2.example:1"
			r.Members = append(r.Members, m)
		}},
		{"more than 128", func(r *Roster) { r.Members = append(r.Members, make([]Member, 128)...) }},
		{"begins with a letter", func(r *Roster) { at(r, "hub").Name = "../hub" }},
		{"begins with a letter", func(r *Roster) { at(r, "hub").Name = "" }},
		{"role is", func(r *Roster) { at(r, "hub").Role = "king" }},
		{"operator", func(r *Roster) { at(r, "hub").Operator = "two\nlines" }},
		{"certificate key is missing", func(r *Roster) { at(r, "CA").CertKey = Digest{} }},
		{"certificate key is used twice", func(r *Roster) { at(r, "CA").CertKey = at(r, "NV").CertKey }},
		{"identity key is not", func(r *Roster) { at(r, "CA").Identity = nil }},
		{"log key is not", func(r *Roster) { at(r, "CA").LogKey = make([]byte, 32) }},
		{"identity key is used twice", func(r *Roster) { at(r, "NV").Identity = at(r, "CA").Identity }},
		{"log key is used twice", func(r *Roster) { at(r, "CA").LogKey = at(r, "CA").Identity }},
		{"name is used twice", func(r *Roster) { at(r, "keyholder-2").Name = "Keyholder-1" }},
		{"URL is used twice", func(r *Roster) { at(r, "hub").URL = at(r, "keyholder-1").URL }},
		{"protocol", func(r *Roster) { at(r, "CA").Protocol = Protocol{2, 1} }},

		{"named after its jurisdiction", func(r *Roster) { at(r, "CA").Jurisdiction = "AZ" }},
		{"named after its jurisdiction", func(r *Roster) { m := at(r, "CA"); m.Name, m.Jurisdiction = "ca", "ca" }},
		{"dials out", func(r *Roster) { at(r, "CA").URL = "https://ca.example:1" }},
		{"only key holders have a share", func(r *Roster) { at(r, "CA").Index = 1 }},
		{"only key holders have a share", func(r *Roster) { at(r, "hub").PublicShare = r.GroupKey }},
		{"participation", func(r *Roster) { at(r, "CA").Participation = "" }},
		{"named twice", func(r *Roster) { at(r, "CA").Capabilities = []Capability{Search, Search} }},
		{"unknown capability", func(r *Roster) { at(r, "CA").Capabilities = []Capability{"fly"} }},
		{"exclude each other", func(r *Roster) { at(r, "CA").Participation = InquiryOnly }},
		{"quota", func(r *Roster) { at(r, "CA").Quota.TicketsPerDay = -1 }},
		{"for gateways", func(r *Roster) { at(r, "hub").Quota.Operators = 1 }},
		{"for gateways", func(r *Roster) { at(r, "hub").Jurisdiction = "CA" }},

		{"https://host:port", func(r *Roster) { at(r, "hub").URL = "" }},
		{"https://host:port", func(r *Roster) { at(r, "hub").URL = "http://hub.example:1" }},
		{"https://host:port", func(r *Roster) { at(r, "hub").URL = "https://hub.example" }},
		{"https://host:port", func(r *Roster) { at(r, "hub").URL = "https://hub.example:1/" }},
		{"https://host:port", func(r *Roster) { at(r, "hub").URL = "https://u:p@hub.example:1" }},
		{"https://host:port", func(r *Roster) { at(r, "hub").URL = "https://hub.example:1?x" }},

		{"a share index and a public share", func(r *Roster) { at(r, "keyholder-3").PublicShare = nil }},
		{"public share is 32", func(r *Roster) { at(r, "keyholder-3").PublicShare = []byte{1} }},
		{"indices are 1 to 3", func(r *Roster) { at(r, "keyholder-3").Index = 2 }},
		{"indices are 1 to 3", func(r *Roster) { at(r, "keyholder-3").Index = 4 }},
		{"key holders", func(r *Roster) {
			r.Members = slices.DeleteFunc(r.Members, func(m Member) bool { return m.Role == KeyHolder })
		}},
		{"threshold is 1 to", func(r *Roster) { r.Threshold = 4 }},
		{"threshold is 1 to", func(r *Roster) { r.Threshold = 0 }},
	})
}

// Governance, witnesses, auditors, and the other keys and addresses of members.
func TestValidateKeys(t *testing.T) {
	refuses(t, []flaw{
		{"governance is", func(r *Roster) { r.Governance.Keys = nil }},
		{"governance is", func(r *Roster) { r.Governance.Threshold = 4 }},
		{"governance is", func(r *Roster) { r.Governance.Threshold = 0 }},
		{"governance key is", func(r *Roster) { r.Governance.Keys[0] = "x" }},
		{"share a name or a key", func(r *Roster) { r.Governance.Keys[0] = r.Governance.Keys[1] }},
		{"share a name or a key", func(r *Roster) { r.Governance.Keys[0] = vkey(t, "other", testPublic("gov.example/b")) }},
		{"share a name or a key", func(r *Roster) { r.Governance.Keys[0] = vkey(t, "gov.example/b", testPublic("x")) }},
		{"not sound", func(r *Roster) { r.Governance.Keys[0] = vkey(t, "weak", make([]byte, 32)) }},

		{"cosignature/v1", func(r *Roster) { r.Witnesses[0].Key = "w.example" }},
		{"cosignature/v1", func(r *Roster) { r.Witnesses[0].Key = vkey(t, "w.example", testPublic("w")) }}, // a plain Ed25519 key
		{"cosignature/v1", func(r *Roster) { r.Witnesses[0].Key = translog.WitnessKey("w.example", make([]byte, 32)) }},
		{"at most 32 witnesses", func(r *Roster) { r.Witnesses = make([]Witness, 33) }},
		{"outside witness is used twice", func(r *Roster) { r.Witnesses[1] = r.Witnesses[0] }},
		{"outside witness is used twice", func(r *Roster) { r.Witnesses[1].Key = translog.WitnessKey("w9.example", testPublic("w1.example")) }},
		{"outside witness is used twice", func(r *Roster) { r.Witnesses[1].Key = translog.WitnessKey("w1.example", testPublic("w9.example")) }},
		{"outside witness is used twice", func(r *Roster) { r.Witnesses[0].Key = translog.WitnessKey("w9.example", at(r, "CA").LogKey) }},
		{"URL of a witness", func(r *Roster) { r.Witnesses[0].URL = "http://w.example/submit" }},
		{"URL of a witness", func(r *Roster) { r.Witnesses[0].URL = "http://127.0.0.1.example/" }},
		{"URL of a witness", func(r *Roster) { r.Witnesses[0].URL = "https://u@w.example/" }},
		{"URL of a witness", func(r *Roster) { r.Witnesses[0].URL = "https://w.example/?x" }},
		{"URL of a witness", func(r *Roster) { r.Witnesses[0].URL = "" }},
		{"1 to 2 outside", func(r *Roster) { r.WitnessPolicy = WitnessPolicy{} }},
		{"1 to 2 outside", func(r *Roster) { r.WitnessPolicy.Outside = 0 }},
		{"1 to 2 outside", func(r *Roster) { r.WitnessPolicy.Outside = 3 }},
		{"1 to 0 outside", func(r *Roster) { r.Witnesses = nil }},
		{"0 to 2 key holders", func(r *Roster) { r.WitnessPolicy.Holders = 3 }},
		{"0 to 2 key holders", func(r *Roster) { r.WitnessPolicy.Holders = -1 }},
		{"0 to 1 key holders", func(r *Roster) { at(r, "keyholder-1").WitnessKey = nil }},
		{"age recipient", func(r *Roster) { r.Auditors = []string{"age1abc"} }},
		{"age recipient", func(r *Roster) { r.Auditors = []string{strings.ToUpper(auditorA)} }},
		{"auditors, each once", func(r *Roster) { r.Auditors = []string{auditorA, auditorA} }},
		{"only key holders have a witness key", func(r *Roster) { at(r, "CA").WitnessKey = testPublic("w") }},
		{"only key holders have a witness key", func(r *Roster) { at(r, "hub").WitnessKey = testPublic("w") }},
		{"witness key is not", func(r *Roster) { at(r, "keyholder-1").WitnessKey = make([]byte, 32) }},
		{"witness key is used twice", func(r *Roster) { m := at(r, "keyholder-1"); m.WitnessKey = m.LogKey }},
		{"governance key is used", func(r *Roster) { at(r, "CA").Identity = testPublic("gov.example/a") }},
		{"no URL", func(r *Roster) { at(r, "CA").Public = "https://ca.example:1" }},
		{"public URL is https", func(r *Roster) { at(r, "hub").Public = "http://hub.example:1" }},
		{"not its other one", func(r *Roster) { m := at(r, "hub"); m.Public = m.URL }},
		{"public URL is used twice", func(r *Roster) { at(r, "keyholder-1").Public = at(r, "hub").URL }},
	})
}

// What changes over time: members, rises, grants, announcements.
func TestValidatePlans(t *testing.T) {
	refuses(t, []flaw{
		{"leaving it out", func(r *Roster) { at(r, "CA").Removed = true }},
		{"no key holder is in force", func(r *Roster) {
			for i := range r.Members {
				r.Members[i].Removed = r.Members[i].Role == KeyHolder
			}
		}},
		{"whole seconds", func(r *Roster) { at(r, "CA").From = start.Add(time.Millisecond) }},
		{"400 days", func(r *Roster) { at(r, "CA").From = start.Add(401 * 24 * time.Hour) }},
		{"more than 64 times", func(r *Roster) {
			for i := range 33 {
				from := start.Add(time.Duration(2*i) * time.Hour)
				r.Grants = append(r.Grants, Grant{"CA", AttendedChecks, 1, from, from.Add(time.Hour)})
			}
		}},
		{"rise has a time", func(r *Roster) { at(r, "CA").Rise.Quota.Operators = 100 }},
		{"rise lowers", func(r *Roster) { at(r, "CA").Rise = Rise{From: start, Quota: Quota{TicketsPerDay: 2000}} }},
		{"raises nothing", func(r *Roster) { m := at(r, "CA"); m.Rise = Rise{From: start, Quota: m.Quota} }},
		{"named twice", func(r *Roster) { at(r, "CA").Rise = Rise{From: start, Capabilities: []Capability{Search}} }},
		{"exclude each other", func(r *Roster) {
			m := at(r, "CA")
			m.Participation, m.Capabilities = InquiryOnly, []Capability{Search}
			m.Rise = Rise{From: start, Capabilities: []Capability{Publish}}
		}},
		{"rise are for gateways", func(r *Roster) { at(r, "hub").Rise.From = start }},
		{"for a gateway", func(r *Roster) { r.Grants = []Grant{{"hub", AttendedChecks, 1, start, start.Add(time.Hour)}} }},
		{"for a gateway", func(r *Roster) { r.Grants = []Grant{{"OR", AttendedChecks, 1, start, start.Add(time.Hour)}} }},
		{"class is", func(r *Roster) { r.Grants = []Grant{{"CA", "loader", 1, start, start.Add(time.Hour)}} }},
		{"gives nothing", func(r *Roster) { r.Grants = []Grant{{"CA", AttendedChecks, 0, start, start.Add(time.Hour)}} }},
		{"until a later one", func(r *Roster) { r.Grants = []Grant{{"CA", AttendedChecks, 1, start, start}} }},
		{"at most 92 days", func(r *Roster) { r.Grants = []Grant{{"CA", AttendedChecks, 1, start, start.Add(93 * 24 * time.Hour)}} }},
		{"overlap", func(r *Roster) {
			r.Grants = []Grant{{"CA", AttendedChecks, 1, start, start.Add(2 * time.Hour)}, {"CA", AttendedChecks, 1, start.Add(time.Hour), start.Add(3 * time.Hour)}}
		}},
		{"announcement has a time", func(r *Roster) { r.Announced = []Announcement{{Threshold: 1}} }},
		{"announced group key", func(r *Roster) { r.Announced = []Announcement{{From: start, GroupKey: []byte{1}}} }},
		{"announced threshold", func(r *Roster) { r.Announced = []Announcement{{From: start, Threshold: -1}} }},
		{"announced witness policy", func(r *Roster) { r.Announced = []Announcement{{From: start, WitnessPolicy: WitnessPolicy{Holders: 2}}} }},
		{"purpose is", func(r *Roster) { r.Announced = []Announcement{{From: start, Purposes: []waypost.Purpose{"X"}}} }},
		{"for a member", func(r *Roster) { r.Announced = []Announcement{{From: start, Keys: []KeyChange{{Member: "Oregon!"}}}} }},
		{"announced for CA is not", func(r *Roster) {
			r.Announced = []Announcement{{From: start, Keys: []KeyChange{{Member: "CA", Identity: make([]byte, 32)}}}}
		}},
		{"more than 16 announcements", func(r *Roster) { r.Announced = make([]Announcement, 17) }},
	})
}

// Every listed encoding is a key under which one made-up signature (R the
// identity or of small order, S = 0) fits some messages, and an honest key is
// not.
func TestSmallOrder(t *testing.T) {
	forgeable := func(key ed25519.PublicKey) bool {
		signature := make([]byte, ed25519.SignatureSize)
		signature[0] = 1 // R = identity, S = 0: verifies where [h]A is the identity
		for i := range uint32(400) {
			if ed25519.Verify(key, binary.BigEndian.AppendUint32(nil, i), signature) {
				return true
			}
		}
		return false
	}
	for _, y := range smallOrder {
		if !forgeable(y) {
			t.Errorf("%x is not of small order", y)
		}
		for _, sign := range []byte{0, 0x80} {
			key := slices.Clone(y)
			key[31] |= sign
			if soundKey(key) {
				t.Errorf("%x passes", key)
			}
		}
	}
	if honest := testPublic("honest"); forgeable(honest) || !soundKey(honest) {
		t.Error("an honest key is refused")
	}
}
