package install

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/waypost/waypost/internal/store"
)

// A Finding is one thing that [Check] looked at.
type Finding struct {
	What  string   `json:"what"` // a file, or a setting in config.json
	OK    bool     `json:"ok"`
	Words []string `json:"words"`
}

// Check looks whether the role in a folder could start: its configuration, keys,
// certificate and roster, where it listens, and its databases, which it asks and does
// not change. What stands after something that is wrong may not have been looked at.
func Check(ctx context.Context, dir string, now func() time.Time) (findings []Finding, ok bool) {
	ok = true
	found := func(what string, err error, words ...string) {
		if err != nil {
			words, ok = append(words, err.Error()), false
		}
		findings = append(findings, Finding{What: what, OK: err == nil, Words: words})
	}
	f, err := OpenFolder(dir, now)
	if err != nil {
		found(dir, err)
		return findings, ok
	}
	c := f.Config
	found("config.json", nil, fmt.Sprintf("the %s %s; its keys and certificate are those that roster %d names", c.Role, c.Name, f.Roster.Current().Version))
	for _, door := range []struct{ what, address string }{{"listen", c.Listen}, {"public", c.Public}, {"metrics", c.Metrics}} {
		if door.address == "" && door.what != "listen" {
			continue
		}
		_, _, err := net.SplitHostPort(door.address)
		found(door.what, err, door.address)
	}
	_, err = c.instance()
	found("instance", err)
	for _, db := range []struct{ what, url, role string }{{"database", c.Database, string(c.Role)}, {"people", c.People, "people"}} {
		if db.url == "" && db.what != "database" {
			continue
		}
		report, err := store.Check(ctx, f.database(db.url), db.role)
		words := report.Facts
		for _, w := range report.Warnings {
			words = append(words, "warning: "+w)
		}
		found(db.what, err, words...)
	}
	return findings, ok
}
