// Package seized is the drill of a stolen index: somebody has copied the hub's
// database, while it runs, afterwards, or as a backup, and has besides it nothing, too
// few shares of the key, the secret h, or both; and tries whom it is about.
//
//	seized.go      what the attacker has, and the order of the table
//	steal.go       how it is stolen
//	keys.go        what is tried with less than all of it, and with all
//	people.go      the list of everybody, and the two baselines
//	tables.go      a list made of public tables; five digits tried
//	rest.go        what a copy tells without any list
//	server.go      the same of a hub on a PostgreSQL server
//
// The attacker's list is the strongest there is: it names exactly the people in the
// exchange, and as many who are not. Beside it there is the dictionary of somebody who
// has public name tables only.
package seized

import (
	"context"
	"path/filepath"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/attack"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/toprf"
)

// Drill is the seized database.
var Drill = drill.Drill{
	Name:  "seized",
	Title: "A seized database",
	About: "Somebody has a copy of the hub's database and its backups, alone, with t-1 shares of the key, with the secret h, and with more, and a list of everybody.",
	Run:   run,
}

// theft is all that the attacker has, and the truth to judge it by.
type theft struct {
	*drill.Stage
	x *drill.Exchange
	people
	running, after, backup *attack.Index
	files                  map[string]string // folders of the copies, by what they are
	moved                  []waypost.Record  // that AZ has made meanwhile
	h                      [32]byte
	shares                 []toprf.Share // of all key holders
	keys                   *toprf.PublicKeys
	epoch                  uint32
	// secrets are the gateways' own, which the attacker does not have: they say which
	// digits are worth trying where not all are.
	secrets map[waypost.Jurisdiction][32]byte
}

func run(ctx context.Context, s *drill.Stage) (err error) {
	t := &theft{Stage: s, files: make(map[string]string), secrets: make(map[waypost.Jurisdiction][32]byte)}
	t.x, err = s.Open(ctx, "exchange", s.Size.Pick(60, 400, 25_000), cluster.Config{
		Gateways: func(state waypost.Jurisdiction, d *gateway.Deps) { t.secrets[state] = d.Secret }})
	if err != nil {
		return err
	}
	if err := t.steal(ctx); err != nil {
		return err
	}
	if err := t.know(); err != nil {
		return err
	}
	for _, play := range []func(context.Context) error{t.baselines, t.withLess, t.missingShare, t.conceded, t.tables, t.traces, t.pairs, t.shapes, t.server} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := play(ctx); err != nil {
			return err
		}
	}
	return nil
}

// know reads the secrets of the hub and the key holders, of which each attack is given
// some, and the truth.
func (t *theft) know() (err error) {
	if t.h, err = attack.LabelKey(filepath.Join(t.x.Dir, "hub")); err != nil {
		return err
	}
	folder, err := install.OpenFolder(filepath.Join(t.x.Dir, "hub"), time.Now)
	if err != nil {
		return err
	}
	current := folder.Roster.Current()
	t.epoch = current.Epoch
	if t.keys, err = current.Keys(); err != nil {
		return err
	}
	for _, holder := range current.Holders() {
		share, err := attack.ShareOf(filepath.Join(t.x.Dir, holder.Name), time.Now)
		if err != nil {
			return err
		}
		t.shares = append(t.shares, share)
	}
	t.people = newPeople(t.x, t.Seed)
	for _, r := range t.moved {
		t.records[identityOf(r.Person)]["AZ"] = true
	}
	return nil
}
