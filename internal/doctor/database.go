package doctor

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/shards"
	"github.com/waypost/waypost/internal/store"
)

// pulse is for how long a process that is said to be alive is watched: its beat moves
// once a second. Tests on a busy machine have more patience.
var pulse = 3 * time.Second

// Below these the disk is full soon, or as good as full.
const littleRoom, noRoom = 5 << 30, 256 << 20

// database looks at the role's databases, at the processes that use them, and at the
// ledger in them.
func (e *exam) database() {
	var lives []store.Life
	look := func(tx *store.Tx) (err error) {
		lives, err = store.Lives(tx)
		return err
	}
	report, ok := e.ask("database", e.survey.Database, string(e.Role), look)
	if e.Role == roster.Gateway {
		e.ask("people", e.survey.People, "people", func(*store.Tx) error { return nil })
	}
	if !ok {
		return
	}
	if e.Running = report.InUse; report.File == "" {
		e.processes(lives)
	}
	if e.Role != install.Witness && e.view() != nil {
		e.ledger()
	}
}

// ask checks one database; ok says that look was run.
func (e *exam) ask(what, url, role string, look func(tx *store.Tx) error) (r store.Report, ok bool) {
	if url == "" {
		e.wrongf(what, "name one in config.json: \"sqlite:FILE\" or \"postgres://USER@HOST/NAME\"", "config.json names no database here")
		return r, false
	}
	r, err := store.Check(e.ctx, url, role, func(tx *store.Tx) error {
		ok = true
		return look(tx)
	})
	for _, w := range r.Warnings {
		e.warnf(what, "docs/operations/databases.md", "%s", w)
	}
	if err != nil {
		e.wrongf(what, "correct "+what+" in config.json, or the server: docs/operations/databases.md", "%v", err)
		return r, false
	}
	e.okf(what, "%s", strings.Join(r.Facts, "; "))
	return r, ok
}

// again runs look on the role's database, which was right just now.
func (e *exam) again(look func(tx *store.Tx) error) bool {
	_, err := store.Check(e.ctx, e.survey.Database, string(e.Role), look)
	if err != nil {
		e.wrongf("database", "run this again; if it stays, see docs/operations/databases.md", "%v", err)
	}
	return err == nil
}

// processes looks which processes of the role on a server work, and what each does for
// all. The one with this folder's number is the role itself.
func (e *exam) processes(before []store.Life) {
	before = slices.DeleteFunc(before, func(l store.Life) bool { return !l.Alive })
	if len(before) == 0 {
		e.okf("processes", "no process of this role is running")
		return
	}
	// A process that has lost its number, or ended, in the meantime is not said to be alive.
	deadline := time.Now().Add(pulse)
	still := make(map[int64]store.Life)
	for _, l := range before {
		still[l.Number] = l
	}
	var now []store.Life
	for len(still) > 0 && time.Now().Before(deadline) {
		select {
		case <-e.ctx.Done():
			return
		case <-time.After(pulse / 6):
		}
		if !e.again(func(tx *store.Tx) (err error) {
			now, err = store.Lives(tx)
			return err
		}) {
			return
		}
		for _, l := range now {
			if was, ok := still[l.Number]; ok && (l.Beat != was.Beat || !l.Alive) {
				delete(still, l.Number)
			}
		}
	}
	for _, l := range now {
		if l.Alive {
			_, stands := still[l.Number]
			e.process(l, stands)
		}
	}
}

func (e *exam) process(l store.Life, stands bool) {
	does := "nothing for all"
	if len(l.Leases) > 0 {
		does = strings.Join(l.Leases, ", ")
	}
	number := 1
	if c := e.survey.Folder.Config; c.Instance != nil {
		number = *c.Instance
	}
	if stands {
		e.wrongf("processes", "look for it on its machine: if it is paused or stopped, kill it, since it keeps the folder of its log locked; the others take over after some seconds",
			"process %d says that it is alive, and stands still; it holds %s", l.Number, does)
		return
	}
	if number == 0 || int64(number) == l.Number {
		e.Running = true
	}
	e.okf("processes", "process %d works; it holds %s", l.Number, does)
}

// ledger compares the entries in the database with what is published, and tells what is
// remembered of the ledgers of others.
func (e *exam) ledger() {
	own := make(map[string]published)
	var states []journal.State
	var kept []follow.Kept
	read := func(tx *store.Tx) (err error) {
		if states, err = journal.States(tx, func(origin string) int64 { return own[origin].entries }); err == nil {
			kept, err = follow.Remembered(tx)
		}
		return err
	}
	if !e.again(read) {
		return
	}
	// What is published is read first, then what there is: the role goes on meanwhile.
	for _, s := range states {
		own[s.Origin] = e.published(s.Origin)
	}
	if !e.again(read) {
		return
	}
	for _, s := range states {
		e.log(s, own[s.Origin])
	}
	for _, k := range kept {
		e.followed(k)
	}
}

// rooms looks how much is left on the disks of this machine.
func (e *exam) rooms() {
	s := e.survey
	folders := []string{s.Folder.Dir}
	for _, url := range []string{s.Database, s.People} {
		if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
			folders = append(folders, filepath.Dir(path))
		}
	}
	if e.Role != install.Witness {
		folders = append(folders, s.Logs)
	}
	if s.Shares != "" {
		folders = append(folders, s.Shares, s.Identities)
	}
	seen := make(map[string]bool)
	for _, folder := range folders {
		free, all, err := e.Room(folder)
		disk := fmt.Sprint(free, all)
		if err != nil || all == 0 || seen[disk] {
			continue // what is not there is told elsewhere, and one disk is told once
		}
		seen[disk] = true
		words := fmt.Sprintf("%d MB of %d MB are free where %s lies", free>>20, all>>20, folder)
		const next = "make room, or use a larger disk: what cannot be written is refused, and nothing is lost that was acknowledged"
		switch {
		case free < noRoom:
			e.wrongf("room", next, "%s", words)
		case free < littleRoom:
			e.warnf("room", next, "%s", words)
		default:
			e.okf("room", "%s", words)
		}
	}
}

// shards asks the servers of labels of a hub.
func (e *exam) shards() {
	if e.Role != roster.Hub || !strings.HasPrefix(e.survey.Database, "postgres:") {
		return
	}
	table, err := shards.Open(e.ctx, e.survey.Database)
	if err != nil {
		return // no hub has run on it yet, or it cannot be asked, as was told
	}
	status, err := table.Status(e.ctx)
	if err == nil {
		err = table.Belongs(e.ctx)
	}
	if err = errors.Join(err, table.Close()); err != nil {
		e.wrongf("labels", "docs/operations/scale.md, Backup", "%v", err)
	}
	for _, s := range status.Servers {
		switch {
		case s.Trouble != "":
			e.wrongf("labels", "start the server "+s.Name+", or see its log: until then searches are made in part, and checks are owed", "%s (%s) cannot be asked: %s", s.Name, s.Address, s.Trouble)
		case s.Unfinished > 0:
			e.warnf("labels", "run that command again", "%s has what a waypost hub shards command left that was cut short", s.Name)
		default:
			e.okf("labels", "%s (%s) has %d partitions", s.Name, s.Address, len(s.Partitions))
		}
	}
}
