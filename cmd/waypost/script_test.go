package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/store/pgtest"
)

// The scripts run the real program, as real processes.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"waypost": func() { os.Exit(run()) }})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Condition: func(cond string) (bool, error) {
			if cond != "postgres" {
				return false, fmt.Errorf("there is no condition %q", cond)
			}
			return pgtest.Installed(), nil
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("TMPDIR", env.WorkDir)
			if cache, err := os.UserCacheDir(); err == nil {
				env.Setenv("XDG_CACHE_HOME", cache) // all scripts count ports together
			}
			env.Values[rolesKey{}] = new(scriptRoles)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			// replace OLD NEW FILE changes a text that must be there.
			"replace": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 3 {
					ts.Fatalf("usage: replace OLD NEW FILE")
				}
				before := ts.ReadFile(args[2])
				after := strings.ReplaceAll(before, args[0], args[1])
				if after == before {
					ts.Fatalf("%s is not in %s", args[0], args[2])
				}
				ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(after), 0o600))
			},
			// ready DIR STATE N waits until the state's counter answers and has
			// N records in the index.
			"ready": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 3 {
					ts.Fatalf("usage: ready DIR STATE N")
				}
				n, err := strconv.ParseUint(args[2], 10, 32)
				ts.Check(err)
				ts.Check(ready(ts.MkAbs(args[0]), waypost.Jurisdiction(args[1]), n))
			},
			// capture NAME PATTERN keeps the first group of the pattern in what the
			// last command has printed.
			"capture": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 2 {
					ts.Fatalf("usage: capture NAME PATTERN")
				}
				m := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
				if len(m) != 2 {
					ts.Fatalf("nothing printed is like %s", args[1])
				}
				ts.Setenv(args[0], m[1])
			},
			// until PATTERN [!] exec COMMAND... runs a command, which succeeds or fails, until
			// it prints what is like the pattern. What is owed is made again after half a minute.
			"until": func(ts *testscript.TestScript, neg bool, args []string) {
				fails := len(args) > 3 && args[1] == "!"
				if fails {
					args = append(args[:1:1], args[2:]...)
				}
				if neg || len(args) < 3 || args[1] != "exec" {
					ts.Fatalf("usage: until PATTERN [!] exec COMMAND...")
				}
				like := regexp.MustCompile("(?m)" + args[0])
				for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(300 * time.Millisecond) {
					if err := ts.Exec(args[2], args[3:]...); (err != nil) == fails && like.MatchString(ts.ReadFile("stdout")) {
						return
					}
					if time.Now().After(deadline) {
						ts.Fatalf("nothing printed is like %s within three minutes", args[0])
					}
				}
			},
			"answered":  answered,
			"cut":       cut,
			"roles":     roles,
			"published": published,
			"settled":   settled,
			"shardable": shardable(t),
		},
	})
}

func ready(dir string, state waypost.Jurisdiction, published uint64) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		if counter, _, err := cluster.Counter(dir, state); err == nil {
			status, err := counter.Status(ctx, &waypostv1.StatusRequest{})
			if err == nil && status.Published >= published {
				return nil
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("the demo was not ready within five minutes")
}
