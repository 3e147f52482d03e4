package simulate

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"time"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
	"github.com/waypost/waypost/translog"
)

const (
	threshold = 2
	holders   = 3
)

// States take part in every simulation.
var States = []waypost.Jurisdiction{"AZ", "CA", "NV"}

const witnessName = "simulate/witness"

// begin is when every simulation starts.
var begin = time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)

// cast is who takes part, with their secrets: the same in every world, because
// making it costs more than playing in it.
type cast struct {
	databases *Databases // or nil: files
	first     roster.Roster
	signer    note.Signer // of rosters
	identity  map[string]ed25519.PrivateKey
	logKey    map[string]ed25519.PrivateKey
	witness   ed25519.PrivateKey // the one that cosigns all ledgers
	share     map[string]toprf.Share
	secret    map[string][32]byte // of gateways, and the hub's label key
	reader    *age.HybridIdentity // who may open all ledgers
}

// newCast draws the keys and the first roster.
func newCast() (*cast, error) {
	c := &cast{
		identity: make(map[string]ed25519.PrivateKey), logKey: make(map[string]ed25519.PrivateKey),
		share: make(map[string]toprf.Share), secret: make(map[string][32]byte),
	}
	keys, shares, err := toprf.Generate(threshold, holders)
	if err != nil {
		return nil, err
	}
	group := keys.Group()
	members := []roster.Member{c.member("hub", roster.Hub)}
	for i, share := range shares {
		public := share.Public()
		m := c.member(fmt.Sprintf("keyholder-%d", i+1), roster.KeyHolder)
		m.Index, m.PublicShare = i+1, public.Bytes()
		members, c.share[m.Name] = append(members, m), share
	}
	for _, s := range States {
		m := c.member(string(s), roster.Gateway)
		m.Jurisdiction, m.Participation, m.Quota = s, roster.Full, ample
		m.Capabilities = []roster.Capability{roster.Search, roster.Answer, roster.Publish, roster.History, roster.RealID}
		members = append(members, m)
	}
	secret, public, err := note.GenerateKey(rand.Reader, "simulate/governance")
	if err != nil {
		return nil, err
	}
	if c.signer, err = note.NewSigner(secret); err != nil {
		return nil, err
	}
	if c.reader, err = age.GenerateHybridIdentity(); err != nil {
		return nil, err
	}
	var witness ed25519.PublicKey
	if witness, c.witness, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	c.first = roster.Roster{
		Version: 1, Environment: waypost.Test, NotBefore: begin, NotAfter: begin.Add(roster.MaxValidity), Profile: 1, Epoch: 1,
		Threshold: threshold, GroupKey: group.Bytes(), Members: members, Purposes: purposes,
		Governance:    roster.Governance{Threshold: 1, Keys: []string{public}},
		WitnessPolicy: roster.WitnessPolicy{Outside: 1},
		Witnesses:     []roster.Witness{{Key: translog.WitnessKey(witnessName, witness), URL: "https://witness.test/"}},
	}
	return c, nil
}

var purposes = []waypost.Purpose{
	waypost.IssueLicence, waypost.IssuePermit, waypost.IssueID, waypost.IssueRealID, waypost.Renew, waypost.DuplicateResolution,
	waypost.PostConviction, waypost.AcceptAsID, waypost.ChangeSOR, waypost.ResolvePossibleMatch, waypost.DriverHistory, waypost.MaintainPointer,
}

// ample is a quota that nothing here meets by accident.
var ample = roster.Quota{
	TicketsPerDay: 1_000_000, UnattendedPerDay: 1_000_000, TicketsPerOperatorHour: 1_000_000, Operators: 1000,
	PublishElementsPerDay: 100_000_000, PublishElementsForALoad: 100_000_000,
}

// member draws the keys of one. There is no wire, so nobody listens at the
// address and nobody holds the certificate.
func (c *cast) member(name string, role roster.Role) roster.Member {
	m := roster.Member{Name: name, Role: role, Operator: name, Protocol: roster.Protocol{Min: 1, Max: 1}}
	if role != roster.Gateway {
		m.URL = "https://" + name + ".test:443"
	}
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails (Go 1.24), as below
	_, _ = rand.Read(m.CertKey[:])
	c.secret[name] = secret
	m.Identity, c.identity[name], _ = ed25519.GenerateKey(rand.Reader)
	m.LogKey, c.logKey[name], _ = ed25519.GenerateKey(rand.Reader)
	return m
}
