package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/population"
	"github.com/waypost/waypost/internal/statefile"
)

// LoadReport is a state that loads its records, every role a process on this
// machine, alone and beside checks at its own counter.
type LoadReport struct {
	Records int `json:"load_records"` // without checks
	// RecordsPerSecond is with every role on this machine, and no checks; BesideChecks with
	// checks at the rate.
	RecordsPerSecond float64 `json:"load_records_per_second"`
	BesideChecks     float64 `json:"load_records_per_second_beside_checks"`
	// RecordCPU is processor time for each record in milliseconds, without checks: of the
	// hub, of all key holders, of all gateways, and of the load command.
	RecordCPU map[string]float64 `json:"load_cpu_ms_per_record,omitempty"`
	// What the processor time allows each role by itself, in records per second: a
	// gateway on the cores of this machine, the hub on one of them, and one key
	// holder, which is asked about Threshold/Holders of all, on one.
	GatewayPerSecond float64 `json:"load_gateway_records_per_second,omitempty"`
	HubPerSecond     float64 `json:"load_hub_records_per_second_core,omitempty"`
	HolderPerSecond  float64 `json:"load_holder_records_per_second_core,omitempty"`
	// Others is how many cores everything else on the machine kept busy.
	Others float64 `json:"load_others_cores,omitempty"`
	// Memory is the resident memory of the gateway in MiB: when half of all is
	// loaded, and at the end.
	Memory [2]float64 `json:"load_gateway_mib"`
	// Checks are those at the counter of the loading state: before, and beside the
	// load.
	Checks []Phase `json:"load_checks"`
	// P99Ratio is how much longer the slowest hundredth of the checks take.
	P99Ratio float64 `json:"load_check_p99_ratio"`
}

// loading is the state that loads; the people asked about meanwhile are of
// another.
const loading, asked = waypost.Jurisdiction("CA"), waypost.Jurisdiction("AZ")

// maxLoad is as many people as there are names and dates for.
const maxLoad = 2_000_000

// measureLoad prepares an exchange with people to ask about, starts its roles and
// loads.
func measureLoad(ctx context.Context, c Config, dir string) (_ *LoadReport, err error) {
	people, err := newPeople(min(c.People, 500), 0)
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
	o := &onboarding{bench: &bench{Config: c, all: all, counters: counters}, tag: fmt.Sprintf("B%x-", time.Now().Unix())}
	for _, a := range people.one {
		if a.holder == asked {
			a.ask = loading
			o.applicants = append(o.applicants, a)
		}
	}
	r := &LoadReport{Records: c.Load}
	if err := o.measure(ctx, r); err != nil {
		return r, err
	}
	return r, errors.Join((&CheckReport{Phases: r.Checks}).failures(), all.alive())
}

// onboarding is a load under way.
type onboarding struct {
	*bench
	applicants []applicant
	tag        string // of the ids of this run's records: a folder may be used again
	loaded     int
}

func (o *onboarding) measure(ctx context.Context, r *LoadReport) error {
	n := max(int(o.Duration.Seconds()*o.Rate), 1)
	o.checks(ctx, nil, "warm_up", max(n/10, 8))
	before := o.checks(ctx, r, "before", n)

	cpu, start := o.all.processorTime(), time.Now()
	err := o.load(ctx, func(line int) bool {
		if line == r.Records/2 {
			r.Memory[0] = o.memory()
		}
		return line < r.Records
	}, func(rows int) { o.Progress("loading", rows, r.Records) })
	if err != nil {
		return err
	}
	r.account(r.Records, time.Since(start), cpu, o.all.processorTime())
	r.Memory[1] = o.memory()

	var over atomic.Bool
	loaded, start := o.loaded, time.Now()
	ended := make(chan error, 1)
	go func() { ended <- o.load(ctx, func(int) bool { return !over.Load() }, func(int) {}) }()
	beside := o.checks(ctx, r, "beside_load", n)
	over.Store(true)
	err = <-ended
	r.BesideChecks = float64(o.loaded-loaded) / time.Since(start).Seconds()
	if before.P99 > 0 {
		r.P99Ratio = beside.P99 / before.P99
	}
	return errors.Join(err, ctx.Err())
}

// checks asks n times at the rate.
func (o *onboarding) checks(ctx context.Context, r *LoadReport, name string, n int) Phase {
	cpu, start := o.all.processorTime(), time.Now()
	shots := onSchedule(ctx, n, o.Rate, func(ctx context.Context, i int) shot { return o.check(ctx, o.applicants[i%len(o.applicants)]) },
		func(done int) { o.Progress("checks, "+name, done, n) })
	report := new(CheckReport)
	p := report.add(Phase{Name: name, Offered: o.Rate}, shots, time.Since(start), cpu, o.all.processorTime())
	if r != nil {
		r.Checks = append(r.Checks, p)
	}
	return p
}

// load publishes synthetic people into a dark generation, as waypost load does, as
// long as more of them are wanted.
func (o *onboarding) load(ctx context.Context, more func(line int) bool, progress func(rows int)) error {
	people, err := population.Generate(population.Config{States: []waypost.Jurisdiction{loading, asked}, PerState: maxLoad, Seed: uint64(time.Now().UnixNano())})
	if err != nil {
		return err
	}
	loader := cluster.NewLoader(o.counters[loading], 1, progress)
	line, enough := 0, errors.New("enough")
	err = people.Each(loading, func(r waypost.Record) error {
		if !more(line) {
			return enough
		}
		line++
		r.ID = fmt.Sprintf("%s%d", o.tag, o.loaded+line)
		r.CardNumber = r.ID
		return loader.Add(ctx, statefile.Row{Line: line, Record: r})
	})
	if errors.Is(err, enough) {
		err = nil
	}
	result, finishErr := loader.Finish(ctx)
	o.loaded += line
	if err = errors.Join(err, finishErr); err == nil && result.Published != line {
		err = fmt.Errorf("%d of %d records were published, %d rejected", result.Published, line, len(result.Rejected))
	}
	return err
}

// memory is what the loading gateway has resident, in MiB.
func (o *onboarding) memory() float64 {
	for _, p := range o.all["gateways"] {
		if p.name == string(loading) {
			return residentMiB(p.command.Process.Pid)
		}
	}
	return 0
}

func (r *LoadReport) account(records int, took time.Duration, before, after map[string]time.Duration) {
	r.RecordsPerSecond = float64(records) / took.Seconds()
	if before == nil || after == nil {
		return
	}
	p := Phase{Checks: records, Seconds: took.Seconds()}
	p.account(before, after)
	r.RecordCPU, r.Others = p.CPU, p.Others
	r.GatewayPerSecond = float64(runtime.NumCPU()) * 1000 / p.CPU["gateways"]
	r.HubPerSecond = 1000 / p.CPU["hub"]
	r.HolderPerSecond = 1000 * holders / p.CPU["keyholders"]
}

func (r *LoadReport) writeText(out io.Writer) error {
	fmt.Fprintf(out, "\nA STATE LOADS ITS RECORDS: hub, %d key holders of which %d are asked, its gateway, a process each\n\n", holders, threshold)
	w := tabwriter.NewWriter(out, 2, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "records\trecords/s, all roles here\tbeside checks\tgateway MiB, half way\tat the end\tcores busy with other things\t")
	fmt.Fprintf(w, "%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.2f\t\n", r.Records, r.RecordsPerSecond, r.BesideChecks, r.Memory[0], r.Memory[1], r.Others)
	if r.RecordCPU != nil {
		fmt.Fprintf(w, "\nprocessor time for each record, ms\tgateway\thub\tkey holders\tload command\t\n")
		fmt.Fprintf(w, "\t%.3f\t%.3f\t%.3f\t%.3f\t\n", r.RecordCPU["gateways"], r.RecordCPU["hub"], r.RecordCPU["keyholders"], r.RecordCPU[generator])
		fmt.Fprintf(w, "\nthis allows, records/s\tgateway, %d cores\thub, 1 core\teach key holder, 1 core\t\n", runtime.NumCPU())
		fmt.Fprintf(w, "\t%.0f\t%.0f\t%.0f\t\n", r.GatewayPerSecond, r.HubPerSecond, r.HolderPerSecond)
	}
	fmt.Fprintf(w, "\nchecks\toffered/s\tchecks\tnot found\tp50\tp90\tp99\tmax\t\n")
	for _, p := range r.Checks {
		fmt.Fprintf(w, "%s\t%.0f\t%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t\n", p.Name, p.Offered, p.Checks, p.Unfound, p.P50, p.P90, p.P99, p.Max)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\nThe 99th percentile of checks beside the load is %.2f times that before it.\n", r.P99Ratio)
	return err
}
