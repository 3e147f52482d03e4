package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/statefile"
)

// prepare makes the exchange in the folder and publishes everyone, with all
// roles in this process. In a folder that was used before, it publishes what
// is missing.
func prepare(ctx context.Context, c Config, dir string, p *people) (err error) {
	exchange, err := cluster.Open(ctx, cluster.Config{Dir: dir, States: states, Holders: holders, Threshold: threshold, Log: c.Log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, exchange.Close()) }()
	total, done := 0, 0
	for _, state := range states {
		total += len(p.records[state])
	}
	for _, state := range states {
		counter, _, err := cluster.Counter(dir, state)
		if err != nil {
			return err
		}
		loader := cluster.NewLoader(counter, 0, func(rows int) { c.Progress("loading people", done+rows, total) })
		for i, r := range p.records[state] {
			if err := loader.Add(ctx, statefile.Row{Line: i + 1, Record: r}); err != nil {
				break // and Finish says why
			}
		}
		loaded, err := loader.Finish(ctx)
		if err != nil {
			return fmt.Errorf("loading the people of %s: %w", state, err)
		}
		if len(loaded.Rejected) > 0 {
			return fmt.Errorf("loading the people of %s: %d rejected, the first because %s", state, len(loaded.Rejected), loaded.Rejected[0].Reason)
		}
		done += loaded.Rows
	}
	return nil
}

// process is one role in a process of its own.
type process struct {
	name     string
	command  *exec.Cmd
	lifeline io.Closer // its standard input
	log      tail
	ended    chan struct{}
	err      error // valid once ended
}

const (
	startWait = 2 * time.Minute
	stopWait  = time.Minute
)

// start starts a role and waits until it is ready.
func start(ctx context.Context, name string, command *exec.Cmd) (*process, error) {
	p := &process{name: name, command: command, ended: make(chan struct{})}
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.lifeline, command.Stderr = stdin, &p.log
	if err := command.Start(); err != nil {
		return nil, err
	}
	ready := make(chan struct{})
	go func() {
		if line, err := bufio.NewReader(stdout).ReadString('\n'); err == nil && strings.Contains(line, "https://") {
			close(ready)
		}
		_, _ = io.Copy(io.Discard, stdout) // until it ends
		p.err = command.Wait()
		close(p.ended)
	}()
	select {
	case <-ready:
		return p, nil
	case <-p.ended:
		err = p.died()
	case <-time.After(startWait):
		err = fmt.Errorf("%s was not ready within %v", name, startWait)
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, p.stop())
}

func (p *process) died() error {
	return fmt.Errorf("%s has ended (%w): %s", p.name, p.err, p.log.String())
}

// alive is an error if the process has ended.
func (p *process) alive() error {
	select {
	case <-p.ended:
		return p.died()
	default:
		return nil
	}
}

// stop ends the process by the end of its input, or by force.
func (p *process) stop() error {
	_ = p.lifeline.Close()
	select {
	case <-p.ended:
	case <-time.After(stopWait):
		_ = p.command.Process.Kill()
		<-p.ended
		return fmt.Errorf("%s did not stop within %v and was killed", p.name, stopWait)
	}
	if p.err != nil {
		return p.died()
	}
	return nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	const kept = 2000
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if extra := len(t.text) - kept; extra > 0 {
		t.text = append([]byte(nil), t.text[extra:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}

// roles are the kinds of process, in the order in which they start.
var roles = []string{"witness", "hub", "keyholders", "gateways"}

// processes are the running roles by kind.
type processes map[string][]*process

// startAll starts every role of the exchange in the folder.
func startAll(ctx context.Context, c Config, dir string) (processes, error) {
	if c.Profiles != "" {
		if err := os.MkdirAll(c.Profiles, 0o700); err != nil {
			return nil, err
		}
	}
	names := map[string][]string{"witness": {"witness-1"}, "hub": {"hub"}}
	for i := range holders {
		names["keyholders"] = append(names["keyholders"], fmt.Sprintf("keyholder-%d", i+1))
	}
	for _, state := range states {
		names["gateways"] = append(names["gateways"], string(state))
	}
	all := make(processes)
	for _, role := range roles {
		for _, name := range names[role] {
			folder := install.FolderOf(dir, name)
			profile := ""
			if c.Profiles != "" {
				profile = filepath.Join(c.Profiles, filepath.Base(folder)+".pprof")
			}
			p, err := start(ctx, name, c.Role(folder, profile))
			if err != nil {
				return nil, errors.Join(err, all.stop())
			}
			all[role] = append(all[role], p)
		}
	}
	return all, nil
}

// stop stops the gateways before those they talk to.
func (all processes) stop() error {
	var mu sync.Mutex
	var errs []error
	for _, role := range slices.Backward(roles) {
		var stopping sync.WaitGroup
		for _, p := range all[role] {
			stopping.Go(func() {
				err := p.stop()
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			})
		}
		stopping.Wait()
	}
	return errors.Join(errs...)
}

func (all processes) alive() error {
	var errs []error
	for _, role := range roles {
		for _, p := range all[role] {
			errs = append(errs, p.alive())
		}
	}
	return errors.Join(errs...)
}

// generator is this process, which offers the checks; machine is every process
// there is.
const (
	generator = "load_generator"
	machine   = "machine"
)

// processorTime is what each kind of process has used of the cores, or nil
// where the system does not tell.
func (all processes) processorTime() map[string]time.Duration {
	busy, ok := BusyTime()
	if !ok {
		return nil
	}
	used := map[string]time.Duration{machine: busy}
	pids := map[string][]int{generator: {os.Getpid()}}
	for role, list := range all {
		for _, p := range list {
			pids[role] = append(pids[role], p.command.Process.Pid)
		}
	}
	for role, list := range pids {
		for _, pid := range list {
			d, ok := ProcessorTime(pid)
			if !ok {
				return nil
			}
			used[role] += d
		}
	}
	return used
}

// dialAll returns a client of every state's counter door.
func dialAll(dir string) (map[waypost.Jurisdiction]counter, error) {
	counters := make(map[waypost.Jurisdiction]counter)
	for _, state := range states {
		c, _, err := cluster.Counter(dir, state)
		if err != nil {
			return nil, err
		}
		counters[state] = c
	}
	return counters, nil
}
