package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/metrics"
	"github.com/waypost/waypost/internal/rpc"
)

var quiet = slog.New(slog.DiscardHandler)

// scrape reads what the set serves with the client's own parser: the values, by
// name and sorted labels. All of it is of the list.
func scrape(t *testing.T, set *metrics.Set) map[string]float64 {
	t.Helper()
	w := httptest.NewRecorder()
	set.Handler(quiet).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%d %s", w.Code, w.Header().Get("Content-Type"))
	}
	values := make(map[string]float64)
	decoder := expfmt.SampleDecoder{Dec: expfmt.NewDecoder(w.Body, expfmt.ResponseFormat(w.Header())), Opts: &expfmt.DecodeOptions{}}
	for {
		var samples model.Vector
		if err := decoder.Decode(&samples); errors.Is(err, io.EOF) {
			return values
		} else if err != nil {
			t.Fatal(err)
		}
		for _, sample := range samples {
			line := sample.Metric.String()
			if _, twice := values[line]; twice || !listed(string(sample.Metric[model.MetricNameLabel])) {
				t.Errorf("%s stands twice, or is not in the list", line)
			}
			values[line] = float64(sample.Value)
		}
	}
}

// listed says whether lines of this name can come from a metric of the list.
func listed(name string) bool {
	for _, end := range []string{"_bucket", "_sum", "_count"} {
		name = strings.TrimSuffix(name, end)
	}
	return slices.ContainsFunc(metrics.All, func(m metrics.Metric) bool { return m.Name == name })
}

func TestCalls(t *testing.T) {
	set := metrics.New()
	took := []time.Duration{time.Millisecond, 2500 * time.Microsecond, 20 * time.Millisecond, 2 * time.Minute}
	for i, d := range took {
		code := waypost.Code("")
		if i == 3 {
			code = waypost.QuotaExceeded
		}
		set.Call(rpc.Call{Procedure: "/waypost.v1.Hub/Search", Member: "CA", Code: code, Took: d})
	}
	set.Call(rpc.Call{Procedure: "/waypost.v1.Hub/Search", Code: waypost.Unauthenticated})
	got := scrape(t, set)
	for line, want := range map[string]float64{
		`waypost_calls_total{call="Hub/Search", code="ok", member="CA"}`:                3,
		`waypost_calls_total{call="Hub/Search", code="quota_exceeded", member="CA"}`:    1,
		`waypost_calls_total{call="Hub/Search", code="unauthenticated", member="none"}`: 1,
		`waypost_call_seconds_bucket{call="Hub/Search", le="0.0025"}`:                   3, // a bound belongs to its bucket
		`waypost_call_seconds_bucket{call="Hub/Search", le="0.01"}`:                     3,
		`waypost_call_seconds_bucket{call="Hub/Search", le="0.025"}`:                    4,
		`waypost_call_seconds_bucket{call="Hub/Search", le="30"}`:                       4,
		`waypost_call_seconds_bucket{call="Hub/Search", le="+Inf"}`:                     5,
		`waypost_call_seconds_count{call="Hub/Search"}`:                                 5,
	} {
		if v, ok := got[line]; !ok || v != want {
			t.Errorf("%s is %v, want %v", line, v, want)
		}
	}
	if sum := got[`waypost_call_seconds_sum{call="Hub/Search"}`]; sum < 120.0234 || sum > 120.0236 {
		t.Errorf("sum %v", sum)
	}
}

// A gauge is read when it is asked for; one that fails is left out and counted,
// and the others are served.
func TestGauges(t *testing.T) {
	set := metrics.New()
	n := 0.0
	set.Gauge(metrics.JournalEntries, func(context.Context) ([]metrics.Value, error) { n++; return []metrics.Value{{Value: n}}, nil })
	set.Gauge(metrics.QuotaUsed, func(context.Context) ([]metrics.Value, error) { return nil, errors.New("disk 7 is gone") })
	set.Gauge(metrics.QuotaLimit, func(context.Context) ([]metrics.Value, error) {
		return []metrics.Value{{Labels: []string{"CA"}}}, nil // no class
	})
	set.Count(metrics.Checks, "match")
	for i := 1.0; i <= 2; i++ {
		got := scrape(t, set)
		want := map[string]float64{
			`waypost_journal_entries`: i, `waypost_checks_total{outcome="match"}`: 1,
			`waypost_metric_read_errors_total{metric="waypost_quota_used"}`: i, `waypost_metric_read_errors_total{metric="waypost_quota_limit"}`: i,
		}
		if !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

// Gauges ask databases: a fifth scrape at a time is turned away. Each has an
// end, whoever waits for it.
func TestScrapesAtATime(t *testing.T) {
	set := metrics.New()
	reading, end := make(chan bool), make(chan struct{})
	set.Gauge(metrics.JournalEntries, func(ctx context.Context) ([]metrics.Value, error) {
		_, ends := ctx.Deadline()
		reading <- ends
		<-end
		return []metrics.Value{{}}, nil
	})
	handler := set.Handler(quiet)
	get := func() int {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return w.Code
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if code := get(); code != http.StatusOK {
				t.Errorf("%d", code)
			}
		})
		if !<-reading {
			t.Error("a gauge may be read for ever")
		}
	}
	if code := get(); code != http.StatusServiceUnavailable {
		t.Errorf("the fifth: %d", code)
	}
	close(end)
	all.Wait()
}

// What is not in the list is found by the first test that comes by.
func TestNotInTheList(t *testing.T) {
	set := metrics.New()
	for name, use := range map[string]func(){
		"counter": func() { set.Count("waypost_other_total") },
		"kind":    func() { set.Count(metrics.ChecksOwed) },
		"labels":  func() { set.Count(metrics.Checks) },
		"gauge":   func() { set.Gauge("waypost_other", nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: taken", name)
				}
			}()
			use()
		}()
	}
}

// What is no name is not repeated, whoever gives it, and the number of series
// has an end.
func TestLabels(t *testing.T) {
	set := metrics.New()
	for _, odd := range []string{"", "Ines Okonkwo", "a\"} 1\nx", "é", strings.Repeat("a", 41), "00000000000000000000000000000000000000000"} {
		set.Call(rpc.Call{Procedure: "/x", Member: odd, Code: waypost.Code(odd)})
		set.Count(metrics.Checks, odd)
		set.Gauge(metrics.MailboxBytes, func(context.Context) ([]metrics.Value, error) {
			return []metrics.Value{{Labels: []string{odd}, Value: 1}}, nil
		})
		for line := range scrape(t, set) {
			if odd != "" && strings.Contains(line, odd) {
				t.Errorf("%q is repeated: %s", odd, line)
			}
		}
	}
	for i := range 20_000 {
		set.Count(metrics.ReadErrors, fmt.Sprint("m", i))
	}
	got := scrape(t, set)
	if len(got) > 10_100 || got[`waypost_metric_read_errors_total{metric="other"}`] != 10_000 {
		t.Errorf("%d lines, %v others", len(got), got[`waypost_metric_read_errors_total{metric="other"}`])
	}
}

func TestNilSet(t *testing.T) {
	var set *metrics.Set
	set.Call(rpc.Call{})
	set.Count(metrics.Checks, "match")
	set.Gauge(metrics.ChecksOwed, nil)
}

func TestConcurrent(t *testing.T) {
	set := metrics.New()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 500 {
				set.Call(rpc.Call{Procedure: "/waypost.v1.Hub/Search", Member: "CA", Took: time.Millisecond})
			}
		})
		all.Go(func() { scrape(t, set) })
	}
	all.Wait()
	if got := scrape(t, set)[`waypost_calls_total{call="Hub/Search", code="ok", member="CA"}`]; got != 2000 {
		t.Errorf("%v calls", got)
	}
}

// Metrics are for this machine only, under one path and one method.
func TestServe(t *testing.T) {
	for _, address := range []string{"", "9464", ":9464", "0.0.0.0:9464", "[::]:9464", "192.0.2.1:9464", "localhost:9464"} {
		if _, err := metrics.Listen(address); waypost.CodeOf(err) != waypost.InvalidArgument || !strings.Contains(err.Error(), "127.0.0.1:9464") {
			t.Errorf("%q: %v", address, err)
		}
	}
	listener, err := metrics.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	set := metrics.New()
	set.Count(metrics.Checks, "match")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- set.Serve(ctx, listener, quiet) }()
	url := "http://" + listener.Addr().String()
	for _, c := range []struct {
		method, path string
		want         int
	}{{"GET", "/metrics", 200}, {"HEAD", "/metrics", 200}, {"POST", "/metrics", 405}, {"GET", "/", 404}, {"GET", "/debug/pprof/", 404}} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, url+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != c.want || c.method == "GET" && c.want == 200 && !strings.Contains(string(body), "waypost_checks_total") {
			t.Errorf("%s %s: %d %s %v", c.method, c.path, res.StatusCode, body, err)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The page for operators has every metric, as it is served, and no other.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	seen := make(map[string]bool)
	for _, m := range metrics.All {
		labels := "-"
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, labels, m.Help)
		if seen[m.Name] || !strings.HasSuffix(m.Help, ".") {
			t.Errorf("%s stands twice, or says no sentence", m.Name)
		}
		seen[m.Name] = true
		for _, l := range m.Labels {
			if !strings.Contains("call member code class outcome metric", l) {
				t.Errorf("%s has the label %s: say first why its values are few and tell nothing", m.Name, l)
			}
		}
	}
	if !strings.Contains(string(page), "|---|---|---|---|\n"+want.String()+"\n") {
		t.Errorf("docs/operations/metrics.md has another list than the program:\n%s", want.String())
	}
	for _, name := range regexp.MustCompile(`waypost_[a-z_]+`).FindAllString(string(page), -1) {
		if !listed(name) {
			t.Errorf("the page names %s, which there is not", name)
		}
	}
}
