package hub_test

import (
	"context"
	"crypto/rand"
	"sync/atomic"
	"testing"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

const benchPointers = 20_000

// fill publishes pointers whose first token is token(i).
func fill(b *testing.B, r *rig, n int) {
	b.Helper()
	for i := 0; i < n; i += waypost.MaxPublishBatch {
		var batch []*waypostv1.PublishedRecord
		for j := range waypost.MaxPublishBatch {
			batch = append(batch, person(i+j, token(i+j)))
		}
		r.publish("CA", batch...)
	}
}

// BenchmarkPublish measures whole batches of 100 records, through TLS.
func BenchmarkPublish(b *testing.B) {
	r := newRig(b)
	fill(b, r, benchPointers)
	b.ResetTimer()
	fill(b, r, 0)
	for i := range b.N {
		b.StopTimer()
		var batch []*waypostv1.PublishedRecord
		for j := range waypost.MaxPublishBatch {
			batch = append(batch, person(benchPointers+i*waypost.MaxPublishBatch+j))
		}
		p := r.permit("CA", waypost.KindPublish, waypost.MaxPublishBatch*waypost.RecordElements)
		b.StartTimer()
		if _, err := r.tryPublish(p, batch...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*waypost.MaxPublishBatch)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkSearch measures part one of a search with one candidate in another
// state, through TLS, with its notice sealed and committed.
func BenchmarkSearch(b *testing.B) {
	r := newRig(b)
	fill(b, r, benchPointers)
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
	b.StopTimer()
	_ = context.Background()
	_ = rand.Reader
}
