package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/gateway"
)

// CheckReport is one check end to end, every role a process on this machine.
type CheckReport struct {
	// At the offered rate, with one true candidate.
	P50 float64 `json:"check_p50_ms"`
	P99 float64 `json:"check_p99_ms"`
	// At saturation.
	PerSecond float64 `json:"checks_per_second"`
	// ArithmeticPerSecond is for how many checks all cores together can do the
	// group arithmetic when there is nothing else to do.
	ArithmeticPerSecond float64 `json:"arithmetic_checks_per_second"`
	// ArithmeticCPU is the processor time of that for one check, in ms.
	ArithmeticCPU float64 `json:"arithmetic_cpu_ms_per_check"`
	// ArithmeticShare is ArithmeticCPU / the processor time that all roles use
	// for a check at saturation. Where the system does not tell, it is
	// ThroughputShare.
	ArithmeticShare float64 `json:"arithmetic_share"`
	// ThroughputShare is PerSecond / ArithmeticPerSecond. The load generator,
	// and whoever else shares the machine, have their part in it.
	ThroughputShare float64 `json:"throughput_share"`
	// Stages are those of the checks at the offered rate, with one true candidate.
	Stages []Stage `json:"stages"`
	Phases []Phase `json:"phases"`
}

// Phase is what was measured while checks came in one way.
type Phase struct {
	Name       string  `json:"name"` // "warm_up", "offered", "offered_crowded" or "saturation"
	Offered    float64 `json:"offered_per_second,omitempty"`
	Workers    int     `json:"workers,omitempty"`
	Seconds    float64 `json:"seconds"`
	Checks     int     `json:"checks"`
	Failed     int     `json:"failed"`    // no answer
	Unfound    int     `json:"not_found"` // an answer without the true candidate, or not complete
	Candidates float64 `json:"candidates_per_check"`
	PerSecond  float64 `json:"checks_per_second"`
	P50        float64 `json:"p50_ms"`
	P90        float64 `json:"p90_ms"`
	P99        float64 `json:"p99_ms"`
	Max        float64 `json:"max_ms"`
	// CPU is processor time for each check in milliseconds: of the hub, of all
	// key holders, of all gateways, and of the load generator.
	CPU map[string]float64 `json:"cpu_ms_per_check,omitempty"`
	// Others is how many cores everything else on the machine kept busy: with
	// more than about 0.1 the figures say what was left, not what is possible.
	Others float64 `json:"others_cores,omitempty"`
	err    error   // the first failure
}

// RolesCPU is the processor time of all roles for each check in milliseconds.
func (p Phase) RolesCPU() float64 {
	sum := 0.0
	for _, role := range roles {
		sum += p.CPU[role]
	}
	return sum
}

// workers is how many checks are under way at saturation: enough to keep a
// handful of cores busy while some wait for a disk.
const workers = 12

// counter is the door that the checks come through.
type counter = waypostv1connect.CounterClient

// measureCheck prepares the exchange in the folder, starts its roles and runs
// the phases.
func measureCheck(ctx context.Context, c Config, dir string, h Hardware) (_ *CheckReport, err error) {
	n := max(int(c.Duration.Seconds()*c.Rate), 1)
	people, err := newPeople(c.People, n/2)
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, c, dir, people); err != nil {
		return nil, err
	}
	counters, err := dialAll(dir)
	if err != nil {
		return nil, err
	}
	all, err := startAll(ctx, c, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, all.stop()) }()
	b := &bench{Config: c, all: all, counters: counters, hardware: h}
	r := &CheckReport{}
	if err := b.phases(ctx, r, people, n); err != nil {
		return r, err
	}
	return r, errors.Join(r.failures(), all.alive())
}

type bench struct {
	Config
	all      processes
	counters map[waypost.Jurisdiction]counter
	hardware Hardware
}

func (b *bench) phases(ctx context.Context, r *CheckReport, p *people, n int) error {
	one := p.one
	take := func(n int) []applicant {
		taken := one[:min(n, len(one))]
		one = one[len(taken):]
		return taken
	}
	// Connections, caches and memory reach their working state.
	b.atRate(ctx, r, "warm_up", take(max(n/10, 8)))
	offered, shots := b.atRate(ctx, r, "offered", take(n))
	b.atRate(ctx, r, "offered_crowded", p.crowded)

	// Before and after, so that a change of the machine's other load meets
	// both sides of the ratio.
	before, beforeCPU, err := arithmeticAlone(b.Duration / 10)
	if err != nil {
		return err
	}
	full := b.atSaturation(ctx, r, one)
	after, afterCPU, err := arithmeticAlone(b.Duration / 10)
	if err != nil {
		return err
	}
	if r.Stages, err = b.stages(shots); err != nil {
		return err
	}
	r.P50, r.P99, r.PerSecond = offered.P50, offered.P99, full.PerSecond
	r.ArithmeticPerSecond, r.ArithmeticCPU = (before+after)/2, milliseconds((beforeCPU+afterCPU)/2)
	r.ThroughputShare = r.PerSecond / r.ArithmeticPerSecond
	r.ArithmeticShare = r.ThroughputShare
	if used := full.RolesCPU(); used > 0 {
		r.ArithmeticShare = r.ArithmeticCPU / used
	}
	return ctx.Err()
}

// stages sums up the stages of checks beside what bounds them on this machine.
func (b *bench) stages(shots []shot) ([]Stage, error) {
	a, err := newArithmetic()
	if err != nil {
		return nil, err
	}
	median, _, err := a.medians(b.Duration / 10)
	return stagesOf(shots, median, b.hardware.Cores, b.hardware.Fsync), err
}

func (b *bench) atRate(ctx context.Context, r *CheckReport, name string, who []applicant) (Phase, []shot) {
	before, start := b.all.processorTime(), time.Now()
	shots := onSchedule(ctx, len(who), b.Rate, func(ctx context.Context, i int) shot { return b.check(ctx, who[i]) },
		func(done int) { b.Progress(name, done, len(who)) })
	p := Phase{Name: name, Offered: b.Rate}
	return r.add(p, shots, time.Since(start), before, b.all.processorTime()), shots
}

func (b *bench) atSaturation(ctx context.Context, r *CheckReport, who []applicant) Phase {
	before, budget := b.all.processorTime(), b.Duration/2
	shots, took := saturated(ctx, len(who), workers, budget, func(ctx context.Context, i int) shot { return b.check(ctx, who[i]) },
		func(spent time.Duration) {
			b.Progress("saturation", int(min(spent, budget)/time.Millisecond), int(budget/time.Millisecond))
		})
	p := Phase{Name: "saturation", Workers: workers}
	return r.add(p, shots, took, before, b.all.processorTime())
}

// check asks about one applicant, as a counter would.
func (b *bench) check(ctx context.Context, a applicant) shot {
	ctx, call := connect.NewClientContext(ctx)
	raw, err := b.counters[a.ask].Check(ctx, gateway.CheckToProto(a.who, waypost.IssueRealID, "BENCH"))
	if err != nil {
		return shot{err: err}
	}
	answer := gateway.AnswerFromProto(raw)
	s := shot{candidates: len(answer.Candidates), stages: readStages(call.ResponseHeader().Get(gateway.ServerTiming))}
	for _, c := range answer.Candidates {
		s.found = s.found || c.State == a.holder && (c.Outcome == waypost.Match || c.Outcome == waypost.Possible)
	}
	s.found = s.found && answer.Complete
	return s
}

// add completes a phase from its shots.
func (r *CheckReport) add(p Phase, shots []shot, took time.Duration, before, after map[string]time.Duration) Phase {
	p.Seconds, p.Checks = took.Seconds(), len(shots)
	var times []time.Duration
	for _, s := range shots {
		if s.err != nil {
			if p.Failed++; p.err == nil {
				p.err = s.err
			}
			continue
		}
		if !s.found {
			p.Unfound++
		}
		p.Candidates += float64(s.candidates)
		times = append(times, s.took)
	}
	if n := len(times); n > 0 {
		slices.Sort(times)
		p.Candidates /= float64(n)
		p.PerSecond = float64(n) / took.Seconds()
		p.P50, p.P90 = milliseconds(quantile(times, 0.50)), milliseconds(quantile(times, 0.90))
		p.P99, p.Max = milliseconds(quantile(times, 0.99)), milliseconds(times[n-1])
		if before != nil && after != nil {
			p.account(before, after)
		}
	}
	r.Phases = append(r.Phases, p)
	return p
}

// account divides the processor time of a phase among its checks.
func (p *Phase) account(before, after map[string]time.Duration) {
	p.CPU = make(map[string]float64, len(after))
	others := after[machine] - before[machine]
	for kind := range after {
		if kind != machine {
			used := after[kind] - before[kind]
			others -= used
			p.CPU[kind] = milliseconds(used) / float64(p.Checks-p.Failed)
		}
	}
	p.Others = max(0, others.Seconds()/p.Seconds)
}

// failures is an error if any check had no answer: figures of the others would
// flatter.
func (r *CheckReport) failures() error {
	failed, checks := 0, 0
	var first error
	for _, p := range r.Phases {
		failed, checks = failed+p.Failed, checks+p.Checks
		if first == nil {
			first = p.err
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d checks had no answer, the first: %w", failed, checks, first)
}
