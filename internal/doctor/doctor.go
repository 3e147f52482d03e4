// Package doctor looks at an installed role, or at all of an exchange on one machine, and
// says what is wrong with it, in words, with the next step. The role may run or be stopped;
// nothing is changed, no file is made, and no port is opened.
//
// It looks from three sides: at the folder (folder.go, share.go), at the database and the
// published ledger (database.go, ledger.go), and over the network, as the role itself
// would, at everybody whom the roster names (probe.go, peers.go).
package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
)

// Level is how bad a [Finding] is.
type Level string

// A warning is what works and will not for long, or works worse than it should.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Wrong   Level = "wrong"
)

// A Finding is one thing that was looked at.
type Finding struct {
	What  string `json:"what"` // a file, a setting, a member
	Level Level  `json:"level"`
	Words string `json:"words"`
	Next  string `json:"next,omitempty"` // what to do; empty where nothing is to do
}

// A Report is what was found at one role.
type Report struct {
	Dir      string      `json:"dir"`
	Name     string      `json:"name"` // in the roster; empty if it cannot be read
	Role     roster.Role `json:"role"`
	Running  bool        `json:"running"`
	Findings []Finding   `json:"findings"`
}

// OK reports whether nothing is wrong. Warnings do not count.
func (r Report) OK() bool {
	return !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Level == Wrong })
}

// Options are how to look.
type Options struct {
	Offline bool             // look at nobody else: before the first start, or without a network
	Now     func() time.Time // nil: time.Now
	// Room returns the free and all bytes of the disk that a path lies on; nil: as the
	// system says.
	Room func(path string) (free, all uint64, err error)
}

// exam is one look at one role.
type exam struct {
	Options
	Report

	ctx    context.Context
	survey *install.Survey
	me     roster.Member // of the newest roster; zero for a witness that stands alone
	origin string        // of the own log, as the config has it
}

// Examine looks at the role in a folder. It takes some seconds where others do not answer.
func Examine(ctx context.Context, dir string, o Options) Report {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Room == nil {
		o.Room = room
	}
	e := &exam{Options: o, ctx: ctx, survey: install.Look(dir, o.Now), Report: Report{Dir: dir, Findings: []Finding{}}}
	c := e.survey.Folder.Config
	e.Name, e.Role, e.origin = c.Name, c.Role, c.Origin
	e.folder()
	if c.Role == "" {
		return e.Report // there is no config.json that can be read
	}
	e.share()
	e.database()
	e.rooms()
	e.doors()
	e.shards()
	if !o.Offline && e.view() != nil {
		e.peers()
	}
	return e.Report
}

// view is the roster, nil if it cannot be read. It may have run out.
func (e *exam) view() *roster.View { return e.survey.Folder.Roster }

func (e *exam) addf(what string, level Level, next, format string, args ...any) {
	e.Findings = append(e.Findings, Finding{What: plain(what), Level: level, Words: plain(fmt.Sprintf(format, args...)), Next: plain(next)})
}

// maxWords bounds what is printed of one thing, in bytes.
const maxWords = 2000

// plain is text as it can be shown in a terminal. Some of it comes from others: the names in
// a certificate, what a database server says. What does not print is shown as a question
// mark, so that nobody can move the cursor, and write over what is wrong.
func plain(text string) string {
	if len(text) > maxWords {
		text = text[:maxWords] + "..."
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

func (e *exam) okf(what, format string, args ...any) { e.addf(what, OK, "", format, args...) }

func (e *exam) warnf(what, next, format string, args ...any) {
	e.addf(what, Warning, next, format, args...)
}

func (e *exam) wrongf(what, next, format string, args ...any) {
	e.addf(what, Wrong, next, format, args...)
}

// day is a time as it is told to people.
func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// about is a length of time as it is told to people.
func about(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	}
	return fmt.Sprintf("%d seconds", int(d.Seconds()))
}
