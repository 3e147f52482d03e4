package bench

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/waypost/waypost"
)

// Where a page has the figures of a run.
const (
	pageBegin = "<!-- waypost bench: begin -->"
	pageEnd   = "<!-- waypost bench: end -->"
)

// WritePage puts the figures between the two markers of a page of documentation.
func (r Report) WritePage(path string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(page), pageBegin)
	_, after, closed := strings.Cut(rest, pageEnd)
	if !ok || !closed {
		return waypost.Errorf(waypost.InvalidArgument, "the page has no line %s followed by a line %s", pageBegin, pageEnd)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(before+pageBegin+"\n\n"+r.markdown()+"\n"+pageEnd+after), info.Mode())
}

// markdown is the report for a page.
func (r Report) markdown() string {
	var b bytes.Buffer
	h := r.Hardware
	fmt.Fprintf(&b, "%d cores of %s, %s, %s; databases on %s, %.2f ms for a durable write of 4 KiB; load average before %.1f.\n",
		h.Cores, orUnknown(h.CPU), h.System, h.Go, orUnknown(h.Disk), h.Fsync, h.Load)
	if r.CheckReport != nil {
		r.CheckReport.markdown(&b)
	}
	switch {
	case r.Peer != nil:
		r.Peer.markdown(&b)
	case r.CheckReport != nil:
		fmt.Fprintln(&b, "\nNo plain index was measured beside it: name a PostgreSQL server with `--database`.")
	}
	return b.String()
}

func (r *CheckReport) markdown(b *bytes.Buffer) {
	fmt.Fprint(b, "\n| phase | checks | p50 | p99 | checks/s | processor time per check: hub, key holders, gateways, all | cores busy with other things |\n|---|---|---|---|---|---|---|\n")
	for _, p := range r.Phases {
		fmt.Fprintf(b, "| `%s` | %d | %.0f ms | %.0f ms | %.1f | %.1f, %.1f, %.1f, %.1f ms | %.1f |\n", p.Name, p.Checks, p.P50, p.P99, p.PerSecond,
			p.CPU["hub"], p.CPU["keyholders"], p.CPU["gateways"], p.RolesCPU(), p.Others)
	}
	fmt.Fprintf(b, "\n`arithmetic_share` %.2f (%.1f ms of a check), `throughput_share` %.2f.\n", r.ArithmeticShare, r.ArithmeticCPU, r.ThroughputShare)
	fmt.Fprint(b, "\n| stage of a check at the rate | p50 | p99 | its arithmetic | commits in turn | its limit here |\n|---|---|---|---|---|---|\n")
	sum := Stage{Name: "all"}
	for _, s := range r.Stages {
		fmt.Fprintf(b, "| `%s` | %.1f ms | %.1f ms | %.2f ms | %d | %.1f ms |\n", s.Name, s.P50, s.P99, s.Arithmetic, s.Writes, s.Limit)
		sum.Arithmetic, sum.Writes, sum.Limit = sum.Arithmetic+s.Arithmetic, sum.Writes+s.Writes, sum.Limit+s.Limit
	}
	fmt.Fprintf(b, "| all | | | %.2f ms | %d | %.1f ms |\n", sum.Arithmetic, sum.Writes, sum.Limit)
}

func (r *PeerReport) markdown(b *bytes.Buffer) {
	wire := "without TLS"
	if r.TLS {
		wire = "over TLS"
	}
	fmt.Fprintf(b, "\nThe same people in a plain index of unkeyed SHA-512 in PostgreSQL %s, one SELECT for a check %s, %d hashes: p50 %.2f ms, p99 %.2f ms, %.0f checks/s one after the other, %.3f ms of processor time (of it %.3f ms the server's).",
		r.Server, wire, r.Records, r.P50, r.P99, r.PerSecond, r.CPU, r.ServerCPU)
	if r.Price > 0 {
		fmt.Fprintf(b, " **The price of privacy: %.0f times the processor time, %.0f times the median latency.**", r.Price, r.PriceP50)
	}
	fmt.Fprintln(b)
}
