package install

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/ceremony"
	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/keyholder"
	"github.com/waypost/waypost/internal/metrics"
	"github.com/waypost/waypost/internal/policy"
	"github.com/waypost/waypost/internal/publisher"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/shards"
	"github.com/waypost/waypost/internal/store"
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
	// publish makes what publishes a log of the role: its own, or that of a process
	// which is gone.
	publish    func(j *journal.Journal) (*publisher.Publisher, error)
	publishing sync.Map // what publishes a log here, by its origin
	intake     *roster.Intake
	vault      *ceremony.Vault // of a key holder, else nil
	auditors   string          // for whom the ledger is sealed besides its own openers
	log        *slog.Logger
	now        func() time.Time
	fault      store.Fault // or nil
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
	if err = r.openDatabase(ctx); err != nil {
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
		r.openVault, // before any door is open: who has no share does not come up
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
		err = r.openKeyHolder(ctx, listener, now, log)
	case roster.Hub:
		err = r.openHub(ctx, listener, now, log)
	case roster.Gateway:
		err = r.openGateway(ctx, listener, now, log)
	default:
		err = fmt.Errorf("%s: the role %q does not exist", dir, f.Config.Role)
	}
	return r, err
}

// openDatabase opens the role's own database as the process that the config names,
// and takes the log of that number.
func (r *Role) openDatabase(ctx context.Context) error {
	f := r.Folder
	instance, err := f.Config.instance()
	if err != nil {
		return fmt.Errorf("%s: %w", f.path("config.json"), err)
	}
	if r.DB, err = r.database(ctx, f.Config.Database, string(f.Config.Role), store.WithFault(r.fault), store.AsProcess(instance)); err != nil || f.Config.Role == Witness {
		return err
	}
	f.Config.Origin = f.Config.logOf(r.DB.Process())
	return r.DB.Seize(ctx, lease(f.Config.Origin))
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

func (r *Role) openKeyHolder(ctx context.Context, listener net.Listener, now func() time.Time, log *slog.Logger) error {
	f := r.Folder
	restored, err := journal.Restored(ctx, r.DB)
	if err != nil {
		return err
	}
	ceremonies, err := ceremony.NewHolder(ctx, ceremony.Deps{
		Name: f.Config.Name, Restored: restored, Roster: f.Roster, DB: r.DB, Journal: r.Journal, Vault: r.vault, Identity: f.Identity, Accepted: f.accepted, Now: now, Log: log,
	})
	if err != nil {
		return err
	}
	deps := keyholder.Deps{
		Roster: f.Roster, DB: r.DB, Journal: r.Journal, Shares: r.vault, Identity: f.Identity, Cert: f.Cert, Now: now, Log: log, Metrics: r.metrics,
		Ceremony: ceremonies, Fence: fence(restored),
	}
	if r.wrapKeyHolder != nil {
		r.wrapKeyHolder(&deps)
	}
	server, err := keyholder.New(keyholder.Config{Name: f.Config.Name, WithoutShare: f.Config.WithoutShare}, deps)
	if err != nil {
		return err
	}
	r.run = func(ctx context.Context) error { return server.Run(ctx, listener) }
	return nil
}

// fence is up to when tickets were issued that may have been served before a restore.
func fence(restored time.Time) time.Time {
	if restored.IsZero() {
		return restored
	}
	return restored.Add(waypost.ClockSkew)
}

func (r *Role) openHub(ctx context.Context, listener net.Listener, now func() time.Time, log *slog.Logger) error {
	f := r.Folder
	restored, err := journal.Restored(ctx, r.DB)
	if err != nil {
		return err
	}
	var owned *shards.Owned
	if r.DB.Shared() {
		if owned, err = shards.Own(ctx, f.Config.Database); err != nil {
			return err
		}
	}
	labelKey, err := f.secret("label.key")
	if err != nil {
		return err
	}
	deps := hub.Deps{
		Roster: f.Roster, DB: r.DB, Journal: r.Journal, Logs: publisher.NewStore(f.logs(), r.DB.Shared(), now), LabelKey: labelKey, Identity: f.Identity, Cert: f.Cert, Now: now, Log: log, Metrics: r.metrics,
		Fence: fence(restored), Owned: owned,
	}
	if r.wrapHub != nil {
		r.wrapHub(&deps)
	}
	server, err := hub.New(hub.Config{Name: f.Config.Name}, deps)
	if err != nil {
		return err
	}
	r.run = func(ctx context.Context) error {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		var notOwned error
		var watching sync.WaitGroup
		watching.Go(func() {
			if notOwned = owned.Watch(ctx, r.log); notOwned != nil {
				stop()
			}
		})
		err := server.Run(ctx, listener)
		stop()
		watching.Wait()
		return errors.Join(err, notOwned)
	}
	return nil
}

func (r *Role) openGateway(ctx context.Context, listener net.Listener, now func() time.Time, log *slog.Logger) error {
	f := r.Folder
	secret, err := f.secret("secret.key")
	if err != nil {
		return err
	}
	rings := ringStore{db: r.DB, member: f.Config.Name, key: ringKey(secret)}
	keyring, err := rings.open(ctx, f.Identity, now())
	if err != nil {
		return err
	}
	keyring.Clear() // the process that reads the mail takes them
	people, err := r.database(ctx, f.Config.People, "people")
	if err != nil {
		return err
	}
	me, _ := f.Roster.Member(f.Config.Name)
	exchange := gateway.DialHub(f.Cert, f.Roster)
	deps := gateway.Deps{
		Roster: f.Roster, DB: r.DB, Journal: r.Journal, Identity: f.Identity, Secret: secret,
		Keyring: keyring, SaveKeyring: rings.save, TakeKeyring: rings.take, Policy: policy.Default(),
		Holders: gateway.DialHolders(f.Cert, f.Roster), Hub: exchange, Mailbox: exchange,
		People: records.NewPeople(people), Ledgers: r.Follower, Now: now, Log: log, Metrics: r.metrics,
	}
	if r.wrapGateway != nil {
		r.wrapGateway(&deps)
	}
	if err := f.Config.Retention.Validate(); err != nil {
		return fmt.Errorf("%s: %w", f.path("config.json"), err)
	}
	config := gateway.Config{State: me.Jurisdiction, Retention: f.Config.Retention, Cases: f.Config.Cases.config()}
	if f.Config.Moves != nil {
		config.Moves = *f.Config.Moves
	}
	if r.Gateway, err = gateway.New(config, deps); err != nil {
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
	unit, err := f.operators(unitFolder)
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
			counterErr = r.Gateway.ServeCounter(ctx, listener, counterCert, gateway.Callers{Operators: operators, Auditors: auditors, Unit: unit})
			stop()
		})
		err := r.Gateway.Run(ctx)
		serving.Wait()
		return errors.Join(err, counterErr)
	}
	return nil
}
