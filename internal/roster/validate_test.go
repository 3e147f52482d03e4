package roster

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost"
)

func TestValidate(t *testing.T) {
	if err := sample(t).Validate(); err != nil {
		t.Fatal(err)
	}
	at := func(r *Roster, name string) *Member {
		for i := range r.Members {
			if r.Members[i].Name == name {
				return &r.Members[i]
			}
		}
		panic("no member " + name)
	}
	for _, c := range []struct {
		words  string
		change func(r *Roster)
	}{
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

		{"public share is 32", func(r *Roster) { at(r, "keyholder-3").PublicShare = nil }},
		{"indices are 1 to 3", func(r *Roster) { at(r, "keyholder-3").Index = 2 }},
		{"indices are 1 to 3", func(r *Roster) { at(r, "keyholder-3").Index = 4 }},
		{"key holders", func(r *Roster) {
			r.Members = slices.DeleteFunc(r.Members, func(m Member) bool { return m.Role == KeyHolder })
		}},
		{"threshold is 1 to", func(r *Roster) { r.Threshold = 4 }},
		{"threshold is 1 to", func(r *Roster) { r.Threshold = 0 }},

		{"governance is", func(r *Roster) { r.Governance.Keys = nil }},
		{"governance is", func(r *Roster) { r.Governance.Threshold = 4 }},
		{"governance is", func(r *Roster) { r.Governance.Threshold = 0 }},
		{"governance key is", func(r *Roster) { r.Governance.Keys[0] = "x" }},
		{"share a name or a key", func(r *Roster) { r.Governance.Keys[0] = r.Governance.Keys[1] }},
		{"share a name or a key", func(r *Roster) { r.Governance.Keys[0] = vkey(t, "other", testPublic("gov.example/b")) }},
		{"share a name or a key", func(r *Roster) { r.Governance.Keys[0] = vkey(t, "gov.example/b", testPublic("x")) }},
		{"not sound", func(r *Roster) { r.Governance.Keys[0] = vkey(t, "weak", make([]byte, 32)) }},
	} {
		r := sample(t)
		c.change(r)
		t.Run(c.words, func(t *testing.T) { wantError(t, r.Validate(), waypost.InvalidArgument, c.words) })
	}
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
