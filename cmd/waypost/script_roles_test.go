package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// roles is an exchange whose roles each run in a process of their own, so that a
// script can have one of them down:
//
//	roles open DIR STATES    make it, of states separated by commas, and start all
//	roles unkeyed DIR STATES the same, under a first roster that names no key: the key
//	                         holders have no shares
//	roles kill NAME          end a role as a power failure would
//	roles stop NAME          end it in order, its ledger published to the end
//	roles start NAME
//	roles age STATE DAYS     what is unfinished at a stopped gateway was begun so
//	                         many days earlier
//	roles close              stop all, in the same way
func roles(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: roles open|unkeyed|kill|stop|start|age|close ...")
	}
	if (args[0] == "open" || args[0] == "unkeyed") && len(args) == 3 {
		openRoles(ts, ts.MkAbs(args[1]), strings.Split(args[2], ","), args[0] == "unkeyed")
		return
	}
	running, ok := ts.Value(rolesKey{}).(*scriptRoles)
	if !ok || running.Processes == nil {
		ts.Fatalf("no exchange is open")
	}
	switch strings.Join(append(args[:1:1], strconv.Itoa(len(args)-1)), " ") {
	case "kill 1":
		ts.Check(running.Kill(args[1]))
	case "stop 1":
		ts.Check(running.stop(args[1]))
	case "start 1":
		ts.Check(running.Start(context.Background(), args[1]))
	case "age 2":
		days, err := strconv.Atoi(args[2])
		ts.Check(err)
		ts.Check(running.age(ts, args[1], days))
	case "close 0":
		ts.Check(running.Settle(context.Background()))
	default:
		ts.Fatalf("roles %s: not known", strings.Join(args, " "))
	}
}

// rolesKey is where a script keeps its exchange.
type rolesKey struct{}

type scriptRoles struct {
	*cluster.Processes
	dir string
}

// scriptProgram is the program that scripts run.
func scriptProgram(ts *testscript.TestScript) string {
	for _, folder := range filepath.SplitList(ts.Getenv("PATH")) {
		if found, err := exec.LookPath(filepath.Join(folder, "waypost")); err == nil {
			return found
		}
	}
	return ""
}

func scriptProcess(ts *testscript.TestScript) func(args ...string) *exec.Cmd {
	path := scriptProgram(ts)
	return func(args ...string) *exec.Cmd { return exec.Command(path, args...) }
}

func openRoles(ts *testscript.TestScript, dir string, names []string, unkeyed bool) {
	c := cluster.Config{Dir: dir, Holders: 3, Threshold: 2, Log: slog.New(slog.DiscardHandler)}
	for _, name := range names {
		c.States = append(c.States, waypost.Jurisdiction(name))
	}
	if unkeyed {
		ts.Check(install.Create(dir, install.Plan{States: c.States, Holders: c.Holders, Threshold: c.Threshold, Quota: cluster.Ample, Now: time.Now()}))
		ts.Check(unkey(dir))
	}
	opened, err := cluster.OpenProcesses(context.Background(), c, scriptProcess(ts))
	ts.Check(err)
	running := ts.Value(rolesKey{}).(*scriptRoles)
	running.Processes, running.dir = opened, dir
	ts.Defer(func() { _ = opened.Close() })
}

// unkey makes an exchange that never ran what it is before the key holders have made a
// key: it signs the first roster anew.
func unkey(dir string) error {
	first, err := filepath.Glob(filepath.Join(dir, "*", "roster", "000001"))
	if err != nil || len(first) == 0 {
		return errors.Join(err, errors.New("there are no rosters"))
	}
	signed, err := os.ReadFile(first[0])
	if err != nil {
		return err
	}
	r, err := roster.Read(signed)
	if err != nil {
		return err
	}
	r.Epoch, r.Threshold, r.GroupKey, r.Ceremony = 0, 0, nil, roster.Digest{}
	for i := range r.Members {
		if m := &r.Members[i]; m.Role == roster.KeyHolder {
			m.Index, m.PublicShare = 0, nil
			if err := os.RemoveAll(filepath.Join(dir, m.Name, "share")); err != nil {
				return err
			}
		}
	}
	secret, err := os.ReadFile(filepath.Join(dir, "governance", "governance.key"))
	if err != nil {
		return err
	}
	officer, err := note.NewSigner(strings.TrimSpace(string(secret)))
	if err != nil {
		return err
	}
	if signed, err = r.Sign(officer); err != nil {
		return err
	}
	for _, path := range first {
		if err := os.WriteFile(path, signed, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// age moves the times from which the gateway counts what is unfinished into the
// past.
func (r *scriptRoles) age(ts *testscript.TestScript, state string, days int) error {
	db, err := store.Open(context.Background(), "sqlite:"+filepath.Join(install.FolderOf(r.dir, state), "gateway.db"), "gateway")
	if err != nil {
		return err
	}
	defer db.Close()
	by := int64(days) * int64(24*time.Hour/time.Second)
	return db.Write(context.Background(), func(tx *store.Tx) error {
		for table, columns := range map[string][]string{"move": {"begun"}, "moving": {"begun"}, "termination": {"begun"}, "ending": {"begun", "due"}} {
			for _, column := range columns {
				if _, err := tx.Exec(fmt.Sprintf(`UPDATE %s SET %s = %s - $1`, table, column, column), by); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
