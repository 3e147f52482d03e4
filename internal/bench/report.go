package bench

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
)

// WriteText prints the report as tables.
func (r Report) WriteText(out io.Writer) error {
	h := r.Hardware
	fmt.Fprintf(out, "Measured on %d cores of %s, %s, %s; disk %s, %.2f ms for a durable write; load average before: %.2f\n",
		h.Cores, orUnknown(h.CPU), h.System, h.Go, orUnknown(h.Disk), h.Fsync, h.Load)
	if r.GroupReport != nil {
		if err := r.GroupReport.writeText(out); err != nil {
			return err
		}
	}
	if r.CheckReport != nil {
		if err := r.CheckReport.writeText(out); err != nil {
			return err
		}
	}
	if r.Peer != nil {
		r.Peer.writeText(out)
	}
	if r.LoadReport != nil {
		return r.LoadReport.writeText(out)
	}
	return nil
}

func orUnknown(s string) string {
	if s == "" {
		return "(unknown)"
	}
	return s
}

func (r *GroupReport) writeText(out io.Writer) error {
	fmt.Fprintf(out, "\nA KEY HOLDER, ONE CORE: decode, multiply, prove, encode; elements per second\n\n")
	w := tabwriter.NewWriter(out, 2, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "batch\tWaypost\tcircl\tratio\tlibsodium, bare\tratio\t")
	for _, n := range batches {
		size := strconv.Itoa(n)
		sodium, ratio := "not built in", "-"
		if s := r.Libsodium[size]; s > 0 {
			sodium, ratio = fmt.Sprintf("%.0f", s), fmt.Sprintf("%.2f", r.Holder[size]/s)
		}
		fmt.Fprintf(w, "%d\t%.0f\t%.0f\t%.2f\t%s\t%s\t\n", n, r.Holder[size], r.Circl[size], r.Holder[size]/r.Circl[size], sodium, ratio)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nTHE GROUP ARITHMETIC OF ONE CHECK: %.2f ms on one core, all parties together\n\n", r.PerCheck)
	fmt.Fprintln(w, "step\tmedian us\ttimes\tms\t")
	for _, s := range steps {
		fmt.Fprintf(w, "%s\t%.0f\t%d\t%.2f\t\n", s.name, r.Steps[s.name], s.times, r.Steps[s.name]*float64(s.times)/1e3)
	}
	return w.Flush()
}

func (r *CheckReport) writeText(out io.Writer) error {
	fmt.Fprintf(out, "\nONE CHECK, END TO END: hub, %d key holders, %d gateways, a process each; latency in ms from the moment a check was due\n\n",
		holders, len(states))
	w := tabwriter.NewWriter(out, 2, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "phase\toffered/s\tchecks\tfailed\tnot found\tcandidates\tchecks/s\tp50\tp90\tp99\tmax\t")
	for _, p := range r.Phases {
		offered := "as many as go"
		if p.Offered > 0 {
			offered = fmt.Sprintf("%.0f", p.Offered)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%.2f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t\n", p.Name, offered, p.Checks, p.Failed, p.Unfound,
			p.Candidates, p.PerSecond, p.P50, p.P90, p.P99, p.Max)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nPROCESSOR TIME FOR EACH CHECK, in ms\n\n")
	if len(r.Phases) > 0 && r.Phases[0].CPU == nil {
		fmt.Fprintln(out, "Not measured: this system has no /proc.")
	} else {
		fmt.Fprintln(w, "phase\twitness\thub\tkey holders\tgateways\tall roles\tload generator\tcores busy with other things\t")
		for _, p := range r.Phases {
			fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t\n", p.Name, p.CPU["witness"], p.CPU["hub"], p.CPU["keyholders"], p.CPU["gateways"], p.RolesCPU(), p.CPU[generator], p.Others)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "\nTHE STAGES OF A CHECK at the offered rate, in ms, and the least that each can take here: its arithmetic and its commits in turn\n\n")
	fmt.Fprintln(w, "stage\tp50\tp99\tarithmetic\tcommits\tlimit\t")
	for _, s := range r.Stages {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.2f\t%d\t%.1f\t\n", s.Name, s.P50, s.P99, s.Arithmetic, s.Writes, s.Limit)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nAt saturation %.1f checks/s; the group arithmetic alone would allow %.1f on these cores: %.0f %%.\n",
		r.PerSecond, r.ArithmeticPerSecond, 100*r.ThroughputShare)
	fmt.Fprintf(out, "The group arithmetic takes %.2f ms of processor time, %.0f %% of what all roles take for a check at saturation.\n",
		r.ArithmeticCPU, 100*r.ArithmeticShare)
	return nil
}

func (r *PeerReport) writeText(out io.Writer) {
	fmt.Fprintf(out, "\nA PLAIN INDEX of %d unkeyed hashes in PostgreSQL %s, one SELECT for a check (TLS: %t): p50 %.2f ms, p99 %.2f ms, %.0f/s one after the other, %.3f ms of processor time.\n",
		r.Records, r.Server, r.TLS, r.P50, r.P99, r.PerSecond, r.CPU)
	if r.Price > 0 {
		fmt.Fprintf(out, "The price of privacy: %.0f times the processor time, %.0f times the median latency.\n", r.Price, r.PriceP50)
	}
}
