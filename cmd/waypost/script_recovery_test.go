package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/waypost/waypost/internal/install"
)

// published DIR NAME N [exec COMMAND...] waits until the role's first log shows more
// than N entries, and runs the command until it does.
func published(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 && (len(args) < 5 || args[3] != "exec") {
		ts.Fatalf("usage: published DIR NAME N [exec COMMAND...]")
	}
	more, err := strconv.Atoi(args[2])
	ts.Check(err)
	file := filepath.Join(install.FolderOf(ts.MkAbs(args[0]), args[1]), "log", args[1], "1", "checkpoint")
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(500 * time.Millisecond) {
		if len(args) > 3 {
			ts.Check(ts.Exec(args[4], args[5:]...))
		}
		if raw, err := os.ReadFile(file); err == nil {
			if lines := strings.SplitN(string(raw), "\n", 3); len(lines) == 3 {
				if n, err := strconv.Atoi(lines[1]); err == nil && n > more {
					return
				}
			}
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the log of %s did not get beyond %d entries", args[1], more)
		}
	}
}
