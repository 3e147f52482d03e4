package install

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/keyholder"
	"github.com/waypost/waypost/internal/metrics"
	"github.com/waypost/waypost/internal/policy"
	"github.com/waypost/waypost/internal/publisher"
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
	// What publishes its ledger, and what watches those of others; nil at a
	// witness.
	Publisher *publisher.Publisher
	Follower  *follow.Follower
	intake    *roster.Intake
	auditors  string // for whom the ledger is sealed besides its own openers
	log       *slog.Logger
	now       func() time.Time
	fault     store.Fault // or nil
	// What may see and replace what the role works with; or nil.
	wrapGateway   func(*gateway.Deps)
	wrapHub       func(*hub.Deps)
	wrapKeyHolder func(*keyholder.Deps)
	run           func(context.Context) error
	closers       []func() error
	// metrics is nil, and counts nothing, where the config names no door for it.
	metrics     *metrics.Set
	metricsDoor net.Listener
}

// Option changes a role for a test or a drill.
type Option func(*Role)

// WithFault has every commit of the role's own database ask f.
func WithFault(f store.Fault) Option { return func(r *Role) { r.fault = f } }

// WithGateway lets change see what a gateway works with, and replace it, before
// it starts.
func WithGateway(change func(*gateway.Deps)) Option { return func(r *Role) { r.wrapGateway = change } }

// WithHub is [WithGateway] for a hub.
func WithHub(change func(*hub.Deps)) Option { return func(r *Role) { r.wrapHub = change } }

// WithKeyHolder is [WithGateway] for a key holder.
func WithKeyHolder(change func(*keyholder.Deps)) Option {
	return func(r *Role) { r.wrapKeyHolder = change }
}

// Open opens the role in the folder and listens. Run serves; Close must be
// called afterwards in any case.
func Open(ctx context.Context, dir string, now func() time.Time, log *slog.Logger, opts ...Option) (_ *Role, err error) {
	f, err := OpenFolder(dir, now)
	if err != nil {
		return nil, err
	}
	log = log.With("role", f.Config.Name)
	r := &Role{Folder: f, log: log, now: now}
	for _, o := range opts {
		o(r)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if r.DB, err = r.database(ctx, f.Config.Database, string(f.Config.Role), store.WithFault(r.fault)); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", f.Config.Listen)
	if err != nil {
		return nil, fmt.Errorf("%s cannot listen: %w (is it running already?)", f.Config.Name, err)
	}
	if f.Config.Role == Witness {
		if err = r.openIntake(ctx); err == nil {
			err = r.openWitness(listener)
		}
		return r, err
	}
	r.closers = append(r.closers, func() error { _ = listener.Close(); return nil })
	if r.Journal, err = r.journal(ctx); err != nil {
		return nil, err
	}
	for _, step := range []func() error{
		func() error { return r.openIntake(ctx) },
		func() error { return r.openLedger(ctx, now, log) },
		func() error { return r.openDoor(now, log) },
		r.openMetrics,
	} {
		if err = step(); err != nil {
			return nil, err
		}
	}
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

func (r *Role) database(ctx context.Context, url, role string, opts ...store.Option) (*store.DB, error) {
	db, err := store.Open(ctx, r.Folder.database(url), role, opts...)
	if err != nil {
		return nil, err
	}
	r.closers = append(r.closers, db.Close)
	return db, nil
}

// journal opens the role's ledger for its own openers and the auditors of the
// roster.
func (r *Role) journal(ctx context.Context) (*journal.Journal, error) {
	readers, err := r.Folder.readers()
	if err != nil {
		return nil, err
	}
	return journal.Open(ctx, r.DB, r.Folder.Config.Origin, readers...)
}

// followEvery is how often a running role looks for a new roster in its folder.
const followEvery = time.Minute

// Run serves until the context ends. Rosters that are put into the folder
// meanwhile are taken up. At the end everything in the ledger is published, if
// the witnesses can be reached; the public door stays open until Close.
func (r *Role) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if r.Journal == nil {
		return r.follow(ctx, stop)
	}
	if err := r.Journal.Started(context.WithoutCancel(ctx), version(), r.now()); err != nil {
		return err
	}
	// The publisher goes on until the last entry is written.
	publishing, stopPublishing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPublishing()
	var tasks sync.WaitGroup
	tasks.Go(func() { r.Publisher.Run(publishing) })
	var watching sync.WaitGroup
	watching.Go(func() { r.watchOthers(ctx) })
	watching.Go(func() { r.keepLedger(ctx) })
	watching.Go(func() { r.serveMetrics(ctx) })
	err := r.follow(ctx, stop)
	watching.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWait)
	defer cancel()
	if stopErr := errors.Join(r.Journal.Stopped(last, version(), r.now()), r.Publisher.Flush(last)); stopErr != nil {
		r.log.Warn("the last entries of the ledger could not be published; the next start does it", "cause", stopErr)
	}
	stopPublishing()
	tasks.Wait()
	return err
}

const (
	// lastWait bounds what is done for the ledger when a role stops.
	lastWait = 3 * time.Second
	// ledgerEvery is how often a role looks whether a day or a retention is over.
	ledgerEvery = time.Minute
)

func (r *Role) watchOthers(ctx context.Context) {
	if err := r.Follower.Run(ctx); err != nil && ctx.Err() == nil {
		r.log.Error("the ledgers of others are not watched any more", "cause", err)
	}
}

// keepLedger counts each day and erases what is over.
func (r *Role) keepLedger(ctx context.Context) {
	tick := time.NewTicker(ledgerEvery)
	defer tick.Stop()
	for {
		if err := r.tendLedger(ctx); err != nil && ctx.Err() == nil {
			r.log.Error("the ledger could not be tended; it will be tried again", "cause", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (r *Role) tendLedger(ctx context.Context) error {
	now := r.now()
	_, err := r.Journal.Erase(ctx, journal.DefaultRetention(), now)
	return errors.Join(err, r.Journal.Daily(ctx, now))
}

// follow runs the role's own work, and takes up rosters meanwhile.
func (r *Role) follow(ctx context.Context, stop context.CancelFunc) error {
	var following sync.WaitGroup
	defer following.Wait()
	following.Go(func() { r.followRosters(ctx) })
	err := r.run(ctx)
	stop()
	return err
}

// openWitness opens a witness that stands alone.
func (r *Role) openWitness(listener net.Listener) error {
	cosigner, err := r.Folder.witness(r, r.Folder.Config.Origin, r.now, r.log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	r.serve(listener, cosigner.Handler(), r.log)
	r.run = func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	}
	return nil
}

// Close releases port and databases, the newest first.
func (r *Role) Close() error {
	var errs []error
	for _, v := range slices.Backward(r.closers) {
		errs = append(errs, v())
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
	deps := keyholder.Deps{
		Roster: f.Roster, DB: r.DB, Journal: r.Journal, Share: share, Identity: f.Identity, Cert: f.Cert, Now: now, Log: log, Metrics: r.metrics,
	}
	if r.wrapKeyHolder != nil {
		r.wrapKeyHolder(&deps)
	}
	server, err := keyholder.New(keyholder.Config{Name: f.Config.Name, Epoch: f.Config.Epoch}, deps)
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
	deps := hub.Deps{
		Roster: f.Roster, DB: r.DB, Journal: r.Journal, Logs: publisher.NewStore(f.path(logFolder), now), LabelKey: labelKey, Identity: f.Identity, Cert: f.Cert, Now: now, Log: log, Metrics: r.metrics,
	}
	if r.wrapHub != nil {
		r.wrapHub(&deps)
	}
	server, err := hub.New(hub.Config{Name: f.Config.Name}, deps)
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
	deps := gateway.Deps{
		Roster: f.Roster, DB: r.DB, Journal: r.Journal, Identity: f.Identity, Secret: secret,
		Keyring: keyring, SaveKeyring: f.saveKeyring, Policy: policy.Default(),
		Holders: gateway.DialHolders(f.Cert, f.Roster), Hub: exchange, Mailbox: exchange,
		People: gateway.NewPeople(people), Ledgers: r.Follower, Now: now, Log: log, Metrics: r.metrics,
	}
	if r.wrapGateway != nil {
		r.wrapGateway(&deps)
	}
	if r.Gateway, err = gateway.New(gateway.Config{State: me.Jurisdiction}, deps); err != nil {
		return err
	}
	counterCert, err := loadCertificate(f.path("counter"))
	if err != nil {
		return err
	}
	operators, err := f.operators(operatorsFolder)
	if err != nil {
		return err
	}
	if len(operators) == 0 {
		return waypost.Errorf(waypost.NotFound, "%s holds no operator's certificate: nobody could use the counter door", f.path(operatorsFolder))
	}
	auditors, err := f.operators(auditorsFolder)
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
			counterErr = r.Gateway.ServeCounter(ctx, listener, counterCert, operators, auditors)
			stop()
		})
		err := r.Gateway.Run(ctx)
		serving.Wait()
		return errors.Join(err, counterErr)
	}
	return nil
}

// keyring reads the message keys, or makes the first one. The gateway renews
// them.
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

const (
	operatorsFolder = "operators"
	firstOperator   = "clerk-1"
	auditorsFolder  = "auditors"
	firstAuditor    = "auditor-1"
)

// operators are the certificates NAME.crt in a folder; each operator is named
// after the file.
func (f *Folder) operators(folder string) (gateway.Operators, error) {
	files, err := filepath.Glob(f.path(filepath.Join(folder, "*.crt")))
	if err != nil {
		return nil, err
	}
	operators := make(gateway.Operators, len(files))
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(filepath.Base(file), ".crt")
		block, _ := pem.Decode(raw)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, waypost.Errorf(waypost.InvalidArgument, "%s is not a certificate in PEM", file)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		key := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
		if other, twice := operators[key]; twice {
			return nil, waypost.Errorf(waypost.InvalidArgument, "%s has the key of %s: each operator needs a key of their own", file, other)
		}
		operators[key] = name
	}
	return operators, nil
}

// DialCounter returns a client of the counter door of the gateway in the
// folder, as the operator that Create made, and the door's URL.
func DialCounter(dir string) (waypostv1connect.CounterClient, string, error) {
	return dialCounter(dir, filepath.Join(operatorsFolder, firstOperator))
}

// DialAuditor is DialCounter as the auditor that Create made: for the calls of
// auditors, and no others.
func DialAuditor(dir string) (waypostv1connect.CounterClient, string, error) {
	return dialCounter(dir, filepath.Join(auditorsFolder, firstAuditor))
}

func dialCounter(dir, certificate string) (waypostv1connect.CounterClient, string, error) {
	f := &Folder{Dir: dir}
	if err := readJSON(f.path("config.json"), &f.Config); err != nil {
		return nil, "", err
	}
	operator, err := loadCertificate(f.path(certificate))
	if err != nil {
		return nil, "", err
	}
	counter, err := loadCertificate(f.path("counter"))
	if err != nil {
		return nil, "", err
	}
	url := "https://" + f.Config.Listen
	return gateway.DialCounter(url, operator, pin(counter)), url, nil
}

// NameOf returns the roster name of the member that a folder is for.
func NameOf(dir string) (string, error) {
	f := &Folder{Dir: dir}
	err := readJSON(f.path("config.json"), &f.Config)
	return f.Config.Name, err
}

// RoleOf returns the role that a folder is for.
func RoleOf(dir string) (roster.Role, error) {
	f := &Folder{Dir: dir}
	err := readJSON(f.path("config.json"), &f.Config)
	return f.Config.Role, err
}
