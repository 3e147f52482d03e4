// Package metrics counts what a role does, for those who watch over it, and
// serves it to Prometheus on a listener of its own. list.go has all there is.
//
// The official client keeps the numbers and writes the format. What is ours is
// the list, and that nothing personal can become a label.
package metrics

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/waypost/waypost/internal/rpc"
)

// Value is one value of a gauge, with its labels in the order of the list.
type Value struct {
	Labels []string
	Value  float64
}

// A Set is the metrics of one role. A nil Set takes everything and keeps
// nothing. It is safe for concurrent use. A name that is not in the list, or
// labels other than its own, are a mistake in the program: it panics.
type Set struct {
	counters   map[string]*prometheus.CounterVec // by metric, like the others
	histograms map[string]*prometheus.HistogramVec

	mu     sync.Mutex
	kept   map[string]map[string]bool // label values of counters and histograms, joined
	gauges map[string]gauge
}

type gauge struct {
	Metric
	read func(context.Context) ([]Value, error)
}

// New returns an empty set.
func New() *Set {
	s := &Set{
		counters: make(map[string]*prometheus.CounterVec), histograms: make(map[string]*prometheus.HistogramVec),
		kept: make(map[string]map[string]bool), gauges: make(map[string]gauge),
	}
	for _, m := range All {
		s.kept[m.Name] = make(map[string]bool)
		switch m.Kind {
		case Counter:
			s.counters[m.Name] = prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Labels)
		case Histogram:
			s.histograms[m.Name] = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.Name, Help: m.Help, Buckets: bounds}, m.Labels)
		}
	}
	return s
}

// Call counts a finished call: it is an rpc.Observer.
func (s *Set) Call(c rpc.Call) {
	if s == nil {
		return
	}
	call := c.Procedure[strings.LastIndexByte(c.Procedure, '.')+1:] // Hub/Search
	code, member := string(c.Code), c.Member
	if code == "" {
		code = "ok"
	}
	if member == "" {
		member = "none"
	}
	s.Count(Calls, call, member, code)
	s.histograms[CallSeconds].WithLabelValues(s.labels(CallSeconds, call)...).Observe(c.Took.Seconds())
}

// Count adds one to a counter of the list.
func (s *Set) Count(name string, labels ...string) {
	if s == nil {
		return
	}
	s.counters[name].WithLabelValues(s.labels(name, labels...)...).Inc()
}

// Gauge has read called each time the gauge of the list is served.
func (s *Set) Gauge(name string, read func(context.Context) ([]Value, error)) {
	if s == nil {
		return
	}
	i := slices.IndexFunc(All, func(m Metric) bool { return m.Name == name && m.Kind == Gauge })
	if i < 0 {
		panic("metrics: the list has no gauge " + name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gauges[name] = gauge{All[i], read}
}

const (
	maxSeries = 10_000 // of one metric; members times calls times codes are a tenth
	maxLabel  = 40     // characters of a label's value
	other     = "other"
)

// labels returns the values under which to count. A value that could not be one
// of the list's, and all beyond what is kept, is counted under "other".
func (s *Set) labels(metric string, values ...string) []string {
	values = cleaned(values)
	key := strings.Join(values, "\x00")
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.kept[metric]
	if !kept[key] && len(kept) >= maxSeries {
		return slices.Repeat([]string{other}, len(values))
	}
	kept[key] = true
	return values
}

// cleaned replaces what is no name: whatever it is, it is not repeated.
func cleaned(labels []string) []string {
	kept := slices.Clone(labels)
	for i, l := range kept {
		if l == "" || len(l) > maxLabel || strings.ContainsFunc(l, notOfAName) {
			kept[i] = other
		}
	}
	return kept
}

func notOfAName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' && r != '/'
}
