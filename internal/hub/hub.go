// Package hub is the central site: an index of labels that nobody can read,
// list or search without a ticket, the mailboxes through which members write
// to each other, and the directory of their encryption keys.
//
//	search.go     one part of a check: tokens in, per-ticket references out
//	lookup.go     what a search sees
//	reach.go      what it sees while a server of labels does not answer
//	index.go      labels and pointers
//	walk.go       from tokens to pointers
//	publish.go    new pointers, also in the place of others: whether they may be
//	writing.go    and how: pending, labelled, then live
//	republish.go  the same pointers under the next key; what is left of the one before
//	retire.go     whether labels of a key that is gone may go
//	maintain.go   upkeep: one request of an owner, done once
//	withdraw.go   upkeep: pointers end
//	generation.go upkeep: a load becomes visible, or is rolled back
//	compare.go    upkeep: what owner and hub do not have alike
//	leave.go      upkeep: all of an owner's pointers end
//	passing.go    upkeep: pointers become another state's
//	notice.go     telling the owners what was found, and what moved
//	mailbox.go    send and receive
//	directory.go  encryption keys
//	ledger.go     entries, receipts, quota, misuse
package hub

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/metrics"
	"github.com/waypost/waypost/internal/publisher"
	"github.com/waypost/waypost/internal/quota"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/shards"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/translog"
)

// Ledger is where every act is written down, in the transaction of the act
// itself. The number that Append returns, and with it the receipt, holds once
// the transaction has committed.
type Ledger interface {
	Append(tx *store.Tx, e journal.Entry) (seq uint64, err error)
	// KeepReceipts keeps what others have signed under the ticket until their
	// leaves are seen in their logs.
	KeepReceipts(tx *store.Tx, ticket waypost.SignedTicket, receipts [][]byte) error
	// Place names an entry among those of all processes of the hub, and Leaf says
	// which one that is.
	Place(seq uint64) uint64
	Leaf(place uint64) (origin string, seq uint64)
	Deadline(now time.Time) time.Time
}

// Logs keeps the published logs of members that open no port.
type Logs interface {
	Put(ctx context.Context, member string, policy translog.Policy, objects []publisher.Object, checkpoint []byte) error
}

// Config names this hub.
type Config struct {
	Name string // its name in the roster, "hub"
}

// Deps is what a hub works with.
type Deps struct {
	Roster *roster.View
	// Authority is what chains of authorisation are verified against; Roster
	// where nil.
	Authority waypost.Authority
	Logs      Logs
	DB        *store.DB
	Journal   Ledger
	LabelKey  [32]byte // h: kept outside the database and its backups
	Identity  ed25519.PrivateKey
	Cert      tls.Certificate
	Now       func() time.Time
	Log       *slog.Logger
	Metrics   *metrics.Set // may be nil
	// Fence is the time up to which tickets may have been used of which this database, which
	// came back from a backup, knows nothing; zero where it never did.
	Fence time.Time
	// Owned says to which servers of labels nothing may be written yet; nil where the
	// database is all there is.
	Owned *shards.Owned
	// Around, if set, is what members reach instead: so drills make a hub that looks
	// at its calls, or answers others.
	Around func(waypostv1connect.HubHandler) waypostv1connect.HubHandler
}

// Server is the hub.
type Server struct {
	config Config
	Deps
	keys     *directory
	boxes    *boxes
	boxLimit int64 // bytes that one mailbox holds
	reach    reach
	retiring retiring // of the housekeeping
}

// New checks that name and roster agree.
func New(config Config, deps Deps) (*Server, error) {
	me, ok := deps.Roster.Member(config.Name)
	if !ok || me.Role != roster.Hub {
		return nil, waypost.Errorf(waypost.InvalidArgument, "%s is not the hub of the roster", config.Name)
	}
	if deps.LabelKey == [32]byte{} {
		return nil, waypost.Errorf(waypost.InvalidArgument, "the hub has no label key")
	}
	if deps.Authority == nil {
		deps.Authority = deps.Roster
	}
	s := &Server{config: config, Deps: deps, keys: newDirectory(), boxes: newBoxes(), boxLimit: boxLimit, reach: &shards.Reach{DB: deps.DB, Log: deps.Log, Owned: deps.Owned}}
	s.measure()
	return s, nil
}

// Handler serves the Hub calls to member states.
func (s *Server) Handler() http.Handler {
	server := rpc.NewServer(s.Roster, s.Log, s.Metrics.Call)
	var calls waypostv1connect.HubHandler = s
	if s.Around != nil {
		calls = s.Around(calls)
	}
	waypostv1connect.RegisterHubHandler(server, calls)
	return rpc.Mount(server)
}

// Run serves on the listener and keeps house until the context ends.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	var housekeeping sync.WaitGroup
	defer housekeeping.Wait()
	defer stop()
	// What the process before left undone comes before any new question.
	if err := s.settleAll(ctx); err != nil && ctx.Err() == nil {
		return errors.Join(err, listener.Close())
	}
	housekeeping.Go(func() { s.DB.Lead(ctx, "house", s.keepHouse) })
	housekeeping.Go(func() { s.watchBoxes(ctx) })
	housekeeping.Go(func() { s.reach.Watch(ctx) })
	defer func() {
		for _, member := range s.boxes.members() {
			s.deleteRead(member, 1) // with the last transaction
		}
	}()
	return rpc.Serve(ctx, rpc.NewHTTPServer(s.Handler(), roster.ServerTLS(s.Cert, s.Roster, roster.Gateway), s.Log), listener)
}

// signed verifies the ticket alone.
func (s *Server) signed(t waypost.SignedTicket) error {
	key, err := s.Roster.StateKey(t.RosterVersion, t.SOI)
	if err != nil {
		return err
	}
	return t.Verify(key)
}

// peerMay checks that the peer is the state that the ticket names, and may do what
// its kind says. It verifies no signature: VerifyChain does, or signed where the
// chain was verified before.
func (s *Server) peerMay(ctx context.Context, t waypost.SignedTicket, kind waypost.Kind, need roster.Capability) error {
	peer := rpc.Peer(ctx)
	switch {
	case peer.Role != roster.Gateway || peer.Jurisdiction != t.SOI:
		return waypost.Errorf(waypost.PermissionDenied, "%s brought a ticket of %s", peer.Name, t.SOI)
	case t.Kind != kind:
		return waypost.Errorf(waypost.PermissionDenied, "a %s ticket does not allow a %s", t.Kind, kind)
	case !peer.Can(need):
		return waypost.Errorf(waypost.PermissionDenied, "%s does not take part in %s", peer.Name, need)
	}
	return nil
}

// window is how long after issue the hub acts on a ticket: long enough for the
// evaluation and both parts of a search, with retries. Whether a ticket was
// fresh is for the key holders to judge.
const window = 10 * time.Minute

func (s *Server) inWindow(t waypost.Ticket, window time.Duration) error {
	switch age := s.Now().Sub(t.IssuedAt); {
	case age > window:
		return waypost.Errorf(waypost.Expired, "the ticket is older than %v: ask again with a new one", window)
	case !t.IssuedAt.After(s.Fence):
		return waypost.Errorf(waypost.Expired, "the hub was restored from a backup, and may have served this ticket already: ask again with a new one")
	case age < -waypost.ClockSkew:
		return waypost.Errorf(waypost.Expired, "the ticket was issued in the future: compare the clocks of both machines")
	}
	return nil
}

// forgetAfter is when, in Unix seconds, what was answered to a ticket may be
// forgotten: its window later the ticket is refused, and some minutes more see to
// it that it acts once even if the clock is set back a little.
func forgetAfter(t waypost.Ticket, usable time.Duration) int64 {
	return t.IssuedAt.Add(usable + window).Unix()
}

// cleanEvery is a minute but in tests, which look at single commits and clean by themselves.
var cleanEvery = time.Minute

// keepHouse deletes answers whose window is over, expired mail and old quota
// windows.
func (s *Server) keepHouse(ctx context.Context) {
	tick := time.NewTicker(cleanEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.Clean(ctx); err != nil && ctx.Err() == nil {
			s.Log.Error("housekeeping failed", "cause", err)
		}
	}
}

// cleanAtOnce bounds what one transaction deletes: who searches waits for one such
// transaction, and it for one part of each load that is under way.
const cleanAtOnce = 128

// Clean deletes what is over and delivers what is owed. Run calls it every minute.
func (s *Server) Clean(ctx context.Context) error {
	now := s.Now().Unix()
	for _, statement := range []string{
		// Owners have their references in the notice.
		`DELETE FROM reference WHERE (expires, ticket, pointer, owner) IN (SELECT expires, ticket, pointer, owner FROM reference WHERE expires < $1 LIMIT $2)`,
		`DELETE FROM search WHERE (expires, ticket, part) IN (SELECT expires, ticket, part FROM search WHERE expires < $1 LIMIT $2)`,
		`DELETE FROM misuse WHERE ticket IN (SELECT ticket FROM misuse WHERE expires < $1 LIMIT $2)`,
		`DELETE FROM owed WHERE (owner, number) IN (SELECT owner, number FROM owed WHERE expires < $1 LIMIT $2)`,
		`DELETE FROM searched WHERE (expires, ticket) IN (SELECT expires, ticket FROM searched WHERE expires < $1 LIMIT $2)`,
		`DELETE FROM publication WHERE ticket IN (SELECT ticket FROM publication WHERE expires < $1 LIMIT $2)`,
		`DELETE FROM upkeep WHERE ticket IN (SELECT ticket FROM upkeep WHERE expires < $1 LIMIT $2)`,
		`DELETE FROM passed WHERE (owner, change) IN (SELECT owner, change FROM passed WHERE expires < $1 LIMIT $2)`,
	} {
		if err := s.repeat(ctx, func(tx *store.Tx) (int64, error) { return tx.Exec(statement, now, cleanAtOnce) }); err != nil {
			return err
		}
	}
	// What was issued before a departure had ended is good for nothing by then.
	over := s.Now().Add(-publishWindow - window).Unix()
	if err := s.repeat(ctx, func(tx *store.Tx) (int64, error) {
		return tx.Exec(`DELETE FROM departure WHERE owner IN (SELECT owner FROM departure WHERE ended > 0 AND ended < $1 LIMIT $2)`, over, cleanAtOnce)
	}); err != nil {
		return err
	}
	if err := s.repeat(ctx, func(tx *store.Tx) (int64, error) {
		return deleteMail(tx, `SELECT recipient, sequence FROM mailbox WHERE expires < $1 LIMIT $2`, now, cleanAtOnce)
	}); err != nil {
		return err
	}
	if err := s.repeat(ctx, s.sayAgain); err != nil {
		return err
	}
	if err := s.DB.WriteBulk(ctx, func(tx *store.Tx) error { return quota.Expire(tx, s.Now()) }); err != nil {
		return err
	}
	if err := s.settleAll(ctx); err != nil {
		return err
	}
	if err := s.retire(ctx); err != nil {
		return err
	}
	return s.departAll(ctx)
}

// repeat runs a step of at most cleanAtOnce rows until it finds fewer.
func (s *Server) repeat(ctx context.Context, step func(tx *store.Tx) (int64, error)) error {
	for n := int64(cleanAtOnce); n == cleanAtOnce; {
		err := s.DB.WriteBulk(ctx, func(tx *store.Tx) (err error) {
			n, err = step(tx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
