package install

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/publisher"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/witness"
	"github.com/waypost/waypost/translog"
)

const (
	logFolder  = "log"
	witnessKey = "witness.key"
	// witnessPath is where a key holder's witness lies below its public door.
	witnessPath = "/witness"
)

// openLedger makes what turns the role's journal into a published log, and what
// watches the logs of others.
func (r *Role) openLedger(ctx context.Context, now func() time.Time, log *slog.Logger) error {
	f := r.Folder
	key, err := f.ed25519Key("log.key")
	if err != nil {
		return err
	}
	me, _ := f.Roster.Member(f.Config.Name)
	open := follow.Remote(tls.Certificate{}, f.Roster)
	r.publish = func(j *journal.Journal) (*publisher.Publisher, error) {
		deps := publisher.Deps{
			Source: j, Key: key, Witnesses: f.witnesses(log), Now: now, Log: log,
			Holds: func(ctx context.Context) (held bool, err error) {
				err = r.DB.Read(ctx, func(tx *store.Tx) error {
					held, err = r.DB.Holds(tx, lease(j.Origin()))
					return err
				})
				return held, err
			},
			Policy: func() (translog.Policy, error) {
				current, ok := f.Roster.Member(me.Name)
				if !ok {
					current = me // removed: what it has promised is published all the same
				}
				return follow.Policy(f.Roster.Current(), current, j.Origin())
			},
		}
		if f.Config.Role == roster.Gateway {
			deps.Upload = []publisher.Uploader{&copyAtHub{
				hub: waypostv1connect.NewHubClient(rpc.Dial(f.Cert, f.Roster, f.Roster.Current().Hub())), member: me.Name, open: open,
			}}
		}
		return publisher.New(publisher.Config{Origin: j.Origin(), Dir: f.logs(), Shared: r.DB.Shared()}, deps)
	}
	if r.Publisher, err = r.publish(r.Journal); err != nil {
		return err
	}
	r.publishing.Store(r.Journal.Origin(), r.Publisher)
	r.closers = append(r.closers, r.Publisher.Close)
	var trusted roster.Governance
	if err := readJSON(f.path("governance.json"), &trusted); err != nil {
		return err
	}
	place, err := publisher.Place(f.Config.Origin)
	if err != nil {
		return err
	}
	r.Follower, err = follow.New(ctx, follow.Config{Member: me.Name, Origin: f.Config.Origin}, follow.Deps{
		Roster: f.Roster, DB: r.DB, Journal: r.Journal, Open: open,
		Publish: follow.Folder(filepath.Join(f.logs(), filepath.FromSlash(place))), Governance: trusted,
		Rosters: func() ([][]byte, error) { return Rosters(f.Dir) }, Now: now, Log: log,
	})
	return err
}

// witnesses returns the witnesses of the roster in force that may cosign this
// role's log: all key holders' but its own, and those outside.
func (f *Folder) witnesses(log *slog.Logger) func() []publisher.Witness {
	var mu sync.Mutex
	known := make(map[string]publisher.Witness) // by URL and key
	dial := func(url, vkey string, client func() *http.Client) publisher.Witness {
		if w, ok := known[url+" "+vkey]; ok {
			return w
		}
		w, err := witness.Dial(url, vkey, client())
		if err != nil {
			log.Error("a witness of the roster cannot be asked", "url", url, "cause", err)
			return nil
		}
		known[url+" "+vkey] = w
		return w
	}
	return func() (all []publisher.Witness) {
		mu.Lock()
		defer mu.Unlock()
		current := f.Roster.Current()
		for _, h := range current.KeyHolders() {
			if h.Name == f.Config.Name || h.WitnessKey == nil || h.Public == "" {
				continue
			}
			vkey := translog.WitnessKey(roster.WitnessName(h.Name), h.WitnessKey)
			if w := dial(h.Public+witnessPath, vkey, func() *http.Client { return client(f.publicTLS(h.Name)) }); w != nil {
				all = append(all, w)
			}
		}
		for _, w := range current.Witnesses {
			if w := dial(w.URL, w.Key, func() *http.Client { return client(roster.PinnedTLS(w.CertKey)) }); w != nil {
				all = append(all, w)
			}
		}
		return all
	}
}

// publicTLS is for the public door of a member: its key is pinned, and no
// certificate is shown.
func (f *Folder) publicTLS(member string) *tls.Config {
	config := roster.ClientTLS(f.Cert, f.Roster, member)
	config.Certificates = nil
	return config
}

func client(config *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: config, ForceAttemptHTTP2: true, MaxConnsPerHost: 4, IdleConnTimeout: 2 * time.Minute,
		TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 5 * time.Second, MaxResponseHeaderBytes: 16 << 10,
	}}
}

// copyAtHub is where the public reads a gateway's log.
type copyAtHub struct {
	hub    waypostv1connect.HubClient
	member string
	open   func(member, instance string) (translog.Reader, error)
}

// Name is where it is.
func (c *copyAtHub) Name() string { return "hub" }

// Checkpoint returns the one that the public reads there, nil if there is none.
func (c *copyAtHub) Checkpoint(ctx context.Context, origin string) ([]byte, error) {
	place, err := publisher.Place(origin)
	if err != nil {
		return nil, err
	}
	reader, err := c.open(c.member, place[len(c.member)+1:])
	if err != nil {
		return nil, err
	}
	signed, err := reader.ReadEndpoint(ctx, "checkpoint")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return signed, err
}

// Put brings objects, then the checkpoint.
func (c *copyAtHub) Put(ctx context.Context, origin string, objects []publisher.Object, checkpoint []byte) error {
	req := &waypostv1.PutLogRequest{Origin: origin, Checkpoint: checkpoint}
	for _, o := range objects {
		req.Objects = append(req.Objects, &waypostv1.LogObject{Path: o.Path, Content: o.Content, Offset: int64(o.Offset), Size: int64(o.Size)})
	}
	_, err := c.hub.PutLog(ctx, req)
	return err
}

// Witnesses reports whether the role cosigns the ledgers of others.
func (r *Role) Witnesses() bool {
	return r.Folder.Config.Role == Witness || r.Folder.Config.Role == roster.KeyHolder
}

// openDoor serves what anybody may read until the role is closed: the log, the
// rosters, and at a key holder the witness. It outlives the role's work, so that
// members who stop together can still cosign for each other.
func (r *Role) openDoor(now func() time.Time, log *slog.Logger) error {
	f := r.Folder
	if f.Config.Public == "" {
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("/log/", publisher.Handler(f.logs()))
	rosters := r.intake.Handler()
	mux.Handle("/roster", rosters)
	mux.Handle("/roster/", rosters)
	if f.Config.Role == roster.KeyHolder {
		cosigner, err := f.witness(r, roster.WitnessName(f.Config.Name), now, log)
		if err != nil {
			return err
		}
		mux.Handle(witnessPath+"/", http.StripPrefix(witnessPath, cosigner.Handler()))
	}
	listener, err := net.Listen("tcp", f.Config.Public)
	if err != nil {
		return fmt.Errorf("the public door of %s cannot open: %w (is it running already?)", f.Config.Name, err)
	}
	r.serve(listener, mux, log)
	return nil
}

// serve serves HTTPS to anybody until the role is closed.
func (r *Role) serve(listener net.Listener, handler http.Handler, log *slog.Logger) {
	server := rpc.NewHTTPServer(handler, &tls.Config{Certificates: []tls.Certificate{r.Folder.Cert}, MinVersion: tls.VersionTLS13}, log)
	server.ReadTimeout, server.WriteTimeout, server.IdleTimeout = 10*time.Second, 30*time.Second, 30*time.Second
	server.HTTP2.MaxConcurrentStreams = 32 // whoever it is
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.ServeTLS(rpc.Limit(listener), "", ""); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the public door has closed by itself", "cause", err)
		}
	}()
	r.closers = append(r.closers, func() error {
		err := server.Close() // nothing that is asked here is left half done
		<-done
		return err
	})
}

func (f *Folder) witness(r *Role, name string, now func() time.Time, log *slog.Logger) (*witness.Server, error) {
	key, err := f.ed25519Key(witnessKey)
	if err != nil {
		return nil, err
	}
	return witness.New(witness.Config{Name: name}, witness.Deps{
		Key: key, DB: r.DB, Logs: witness.RosterLogs(f.Roster, f.Config.domain()), Now: now, Log: log,
	})
}

// domain is what the names of all logs of the exchange begin with.
func (c Config) domain() string {
	domain, _, _ := strings.Cut(c.Origin, "/"+c.Name)
	return domain
}

// version is what the module was built as, for the ledger.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
