package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/install"
)

// Processes is an exchange whose roles each run in a process of their own, as
// they would on the machines of their owners. What one of them does when it is
// killed here is what it would do there.
type Processes struct {
	dir     string
	names   []string
	command func(args ...string) *exec.Cmd

	mu      sync.Mutex
	running map[string]*process
}

// process is one role. Its standard input is its lifeline: the process stops
// when that ends, and so it never outlives the one that started it.
type process struct {
	name     string
	log      string // file with what it prints
	command  *exec.Cmd
	lifeline io.Closer
	ended    chan struct{}
	err      error // once ended
}

// Nobody waits for these on a machine that has time: they tell a role that hangs from a
// machine that is busy with ten others.
const (
	startWait = 2 * time.Minute
	stopWait  = time.Minute
)

// OpenProcesses creates the exchange if there is none in the folder, and starts
// every role. Of the configuration it uses what says which exchange to create.
// The command runs the waypost program with the arguments given; what a role
// prints is added to the file process.log in its folder.
func OpenProcesses(ctx context.Context, c Config, command func(args ...string) *exec.Cmd) (*Processes, error) {
	if err := create(c); err != nil {
		return nil, err
	}
	if err := install.Renew(c.Dir, time.Now()); err != nil {
		return nil, err
	}
	names, err := roleNames(c.Dir)
	if err != nil {
		return nil, err
	}
	p := &Processes{dir: c.Dir, names: names, command: command, running: make(map[string]*process)}
	starting, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		starting.Go(func() error { return p.Start(ctx, name) })
	}
	if err := starting.Wait(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Names are all roles of the exchange, by their roster names.
func (p *Processes) Names() []string { return slices.Clone(p.names) }

// Start starts a role that does not run, and waits until its door answers.
func (p *Processes) Start(ctx context.Context, name string) error {
	door, err := p.door(name)
	if err != nil {
		return err
	}
	started, address, err := p.spawn(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	knock := tls.Dialer{Config: door}
	for {
		if conn, err := knock.DialContext(ctx, "tcp", address); err == nil {
			return conn.Close()
		}
		select {
		case <-started.ended:
			return started.died()
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer on %s: %w", name, address, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// door is what to expect at the door of a role: its own certificate.
func (p *Processes) door(name string) (*tls.Config, error) {
	file := "tls.crt"
	if install.IsGateway(name) {
		file = "counter.crt" // a gateway's only door
	}
	cert, err := os.ReadFile(filepath.Join(install.FolderOf(p.dir, name), file))
	if err != nil {
		return nil, err
	}
	only := x509.NewCertPool()
	only.AppendCertsFromPEM(cert)
	return &tls.Config{RootCAs: only, MinVersion: tls.VersionTLS13}, nil
}

// spawn starts the process of a role, and returns where its door will be.
func (p *Processes) spawn(name string) (_ *process, address string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running[name] != nil {
		return nil, "", waypost.Errorf(waypost.AlreadyExists, "%s is running", name)
	}
	folder := install.FolderOf(p.dir, name)
	raw, err := os.ReadFile(filepath.Join(folder, "config.json"))
	if err != nil {
		return nil, "", err
	}
	var config install.Config
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, "", err
	}
	started := &process{
		name: name, log: filepath.Join(folder, "process.log"), ended: make(chan struct{}),
		command: p.command(string(config.Role), folder, "--lifeline"),
	}
	if err := started.run(); err != nil {
		return nil, "", err
	}
	p.running[name] = started
	return started, config.Listen, nil
}

func (p *process) run() (err error) {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	p.command.Stdout, p.command.Stderr = log, log
	if p.lifeline, err = p.command.StdinPipe(); err != nil {
		return err
	}
	if err := p.command.Start(); err != nil {
		return errors.Join(err, p.lifeline.Close())
	}
	go func() {
		p.err = p.command.Wait()
		close(p.ended)
	}()
	return nil
}

// Kill ends a role as a power failure would, wherever it is.
func (p *Processes) Kill(name string) error {
	return p.end(name, func(r *process) error {
		err := r.command.Process.Kill()
		<-r.ended
		return err
	})
}

// Stop asks a role to stop, and waits until it has.
func (p *Processes) Stop(name string) error {
	return p.end(name, func(r *process) error {
		if err := r.command.Process.Signal(syscall.SIGTERM); err != nil {
			_ = r.lifeline.Close() // systems without the signal
		}
		select {
		case <-r.ended:
		case <-time.After(stopWait):
			_ = r.command.Process.Kill()
			<-r.ended
			return fmt.Errorf("%s did not stop within %v and was killed", name, stopWait)
		}
		if r.err != nil {
			return r.died()
		}
		return nil
	})
}

// end ends a role in the way given, unless it has ended by itself.
func (p *Processes) end(name string, in func(*process) error) error {
	p.mu.Lock()
	r := p.running[name]
	delete(p.running, name)
	p.mu.Unlock()
	if r == nil {
		return waypost.Errorf(waypost.NotFound, "%s is not running", name)
	}
	defer r.lifeline.Close()
	if err := r.alive(); err != nil {
		return err
	}
	return in(r)
}

// Alive is an error if any role has ended that nobody has ended.
func (p *Processes) Alive() (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.running {
		err = errors.Join(err, r.alive())
	}
	return err
}

// Close stops every role that runs: the gateways before those they talk to, and
// the witnesses last.
func (p *Processes) Close() (err error) {
	var gateways, servers, witnesses []string
	p.mu.Lock()
	for name := range p.running {
		switch {
		case isWitness(name):
			witnesses = append(witnesses, name)
		case install.IsGateway(name):
			gateways = append(gateways, name)
		default:
			servers = append(servers, name)
		}
	}
	p.mu.Unlock()
	for _, names := range [][]string{gateways, servers, witnesses} {
		errs := make(chan error, len(names))
		for _, name := range names {
			go func() { errs <- p.Stop(name) }()
		}
		for range names {
			err = errors.Join(err, <-errs)
		}
	}
	return err
}

func (p *process) alive() error {
	select {
	case <-p.ended:
		return p.died()
	default:
		return nil
	}
}

// died tells how a process has ended, with the last lines that it printed.
func (p *process) died() error {
	const shown = 2000
	text, err := os.ReadFile(p.log)
	text = text[max(0, len(text)-shown):]
	how := p.err
	if how == nil {
		how = errors.New("exit status 0")
	}
	return errors.Join(fmt.Errorf("%s has ended (%w): %s", p.name, how, strings.TrimSpace(string(text))), err)
}
