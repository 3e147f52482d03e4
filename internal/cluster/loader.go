package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/statefile"
)

// Loaded is the result of a load.
type Loaded struct {
	Rows      int
	Published int
	Already   int // in the index since an earlier load
	Rejected  []RejectedRow
}

// RejectedRow is a row that could not be used: its line in the file, and why,
// without repeating what stands in it.
type RejectedRow struct {
	Line   int
	Reason string
}

// Loader sends records to a counter door in full batches, several under way at a
// time: while key holders and hub work on some, the gateway computes others, one for
// each of its cores. So neither round trips nor waiting for the counter's own checks
// leaves it idle, and who reads the file is held back. A batch
// for which nobody is there is sent again for a while: a role that is restarted
// does not end a load of a weekend.
type Loader struct {
	counter    waypostv1connect.CounterClient
	generation uint32
	progress   func(rows int)
	batch      []row
	free       chan struct{}
	sending    sync.WaitGroup

	mu     sync.Mutex
	away   map[string]bool // records of the batches under way
	result Loaded
	begun  bool // a batch has arrived
	err    error
}

type row struct {
	line   int
	record waypost.Record
}

const (
	batchesUnderWay = 6
	// patience is for how long a batch is sent again. Before any has arrived
	// there is none: then nothing is running.
	patience = 2 * time.Minute
	// maxRejected is so many that it is the file that is wrong, not its rows.
	maxRejected = 1_000_000
)

// NewLoader makes a loader into a generation, 0 for one that is visible at once,
// that reports how many rows are done.
func NewLoader(counter waypostv1connect.CounterClient, generation uint32, progress func(rows int)) *Loader {
	return &Loader{counter: counter, generation: generation, progress: progress, away: make(map[string]bool), free: make(chan struct{}, batchesUnderWay)}
}

// Add takes one row of a file; one that cannot be used is reported in the
// result. It returns the first error that a batch met; the load cannot go on
// then.
func (l *Loader) Add(ctx context.Context, r statefile.Row) error {
	if r.Err != nil {
		return l.reject(RejectedRow{r.Line, r.Err.Error()})
	}
	if l.isAway(r.Record.ID) {
		l.sending.Wait() // the file has it twice: the first row is the one that counts
	}
	if l.batch = append(l.batch, row{r.Line, r.Record}); len(l.batch) < waypost.MaxPublishBatch {
		return nil
	}
	return l.flush(ctx)
}

func (l *Loader) isAway(record string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.away[record]
}

func (l *Loader) reject(r RejectedRow) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.result.Rejected) >= maxRejected {
		return waypost.Errorf(waypost.InvalidArgument,
			"more than %d rows cannot be used: is the file what the layout says? waypost load --check tells more", maxRejected)
	}
	l.result.Rows++
	l.result.Rejected = append(l.result.Rejected, r)
	return nil
}

// Finish sends the rest and waits for all. The result tells what is done also
// where there is an error.
func (l *Loader) Finish(ctx context.Context) (Loaded, error) {
	err := l.flush(ctx)
	l.sending.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		err = l.err
	}
	return l.result, err
}

func (l *Loader) flush(ctx context.Context) error {
	l.mu.Lock()
	err := l.err
	l.mu.Unlock()
	if err != nil || len(l.batch) == 0 {
		return err
	}
	batch := l.batch
	l.batch = nil
	l.free <- struct{}{}
	l.mu.Lock()
	for _, r := range batch {
		l.away[r.record.ID] = true
	}
	l.mu.Unlock()
	l.sending.Go(func() {
		defer func() { <-l.free }()
		l.send(ctx, batch)
	})
	return nil
}

func (l *Loader) send(ctx context.Context, batch []row) {
	req := &waypostv1.LoadRequest{Generation: l.generation}
	for _, r := range batch {
		req.Records = append(req.Records, gateway.RecordToProto(r.record))
	}
	res, err := l.call(ctx, req)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range batch {
		delete(l.away, r.record.ID)
	}
	if err != nil {
		if l.err == nil {
			l.err = err
		}
		return
	}
	l.begun = true
	l.result.Rows += len(batch)
	l.result.Published += int(res.Published)
	l.result.Already += len(batch) - int(res.Published) - len(res.Rejected)
	for _, r := range res.Rejected {
		if int(r.Index) < len(batch) {
			l.result.Rejected = append(l.result.Rejected, RejectedRow{batch[r.Index].line, r.Reason})
		}
	}
	l.progress(l.result.Rows)
}

// call sends a batch until it arrives, is refused, or patience is over.
func (l *Loader) call(ctx context.Context, req *waypostv1.LoadRequest) (*waypostv1.LoadResponse, error) {
	const most = 10 * time.Second
	wait := 500 * time.Millisecond
	for deadline := time.Now().Add(patience); ; wait = min(2*wait, most) {
		res, err := l.counter.Load(ctx, req)
		if waypost.CodeOf(err) != waypost.Unavailable || !l.patient() || time.Now().Add(wait).After(deadline) {
			return res, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(wait):
		}
	}
}

// patient reports whether a batch has arrived and none was given up.
func (l *Loader) patient() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.begun && l.err == nil
}
