package audit

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"filippo.io/age"
	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// Source is one published log.
type Source struct {
	Member   string
	Instance string
	Reader   translog.Reader // nil: the log was looked for and is not there
	// Copies are other places at which the same log is published, for example
	// the hub's copy of a gateway's.
	Copies []translog.Reader
	// Door is the member at whose address the log is read, where that is not its
	// own: what is missing may have been withheld there.
	Door string
	// Former is set where the member is one no more. Its log stays as it was left.
	Former bool
	// Unpublished is set where there is no checkpoint, as of a log that was closed for a
	// restore: it counts only if a successor says that it was one.
	Unpublished bool
}

// Options say what to reconcile.
type Options struct {
	Rosters    []*roster.Roster // oldest first, verified; see [ReadRosters]
	Sources    []Source
	Identities []age.Identity
	// Evidence verifies a file of evidence/ and says whom it convicts, and of
	// breaking the promise of which leaf ("<member>/<instance>:<index>", empty if
	// it is about something else).
	Evidence func(file []byte) (member, place string, err error)
	State    string                  // file; what is new since the run that wrote it is read. Empty: everything is
	WorkDir  string                  // for the temporary file; empty: the system's
	Now      time.Time               // against which a ledger is stale
	Progress func(done, total int64) // in entries; may be nil; one call at a time
}

// GCPercent is a good setting of the garbage collector for a process that does
// nothing but reconcile: its heap is small, and most of it short-lived.
const GCPercent = 200

// workers is how many logs are read, and partitions judged, at a time.
var workers = min(2, runtime.GOMAXPROCS(0))

// run is one reconciliation on its way.
type run struct {
	Options
	before   *state
	opener   *journal.Opener
	names    tables
	closed   map[uint16]*closure // logs that have a successor, by number in names
	logs     []*logRun           // by number in names; nil where it is not among the sources
	tickets  *spill
	windows  *spill
	findings findings
	proven   map[place]bool // broken promises that evidence proves
	ends     struct {       // by state of inquiry: checks with candidates, those of them without outcome
		sync.Mutex
		of map[uint16]*[2]int64
	}

	renewals sync.Mutex // guards before.Renewed while tickets are judged

	total, done atomic.Int64
	progress    sync.Mutex
	judged      atomic.Int64
	open        atomic.Int64
}

// Reconcile reads the ledgers and applies the rules. It returns an error only
// where it could not do its work; what is wrong with a ledger is a finding.
func Reconcile(ctx context.Context, o Options) (*Report, error) {
	if len(o.Rosters) == 0 {
		return nil, errors.New("no roster was given: it says whose ledgers to read")
	}
	before, err := readState(o.State)
	if err != nil {
		return nil, err
	}
	r := &run{Options: o, before: before, opener: journal.NewOpener(o.Identities...), names: before.names(), proven: make(map[place]bool)}
	for _, known := range o.Rosters {
		for _, m := range known.Members {
			r.names.add(m.Name)
		}
	}
	if err := r.openLogs(ctx, before); err != nil {
		return nil, err
	}
	if r.tickets, err = newSpill(o.WorkDir, r.partitions()); err != nil {
		return nil, err
	}
	defer r.tickets.Close()
	if r.windows, err = newSpill(o.WorkDir, windowPartitions); err != nil {
		return nil, err
	}
	defer r.windows.Close()
	if err := before.restore(r); err != nil {
		return nil, err
	}
	if err := r.scanAll(ctx); err != nil {
		return nil, err
	}
	r.judgeLogs(ctx)
	carried, err := r.judgeTickets(ctx)
	if err != nil {
		return nil, err
	}
	r.judgeEnds()
	r.judgeEnded()
	r.judgeLosses()
	r.judgeRenewed()
	windows, err := r.judgeQuotas(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.writeState(carried, windows); err != nil {
		return nil, err
	}
	return r.report(), nil
}

// partitions keeps a partition to some ten thousand records, and the pages of
// all in memory to some megabytes.
func (r *run) partitions() int {
	n := 1024
	for ; int64(n) < r.total.Load()/16384 && n < 16384; n *= 2 {
	}
	return n
}

// scanAll reads the logs, the longest first.
func (r *run) scanAll(ctx context.Context) error {
	var logs []*logRun
	for _, l := range r.logs {
		if l != nil && l.readable {
			logs = append(logs, l)
		}
	}
	slices.SortStableFunc(logs, func(a, b *logRun) int { return int(b.head.N - b.kept.Size - a.head.N + a.kept.Size) })
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for _, l := range logs {
		g.Go(func() error {
			if err := l.scan(ctx); err != nil {
				return fmt.Errorf("the ledger %s: %w", l.kept.Origin, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// step counts entries that were read.
func (r *run) step(n int64) {
	done := r.done.Add(n)
	if r.Progress != nil {
		r.progress.Lock()
		defer r.progress.Unlock()
		r.Progress(done, r.total.Load())
	}
}

func (r *run) findf(kind, member string, evidence map[string]string, format string, args ...any) {
	r.findings.add(Finding{Kind: kind, Member: member, Evidence: evidence, Words: fmt.Sprintf(format, args...)})
}

func (r *run) report() *Report {
	rep := &Report{
		Tickets: r.judged.Load(), Entries: r.done.Load(), Open: r.open.Load(),
		Findings: r.findings.sorted(), Omitted: r.findings.omitted, Counters: make(map[string]int64), Logs: []LogReport{},
	}
	for _, l := range r.logs {
		if l == nil || !l.readable {
			continue
		}
		rep.Logs = append(rep.Logs, LogReport{Origin: l.kept.Origin, Size: l.kept.Size, Cosigned: l.head.Cosigned})
		for kind, n := range l.counters {
			rep.Counters[kind] += n
		}
	}
	slices.SortFunc(rep.Logs, func(a, b LogReport) int {
		if a.Origin < b.Origin {
			return -1
		}
		return 1
	})
	return rep
}

// tables number members and logs. The numbers stay the same from run to run.
type tables struct {
	Members []string `json:"members"`
	Logs    []string `json:"logs"` // "<member>/<instance>"

	members, logs map[string]uint16
}

func (t *tables) index() {
	t.members, t.logs = make(map[string]uint16), make(map[string]uint16)
	for i, m := range t.Members {
		t.members[m] = uint16(i)
	}
	for i, l := range t.Logs {
		t.logs[l] = uint16(i)
	}
}

// add gives a member a number, if it has none.
func (t *tables) add(name string) { number(&t.Members, t.members, name) }

// log returns the number of a log, which it gets if it has none.
func (t *tables) log(name string) uint16 { return number(&t.Logs, t.logs, name) }

func number(list *[]string, numbers map[string]uint16, name string) uint16 {
	n, ok := numbers[name]
	if !ok {
		n = uint16(len(*list))
		*list, numbers[name] = append(*list, name), n
	}
	return n
}

// memberOf returns the number of a member named in an entry.
func (t *tables) memberOf(name []byte) uint16 {
	if n, ok := t.members[string(name)]; ok {
		return n
	}
	return noMember
}

// nameOf is the name behind a number.
func (t *tables) nameOf(member uint16) string {
	if int(member) < len(t.Members) {
		return t.Members[member]
	}
	return "a stranger"
}
