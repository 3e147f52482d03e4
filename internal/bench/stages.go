package bench

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Stage is one part of a check as the counter's answer tells it, beside the least
// that it can take.
type Stage struct {
	Name string  `json:"name"`
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	// Arithmetic is the group arithmetic of the stage in ms; what several parties do
	// at the same time is divided by the cores that they have.
	Arithmetic float64 `json:"arithmetic_ms"`
	// Writes is how many durable commits follow upon one another in it.
	Writes int `json:"commits_in_turn"`
	// Limit is the arithmetic and as many durable writes of the disk, in ms.
	Limit float64 `json:"limit_ms"`
}

// parts is what the stages of a check rest on, in their order: steps of the
// arithmetic, and the commits that must be on disk before the next can begin. Of a
// message that is the sender's state, the hub's mailbox, and the recipient's state.
var parts = []struct {
	stage  string
	steps  []string
	writes int
}{
	{"ticket", []string{"blind_32"}, 1},
	{"evaluate", []string{"evaluate_32", "verify_32", "combine_32", "finalize_32"}, 1},
	{"search", nil, 2},
	{"first_leg", nil, 4},
	{"disclosure", []string{"recompute_20"}, 4},
	{"conclude", nil, 1},
}

// readStages parses a Server-Timing header: names and milliseconds.
func readStages(header string) map[string]time.Duration {
	stages := make(map[string]time.Duration)
	for one := range strings.SplitSeq(header, ",") {
		name, parameters, _ := strings.Cut(strings.TrimSpace(one), ";")
		for parameter := range strings.SplitSeq(parameters, ";") {
			ms, is := strings.CutPrefix(parameter, "dur=")
			if n, err := strconv.ParseFloat(ms, 64); is && err == nil {
				stages[name] = time.Duration(n * float64(time.Millisecond))
			}
		}
	}
	return stages
}

// stagesOf sums up the stages of the checks of a phase. median is of each step of
// the arithmetic in microseconds, fsync of a durable write in milliseconds.
func stagesOf(shots []shot, median map[string]float64, cores int, fsync float64) []Stage {
	times := make(map[string][]time.Duration)
	for _, s := range shots {
		for name, d := range s.stages {
			times[name] = append(times[name], d)
		}
	}
	var all []Stage
	for _, part := range parts {
		took := times[part.stage]
		slices.Sort(took)
		s := Stage{Name: part.stage, P50: milliseconds(quantile(took, 0.5)), P99: milliseconds(quantile(took, 0.99)), Writes: part.writes}
		for _, name := range part.steps {
			i := slices.IndexFunc(steps, func(s step) bool { return s.name == name })
			s.Arithmetic += median[name] / 1e3 * float64(steps[i].times) / float64(min(cores, steps[i].times))
		}
		s.Limit = s.Arithmetic + float64(s.Writes)*fsync
		all = append(all, s)
	}
	return all
}
