package audit

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/quota"
	"github.com/waypost/waypost/internal/roster"
)

// Every key holder and the hub count what a member asks for, each for itself,
// and refuse what goes beyond (package quota). Here their own entries are
// counted again, in the same windows, against the roster that they ran under.
// Whoever let too much pass answers for it: the guard, not the asker.
//
// Which ticket drew on a grant is not in the ledger. So a grant is charged with
// what a day has above its quota: an honest guard never charged it with less.

// The classes of windows.
const (
	classTickets      = iota // a member's checks of a day
	classUnattended          // of those, without a person at the counter
	classPublish             // a member's published elements of a day
	classFollowUps           // its questions to single states of a day
	classUpkeep              // its requests about its own pointers of a day
	classRepublish           // elements that it published once more: a day has none, and a rotation what the roster says
	classOperator            // one operator's checks of an hour: from here on persons are counted
	classFollowUpHour        // one operator's questions to single states of an hour
	classOperators           // no count: carries the limit of distinct operators of a day
)

var classNames = [...]string{"checks", "unattended checks", "published elements", "questions to single states", "requests about its own pointers", "elements published once more",
	"checks by one operator", "questions to single states by one operator", "distinct operators"}

const (
	hourSeconds = 3600
	daySeconds  = 24 * hourSeconds
	// windowPartitions of the temporary file of windows.
	windowPartitions = 64
)

// windowKey names a window of one guard.
type windowKey struct {
	guard, soi uint16
	class      uint8
	start      int64 // Unix seconds
	operator   [16]byte
}

// window is what was counted in it.
type window struct {
	used, limit int64
	version     uint64 // of the roster by which limit was last looked up
	last        int64  // time of the last entry
	reported    bool
}

// windows are those of one log that are not over yet. They take memory for the
// operators of some hours, however long the log.
type windows struct {
	open  map[windowKey]*window
	swept int64
}

// count adds a guard's entry to its windows.
func (l *logRun) count(rec *record, f *fields) error {
	switch rec.kind {
	case kindEvaluate, kindSearchFirst, kindUpkeep, kindPassed:
	case kindPublish:
		if !rec.publish { // under the ticket of a check, which counted when it searched
			return nil
		}
	default:
		return nil
	}
	day, hour := rec.at-rec.at%daySeconds, rec.at-rec.at%hourSeconds
	key := windowKey{guard: l.r.names.members[l.member.Name], soi: rec.soi, start: day}
	attended := f.class == waypost.Attended
	switch {
	case rec.bare && f.class == waypost.Loader:
		l.add(key, classUpkeep, 1, rec.at)
	case rec.bare:
		l.add(key, classFollowUps, 1, rec.at)
		if attended {
			l.addPerson(key, hour, classFollowUpHour, f, rec.at)
		}
	case rec.republish:
		l.add(key, classRepublish, int64(rec.elements), rec.at)
	case rec.publish:
		l.add(key, classPublish, int64(rec.elements), rec.at)
	case attended:
		l.add(key, classTickets, 1, rec.at)
		l.addPerson(key, hour, classOperator, f, rec.at)
	default:
		l.add(key, classTickets, 1, rec.at)
		l.add(key, classUnattended, 1, rec.at)
	}
	if rec.at < l.counting.swept+hourSeconds {
		return nil
	}
	l.counting.swept = rec.at
	return l.counting.flush(l, rec.at)
}

// addPerson counts the person at the counter, in the hour and among those of the
// day.
func (l *logRun) addPerson(key windowKey, hour int64, class uint8, f *fields, at int64) {
	l.add(key, classOperators, 0, at)
	key.start, key.operator = hour, f.operator
	l.add(key, class, 1, at)
}

func (l *logRun) add(key windowKey, class uint8, n, at int64) {
	key.class = class
	if l.counting.open == nil {
		l.counting.open = make(map[windowKey]*window)
	}
	w := l.counting.open[key]
	if w == nil {
		w = &window{version: l.kept.Version, limit: l.limits.of(key, at)}
		l.counting.open[key] = w
	}
	if w.version != l.kept.Version { // the roster has changed within the window: the larger limit is good
		w.version, w.limit = l.kept.Version, max(w.limit, l.limits.of(key, at))
	}
	w.used += n
	w.last = at
}

// flush writes the windows that are over at the time to the temporary file.
func (ws *windows) flush(l *logRun, now int64) error {
	for key, w := range ws.open {
		length := int64(daySeconds)
		if key.class == classOperator || key.class == classFollowUpHour {
			length = hourSeconds
		}
		if key.start+length+2*dateSlack > now {
			continue
		}
		w.limit = max(w.limit, l.limits.of(key, w.last))
		if err := l.r.putWindow(key, *w); err != nil {
			return err
		}
		delete(ws.open, key)
	}
	return nil
}

const windowSize = 2 + 2 + 1 + 8 + 16 + 8 + 8 + 1

// putWindow spills a window; all of one guard, member and day lie together.
func (r *run) putWindow(key windowKey, w window) error {
	day := key.start / daySeconds
	part := (uint64(key.guard)*31 + uint64(key.soi)*1009 + uint64(day)) % windowPartitions
	return r.windows.put(int(part), appendWindow(make([]byte, 0, windowSize), key, w))
}

func appendWindow(b []byte, key windowKey, w window) []byte {
	b = binary.BigEndian.AppendUint16(b, key.guard)
	b = binary.BigEndian.AppendUint16(b, key.soi)
	b = append(b, key.class)
	b = binary.BigEndian.AppendUint64(b, uint64(key.start))
	b = append(b, key.operator[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(w.used))
	b = binary.BigEndian.AppendUint64(b, uint64(w.limit))
	if w.reported {
		return append(b, 1)
	}
	return append(b, 0)
}

func parseWindow(b []byte) (key windowKey, w window) {
	key.guard, key.soi, key.class = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), b[4]
	key.start, key.operator = int64(binary.BigEndian.Uint64(b[5:])), [16]byte(b[13:29])
	w.used, w.limit, w.reported = int64(binary.BigEndian.Uint64(b[29:])), int64(binary.BigEndian.Uint64(b[37:])), b[45] == 1
	return key, w
}

// excess is what a member was let have above the quota of a day that is over.
type excess struct {
	Guard  uint16 `json:"guard"`
	SOI    uint16 `json:"soi"`
	Class  uint8  `json:"class"`
	Day    int64  `json:"day"`
	Amount int64  `json:"amount"`
	Limit  int64  `json:"limit"`
	// Reported is set once it was found to be more than the grants allow.
	Reported bool `json:"reported,omitempty"`
}

// judgeQuotas adds up the windows and returns those that are not over, for the
// next run.
func (r *run) judgeQuotas(ctx context.Context) ([]byte, error) {
	var mu sync.Mutex
	var carried []byte
	var above []excess
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for n := range windowPartitions {
		if r.windows.empty(n) {
			continue
		}
		g.Go(func() error {
			raw, err := r.windows.read(n, nil)
			if err != nil || ctx.Err() != nil {
				return cmp.Or(err, ctx.Err())
			}
			carry, over := r.judgeWindows(raw)
			mu.Lock()
			defer mu.Unlock()
			carried, above = append(carried, carry...), append(above, over...)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	r.judgeExcess(above)
	for raw := r.before.windows; len(raw) > 0; raw = raw[windowSize:] {
		if key, w := parseWindow(raw); r.broken(key.guard) { // its entries will be read again
			carried = appendWindow(carried, key, w)
		}
	}
	return carried, nil
}

// judgeWindows judges one partition.
func (r *run) judgeWindows(raw []byte) (carry []byte, above []excess) {
	all := make(map[windowKey]*window)
	for ; len(raw) >= windowSize; raw = raw[windowSize:] {
		key, w := parseWindow(raw)
		if sum := all[key]; sum != nil { // of several processes of one member, or of two runs
			sum.used, sum.limit, sum.reported = sum.used+w.used, max(sum.limit, w.limit), sum.reported || w.reported
		} else {
			all[key] = &w
		}
	}
	// A person may be there in several hours, and with both kinds of ticket.
	persons, distinct := make(map[windowKey]bool), make(map[windowKey]int64)
	for key := range all {
		if key.class == classOperator || key.class == classFollowUpHour {
			person := windowKey{guard: key.guard, soi: key.soi, class: classOperators, start: key.start - key.start%daySeconds, operator: key.operator}
			if persons[person] {
				continue
			}
			persons[person] = true
			person.operator = [16]byte{}
			distinct[person]++
		}
	}
	for key, w := range all {
		used := w.used
		if key.class == classOperators {
			used = distinct[key]
		}
		final := r.least(key.guard, (*logRun).closedBy) > key.start-key.start%daySeconds+daySeconds+2*dateSlack
		switch {
		case used <= w.limit || w.reported:
		case key.class >= classOperator:
			w.reported = true
			r.exceeded(key, used, w.limit)
		default:
			above = append(above, excess{Guard: key.guard, SOI: key.soi, Class: key.class, Day: key.start, Amount: used - w.limit, Limit: w.limit})
		}
		if !final && !r.broken(key.guard) {
			carry = appendWindow(carry, key, *w)
		}
	}
	return carry, above
}

func (r *run) exceeded(key windowKey, used, limit int64) {
	guard, soi := r.names.nameOf(key.guard), r.names.nameOf(key.soi)
	r.findf(QuotaExceeded, guard, map[string]string{"asking": soi, "class": classNames[key.class], "from": stamp(key.start),
		"used": strconv.FormatInt(used, 10), "limit": strconv.FormatInt(limit, 10)},
		"it let %s have %d %s from %s, where the limit is %d", soi, used, classNames[key.class], stamp(key.start), limit)
}

// judgeExcess charges what days have above their quota to the grants that ran,
// the one that ends first before the others, and publishing after that to the
// load grant.
func (r *run) judgeExcess(now []excess) {
	all := slices.Clone(r.before.Excess)
	for _, e := range now {
		same := func(k excess) bool {
			return k.Guard == e.Guard && k.SOI == e.SOI && k.Class == e.Class && k.Day == e.Day
		}
		if i := slices.IndexFunc(all, same); i >= 0 {
			e.Reported = all[i].Reported
			all[i] = e
		} else {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b excess) int {
		return cmp.Or(cmp.Compare(a.Guard, b.Guard), cmp.Compare(a.SOI, b.SOI), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Day, b.Day))
	})
	var left []reserve
	for i := range all {
		e := &all[i]
		if i == 0 || all[i-1].Guard != e.Guard || all[i-1].SOI != e.SOI || all[i-1].Class != e.Class {
			left = r.reserves(e.Guard, e.SOI, e.Class)
		}
		if draw(left, e.Day, e.Amount) || e.Reported {
			continue
		}
		e.Reported = true
		r.exceeded(windowKey{guard: e.Guard, soi: e.SOI, class: e.Class, start: e.Day}, e.Limit+e.Amount, e.Limit)
	}
	r.before.Excess = all
}

// reserve is what is left of a grant.
type reserve struct{ from, until, left int64 }

func draw(reserves []reserve, day, amount int64) bool {
	for i := range reserves {
		if g := &reserves[i]; g.from < day+daySeconds && g.until > day {
			n := min(amount, g.left)
			g.left -= n
			amount -= n
		}
	}
	return amount <= 0
}

// reserves are the grants that any roster gave to the member, as a guard grants
// them, by their end.
func (r *run) reserves(guard, soi uint16, class uint8) []reserve {
	if class == classRepublish {
		return r.rotations(guard, soi)
	}
	grants := make(map[[2]any]reserve)
	var load int64
	for _, known := range r.Rosters {
		share := r.share(guard, known)
		if m, ok := known.Member(r.names.nameOf(soi)); ok && class == classPublish {
			load = max(load, share(m.Quota.PublishElementsForALoad), share(m.Rise.Quota.PublishElementsForALoad))
		}
		for _, g := range known.Grants {
			if g.Member != r.names.nameOf(soi) || !covers(g.Class, class) {
				continue
			}
			key := [2]any{g.Class, g.From.Unix()}
			old := grants[key]
			grants[key] = reserve{g.From.Unix(), max(old.until, g.Until.Unix()), max(old.left, share(g.Extra))}
		}
	}
	var list []reserve
	for _, g := range grants {
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b reserve) int { return cmp.Compare(a.until, b.until) })
	return append(list, reserve{0, 1 << 62, load})
}

// rotations are what the member could publish once more under each key, as a guard
// grants it: as long as that is the newest.
func (r *run) rotations(guard, soi uint16) (list []reserve) {
	var epoch uint32
	for _, known := range r.Rosters {
		from := known.NotBefore.Unix()
		if newest := known.Newest(); newest != epoch || list == nil {
			if epoch = newest; list != nil {
				list[len(list)-1].until = from
			}
			list = append(list, reserve{from, 1 << 62, 0})
		}
		if m, ok := known.Member(r.names.nameOf(soi)); ok {
			share := r.share(guard, known)
			last := &list[len(list)-1]
			last.left = max(last.left, share(m.Quota.RepublishRecords*waypost.RecordElements), share(m.Rise.Quota.RepublishRecords*waypost.RecordElements))
		}
	}
	return list
}

func covers(g roster.GrantClass, class uint8) bool {
	switch class {
	case classFollowUps, classUpkeep:
		return false
	case classPublish:
		return g == roster.PublishedElements
	case classUnattended:
		return g == roster.UnattendedChecks
	}
	return g == roster.AttendedChecks || g == roster.UnattendedChecks
}

// share is how much of a limit the guard grants: all of it at the hub.
func (r *run) share(guard uint16, by *roster.Roster) func(int) int64 {
	if m, ok := by.Member(r.names.nameOf(guard)); ok && m.Role == roster.KeyHolder {
		return func(limit int) int64 { return int64(by.HolderShare(limit)) }
	}
	return func(limit int) int64 { return int64(limit) }
}

// limits looks up what a guard may let pass, by the roster that it runs under.
type limits struct {
	rosters []*roster.Roster
	r       *run
}

func (ls *limits) init(l *logRun) {
	ls.r, ls.rosters = l.r, l.r.Rosters // not said yet: any that there was
	if known := l.r.roster(l.kept.Version); known != nil {
		ls.rosters = []*roster.Roster{known}
	}
}

func (ls *limits) of(key windowKey, at int64) int64 {
	var most int64
	for _, known := range ls.rosters {
		m, ok := known.Member(ls.r.names.nameOf(key.soi))
		if !ok {
			continue
		}
		q := m.Quota
		if m.Rise.Quota != (roster.Quota{}) && !m.Rise.From.After(time.Unix(at, 0)) {
			q = m.Rise.Quota
		}
		limit := [...]int{q.TicketsPerDay, q.UnattendedPerDay, q.PublishElementsPerDay, q.FollowUps(), quota.UpkeepPerDay(q), 0,
			q.TicketsPerOperatorHour, q.TicketsPerOperatorHour, q.Operators}[key.class]
		if key.class >= classOperator { // of a person, wherever the ticket goes
			most = max(most, int64(limit))
		} else {
			most = max(most, ls.r.share(key.guard, known)(limit))
		}
	}
	return most
}
