// Package keyholder is the role that holds one share of the OPRF key, or of two while
// the index is rotated from one to the other. It
// raises blinded elements to that share for a member state with a fresh ticket
// and a purpose, commits an entry to its ledger before it does, and never
// learns about whom. Of a ticket without elements it judges, counts and signs the
// same, and has nothing to raise: no question without a quorum.
package keyholder

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/metrics"
	"github.com/waypost/waypost/internal/planted"
	"github.com/waypost/waypost/internal/quota"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/turns"
	"github.com/waypost/waypost/toprf"
)

// Ledger is where every act is written down, in the transaction of the act
// itself. The number that Append returns, and with it the receipt, holds once
// the transaction has committed.
type Ledger interface {
	Append(tx *store.Tx, e journal.Entry) (seq uint64, err error)
	Origin() string
	Deadline(now time.Time) time.Time
}

// Config names this key holder.
type Config struct {
	Name string // its name in the roster, "keyholder-1"
	// WithoutShare has it start though it does not have the share that the roster
	// names: one that has lost it can get another in a ceremony.
	WithoutShare bool
}

// Deps is what a key holder works with.
type Deps struct {
	Roster   *roster.View
	DB       *store.DB
	Journal  Ledger
	Shares   Shares
	Identity ed25519.PrivateKey
	Cert     tls.Certificate
	Now      func() time.Time
	Log      *slog.Logger
	Metrics  *metrics.Set // may be nil
	Ceremony Ceremony     // may be nil: it takes part in none
	// Fence is the time up to which tickets may have been evaluated of which this database,
	// which came back from a backup, knows nothing; zero where it never did.
	Fence time.Time
}

// Ceremony is this key holder's side of the ceremonies in which the shares are made.
type Ceremony interface {
	waypostv1connect.CeremonyHandler
	// Expire is its housekeeping: what is open beyond its time is given up, shares
	// that no roster names any more are destroyed.
	Expire(ctx context.Context) error
}

// Server is one key holder.
type Server struct {
	config Config
	Deps
	replays *replays
	turns   *turns.Turns
}

// New checks that share, name and roster agree.
func New(config Config, deps Deps) (*Server, error) {
	me, ok := deps.Roster.Member(config.Name)
	if !ok || me.Role != roster.KeyHolder {
		return nil, waypost.Errorf(waypost.InvalidArgument, "%s is not a key holder of the roster", config.Name)
	}
	s := &Server{config: config, Deps: deps, replays: newReplays(), turns: turns.New()}
	for _, epoch := range s.missing() {
		if epoch == deps.Roster.Latest().Epoch && !config.WithoutShare {
			return nil, waypost.Errorf(waypost.InvalidArgument, "%s does not have the share that the roster commits to for key epoch %d", config.Name, epoch)
		}
		deps.Log.Error("this key holder has no share of a key that the roster serves: it can answer nothing but errands until it has", "epoch", epoch)
	}
	quota.Measure(deps.Metrics, deps.DB, deps.Roster, (*roster.Roster).HolderShare, deps.Now)
	return s, nil
}

// Handler serves the KeyHolder calls to member states, and the ceremonies to other
// key holders.
func (s *Server) Handler() http.Handler {
	server := rpc.NewServer(s.Roster, s.Log, s.Metrics.Call)
	waypostv1connect.RegisterKeyHolderHandler(server, s)
	if s.Ceremony != nil {
		waypostv1connect.RegisterCeremonyHandler(server, s.Ceremony)
	}
	return rpc.Mount(server)
}

// Run serves on the listener and keeps house until the context ends.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	var housekeeping sync.WaitGroup
	defer housekeeping.Wait()
	defer stop()
	housekeeping.Go(func() { s.keepHouse(ctx) })
	return rpc.Serve(ctx, rpc.NewHTTPServer(s.Handler(), roster.ServerTLS(s.Cert, s.Roster, roster.Gateway, roster.KeyHolder), s.Log), listener)
}

// Evaluate judges the ticket, commits the entry, and only then multiplies.
func (s *Server) Evaluate(ctx context.Context, req *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
	now := s.Now()
	ticket, err := waypost.ParseTicket(req.Ticket)
	if err != nil {
		return nil, err
	}
	shares, err := s.judge(ctx, ticket, req.Elements, now)
	if err != nil {
		return nil, err
	}
	// Whoever else waits for this answer gets it even if this caller leaves.
	ctx = context.WithoutCancel(ctx)
	return s.replays.answer(ticket.ID, func() (*waypostv1.EvaluateResponse, error) {
		return s.evaluate(ctx, ticket, shares, req.Elements, now)
	})
}

func (s *Server) evaluate(ctx context.Context, t waypost.SignedTicket, shares []toprf.Share, raw []byte, now time.Time) (*waypostv1.EvaluateResponse, error) {
	var elements []toprf.Element
	if t.Elements > 0 {
		err := s.turns.Take(t.Elements, func(opts ...toprf.Option) (err error) {
			elements, err = toprf.DecodeElements(raw, t.Elements, opts...)
			return err
		})
		if err != nil {
			return nil, waypost.Errorf(waypost.InvalidArgument, "the elements are not canonical ristretto255 elements other than the identity")
		}
	}
	// The ticket itself, as the state of inquiry signed it: who disputes an
	// evaluation has to disown the signature.
	body, err := journal.Body(journal.Field{Name: "ticket", Value: base64.StdEncoding.EncodeToString(t.Bytes())})
	if err != nil {
		return nil, err
	}
	var first evaluation
	err = s.DB.Write(ctx, func(tx *store.Tx) (err error) {
		first, err = s.commit(tx, t, body, now)
		return err
	})
	if err != nil {
		return nil, err
	}
	first.alarms.Warn(s.Log)
	return s.answer(t, shares, elements, first)
}

// judge returns the shares under which the ticket is to be evaluated, or says in
// words why it may not be by this holder for this peer at this time.
func (s *Server) judge(ctx context.Context, t waypost.SignedTicket, elements []byte, now time.Time) ([]toprf.Share, error) {
	if err := s.admit(ctx, t, now); err != nil {
		return nil, err
	}
	if err := t.CoversProbes(elements); err != nil {
		return nil, err
	}
	if t.Elements == 0 {
		if _, err := s.Roster.HolderKey(t.RosterVersion, s.config.Name); err != nil {
			return nil, err // nobody counts the receipt of who has no share
		}
		_, err := s.Roster.KeysFor(t.Ticket)
		return nil, err
	}
	return s.shares(t.Ticket)
}

func (s *Server) admit(ctx context.Context, t waypost.SignedTicket, now time.Time) error {
	peer := rpc.Peer(ctx)
	if peer.Role != roster.Gateway || peer.Jurisdiction != t.SOI {
		return waypost.Errorf(waypost.PermissionDenied, "%s brought a ticket of %s", peer.Name, t.SOI)
	}
	if t.Environment != s.Roster.Environment() {
		return waypost.Errorf(waypost.PermissionDenied, "the ticket is for the %s environment, this is %s", t.Environment, s.Roster.Environment())
	}
	if err := s.Roster.Accepts(t.RosterVersion); err != nil {
		return err
	}
	key, err := s.Roster.StateKey(t.RosterVersion, t.SOI)
	if err != nil {
		return err
	}
	if err := t.Verify(key); err != nil {
		return err
	}
	if err := t.CheckFresh(now); err != nil {
		return err
	}
	if !t.IssuedAt.After(s.Fence) {
		return waypost.Errorf(waypost.Unavailable, "%s was restored from a backup, and may have counted this ticket already: ask the others, or again with a new one", s.config.Name)
	}
	if err := allowed(peer, t.Ticket); err != nil {
		return err
	}
	if !s.Roster.Current().AllowsPurpose(t.Purpose) {
		return waypost.Errorf(waypost.PermissionDenied, "the roster does not admit the purpose %s", t.Purpose)
	}
	return nil
}

// allowed checks the member's capabilities for the kind of ticket.
func allowed(peer roster.Member, t waypost.Ticket) error {
	need := roster.Search
	switch {
	case t.Kind.Publishes() || t.Kind.Upkeep():
		need = roster.Publish
	case t.Kind == waypost.KindHistory || t.Kind == waypost.KindReport:
		need = roster.History
	}
	if !peer.Can(need) {
		return waypost.Errorf(waypost.PermissionDenied, "%s does not take part in %s", peer.Name, need)
	}
	return nil
}

// evaluation is what a ticket's first commit fixed; with the share it
// determines the answer to the last byte.
type evaluation struct {
	sequence uint64
	deadline time.Time
	hedge    []byte
	alarms   quota.Alarms // raised by this very commit
}

// commit finds the ticket's first evaluation or makes it: entry, quota and
// ticket in one transaction.
func (s *Server) commit(tx *store.Tx, t waypost.SignedTicket, body []byte, now time.Time) (evaluation, error) {
	var e evaluation
	var deadline int64
	err := tx.Row(`SELECT sequence, deadline, hedge FROM ticket WHERE id = $1`, t.ID[:]).Scan(&e.sequence, &deadline, &e.hedge)
	if err == nil {
		e.deadline = time.Unix(deadline, 0)
		return e, nil
	}
	if !errors.Is(err, store.ErrNoRows) {
		return e, err
	}
	member, ok := s.Roster.Member(string(t.SOI))
	if !ok {
		return e, waypost.Errorf(waypost.Unauthenticated, "%s is no longer a member", t.SOI)
	}
	current := s.Roster.Current()
	e.alarms, err = quota.Charge(tx, quota.Limits{Roster: current, Member: member, Share: current.HolderShare}, t.Ticket, now)
	if err != nil {
		return e, err
	}
	if err := e.alarms.Append(tx, s.Journal, now); err != nil {
		return e, err
	}
	e.hedge = make([]byte, toprf.HedgeSize)
	_, _ = rand.Read(e.hedge) // never fails (Go 1.24)
	e.deadline = s.Journal.Deadline(now)
	if !planted.Bug("receipt-without-entry") {
		e.sequence, err = s.Journal.Append(tx, journal.Entry{Kind: string(waypost.ActionEvaluate), Ticket: t.ID, Tau: t.Tau, At: now, Body: body})
	}
	if err != nil {
		return e, err
	}
	_, err = tx.Exec(`INSERT INTO ticket (id, expires, sequence, deadline, hedge) VALUES ($1, $2, $3, $4, $5)`,
		t.ID[:], t.IssuedAt.Add(waypost.TicketWindow+remember).Unix(), e.sequence, e.deadline.Unix(), e.hedge)
	return e, err
}

// answer multiplies, proves and signs; without elements it signs only. It changes
// nothing, and gives the same bytes each time. One receipt covers the answers under
// all shares.
func (s *Server) answer(t waypost.SignedTicket, shares []toprf.Share, elements []toprf.Element, e evaluation) (*waypostv1.EvaluateResponse, error) {
	receipt := waypost.Receipt{
		Action: waypost.ActionEvaluate, Signer: s.config.Name, Ticket: t.ID, Epoch: t.Epoch,
		Inputs: t.Probes, Origin: s.Journal.Origin(), Sequence: e.sequence, Deadline: e.deadline,
	}
	answer := new(waypostv1.EvaluateResponse)
	for _, share := range shares {
		var evaluated toprf.Evaluation
		err := s.turns.Take(len(elements), func(opts ...toprf.Option) (err error) {
			evaluated, err = share.Evaluate(elements, e.hedge, opts...)
			return err
		})
		if err != nil {
			return nil, err
		}
		answer.Elements = append(answer.Elements, evaluated.Elements...)
		answer.Proof = append(answer.Proof, evaluated.Proof[:]...)
	}
	if len(shares) > 0 {
		receipt.Proof = sha256.Sum256(answer.Proof)
	}
	receipt.Outputs = waypost.HashOutputs(waypost.ActionEvaluate, answer.Elements)
	signed, err := receipt.Sign(s.Identity)
	if err != nil {
		return nil, err
	}
	answer.Receipt = signed.Bytes()
	return answer, nil
}

// remember is how long after its window a ticket is still known, so that it
// counts once even where a commit waited or the clock was set back.
const remember = 15 * time.Minute

// keepHouse forgets tickets whose window is over, which the freshness check
// refuses from then on, and old quota windows, every minute; ceremonies are looked
// after from the start.
func (s *Server) keepHouse(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	kept := func(err error) {
		if err != nil && ctx.Err() == nil {
			s.Log.Error("housekeeping failed", "cause", err)
		}
	}
	for {
		if s.Ceremony != nil {
			kept(s.Ceremony.Expire(ctx))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		kept(s.Clean(ctx))
	}
}

// cleanAtOnce bounds what one transaction deletes: others wait for it.
const cleanAtOnce = 32

// Clean deletes what is over. Run calls it at once and every minute.
func (s *Server) Clean(ctx context.Context) error {
	now := s.Now()
	for deleted := int64(cleanAtOnce); deleted == cleanAtOnce; {
		err := s.DB.WriteBulk(ctx, func(tx *store.Tx) (err error) {
			deleted, err = tx.Exec(`DELETE FROM ticket WHERE id IN (SELECT id FROM ticket WHERE expires < $1 LIMIT $2)`, now.Unix(), cleanAtOnce)
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.DB.WriteBulk(ctx, func(tx *store.Tx) error { return quota.Expire(tx, now) })
}
