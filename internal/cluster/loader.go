package cluster

import (
	"context"
	"sync"

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

// Loader sends records to a counter door in full batches, two under way at a
// time: while the key holders work on one, the gateway blinds the next.
type Loader struct {
	counter  waypostv1connect.CounterClient
	progress func(rows int)
	batch    []row
	free     chan struct{}
	sending  sync.WaitGroup

	mu     sync.Mutex
	result Loaded
	err    error
}

type row struct {
	line   int
	record waypost.Record
}

const batchesUnderWay = 2

// NewLoader makes a loader that reports how many rows are done.
func NewLoader(counter waypostv1connect.CounterClient, progress func(rows int)) *Loader {
	return &Loader{counter: counter, progress: progress, free: make(chan struct{}, batchesUnderWay)}
}

// Add takes one row of a file; one that cannot be used is reported in the
// result. It returns the first error that a batch met; the load cannot go on
// then.
func (l *Loader) Add(ctx context.Context, r statefile.Row) error {
	if r.Err != nil {
		l.mu.Lock()
		l.result.Rows++
		l.result.Rejected = append(l.result.Rejected, RejectedRow{r.Line, r.Err.Error()})
		l.mu.Unlock()
		return nil
	}
	if l.batch = append(l.batch, row{r.Line, r.Record}); len(l.batch) < waypost.MaxPublishBatch {
		return nil
	}
	return l.flush(ctx)
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
	l.sending.Go(func() {
		defer func() { <-l.free }()
		l.send(ctx, batch)
	})
	return nil
}

func (l *Loader) send(ctx context.Context, batch []row) {
	req := &waypostv1.LoadRequest{}
	for _, r := range batch {
		req.Records = append(req.Records, gateway.RecordToProto(r.record))
	}
	res, err := l.counter.Load(ctx, req)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if l.err == nil {
			l.err = err
		}
		return
	}
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
