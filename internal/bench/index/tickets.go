package index

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
)

// desk stands in for gateways and key holders: it signs with their keys what they
// would sign, so that nothing but the hub is measured.
type desk struct {
	folders map[string]*install.Folder
	hub     map[waypost.Jurisdiction]waypostv1connect.HubClient
}

// promised is by when the entry must be public that a receipt promises. These key holders
// make none: the hub is to look for them after the run.
const promised = 5*time.Minute + 30*time.Second

// forgetPromises spares the hub to look for those of an earlier run in this folder.
func forgetPromises(ctx context.Context, db *store.DB) error {
	return db.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM receipt`)
		_, waiting := tx.Exec(`DELETE FROM follow_receipt`)
		return errors.Join(err, waiting)
	})
}

var quorum = []string{"keyholder-1", "keyholder-2"}

func newDesk(x *cluster.Cluster) *desk {
	d := &desk{folders: make(map[string]*install.Folder), hub: make(map[waypost.Jurisdiction]waypostv1connect.HubClient)}
	for _, name := range append([]string{string(owner), string(asking)}, quorum...) {
		d.folders[name] = x.Role(name).Folder
	}
	for _, state := range []waypost.Jurisdiction{owner, asking} {
		f := d.folders[string(state)]
		d.hub[state] = waypostv1connect.NewHubClient(rpc.Dial(f.Cert, f.Roster, f.Roster.Current().Hub()))
	}
	return d
}

// person is somebody in the index.
type person struct {
	handle []byte
	tokens []waypost.Token
}

func newPerson() person {
	p := person{make([]byte, 16), make([]waypost.Token, waypost.RecordElements)}
	_, _ = rand.Read(p.handle) // never fails (Go 1.24)
	for i := range p.tokens {
		_, _ = rand.Read(p.tokens[i][:])
	}
	return p
}

// permit signs a ticket and the receipts of a quorum.
func (d *desk) permit(soi waypost.Jurisdiction, kind waypost.Kind, elements int) (waypost.SignedTicket, [][]byte, error) {
	current := d.folders[string(soi)].Roster.Current()
	t := waypost.Ticket{
		Kind: kind, RosterVersion: current.Version, Epoch: current.Epoch, Environment: current.Environment, SOI: soi,
		Class: waypost.Attended, Purpose: waypost.IssueRealID, IssuedAt: time.Now(), Elements: elements,
	}
	if kind == waypost.KindPublish {
		t.Class, t.Purpose = waypost.Loader, waypost.MaintainPointer
	}
	for _, b := range [][]byte{t.Nonce[:], t.Tau[:], t.Probes[:], t.Operator[:]} {
		_, _ = rand.Read(b) // never fails (Go 1.24)
	}
	t.Operator = [32]byte{1}
	signed, err := t.Sign(d.folders[string(soi)].Identity)
	if err != nil {
		return signed, nil, err
	}
	var receipts [][]byte
	for _, name := range quorum {
		f := d.folders[name]
		receipt, err := waypost.Receipt{
			Action: waypost.ActionEvaluate, Signer: name, Ticket: signed.ID, Epoch: t.Epoch, Inputs: t.Probes,
			Origin: f.Config.Origin, Deadline: time.Now().Add(promised),
		}.Sign(f.Identity)
		if err != nil {
			return signed, nil, err
		}
		receipts = append(receipts, receipt.Bytes())
	}
	return signed, receipts, nil
}

// publish publishes people of the owner under one ticket.
func (d *desk) publish(ctx context.Context, people []person) error {
	ticket, receipts, err := d.permit(owner, waypost.KindPublish, len(people)*waypost.RecordElements)
	if err != nil {
		return err
	}
	req := &waypostv1.PublishRequest{Ticket: ticket.Bytes(), Receipts: receipts}
	for _, p := range people {
		req.Records = append(req.Records, &waypostv1.PublishedRecord{Handle: p.handle, Tokens: join(p.tokens)})
	}
	_, err = d.hub[owner].Publish(ctx, req)
	return err
}

// publishOn publishes new people at a rate until the context ends, a full ticket at a
// time, and returns how long each took.
func (d *desk) publishOn(ctx context.Context, perSecond float64) (took []time.Duration, err error) {
	tick := time.NewTicker(time.Duration(float64(batch) / perSecond * float64(time.Second)))
	defer tick.Stop()
	for {
		people := make([]person, batch)
		for i := range people {
			people[i] = newPerson()
		}
		begun := time.Now()
		if err := d.publish(context.WithoutCancel(ctx), people); err != nil {
			return took, err
		}
		took = append(took, time.Since(begun))
		select {
		case <-ctx.Done():
			return took, nil
		case <-tick.C:
		}
	}
}

// searchOn searches for people at the rate, each from the moment when it was due,
// and returns how long each took, and how many began late.
func (d *desk) searchOn(ctx context.Context, c Config, people []person) (took []time.Duration, late int, err error) {
	const lateness = 10 * time.Millisecond
	n := max(int(c.Duration.Seconds()*c.Searches), 1)
	took = make([]time.Duration, n)
	errs := make([]error, n)
	var searching sync.WaitGroup
	start := time.Now()
	for i := range n {
		// Signed beforehand: what the state and the key holders do is not the hub's.
		ticket, receipts, err := d.permit(asking, waypost.KindCheck, waypost.CheckElements)
		if err != nil {
			return nil, 0, err
		}
		due := start.Add(time.Duration(float64(i) / c.Searches * float64(time.Second)))
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			searching.Wait()
			return nil, 0, ctx.Err()
		}
		if time.Since(due) > lateness {
			late++
		}
		searching.Go(func() {
			errs[i] = d.search(ctx, ticket, receipts, people[i%len(people)])
			took[i] = time.Since(due)
		})
		if i%100 == 0 {
			c.Progress("searching", i, n)
		}
	}
	searching.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, late, err
		}
	}
	return took, late, nil
}

// search makes part one of a check about somebody, who must be found.
func (d *desk) search(ctx context.Context, t waypost.SignedTicket, receipts [][]byte, who person) error {
	tokens := append([]waypost.Token{}, who.tokens[:6]...)
	for len(tokens) < waypost.NameElements {
		var other waypost.Token
		_, _ = rand.Read(other[:]) // never fails (Go 1.24)
		tokens = append(tokens, other)
	}
	res, err := d.hub[asking].Search(ctx, &waypostv1.SearchRequest{Ticket: t.Bytes(), Receipts: receipts, Part: 1, Tokens: join(tokens)})
	if err != nil {
		return err
	}
	found, err := waypost.ParseCandidates(res.Candidates)
	if err == nil && (len(found.List) != 1 || found.List[0].Owner != owner) {
		err = fmt.Errorf("a search has %d candidates, want 1 of %s", len(found.List), owner)
	}
	return err
}

func join(tokens []waypost.Token) []byte {
	joined := make([]byte, 0, len(tokens)*32)
	for _, t := range tokens {
		joined = append(joined, t[:]...)
	}
	return joined
}
