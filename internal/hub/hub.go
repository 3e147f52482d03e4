// Package hub is the central site: an index of labels that nobody can read,
// list or search without a ticket, the mailboxes through which members write
// to each other, and the directory of their encryption keys.
//
//	search.go    one part of a check: tokens in, per-ticket references out
//	index.go     labels and pointers
//	publish.go   new pointers
//	mailbox.go   send, receive, keys
package hub

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/quota"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
)

// Config names this hub.
type Config struct {
	Name string // its name in the roster, "hub"
}

// Deps is what a hub works with.
type Deps struct {
	Roster   *roster.View
	DB       *store.DB
	Journal  *journal.Journal
	LabelKey [32]byte // h: kept outside the database and its backups
	Identity ed25519.PrivateKey
	Cert     tls.Certificate
	Now      func() time.Time
	Log      *slog.Logger
}

// Server is the hub.
type Server struct {
	config Config
	Deps
	keys *directory
	bell *bell
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
	return &Server{config: config, Deps: deps, keys: newDirectory(), bell: newBell()}, nil
}

// Handler serves the Hub calls to member states.
func (s *Server) Handler() http.Handler {
	server := rpc.NewServer(s.Roster, s.Log)
	waypostv1connect.RegisterHubHandler(server, s)
	return rpc.Mount(server)
}

// Run serves on the listener and keeps house until the context ends.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go s.keepHouse(ctx)
	return rpc.Serve(ctx, rpc.NewHTTPServer(s.Handler(), roster.ServerTLS(s.Cert, s.Roster, roster.Gateway), s.Log), listener)
}

// authorise verifies that the peer is the state that the ticket names, may do
// what the kind says, and brings the receipts of a quorum. Freshness was for
// the key holders to judge; the hub has a longer window of its own, after
// which a ticket is refused for ever.
func (s *Server) authorise(ctx context.Context, rawTicket []byte, rawReceipts [][]byte, kind waypost.Kind, need roster.Capability) (waypost.SignedTicket, error) {
	ticket, receipts, err := waypost.ParseChain(rawTicket, rawReceipts)
	if err != nil {
		return ticket, err
	}
	if err := s.peerMay(ctx, ticket, kind, need); err != nil {
		return ticket, err
	}
	return ticket, waypost.VerifyChain(ticket, receipts, s.Roster)
}

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
	return s.inWindow(t.Ticket)
}

// window is how long after issue the hub acts on a ticket: long enough for the
// evaluation and both parts of a search, with retries.
const window = 10 * time.Minute

func (s *Server) inWindow(t waypost.Ticket) error {
	if s.Now().Sub(t.IssuedAt) > window {
		return waypost.Errorf(waypost.Expired, "the ticket is older than %v: ask again with a new one", window)
	}
	return nil
}

// keepHouse deletes answers whose window is over, expired mail and old quota
// windows.
func (s *Server) keepHouse(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.clean(ctx); err != nil && ctx.Err() == nil {
			s.Log.Error("housekeeping failed", "cause", err)
		}
	}
}

func (s *Server) clean(ctx context.Context) error {
	now := s.Now()
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		// The references go with their searches: owners have theirs in the notice.
		for _, statement := range []string{
			`DELETE FROM reference WHERE ticket IN (SELECT ticket FROM search WHERE expires < $1)`,
			`DELETE FROM search WHERE expires < $1`,
		} {
			if _, err := tx.Exec(statement, now.Unix()); err != nil {
				return err
			}
		}
		if err := expireMail(tx, now); err != nil {
			return err
		}
		return quota.Expire(tx, now)
	})
}
