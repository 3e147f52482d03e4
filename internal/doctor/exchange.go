package doctor

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
)

// Exchange looks at every role in the folders under dir, which hold an exchange on one
// machine, and at what only shows beside each other. Reports are in the order of the
// folders' names; done, which may be nil, is told of each as it comes.
func Exchange(ctx context.Context, dir string, o Options, done func(n, all int)) ([]Report, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	configs, err := filepath.Glob(filepath.Join(dir, "*", "config.json"))
	if err != nil {
		return nil, err
	}
	if len(configs) == 0 {
		return nil, waypost.Errorf(waypost.NotFound, "%s holds no exchange: name the folder of one role with --dir, or make an exchange with waypost demo --dir %s", dir, dir)
	}
	reports := make([]Report, len(configs))
	var looking sync.WaitGroup
	var mu sync.Mutex
	ready, slots := 0, make(chan struct{}, 4)
	for i, path := range configs {
		looking.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			reports[i] = Examine(ctx, filepath.Dir(path), o)
			mu.Lock()
			defer mu.Unlock()
			if ready++; done != nil {
				done(ready, len(configs))
			}
		})
	}
	looking.Wait()
	beside(reports, o.Now)
	return reports, nil
}

// beside adds what shows only beside each other: two roles at one address, processes of
// one role that do not share what they must, and rosters of which some lack the newest.
func beside(reports []Report, now func() time.Time) {
	newest := uint64(0)
	surveys := make([]*install.Survey, len(reports))
	for i, r := range reports {
		surveys[i] = install.Look(r.Dir, now)
		if view := surveys[i].Folder.Roster; view != nil {
			newest = max(newest, view.Latest().Version)
		}
	}
	at := make(map[string]string) // the folder of who listens at an address
	first := make(map[string]int) // the first folder of a member
	for i := range reports {
		r, s := &reports[i], surveys[i]
		wrong := func(what, next, words string) {
			r.Findings = append(r.Findings, Finding{What: what, Level: Wrong, Words: words, Next: next})
		}
		c := s.Folder.Config
		for _, address := range []string{c.Listen, c.Public, c.Metrics} {
			if other, taken := at[address]; taken && address != "" {
				wrong("config.json", "give one of them another port", address+" is an address of "+other+" too")
			}
			at[address] = r.Dir
		}
		if view := s.Folder.Roster; view != nil && view.Latest().Version < newest && !r.Running {
			wrong("roster", "start it: it fetches what it lacks", "another role on this machine has a newer roster")
		}
		if c.Name == "" {
			continue // its config.json cannot be read: nobody knows whose folder it is
		}
		j, two := first[c.Name]
		if !two {
			first[c.Name] = i
			continue
		}
		if c.Role == roster.KeyHolder || !strings.HasPrefix(s.Database, "postgres:") || s.Database != surveys[j].Database {
			wrong("database", "give both the same URL of a PostgreSQL server; a key holder is one process", reports[j].Dir+" is of the same member, and has another database")
		}
		if filepath.Clean(s.Logs) != filepath.Clean(surveys[j].Logs) {
			wrong("ledger", "name one folder as logs in both, on a disk that both machines mount", reports[j].Dir+" is of the same member, and has another folder of logs")
		}
	}
}
