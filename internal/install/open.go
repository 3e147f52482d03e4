package install

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/keyholder"
	"github.com/waypost/waypost/internal/policy"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/toprf"
)

// Role is a role that is open: its port is bound and its databases are ready.
type Role struct {
	Folder  *Folder
	DB      *store.DB
	Journal *journal.Journal
	Gateway *gateway.Server // of a gateway, else nil
	run     func(context.Context) error
	closers []func() error
}

// Open opens the role in the folder and listens. Run serves; Close must be
// called afterwards in any case.
func Open(ctx context.Context, dir string, now func() time.Time, log *slog.Logger) (_ *Role, err error) {
	f, err := OpenFolder(dir, now)
	if err != nil {
		return nil, err
	}
	log = log.With("role", f.Config.Name)
	r := &Role{Folder: f}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if r.DB, err = r.database(ctx, f.Config.Database, string(f.Config.Role)); err != nil {
		return nil, err
	}
	if r.Journal, err = journal.Open(ctx, r.DB, f.Config.Origin); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", f.Config.Listen)
	if err != nil {
		return nil, fmt.Errorf("%s cannot listen: %w (is it running already?)", f.Config.Name, err)
	}
	r.closers = append(r.closers, func() error { _ = listener.Close(); return nil })
	switch f.Config.Role {
	case roster.KeyHolder:
		err = r.openKeyHolder(listener, now, log)
	case roster.Hub:
		err = r.openHub(listener, now, log)
	case roster.Gateway:
		err = r.openGateway(ctx, listener, now, log)
	default:
		err = fmt.Errorf("%s: the role %q does not exist", dir, f.Config.Role)
	}
	return r, err
}

func (r *Role) database(ctx context.Context, url, role string) (*store.DB, error) {
	db, err := store.Open(ctx, r.Folder.database(url), role)
	if err != nil {
		return nil, err
	}
	r.closers = append(r.closers, db.Close)
	return db, nil
}

// Run serves until the context ends.
func (r *Role) Run(ctx context.Context) error { return r.run(ctx) }

// Close releases port and databases, the newest first.
func (r *Role) Close() error {
	var errs []error
	for i := len(r.closers) - 1; i >= 0; i-- {
		errs = append(errs, r.closers[i]())
	}
	r.closers = nil
	return errors.Join(errs...)
}

func (r *Role) openKeyHolder(listener net.Listener, now func() time.Time, log *slog.Logger) error {
	f := r.Folder
	raw, err := f.hexFile("share.key")
	if err != nil {
		return err
	}
	var share toprf.Share
	if err := share.UnmarshalBinary(raw); err != nil {
		return fmt.Errorf("%s: %w", f.path("share.key"), err)
	}
	server, err := keyholder.New(keyholder.Config{Name: f.Config.Name, Epoch: f.Config.Epoch}, keyholder.Deps{
		Roster: f.Roster, DB: r.DB, Journal: r.Journal, Share: share, Identity: f.Identity, Cert: f.Cert, Now: now, Log: log,
	})
	if err != nil {
		return err
	}
	r.run = func(ctx context.Context) error { return server.Run(ctx, listener) }
	return nil
}

func (r *Role) openHub(listener net.Listener, now func() time.Time, log *slog.Logger) error {
	f := r.Folder
	labelKey, err := f.secret("label.key")
	if err != nil {
		return err
	}
	server, err := hub.New(hub.Config{Name: f.Config.Name}, hub.Deps{
		Roster: f.Roster, DB: r.DB, Journal: r.Journal, LabelKey: labelKey, Identity: f.Identity, Cert: f.Cert, Now: now, Log: log,
	})
	if err != nil {
		return err
	}
	r.run = func(ctx context.Context) error { return server.Run(ctx, listener) }
	return nil
}

func (r *Role) openGateway(ctx context.Context, listener net.Listener, now func() time.Time, log *slog.Logger) error {
	f := r.Folder
	secret, err := f.secret("secret.key")
	if err != nil {
		return err
	}
	keyring, err := r.keyring(now)
	if err != nil {
		return err
	}
	people, err := r.database(ctx, f.Config.People, "people")
	if err != nil {
		return err
	}
	me, _ := f.Roster.Member(f.Config.Name)
	exchange := gateway.DialHub(f.Cert, f.Roster)
	r.Gateway, err = gateway.New(gateway.Config{State: me.Jurisdiction}, gateway.Deps{
		Roster: f.Roster, DB: r.DB, Journal: r.Journal, Identity: f.Identity, Secret: secret,
		Keyring: keyring, SaveKeyring: f.saveKeyring, Policy: policy.Default(),
		Holders: gateway.DialHolders(f.Cert, f.Roster), Hub: exchange, Mailbox: exchange,
		People: gateway.NewPeople(people), Now: now, Log: log,
	})
	if err != nil {
		return err
	}
	counterCert, err := tls.LoadX509KeyPair(f.path("counter.crt"), f.path("counter.key"))
	if err != nil {
		return err
	}
	operators, err := f.operators()
	if err != nil {
		return err
	}
	r.run = func(ctx context.Context) error {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		var serving sync.WaitGroup
		defer serving.Wait()
		var counterErr error
		serving.Go(func() {
			counterErr = r.Gateway.ServeCounter(ctx, listener, counterCert, operators)
			stop()
		})
		err := r.Gateway.Run(ctx)
		serving.Wait()
		return errors.Join(err, counterErr)
	}
	return nil
}

// keyring reads the message keys, and brings them up to the day and the
// identity key.
func (r *Role) keyring(now func() time.Time) (*seal.Keyring, error) {
	f := r.Folder
	raw, err := f.hexFile("keyring")
	if errors.Is(err, os.ErrNotExist) {
		ring, err := seal.NewKeyring(f.Config.Name, f.Identity, now())
		if err != nil {
			return nil, err
		}
		return ring, f.saveKeyring(ring)
	}
	if err != nil {
		return nil, err
	}
	return seal.ParseKeyring(raw, f.Config.Name)
}

func (f *Folder) saveKeyring(ring *seal.Keyring) error {
	raw, err := ring.MarshalBinary()
	if err != nil {
		return err
	}
	return writeHex(f.path("keyring"), raw)
}

// operators are the certificates in operator*.crt, named after the file.
func (f *Folder) operators() (gateway.Operators, error) {
	cert, err := tls.LoadX509KeyPair(f.path("operator.crt"), f.path("operator.key"))
	if err != nil {
		return nil, err
	}
	return gateway.Operators{pin(cert): "clerk-1"}, nil
}

// DialCounter returns a client of the counter door of the gateway in the
// folder, and the door's URL.
func DialCounter(dir string) (waypostv1connect.CounterClient, string, error) {
	f := &Folder{Dir: dir}
	if err := readJSON(f.path("config.json"), &f.Config); err != nil {
		return nil, "", err
	}
	operator, err := tls.LoadX509KeyPair(f.path("operator.crt"), f.path("operator.key"))
	if err != nil {
		return nil, "", err
	}
	counter, err := tls.LoadX509KeyPair(f.path("counter.crt"), f.path("counter.key"))
	if err != nil {
		return nil, "", err
	}
	url := "https://" + f.Config.Listen
	return gateway.DialCounter(url, operator, pin(counter)), url, nil
}
