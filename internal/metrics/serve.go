package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/waypost/waypost"
)

// readTime is how long all gauges together may take to be read.
const readTime = 5 * time.Second

// Listen binds the address, "127.0.0.1:9464", from which the metrics are
// served. Who is not on this machine has no business with them.
func Listen(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil || !loopback(host) {
		return nil, waypost.Errorf(waypost.InvalidArgument, "metrics are served on this machine only: %q is no loopback address with a port, such as 127.0.0.1:9464", address)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return listener, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Serve answers GET /metrics on the listener until the context ends.
func (s *Set) Serve(ctx context.Context, listener net.Listener, log *slog.Logger) error {
	server := &http.Server{
		Handler: s.Handler(log), ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// Handler serves GET /metrics, to four at a time. A gauge that cannot be read is
// left out, counted and logged.
func (s *Set) Handler(log *slog.Logger) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{s, log})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}))
	return mux
}

// collector shows a set to a registry of the client's.
type collector struct {
	*Set
	log *slog.Logger
}

// Describe announces the whole list: the registry then refuses what is not of
// it.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range All {
		out <- prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
	}
}

// Collect reads the gauges first: those that fail are counted.
func (c collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readTime)
	defer cancel()
	c.mu.Lock()
	gauges := maps.Clone(c.gauges)
	c.mu.Unlock() // gauges ask databases
	for name, g := range gauges {
		values, err := g.get(ctx)
		if err != nil {
			c.Count(ReadErrors, name)
			c.log.Warn("a metric cannot be read", "metric", name, "cause", err)
			continue
		}
		values.Collect(out)
	}
	for _, counter := range c.counters {
		counter.Collect(out)
	}
	for _, histogram := range c.histograms {
		histogram.Collect(out)
	}
}

// get reads the gauge. Of values with the same labels, the last one counts.
func (g gauge) get(ctx context.Context) (*prometheus.GaugeVec, error) {
	values, err := g.read(ctx)
	if err != nil {
		return nil, err
	}
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: g.Name, Help: g.Help}, g.Labels)
	for _, v := range values {
		if len(v.Labels) != len(g.Labels) {
			return nil, fmt.Errorf("a value has %d labels, not %d", len(v.Labels), len(g.Labels))
		}
		vec.WithLabelValues(cleaned(v.Labels)...).Set(v.Value)
	}
	return vec, nil
}
