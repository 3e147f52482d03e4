// Package rpctest makes the membership of a small exchange for the tests of
// the roles: keys, pinned certificates, shares from a real key generation, a
// signed roster that can be signed again with changes, and calls over real TLS
// on loopback.
package rpctest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/loopback"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/toprf"
)

// Threshold and Holders of the exchange's OPRF key.
const (
	Threshold = 2
	Holders   = 3
)

// Ample is a quota that no test meets by accident.
var Ample = roster.Quota{
	TicketsPerDay: 1_000_000, UnattendedPerDay: 1_000_000, TicketsPerOperatorHour: 1_000_000, Operators: 1000,
	PublishElementsPerDay: 100_000_000, PublishElementsForALoad: 100_000_000,
}

// Party is one member with its secrets.
type Party struct {
	Name     string
	Identity ed25519.PrivateKey
	Cert     tls.Certificate
	Share    toprf.Share  // of a key holder
	Listener net.Listener // of the hub and the key holders: the roster names its address
}

// Exchange is the membership, as every party sees it.
type Exchange struct {
	View   *roster.View
	Keys   *toprf.PublicKeys
	t      testing.TB
	ahead  atomic.Int64
	signer note.Signer
	party  map[string]*Party
}

// New makes a hub, three key holders, any two of which are needed, and
// gateways for the states.
func New(t testing.TB, quota roster.Quota, states ...waypost.Jurisdiction) *Exchange {
	t.Helper()
	x := &Exchange{t: t, party: make(map[string]*Party)}
	keys, shares, err := toprf.Generate(Threshold, Holders)
	if err != nil {
		t.Fatal(err)
	}
	group := keys.Group()
	x.Keys = keys
	members := []roster.Member{x.add(roster.Member{Name: "hub", Role: roster.Hub})}
	for i, share := range shares {
		public := share.Public()
		m := roster.Member{Name: fmt.Sprintf("keyholder-%d", i+1), Role: roster.KeyHolder, Index: i + 1, PublicShare: public.Bytes()}
		members = append(members, x.add(m))
		x.party[m.Name].Share = share
	}
	for _, s := range states {
		members = append(members, x.add(roster.Member{
			Name: string(s), Role: roster.Gateway, Jurisdiction: s, Participation: roster.Full, Quota: quota,
			Capabilities: []roster.Capability{roster.Search, roster.Answer, roster.Publish, roster.History},
		}))
	}
	secret, public, err := note.GenerateKey(rand.Reader, "rpctest/governance")
	x.must(err)
	x.signer, err = note.NewSigner(secret)
	x.must(err)
	now := time.Now().UTC().Truncate(time.Second)
	first := &roster.Roster{
		Version: 1, Environment: waypost.Test, NotBefore: now, NotAfter: now.Add(roster.MaxValidity), Profile: 1, Epoch: 1,
		Threshold: Threshold, GroupKey: group.Bytes(), Members: members,
		Purposes:   []waypost.Purpose{waypost.IssueLicence, waypost.IssueRealID, waypost.MaintainPointer},
		Governance: roster.Governance{Threshold: 1, Keys: []string{public}},
	}
	signed, err := first.Sign(x.signer)
	x.must(err)
	x.View, err = roster.NewView(first.Governance, x.Now, signed)
	x.must(err)
	return x
}

// Now is the clock of the exchange.
func (x *Exchange) Now() time.Time { return time.Now().Add(time.Duration(x.ahead.Load())) }

// Advance sets the clock forward, or back.
func (x *Exchange) Advance(d time.Duration) { x.ahead.Add(int64(d)) }

// Party returns a member, by its name.
func (x *Exchange) Party(name string) *Party { return x.party[name] }

// Update signs and installs the next roster. change works on a copy of the
// members.
func (x *Exchange) Update(change func(*roster.Roster)) {
	x.t.Helper()
	current := x.View.Latest()
	next := *current
	next.Version++
	next.Members = append([]roster.Member(nil), current.Members...)
	next.NotBefore = x.Now().UTC().Truncate(time.Second)
	next.NotAfter = next.NotBefore.Add(roster.MaxValidity)
	var err error
	next.Previous, err = current.Hash()
	x.must(err)
	change(&next)
	signed, err := next.Sign(x.signer)
	x.must(err)
	x.must(x.View.Update(signed))
}

// Remove takes a member out of the next roster, at once.
func (x *Exchange) Remove(name string) {
	x.t.Helper()
	x.Update(func(r *roster.Roster) {
		var kept []roster.Member
		for _, m := range r.Members {
			if m.Name != name {
				kept = append(kept, m)
			}
		}
		r.Members = kept
	})
}

// Serve runs a role until stop, which waits for it, or until the test ends. A
// role may be served several times, one after the other, at the same address.
func (x *Exchange) Serve(name string, run func(ctx context.Context, l net.Listener) error) (stop func()) {
	x.t.Helper()
	p := x.party[name]
	listener := p.Listener
	if listener == nil {
		m, _ := x.View.Member(name)
		var err error
		listener, err = net.Listen("tcp", m.URL[len("https://"):])
		x.must(err)
	}
	p.Listener = nil
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, listener) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			x.t.Errorf("%s: %v", name, err)
		}
	}
	x.t.Cleanup(stop)
	return stop
}

// Dial returns a client of one member, in the name of another.
func (x *Exchange) Dial(from, to string) *connect.Client {
	member, ok := x.View.Member(to)
	if !ok {
		x.t.Fatalf("%s is not a member", to)
	}
	return rpc.Dial(x.party[from].Cert, x.View, member)
}

func (x *Exchange) add(m roster.Member) roster.Member {
	x.t.Helper()
	p := &Party{Name: m.Name}
	var err error
	if m.Role != roster.Gateway {
		p.Listener, err = loopback.Listen()
		x.must(err)
		m.URL = "https://" + p.Listener.Addr().String()
	}
	certPEM, keyPEM, spki, err := roster.NewCertificate(m.Name, []string{"127.0.0.1"}, 100*24*time.Hour)
	x.must(err)
	p.Cert, err = tls.X509KeyPair(certPEM, keyPEM)
	x.must(err)
	m.CertKey = spki
	m.Identity, p.Identity, err = ed25519.GenerateKey(rand.Reader)
	x.must(err)
	m.LogKey, _, err = ed25519.GenerateKey(rand.Reader)
	x.must(err)
	m.Operator, m.Protocol = m.Name, roster.Protocol{Min: 1, Max: 1}
	x.party[m.Name] = p
	return m
}

func (x *Exchange) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}
