package recovery

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/publisher"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// stopped is the last entry of a process that has published everything.
const stopped = "stopped"

// judged is one of the role's logs, and what is to become of it.
type judged struct {
	journal.Position
	seen  Seen
	whole bool // nothing can have been promised beyond what came back
	kept  bool // the published log is still there, whole
}

// position compares each log with what the world has seen of it, and has a successor begin
// where that is wanted.
func (r *restore) position(ctx context.Context, a *archive) (fates []Fate, then []string, err error) {
	main, _ := r.folder.Databases()
	db, err := store.Open(ctx, main, string(r.folder.Config.Role))
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		err = errors.Join(err, db.Close())
		if file, ok := strings.CutPrefix(main, "sqlite:"); ok {
			err = errors.Join(err, os.Remove(file+".lock"))
		}
	}()
	read := int64(0)
	positions, err := journal.Positions(ctx, db, func(n int64) { read += n; r.Progress("reading the ledger", read, 0) })
	if err != nil {
		return nil, nil, err
	}
	if err := r.complete(ctx, db, a, positions); err != nil {
		return nil, nil, err
	}
	logs, err := r.judge(ctx, db, positions)
	if err != nil {
		return nil, nil, err
	}
	var ending []*judged
	for i := range logs {
		if !logs[i].whole {
			ending = append(ending, &logs[i])
		}
	}
	if err := r.mayGoOn(ending); err != nil {
		return nil, nil, err
	}
	successor := ""
	if len(ending) > 0 && r.Choice == Successor {
		if successor, err = r.succeed(ctx, db, positions, ending); err != nil {
			return nil, nil, err
		}
		then = r.duties()
	}
	for _, l := range logs {
		fates = append(fates, l.fate(successor))
	}
	return fates, then, nil
}

// complete checks that the database has the entries that the archive says it has.
func (r *restore) complete(ctx context.Context, db *store.DB, a *archive, positions []journal.Position) error {
	for _, l := range a.Logs {
		var p journal.Position
		for _, other := range positions {
			if other.Origin == l.Origin {
				p = other
			}
		}
		root, err := tlog.Hash{}, error(nil)
		if p.N >= l.Size {
			root, err = journal.RootAt(ctx, db, p.Log, l.Size, nil)
		}
		if err != nil {
			return err
		}
		if p.N < l.Size || hex.EncodeToString(root[:]) != l.Root {
			return damaged("the database in it is not the one whose position it states (%s)", l.Origin)
		}
	}
	return nil
}

// judge asks the world about every log that is open, and about further ones that the
// member may have begun since.
func (r *restore) judge(ctx context.Context, db *store.DB, positions []journal.Position) (logs []judged, err error) {
	w, err := newWorld(r.folder, r.Log)
	if err != nil {
		return nil, err
	}
	next := int64(1)
	for _, p := range positions {
		next = max(next, p.Log+1)
		if p.Closed {
			continue
		}
		r.Progress("asking what others have seen of "+p.Origin, 0, 1)
		l := judged{Position: p}
		if l.seen, err = w.seen(ctx, p.Origin); err != nil {
			return nil, err
		}
		if l.seen.N <= p.N {
			root, err := journal.RootAt(ctx, db, p.Log, l.seen.N, nil)
			if err != nil {
				return nil, err
			}
			if root != l.seen.Hash {
				return nil, waypost.Errorf(waypost.InvalidArgument, "%s: the first %d entries that came back are others than those that %s knows: this is not a copy of that log",
					p.Origin, l.seen.N, strings.Join(l.seen.By, ", "))
			}
		}
		l.whole = l.seen.N == p.N && (p.N == 0 || p.Last == stopped)
		logs = append(logs, l)
	}
	for ; next <= store.MaxProcess; next++ {
		l := judged{Position: journal.Position{Origin: r.folder.LogOf(next), Log: next, Tree: tlog.Tree{Hash: sha256.Sum256(nil)}}}
		if l.seen, err = w.seen(ctx, l.Origin); err != nil {
			return nil, err
		}
		if l.seen.N == 0 {
			return logs, nil
		}
		logs = append(logs, l)
	}
	return logs, nil
}

// mayGoOn says in words, and with the numbers, why the logs that are given, of which more
// was seen or may have been promised, do not simply go on.
func (r *restore) mayGoOn(ending []*judged) error {
	var back, unsure []string
	for _, l := range ending {
		if l.seen.N > l.N {
			back = append(back, fmt.Sprintf("%s has %d entries in this backup, and %s know of %d: it would be rolled back by %d", l.Origin, l.N, strings.Join(l.seen.By, ", "), l.seen.N, l.seen.N-l.N))
		} else {
			unsure = append(unsure, fmt.Sprintf("%s came back with %d entries, and others know of %d; it had not been stopped, so that more may have been promised after this copy was made", l.Origin, l.N, l.seen.N))
		}
	}
	switch {
	case len(ending) == 0 || r.Choice == Successor:
		return nil
	case len(back) > 0:
		return waypost.Errorf(waypost.InvalidArgument, "%s. Bring back a newer backup; if there is none, --successor closes the log for ever, says in public what is lost, and begins another", strings.Join(back, "; "))
	case r.Choice == Newest:
		return nil
	}
	return waypost.Errorf(waypost.InvalidArgument, "%s. If it is certain that nothing was done after it (the machine had died, or the database was copied to the last transaction), --newest goes on; if not, --successor begins another log, and the next audit names this member once (false_successor), to whom it has to show what had happened", strings.Join(unsure, "; "))
}

// succeed closes logs and begins their successor, whose number none of the member's logs
// has had.
func (r *restore) succeed(ctx context.Context, db *store.DB, positions []journal.Position, ending []*judged) (origin string, err error) {
	var number int64
	for _, p := range positions {
		number = max(number, p.Log)
	}
	for _, l := range ending {
		number = max(number, l.Log)
	}
	if number++; number > store.MaxProcess {
		return "", waypost.Errorf(waypost.InvalidArgument, "the member has had %d logs, and can have no more", store.MaxProcess)
	}
	readers, err := r.folder.Readers()
	if err != nil {
		return "", err
	}
	j, err := journal.Open(ctx, db, r.folder.LogOf(number), readers...)
	if err != nil {
		return "", err
	}
	var list []journal.Succession
	for _, l := range ending {
		if err := r.lay(ctx, db, l); err != nil {
			return "", err
		}
		list = append(list, journal.Succession{Predecessor: l.Origin, Seen: l.seen.Tree, Checkpoint: l.seen.Checkpoint, Restored: l.Tree, At: r.Now()})
	}
	if err := r.prepare(ctx, db, number); err != nil {
		return "", err
	}
	// Last: it is by this that the role knows of its fences.
	if err := j.Succeed(ctx, list); err != nil {
		return "", err
	}
	return j.Origin(), r.folder.Configure(func(c *install.Config) {
		instance := int(number)
		c.Instance, c.Origin = &instance, j.Origin()
	})
}

// prepare changes what must not go on as it was: numbers that others have seen used.
func (r *restore) prepare(ctx context.Context, db *store.DB, number int64) error {
	if r.folder.Config.Role != roster.Hub {
		return nil
	}
	var boxes []string
	for _, m := range r.folder.Roster.Current().Members {
		if m.Role == roster.Gateway {
			boxes = append(boxes, m.Name)
		}
	}
	return hub.SkipNumbers(ctx, db, boxes, number, r.Now())
}

// lay puts what came back of a closed log where others read it.
func (r *restore) lay(ctx context.Context, db *store.DB, l *judged) error {
	r.Progress("publishing what came back of "+l.Origin, 0, 1)
	source, err := journal.Closed(db, l.Origin)
	if err != nil {
		return err
	}
	kept, err := publisher.Lay(ctx, publisher.Config{Origin: l.Origin, Dir: r.folder.LogFolder()}, source, l.Tree, l.seen.N, r.Log)
	l.kept = kept || l.seen.Published == l.seen.N
	return err
}

func (l judged) fate(successor string) Fate {
	f := Fate{Origin: l.Origin, Restored: l.N, Seen: l.seen.N, By: l.seen.By, Silent: l.seen.Silent}
	switch {
	case l.whole:
		f.Words = "complete: it goes on"
	case successor == "":
		f.Words = "it goes on: nothing is said to have been done after this copy"
	default:
		f.Successor, f.Lost = successor, max(0, l.seen.N-l.N)
		f.Words = fmt.Sprintf("closed for ever; entries %d to %d are lost, which the first entry of %s says", l.N, l.seen.N-1, successor)
		if l.kept || f.Lost == 0 {
			f.Lost, f.Words = 0, "closed for ever; nothing of it that anybody has seen is lost"
		}
	}
	return f
}

// duties are what is left to do for people, by role.
func (r *restore) duties() []string {
	switch r.folder.Config.Role {
	case roster.Hub:
		return []string{
			"tickets of before are refused until they have run out: checks under way are made again by themselves",
			"every state: waypost records compare, tonight at the latest, so that what it published since the backup is published again",
		}
	case roster.Gateway:
		return []string{
			"what the state's own system recorded since the backup: waypost load, or waypost records compare, so that it is published",
			"questions of other states that were answered since the backup may be asked again, and are answered again",
		}
	}
	return []string{"tickets of before are refused until they have run out, " + strconv.Itoa(int(waypost.TicketWindow.Minutes())) + " minutes: the other key holders answer meanwhile"}
}
