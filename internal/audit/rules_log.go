package audit

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

const (
	// staleAfter is how old the cosignatures of a ledger in use may be.
	staleAfter = 10 * time.Minute
	// dateSlack is how far the time of an entry may lie before that of an earlier
	// one: clocks are set by up to what rosters allow members to differ, and a
	// commit waits for others.
	dateSlack = 5 * 60
	// aheadSlack is how far it may lie after that of the cosignatures.
	aheadSlack = 90
	// keptDays is for how many days without a daily entry the counts are kept.
	keptDays = 400
)

// times checks that the ledger's clock runs forward. An entry dated before an
// earlier one, or before the checkpoint of the run before, was made to look
// older than it is; one dated after the checkpoint that holds it, younger.
// Quotas and deadlines go by these times.
func (l *logRun) times(index int64, e translog.Entry) {
	at := e.At.Unix()
	floor := l.kept.Latest
	if index >= l.past.Size && l.past.Cosigned > 0 {
		floor = max(floor, l.past.Cosigned)
	}
	evidence := map[string]string{"place": l.place(index), "at": stamp(at)}
	switch {
	case at < floor-dateSlack:
		evidence["not_before"] = stamp(floor)
		l.r.findf(BackDated, l.member.Name, evidence, "%s (%s) is dated %s and stands after what happened at %s", l.place(index), e.Kind, stamp(at), stamp(floor))
	case !l.head.Cosigned.IsZero() && at > l.head.Cosigned.Unix()+aheadSlack:
		evidence["cosigned"] = stamp(l.head.Cosigned.Unix())
		l.r.findf(PostDated, l.member.Name, evidence, "%s (%s) is dated %s and was cosigned at %s already", l.place(index), e.Kind, stamp(at), stamp(l.head.Cosigned.Unix()))
		return // it would make everything after it back-dated
	}
	if e.Kind == "started" {
		l.starts(at)
	}
	l.kept.Latest = max(l.kept.Latest, at)
	if l.kept.DarkBelow == index && index > 0 {
		l.kept.DarkUntil = max(at, l.kept.DarkUntil)
	}
	l.tally(e)
}

const (
	// longDown is how long a process must have written nothing before it was
	// started again to count as having been down, in seconds: for less, messages
	// wait.
	longDown = 24 * 3600
	// maxDown bounds the outages of a log that are remembered.
	maxDown = 64
)

// starts notes that a process has started, and how long there may have been
// none.
func (l *logRun) starts(at int64) {
	l.kept.Started = at
	if l.kept.Latest > 0 && at-l.kept.Latest >= longDown {
		l.kept.Down = append(l.kept.Down[max(0, len(l.kept.Down)+1-maxDown):], [2]int64{l.kept.Latest, at})
	}
}

// timely: a ticket is asked under when it is issued, evaluated within minutes
// and searched or published within ten. An entry that comes later was added
// when somebody asked for it, or serves a ticket that has run out.
func (l *logRun) timely(rec *record, f *fields) {
	switch rec.kind {
	case kindAsk, kindEvaluate, kindSearchFirst, kindSearchSecond, kindPublish:
	default:
		return
	}
	most := int64(guardTime)
	if rec.kind == kindPublish && !rec.publish { // of a card that was issued on a check
		most = issueTime
	}
	late, kind := rec.at-f.minute, Untimely
	if late < 0 {
		kind = BackDated
	}
	if late > most || late < -dateSlack {
		l.r.findf(kind, l.member.Name, map[string]string{"place": l.place(rec.index), "at": stamp(rec.at), "minute": stamp(f.minute)},
			"%s (%s) is dated %s, and its ticket was issued at %s", l.place(rec.index), f.entry.Kind, stamp(rec.at), stamp(f.minute))
	}
}

// tally counts the entry for the daily counters.
func (l *logRun) tally(e translog.Entry) {
	day := e.At.Format(time.DateOnly)
	if l.kept.Days == nil {
		l.kept.Days = make(map[string]map[string]int64)
	}
	counts := l.kept.Days[day]
	if counts == nil {
		counts = make(map[string]int64)
		l.kept.Days[day] = counts
		if days := sortedKeys(l.kept.Days); len(days) > keptDays {
			delete(l.kept.Days, days[0])
		}
	}
	counts[e.Kind]++
}

// alone applies what can be said of an entry without other ledgers.
func (l *logRun) alone(index int64, e translog.Entry, f *fields) {
	switch e.Kind {
	case "daily":
		l.daily(index, e, f.more)
	case "roster":
		l.adopt(index, e, f.more)
	case "ceremony":
		l.ceremony(f.more)
	case journal.SuccessorKind:
		l.kept.Succeeds = true
	case "erase":
		l.erasure(index, e, f.more)
	case "receipt_missed":
		l.kept.Accusations = append(l.kept.Accusations, accusation{
			Evidence: f.more["evidence"], Place: l.place(index), At: e.At.Unix()})
	}
}

// daily recounts a day. The public adds up these counters, so they must be those
// of the entries. What was erased cannot be recounted.
func (l *logRun) daily(index int64, e translog.Entry, fields map[string]string) {
	day := fields["day"]
	start, err := time.Parse(time.DateOnly, day)
	if err != nil {
		l.damagedf(index, "it counts no day")
		return
	}
	// What comes after it is in no counter.
	if again := day <= l.kept.Daily; again || e.At.Unix() < start.Unix()+daySeconds {
		l.r.findf(Miscounted, l.member.Name, map[string]string{"place": l.place(index), "day": day}, "%s counts %s again, or before it is over", l.place(index), day)
		return
	}
	l.kept.Daily = day
	counted := l.kept.Days[day]
	delete(l.kept.Days, day)
	if l.kept.DarkBelow > 0 && start.Unix() <= l.kept.DarkUntil {
		return
	}
	var wrong []string
	for kind, said := range fields {
		if n, err := strconv.ParseInt(said, 10, 64); kind != "day" && (err != nil || n != counted[kind]) {
			wrong = append(wrong, kind)
		}
	}
	for kind := range counted {
		if _, said := fields[kind]; !said {
			wrong = append(wrong, kind)
		}
	}
	if len(wrong) == 0 {
		return
	}
	kind := wrong[0]
	l.r.findf(Miscounted, l.member.Name, map[string]string{"place": l.place(index), "day": day, "kind": kind, "said": fields[kind], "counted": strconv.FormatInt(counted[kind], 10)},
		"the counters of %s say %q of %s, the ledger has %d entries", day, fields[kind], kind, counted[kind])
}

// leastKept is for how long any entry must be kept, in seconds.
const leastKept = int64(journal.LeastKept / time.Second)

// erasure notes what an entry "erase" declares.
func (l *logRun) erasure(index int64, e translog.Entry, fields map[string]string) {
	n, errN := strconv.ParseInt(fields["entries"], 10, 64)
	before, err := strconv.ParseInt(fields["before"], 10, 64)
	if err != nil || errN != nil || n < 0 {
		l.damagedf(index, "it does not say what was erased")
		return
	}
	if before > e.At.Unix()-leastKept {
		l.r.findf(Damaged, l.member.Name, map[string]string{"place": l.place(index), "before": stamp(before)},
			"%s erases entries of up to %s, which have to be kept for %d days", l.place(index), stamp(before), leastKept/daySeconds)
	}
	l.kept.Declared += n
}

// adopt notes under which roster the ledger runs, and that it is one that
// governance has signed.
func (l *logRun) adopt(index int64, e translog.Entry, fields map[string]string) {
	version, err := strconv.ParseUint(fields["version"], 10, 64)
	if err != nil {
		l.damagedf(index, "it names no roster version")
		return
	}
	l.kept.Version, l.kept.Adopted = version, e.At.Unix()
	l.limits.init(l)
	if known := l.r.roster(version); known != nil {
		if hash, err := known.Hash(); err == nil && hex.EncodeToString(hash[:]) != fields["hash"] {
			l.r.findf(RosterMissing, l.member.Name, map[string]string{"place": l.place(index), "version": fields["version"], "hash": fields["hash"]},
				"it took up a roster version %d that is not the one known here", version)
		}
		l.shares(index, known)
	}
}

// keptSigned is how many ceremonies a key holder may have signed between two rosters.
const keptSigned = 32

// ceremony notes which transcript a key holder has signed.
func (l *logRun) ceremony(fields map[string]string) {
	if fields["step"] != "signed" {
		return
	}
	l.kept.Signed = append(l.kept.Signed, fields["transcript"])
	l.kept.Signed = l.kept.Signed[max(0, len(l.kept.Signed)-keptSigned):]
}

// shares: where a version names a share of a key holder that was made in a ceremony
// and the version before does not, the holder has signed that ceremony before it took
// the version up. What could not be read may be where it says so, and so may the log
// before a successor; with version 1 the ledgers begin.
func (l *logRun) shares(index int64, now *roster.Roster) {
	me, _ := now.Member(l.member.Name)
	if now.Version == 1 || me.Role != roster.KeyHolder || me.Index == 0 || l.kept.DarkBelow > 0 || l.kept.Succeeds {
		return
	}
	keys := []roster.Key{now.Key()}
	if now.Beside != nil {
		keys = append(keys, *now.Beside)
	}
	for _, key := range keys {
		if before := l.r.roster(now.Version - 1); before != nil {
			if was, ok := before.KeyOf(key.Epoch); ok && was.Ceremony == key.Ceremony {
				continue
			}
		}
		transcript := hex.EncodeToString(key.Ceremony[:])
		if key.Ceremony != (roster.Digest{}) && !slices.Contains(l.kept.Signed, transcript) {
			l.r.findf(UnsignedShare, l.member.Name, map[string]string{"place": l.place(index), "version": strconv.FormatUint(now.Version, 10), "transcript": transcript},
				"%s has a share by roster version %d of whose making its ledger says nothing", l.member.Name, now.Version)
		}
	}
}

// roster returns a version, or nil.
func (r *run) roster(version uint64) *roster.Roster {
	for _, known := range r.Rosters {
		if known.Version == version {
			return known
		}
	}
	return nil
}

// judgeLogs applies what can be said of each ledger as a whole.
func (r *run) judgeLogs(ctx context.Context) {
	for _, l := range r.logs {
		if l == nil || !l.readable {
			continue
		}
		l.stale()
		l.roster()
		l.blanks()
		l.accuse(ctx)
	}
}

// stale: clients stop at a ledger whose newest checkpoint nobody has cosigned
// for ten minutes, and so does an auditor. One that has said "stopped" has
// nothing more to say.
func (l *logRun) stale() {
	cosigned := l.head.Cosigned
	if cosigned.IsZero() || l.kept.Ended || l.closed != nil || l.source.Former || l.r.Now.Sub(cosigned) <= staleAfter {
		return
	}
	l.withheldf(Stale, map[string]string{"log": l.kept.Origin, "cosigned": stamp(cosigned.Unix())},
		"the ledger %s was last cosigned at %s, %v before now", l.kept.Origin, stamp(cosigned.Unix()), l.r.Now.Sub(cosigned).Round(time.Second))
}

// roster: within a day of a roster's beginning everybody runs under it. Whoever
// does not lets removed members in.
func (l *logRun) roster() {
	if l.source.Former || l.closed != nil || l.kept.Version == 0 || l.kept.RosterWarned == l.kept.Version {
		return
	}
	for _, other := range l.r.logs {
		if other == nil || other.kept.Version <= l.kept.Version {
			continue
		}
		if next := l.r.roster(l.kept.Version + 1); next == nil || l.kept.Cosigned <= max(other.kept.Adopted, next.NotBefore.Unix())+int64(roster.Grace/time.Second)+settleTime {
			continue
		}
		l.kept.RosterWarned = l.kept.Version
		l.r.findf(RosterMissing, l.member.Name, map[string]string{"log": l.kept.Origin, "version": strconv.FormatUint(l.kept.Version, 10), "replaced_by": strconv.FormatUint(other.kept.Version, 10)},
			"the ledger runs under roster version %d, which %s replaced by version %d at %s", l.kept.Version, other.member.Name, other.kept.Version, stamp(other.kept.Adopted))
		return
	}
}

// blanks: whoever erases says so in the same step. The entry that says so may
// be published a little later than the bundle without its blobs, so what is met
// in one run must be told of by the next.
func (l *logRun) blanks() {
	due := l.kept.BlankBefore
	if l.kept.Ended {
		due = l.kept.Blank
	}
	if l.kept.BlankSince > l.kept.Cosigned-leastKept {
		l.r.findf(Damaged, l.member.Name, map[string]string{"log": l.kept.Origin, "blank": stamp(l.kept.BlankSince)},
			"an entry of the ledger %s of %s or later is blank, which has to be kept for %d days", l.kept.Origin, stamp(l.kept.BlankSince), leastKept/daySeconds)
	}
	l.kept.BlankSince = 0
	if due > l.kept.Declared {
		l.r.findf(Damaged, l.member.Name, map[string]string{"log": l.kept.Origin, "erased": strconv.FormatInt(due, 10), "declared": strconv.FormatInt(l.kept.Declared, 10)},
			"%d entries of the ledger %s are blank, and its own entries tell of %d", due, l.kept.Origin, l.kept.Declared)
	}
	l.kept.BlankBefore = l.kept.Blank
}

// accusation is an entry "receipt_missed" whose evidence is still to be seen.
type accusation struct {
	Evidence string `json:"evidence"`
	Place    string `json:"place"` // of the entry
	At       int64  `json:"at"`
}

var evidenceShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,126}$`)

// accuse verifies the evidence behind the ledger's entries "receipt_missed".
// Evidence that holds convicts whom it names. Evidence that does not hold, or
// does not come, speaks against the accuser.
func (l *logRun) accuse(ctx context.Context) {
	waiting := l.kept.Accusations
	l.kept.Accusations = nil
	for _, a := range waiting {
		file, err := l.evidence(ctx, a.Evidence)
		if errors.Is(err, fs.ErrNotExist) && !l.shownBy(a.At) {
			l.kept.Accusations = append(l.kept.Accusations, a)
			continue
		}
		var member, where string
		if err == nil && l.r.Evidence != nil {
			member, where, err = l.r.Evidence(file)
		}
		evidence := map[string]string{"place": a.Place, "evidence": a.Evidence, "broken": where}
		if err != nil {
			l.r.findf(Damaged, l.member.Name, evidence, "it accuses another member in %s, and the evidence does not hold: %v", a.Place, err)
			continue
		}
		if p, ok := l.r.parsePlace(where); ok {
			l.r.proven[p] = true
		}
		l.r.findf(ReceiptMissed, member, evidence, "it signed a receipt for a leaf that is not in its ledger; %s has the evidence", l.member.Name)
	}
}

func (l *logRun) evidence(ctx context.Context, id string) ([]byte, error) {
	if !evidenceShape.MatchString(id) {
		return nil, errors.New("its name cannot be the name of a file")
	}
	return l.source.Reader.ReadEndpoint(ctx, "evidence/"+id+".json")
}

// showTime is how long a member has to show the evidence of what it accuses
// others of, in seconds: a receipt's minute, some looks, and publication.
const showTime = 10 * 60

// shownBy reports whether the ledger has been read far enough that whatever its
// owner wanted to show about an event at that time is there.
func (l *logRun) shownBy(at int64) bool { return l.closed == nil && l.horizon() >= at+showTime }

func (r *run) parsePlace(s string) (place, bool) {
	name, index, ok := strings.Cut(s, ":")
	n, err := strconv.ParseInt(index, 10, 64)
	log, known := r.names.logs[name]
	return place{log, n}, ok && err == nil && known
}

// identity returns the identity key that a roster version gives to a member.
func (r *run) identity(version uint64, name string) (ed25519.PublicKey, error) {
	if known := r.roster(version); known != nil {
		if m, ok := known.Member(name); ok {
			return m.Identity, nil
		}
	}
	return nil, fmt.Errorf("%s is not in roster version %d", name, version)
}
