package hub_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// benchPointers are in the index before anything is measured.
const benchPointers = 20_000

func batch(from int) (all []*waypostv1.PublishedRecord) {
	for i := range waypost.MaxPublishBatch {
		all = append(all, person(from+i, token(from+i)))
	}
	return all
}

// fill publishes pointers whose first token is token(i).
func fill(b *testing.B, r *rig) {
	b.Helper()
	for i := 0; i < benchPointers; i += waypost.MaxPublishBatch {
		r.publish("CA", batch(i)...)
	}
}

// BenchmarkPublish measures batches of 100 records, through TLS.
func BenchmarkPublish(b *testing.B) {
	r := newRig(b)
	fill(b, r)
	permits, records := make([]permit, b.N), make([][]*waypostv1.PublishedRecord, b.N)
	for i := range b.N {
		permits[i] = r.permit("CA", waypost.KindPublish, waypost.MaxPublishBatch*waypost.RecordElements)
		records[i] = batch(benchPointers + i*waypost.MaxPublishBatch)
	}
	b.ResetTimer()
	for i := range b.N {
		if _, err := r.tryPublish(permits[i], records[i]...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*waypost.MaxPublishBatch)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkSearchBesidePublish measures one search at a time while batches of
// 100 records are published, two a second: how long does a search wait for the
// writer?
func BenchmarkSearchBesidePublish(b *testing.B) {
	r := newRig(b)
	fill(b, r)
	stop := make(chan struct{})
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for i := benchPointers; ; i += waypost.MaxPublishBatch {
			select {
			case <-stop:
				return
			case <-time.After(500 * time.Millisecond):
				r.publish("CA", batch(i)...)
			}
		}
	})
	permits := make([]permit, b.N)
	for i := range permits {
		permits[i] = r.check("AZ")
	}
	took := make([]time.Duration, b.N)
	b.ResetTimer()
	for i := range b.N {
		time.Sleep(3 * time.Millisecond)
		begin := time.Now()
		if _, err := r.search(permits[i], 1, padded(waypost.NameElements, token(i%benchPointers))); err != nil {
			b.Fatal(err)
		}
		took[i] = time.Since(begin)
	}
	b.StopTimer()
	close(stop)
	publishing.Wait()
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds()*1000, "p50-ms")
	b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "p99-ms")
}

// BenchmarkSearch measures part one of a search with one candidate in another
// state, through TLS, with its notice sealed and committed.
func BenchmarkSearch(b *testing.B) {
	r := newRig(b)
	fill(b, r)
	permits := make([]permit, b.N)
	tokens := make([][]byte, b.N)
	for i := range permits {
		permits[i] = r.check("AZ")
		tokens[i] = padded(waypost.NameElements, token(i%benchPointers))
	}
	var next atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := next.Add(1) - 1
			if _, err := r.search(permits[i], 1, tokens[i]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
