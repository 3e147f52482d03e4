// Package cluster runs every role of an exchange in one process, over real TLS
// on loopback, each from its own folder as it would run alone. Tests, the
// demonstration, drills and benchmarks all use it, so that what they show is
// the same program.
package cluster

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/keyholder"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// Config says which exchange to run. Only Dir, Log and the hooks matter when
// Dir holds one already.
type Config struct {
	Dir       string
	States    []waypost.Jurisdiction
	Holders   int          // zero means 5
	Threshold int          // zero means 3
	Quota     roster.Quota // zero means one that a demonstration never meets
	// Witnesses are outside witnesses that others run.
	Witnesses []roster.Witness
	// Databases is as in install.Plan: without it the databases are files.
	Databases func(name, kind string) (url string, err error)
	// Processes is as in install.Plan: how many share a database.
	Processes map[string]int
	Log       *slog.Logger
	// Faults, if set, is asked at every point of every commit of the role's
	// database, and may fail it: see store.Fault.
	Faults func(role, point string) error
	// Gateways, if set, sees what each gateway works with before it starts, and
	// may replace it: so drills make members misbehave.
	Gateways func(state waypost.Jurisdiction, deps *gateway.Deps)
	// Hub and KeyHolders are the same for the others.
	Hub        func(deps *hub.Deps)
	KeyHolders func(name string, deps *keyholder.Deps)
}

// Ample is a quota that only a load test or an attack would meet.
var Ample = roster.Quota{
	TicketsPerDay: 10_000_000, UnattendedPerDay: 10_000_000, TicketsPerOperatorHour: 10_000_000, Operators: 1000,
	PublishElementsPerDay: 100_000_000, PublishElementsForALoad: 100_000_000,
}

// Cluster is a running exchange.
type Cluster struct {
	Clock  *Clock
	dir    string
	log    *slog.Logger
	mu     sync.Mutex
	nodes  map[string]*node
	closed bool

	config   Config
	keeping  sync.WaitGroup
	renewing chan struct{} // closed at the end
}

// node is one role and its process-like life.
type node struct {
	role *install.Role
	stop context.CancelFunc
	done chan error
}

// Open creates the exchange if there is none in the folder, renews its roster
// if it is about to run out, and starts every role.
func Open(ctx context.Context, c Config) (*Cluster, error) {
	if err := create(c); err != nil {
		return nil, err
	}
	if err := install.Renew(c.Dir, time.Now()); err != nil {
		return nil, err
	}
	cl := &Cluster{dir: c.Dir, log: c.Log, config: c, nodes: make(map[string]*node), renewing: make(chan struct{})}
	cl.Clock = &Clock{catchUp: cl.leapt}
	names, err := roleNames(c.Dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := cl.Start(ctx, name); err != nil {
			return nil, errors.Join(err, cl.Close())
		}
	}
	cl.keeping.Go(cl.keepRoster)
	return cl, nil
}

// keepRoster renews the roster of an exchange that runs for longer than one is
// valid.
func (c *Cluster) keepRoster() {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-c.renewing:
			return
		case <-tick.C:
			if err := c.Renew(); err != nil {
				c.log.Error("the roster could not be renewed", "cause", err)
			}
		}
	}
}

// Renew signs the roster again if it is about to run out, by the cluster's
// clock, and has every running role take it up.
func (c *Cluster) Renew() error {
	err := install.Renew(c.dir, c.Clock.Now())
	c.mu.Lock()
	for _, n := range c.nodes {
		err = errors.Join(err, n.role.ReloadRoster())
	}
	c.mu.Unlock()
	return errors.Join(err, patiently(context.Background(), func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.catchUp()
	}))
}

// busy is for how long a busy machine is given another chance.
const busy = time.Minute

// patiently does something until it succeeds, or fails for another reason than that
// somebody has not answered in time: a witness has two seconds.
func patiently(ctx context.Context, do func() error) error {
	for deadline := time.Now().Add(busy); ; {
		err := do()
		late := errors.Is(err, translog.ErrUnwitnessed) || errors.Is(err, context.DeadlineExceeded) || waypost.CodeOf(err) == waypost.Unavailable
		if !late || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// leap is the most by which the clock is set forward before ledgers would look
// as if nobody witnessed them.
const leap = 5 * time.Minute

func (c *Cluster) leapt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.catchUp(); err != nil {
		c.log.Warn("not every role has caught up with the clock", "cause", err)
	}
}

// catchUp has the ledgers that others follow published and witnessed now, and
// then looked at. The caller holds c.mu.
func (c *Cluster) catchUp() error {
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	err := c.each(func(r *install.Role) error {
		if r.Gateway != nil {
			return nil // nobody follows it, and its copy waits for the hub
		}
		return r.Publisher.Flush(ctx)
	})
	return errors.Join(err, c.each(func(r *install.Role) error { return r.Follower.Round(ctx) }))
}

// each does something with every running role that has a ledger, side by side.
// The caller holds c.mu.
func (c *Cluster) each(do func(r *install.Role) error) (err error) {
	errs := make(chan error, len(c.nodes))
	for _, n := range c.nodes {
		go func() {
			if n.role.Publisher == nil {
				errs <- nil
				return
			}
			errs <- do(n.role)
		}()
	}
	for range c.nodes {
		err = errors.Join(err, <-errs)
	}
	return err
}

// Publish has everything that is in the ledgers now published and witnessed,
// also where the public reads the logs of the gateways.
func (c *Cluster) Publish(ctx context.Context) error {
	return patiently(ctx, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.each(func(r *install.Role) error { return r.Publisher.Flush(ctx) })
	})
}

func create(c Config) error {
	if _, err := os.Stat(filepath.Join(c.Dir, "governance")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	plan := install.Plan{States: c.States, Holders: c.Holders, Threshold: c.Threshold, Quota: c.Quota, Witnesses: c.Witnesses, Databases: c.Databases, Processes: c.Processes, Now: time.Now()}
	if plan.Holders == 0 {
		plan.Holders, plan.Threshold = 5, 3
	}
	if plan.Quota == (roster.Quota{}) {
		plan.Quota = Ample
	}
	return install.Create(c.Dir, plan)
}

// roleNames lists the roles: the witness, the hub and the key holders before the
// gateways.
func roleNames(dir string) ([]string, error) {
	configs, err := filepath.Glob(filepath.Join(dir, "*", "config.json"))
	if err != nil {
		return nil, err
	}
	var witnesses, servers, gateways []string
	for _, path := range configs {
		folder := filepath.Base(filepath.Dir(path))
		switch state, isGateway := strings.CutPrefix(folder, "gateway-"); {
		case isGateway:
			gateways = append(gateways, state)
		case isWitness(folder):
			witnesses = append(witnesses, folder)
		default:
			servers = append(servers, folder)
		}
	}
	sort.Strings(servers)
	sort.Strings(gateways)
	return slices.Concat(witnesses, servers, gateways), nil
}

func isWitness(name string) bool { return strings.HasPrefix(name, "witness-") }

// Start starts one role, by its roster name, from its folder.
func (c *Cluster) Start(ctx context.Context, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.nodes[name] != nil {
		return waypost.Errorf(waypost.AlreadyExists, "%s is running", name)
	}
	var opts []install.Option
	if c.config.Faults != nil {
		opts = append(opts, install.WithFault(func(point string) error { return c.config.Faults(name, point) }))
	}
	if c.config.Gateways != nil {
		opts = append(opts, install.WithGateway(func(d *gateway.Deps) { c.config.Gateways(waypost.Jurisdiction(name), d) }))
	}
	if c.config.Hub != nil {
		opts = append(opts, install.WithHub(c.config.Hub))
	}
	if c.config.KeyHolders != nil {
		opts = append(opts, install.WithKeyHolder(func(d *keyholder.Deps) { c.config.KeyHolders(name, d) }))
	}
	role, err := install.Open(ctx, install.FolderOf(c.dir, name), c.Clock.Now, c.log, opts...)
	if err != nil {
		return err
	}
	// A role lives until it is stopped, not until the caller's context ends.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	n := &node{role: role, stop: stop, done: make(chan error, 1)}
	go func() { n.done <- role.Run(running) }()
	c.nodes[name] = n
	return nil
}

// Stop stops one role and closes its databases, as the end of its process
// would.
func (c *Cluster) Stop(name string) error { return c.stopAll([]string{name}) }

// Close stops every role, the gateways before those they talk to, and the
// witness last.
func (c *Cluster) Close() error {
	c.mu.Lock()
	if !c.closed {
		close(c.renewing)
	}
	c.closed = true
	var gateways, servers, witnesses []string
	for name, n := range c.nodes {
		switch {
		case n.role.Gateway != nil:
			gateways = append(gateways, name)
		case isWitness(name):
			witnesses = append(witnesses, name)
		default:
			servers = append(servers, name)
		}
	}
	c.mu.Unlock()
	c.keeping.Wait()
	return errors.Join(c.stopAll(gateways), c.stopAll(servers), c.stopAll(witnesses))
}

// stopAll stops roles together: none closes its door before all have published
// their last entries, because they witness each other's.
func (c *Cluster) stopAll(names []string) (err error) {
	var stopped []*node
	c.mu.Lock()
	for _, name := range names {
		if n := c.nodes[name]; n != nil {
			stopped = append(stopped, n)
		} else {
			err = errors.Join(err, waypost.Errorf(waypost.NotFound, "%s is not running", name))
		}
		delete(c.nodes, name)
	}
	c.mu.Unlock()
	for _, n := range stopped {
		n.stop()
	}
	for _, n := range stopped {
		err = errors.Join(err, <-n.done)
	}
	for _, n := range stopped {
		err = errors.Join(err, n.role.Close())
	}
	return err
}

// Role returns a running role by its roster name, or nil.
func (c *Cluster) Role(name string) *install.Role {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.nodes[name]; n != nil {
		return n.role
	}
	return nil
}

// Gateway returns a running gateway, or nil.
func (c *Cluster) Gateway(state waypost.Jurisdiction) *gateway.Server {
	if r := c.Role(string(state)); r != nil {
		return r.Gateway
	}
	return nil
}

// Roster returns the membership as the hub sees it.
func (c *Cluster) Roster() *roster.Roster { return c.Role("hub").Folder.Roster.Current() }

// Door connects to a state's counter door, with the operator's certificate from
// the gateway's folder, for a client of any service there. The exchange may run
// in any process.
func Door(dir string, state waypost.Jurisdiction) (*connect.Client, string, error) {
	return install.DialDoor(install.FolderOf(dir, string(state)))
}

// Unit is Door as the special unit of the state that answers for protected
// persons.
func Unit(dir string, state waypost.Jurisdiction) (*connect.Client, string, error) {
	return install.DialUnit(install.FolderOf(dir, string(state)))
}

// Counter is Door for the Counter service.
func Counter(dir string, state waypost.Jurisdiction) (waypostv1connect.CounterClient, string, error) {
	door, url, err := Door(dir, state)
	if err != nil {
		return nil, "", err
	}
	return waypostv1connect.NewCounterClient(door), url, nil
}

// Clock is the real clock, which a demonstration may set forward for all roles
// at once.
type Clock struct {
	ahead, settled atomic.Int64 // settled is how far every role has caught up
	catchUp        func()
}

// Now is the time that the roles of the cluster see.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// Advance sets the clock of every role forward. After a leap, which would make
// every ledger look as if nobody had witnessed it for as long, it waits until
// the roles have caught up.
func (c *Clock) Advance(d time.Duration) {
	ahead := c.ahead.Add(int64(d))
	if settled := c.settled.Load(); ahead-settled >= int64(leap) && c.settled.CompareAndSwap(settled, ahead) {
		c.catchUp()
	}
}
