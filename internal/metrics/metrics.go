// Package metrics counts what a role does, for those who watch over it, and
// serves it in Prometheus' text format on a listener of its own. list.go has
// all there is.
//
// The format is written here: the official client brings seven modules for what
// is one page of text, into processes that hold a share of the key.
package metrics

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/waypost/waypost/internal/rpc"
)

// Value is one value of a gauge, with its labels in the order of the list.
type Value struct {
	Labels []string
	Value  float64
}

// A Set is the metrics of one role. A nil Set takes everything and keeps
// nothing. It is safe for concurrent use.
type Set struct {
	mu       sync.Mutex
	counters map[string]map[string]*series // by metric, then by label values
	gauges   map[string]func(context.Context) ([]Value, error)
}

// series is one line, or of a histogram several.
type series struct {
	labels  []string
	count   uint64
	sum     float64
	buckets []uint64 // not cumulative; those beyond the last bound are in count alone
}

// New returns an empty set.
func New() *Set {
	return &Set{counters: make(map[string]map[string]*series), gauges: make(map[string]func(context.Context) ([]Value, error))}
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
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at(Calls, call, member, code).count++
	seconds := s.at(CallSeconds, call)
	if seconds.buckets == nil {
		seconds.buckets = make([]uint64, len(bounds))
	}
	took := c.Took.Seconds()
	seconds.count++
	seconds.sum += took
	if i, _ := slices.BinarySearch(bounds, took); i < len(bounds) {
		seconds.buckets[i]++
	}
}

// Count adds one to a counter of the list.
func (s *Set) Count(name string, labels ...string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at(name, labels...).count++
}

// Gauge has read called each time the gauge of the list is served.
func (s *Set) Gauge(name string, read func(context.Context) ([]Value, error)) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gauges[name] = read
}

const (
	maxSeries = 10_000 // of one metric; members times calls times codes are a tenth
	maxLabel  = 40     // characters of a label's value
	other     = "other"
)

// at returns the series with these labels. A value that could not be one of the
// list's, and all beyond what is kept, is counted under "other".
func (s *Set) at(name string, labels ...string) *series {
	all := s.counters[name]
	if all == nil {
		all = make(map[string]*series)
		s.counters[name] = all
	}
	if one := all[strings.Join(labels, "\x00")]; one != nil {
		return one
	}
	kept := cleaned(labels)
	if len(all) >= maxSeries {
		kept = slices.Repeat([]string{other}, len(labels))
	}
	key := strings.Join(kept, "\x00")
	if all[key] == nil {
		all[key] = &series{labels: kept}
	}
	return all[key]
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
