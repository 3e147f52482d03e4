package gateway_test

import (
	"sync/atomic"
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/gateway"
)

// BenchmarkCheck is one check with one true candidate, all roles in this
// process; with -cpu 8 eight at once.
func BenchmarkCheck(b *testing.B) {
	const people = 100
	all := make([]waypost.Person, people)
	records := make([]waypost.Record, people)
	for i := range all {
		all[i] = someone()
		records[i] = record("CA", all[i])
	}
	if _, _, err := exchange.Gateway("CA").File().Load(b.Context(), "loader", 0, records); err != nil {
		b.Fatal(err)
	}
	var next atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p := all[next.Add(1)%people]
			if a, err := exchange.Gateway("AZ").Check(b.Context(), gateway.Applicant{Person: p}, clerk); err != nil || a.Best() != waypost.Match {
				b.Errorf("%+v, %v", a, err)
			}
		}
	})
}

// BenchmarkLoad is one batch of 100 records, all roles in this process; with
// -cpu 2 two batches under way, as a loader has them.
func BenchmarkLoad(b *testing.B) {
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			records := make([]waypost.Record, waypost.MaxPublishBatch)
			for i := range records {
				records[i] = record("NY", someone())
			}
			if n, rejected, err := exchange.Gateway("NY").File().Load(b.Context(), "loader", 0, records); err != nil || n != len(records) {
				b.Errorf("%d published, %v, %v", n, rejected, err)
			}
		}
	})
	b.ReportMetric(float64(b.N*waypost.MaxPublishBatch)/b.Elapsed().Seconds(), "records/s")
}
