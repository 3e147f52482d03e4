package metrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost"
)

// contentType is that of Prometheus' text format.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

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

// Handler serves GET /metrics. A gauge that cannot be read is left out, counted
// and logged.
func (s *Set) Handler(log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readTime)
		defer cancel()
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(s.text(ctx, log)) // who asked has left
	})
	return mux
}

func (s *Set) text(ctx context.Context, log *slog.Logger) []byte {
	read := s.readGauges(ctx, log)
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	for _, m := range All {
		values, counters := read[m.Name], s.counters[m.Name]
		if len(values) == 0 && len(counters) == 0 {
			continue
		}
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", m.Name, m.Help, m.Name, m.Kind)
		for _, v := range values {
			line(&b, m.Name, m.Labels, cleaned(v.Labels), v.Value)
		}
		for _, key := range slices.Sorted(maps.Keys(counters)) {
			counters[key].write(&b, m)
		}
	}
	return b.Bytes()
}

// readGauges calls the functions of the gauges, without the lock: they ask
// databases.
func (s *Set) readGauges(ctx context.Context, log *slog.Logger) map[string][]Value {
	s.mu.Lock()
	gauges := maps.Clone(s.gauges)
	s.mu.Unlock()
	all := make(map[string][]Value, len(gauges))
	for name, read := range gauges {
		values, err := read(ctx)
		if err != nil {
			s.Count(ReadErrors, name)
			log.Warn("a metric cannot be read", "metric", name, "cause", err)
			continue
		}
		all[name] = values
	}
	return all
}

func (one *series) write(b *bytes.Buffer, m Metric) {
	if m.Kind != Histogram {
		line(b, m.Name, m.Labels, one.labels, float64(one.count))
		return
	}
	names := append(slices.Clone(m.Labels), "le")
	upTo := uint64(0)
	for i, bound := range bounds {
		upTo += one.buckets[i]
		line(b, m.Name+"_bucket", names, append(slices.Clone(one.labels), number(bound)), float64(upTo))
	}
	line(b, m.Name+"_bucket", names, append(slices.Clone(one.labels), "+Inf"), float64(one.count))
	line(b, m.Name+"_sum", m.Labels, one.labels, one.sum)
	line(b, m.Name+"_count", m.Labels, one.labels, float64(one.count))
}

// line writes one value. Label values need no escaping: cleaned saw them.
func line(b *bytes.Buffer, name string, names, values []string, value float64) {
	var labels []string
	for i, n := range names {
		if i < len(values) {
			labels = append(labels, n+`="`+values[i]+`"`)
		}
	}
	b.WriteString(name)
	if len(labels) > 0 {
		b.WriteString("{" + strings.Join(labels, ",") + "}")
	}
	b.WriteString(" " + number(value) + "\n")
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
