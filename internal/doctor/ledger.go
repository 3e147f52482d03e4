package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/publisher"
	"github.com/waypost/waypost/translog"
)

// promised is how soon an entry must be published, as receipts say; grace is for who is just at
// work on it.
const (
	promised = time.Minute
	grace    = 15 * time.Second
)

// published is the newest checkpoint of a log that others can read.
type published struct {
	entries  int64
	cosigned time.Time
	missing  bool
	err      error
}

// published reads the checkpoint of one of the role's logs from the folder.
func (e *exam) published(origin string) (p published) {
	place, err := publisher.Place(origin)
	if err != nil {
		return published{err: err}
	}
	signed, err := os.ReadFile(filepath.Join(e.survey.Logs, filepath.FromSlash(place), "checkpoint"))
	if errors.Is(err, fs.ErrNotExist) {
		return published{missing: true}
	}
	if err != nil {
		return published{err: err}
	}
	policy, err := follow.Policy(e.view().Latest(), e.me, origin)
	if err != nil {
		return published{err: err}
	}
	c, err := policy.Verify(signed)
	if errors.Is(err, translog.ErrUnwitnessed) {
		err = nil // under an older roster it was witnessed; its age says the rest
	}
	return published{entries: c.N, cosigned: c.Cosigned, err: err}
}

// log tells how far a log of the role is behind its journal.
func (e *exam) log(s journal.State, p published) {
	behind := s.Entries - p.entries
	waited := e.Now().Sub(s.Next)
	const next = "see what is said of the witnesses, of the room on the disk and of the process; the role's log names the cause (\"the ledger is not being published\")"
	switch {
	case p.err != nil:
		e.wrongf("ledger", "see that "+e.survey.Logs+" is the folder of the role's logs, and that it can be read", "what is published of %s cannot be used: %v", s.Origin, p.err)
	case behind < 0:
		e.wrongf("ledger", "bring back the newest copy of the database; nothing is signed until then",
			"%s has %d entries published and %d in the database: the database is older than what was published", s.Origin, p.entries, s.Entries)
	case behind > 0 && waited < promised+grace:
		e.okf("ledger", "%s: %d of %d entries are published, the next ones soon", s.Origin, p.entries, s.Entries)
	case behind > 0 && !e.Running:
		e.warnf("ledger", "start the role: it publishes them; every receipt promises its entry within a minute",
			"%s: %d entries are not published, the oldest of %s; the role is stopped", s.Origin, behind, day(s.Next))
	case behind > 0:
		e.wrongf("ledger", next, "%s is behind: %d entries are not published, the oldest for %s, and receipts promise a minute", s.Origin, behind, about(waited))
	case p.missing:
		e.okf("ledger", "%s has no entries yet", s.Origin)
	case e.Running && e.origin == s.Origin && e.Now().Sub(p.cosigned) > follow.Limit:
		e.wrongf("ledger", next, "the witnesses have not confirmed %s since %s: others do not use this role", s.Origin, when(p.cosigned))
	default:
		e.okf("ledger", "%s: all %d entries are published, and were confirmed %s", s.Origin, s.Entries, when(p.cosigned))
	}
}

func when(t time.Time) string {
	if t.IsZero() {
		return "under an earlier roster"
	}
	return day(t)
}

// followed tells what is remembered of somebody else's log.
func (e *exam) followed(k follow.Kept) {
	what := "ledger of " + k.Member
	switch age := e.Now().Sub(k.Cosigned); {
	case k.Broken != "":
		e.wrongf(what, "keep the files in "+filepath.Join(e.survey.Logs, "evidence")+" and tell governance: this member is not used any more", "%s contradicted itself: %s", k.Origin, k.Broken)
	case k.Overdue > 0:
		e.wrongf(what, "its operator must publish them; if it never does, the evidence that lies in this role's log proves it (waypost audit evidence)", "%s lacks %d entries that %s has promised by its receipts", k.Origin, k.Overdue, k.Member)
	case !e.Running:
		// Nobody has looked since.
	case k.Cosigned.IsZero() && e.Now().Sub(k.Since) > follow.Limit:
		e.wrongf(what, "see whether its public door can be reached from here", "%s was never seen since %s", k.Origin, day(k.Since))
	case !k.Cosigned.IsZero() && age > follow.Limit:
		e.wrongf(what, "tell its operator; until it is confirmed again it is not used", "%s has stood still for %s, since %s", k.Origin, about(age), day(k.Cosigned))
	default:
		e.okf(what, "%s goes on", k.Origin)
	}
}
