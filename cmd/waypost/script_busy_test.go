package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/waypost/waypost/internal/cluster"
)

// What scripts wait for on a machine that is busy with ten others: a clerk is made to wait
// for some seconds only, a role that stops has three for its last entries.

var askAgain = regexp.MustCompile(`Ask again with ticket ([0-9a-f]{64})`)

// answered exec waypost check --dir DIR --state STATE ... makes a check whose answer will be
// complete, and waits until it is.
func answered(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 7 || strings.Join(args[:4], " ") != "exec waypost check --dir" || args[5] != "--state" {
		ts.Fatalf("usage: answered exec waypost check --dir DIR --state STATE ...")
	}
	command := args[2:]
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(300 * time.Millisecond) {
		ts.Check(ts.Exec("waypost", command...))
		said := ts.ReadFile("stdout")
		later := askAgain.FindStringSubmatch(said)
		switch {
		case later != nil:
			command = append(args[2:7:7], "--ticket", later[1])
		case !strings.HasPrefix(said, "CHECK OWED"):
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the check is not complete after three minutes")
		}
	}
}

// cut PATTERN exec waypost COMMAND... runs a command until it prints what is like the
// pattern, on either output, interrupts it, and insists that it fails then.
func cut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 || args[1] != "exec" || args[2] != "waypost" {
		ts.Fatalf("usage: cut PATTERN exec waypost COMMAND...")
	}
	like, said := regexp.MustCompile(args[0]), new(output)
	command := exec.Command(scriptProgram(ts), args[3:]...)
	command.Dir, command.Stdout, command.Stderr = ts.MkAbs("."), said, said
	command.Env = append(os.Environ(), "TMPDIR="+ts.Getenv("TMPDIR"), "XDG_CACHE_HOME="+ts.Getenv("XDG_CACHE_HOME"))
	ts.Check(command.Start())
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	for deadline := time.Now().Add(3 * time.Minute); ; {
		select {
		case err := <-ended:
			ts.Fatalf("it has ended before it was interrupted: %v\n%s", err, said.String())
		case <-time.After(20 * time.Millisecond):
		}
		if like.MatchString(said.String()) {
			break
		}
		if time.Now().After(deadline) {
			_ = command.Process.Kill()
			ts.Fatalf("nothing printed is like %s within three minutes:\n%s", args[0], said.String())
		}
	}
	ts.Check(command.Process.Signal(os.Interrupt))
	if err := <-ended; err == nil {
		ts.Fatalf("it was interrupted and says that it is done:\n%s", said.String())
	}
	ts.Logf("%s", said.String())
}

// output is what a process prints, while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// settled DIR sees to it that the ledgers of an exchange that was stopped are published to
// the end: where the machine was too busy for that, it has all roles start and stop again.
func settled(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: settled DIR")
	}
	dir := ts.MkAbs(args[0])
	behind, err := cluster.Behind(context.Background(), dir, rolesOf(ts, dir)...)
	ts.Check(err)
	if len(behind) == 0 {
		return
	}
	running, err := cluster.OpenProcesses(context.Background(), cluster.Config{Dir: dir}, scriptProcess(ts))
	ts.Check(err)
	ts.Check(running.Settle(context.Background()))
}

// rolesOf are the roles of an exchange, by their roster names.
func rolesOf(ts *testscript.TestScript, dir string) (names []string) {
	configs, err := filepath.Glob(filepath.Join(dir, "*", "config.json"))
	ts.Check(err)
	for _, path := range configs {
		names = append(names, strings.TrimPrefix(filepath.Base(filepath.Dir(path)), "gateway-"))
	}
	if len(names) == 0 {
		ts.Check(errors.New("there is no exchange in " + dir))
	}
	return names
}

// stop ends a role in order, with its ledger published to the end.
func (r *scriptRoles) stop(name string) error {
	for range 5 {
		if err := r.Stop(name); err != nil {
			return err
		}
		behind, err := cluster.Behind(context.Background(), r.dir, name)
		if err != nil || len(behind) == 0 {
			return err
		}
		if err := r.Start(context.Background(), name); err != nil {
			return err
		}
		for deadline := time.Now().Add(time.Minute); len(behind) > 0 && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			behind, _ = cluster.Behind(context.Background(), r.dir, name)
		}
	}
	return errors.New("the machine is too busy to publish the last entries of " + name)
}
