package audit

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestScale writes the ledgers of many tickets and reconciles them in a process
// of its own, whose time and peak memory it prints. WAYPOST_AUDIT_TICKETS gives
// the numbers of tickets, for example 100000,1000000, and WAYPOST_AUDIT_DIR where
// to put them (8 GB a million). Without, a few hundred show that it works.
func TestScale(t *testing.T) {
	if dir := os.Getenv("WAYPOST_AUDIT_CHILD"); dir != "" {
		reconcileAlone(t, dir)
		return
	}
	sizes := "300"
	if s := os.Getenv("WAYPOST_AUDIT_TICKETS"); s != "" {
		sizes = s
	}
	for size := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(size)
		must(t, err)
		dir := filepath.Join(t.TempDir(), size)
		if where := os.Getenv("WAYPOST_AUDIT_DIR"); where != "" {
			dir = filepath.Join(where, "waypost-audit-"+size)
		}
		began := time.Now()
		now := writeLedgers(t, dir, n)
		t.Logf("%d tickets written in %v", n, time.Since(began).Round(time.Second))
		child := exec.Command(os.Args[0], "-test.run=^TestScale$", "-test.v")
		child.Env = append(os.Environ(), "WAYPOST_AUDIT_CHILD="+dir, fmt.Sprintf("WAYPOST_AUDIT_NOW=%d", now))
		began = time.Now()
		out, err := child.CombinedOutput()
		took := time.Since(began)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		line := string(out[strings.Index(string(out), "{"):])
		var rep Report
		must(t, json.NewDecoder(strings.NewReader(line)).Decode(&rep))
		peak := strings.TrimSpace(strings.SplitN(string(out[strings.Index(string(out), "VmHWM:")+6:]), "\n", 2)[0])
		t.Logf("%d tickets, %d entries: %.1f s, %.0f entries/s, peak memory %s, processor %.1f s", rep.Tickets, rep.Entries, took.Seconds(),
			float64(rep.Entries)/took.Seconds(), peak, (child.ProcessState.UserTime() + child.ProcessState.SystemTime()).Seconds())
		if len(rep.Findings) != 0 || rep.Tickets != int64(n) || rep.Open != 0 {
			t.Errorf("%d tickets, %d open, findings %+v", rep.Tickets, rep.Open, rep.Findings)
		}
		if os.Getenv("WAYPOST_AUDIT_KEEP") == "" {
			must(t, os.RemoveAll(dir))
		}
	}
}

// writeLedgers writes n checks, twenty a second, and returns the time at the end.
func writeLedgers(t *testing.T, dir string, n int) int64 {
	s := newSim(newExchange(t, dir, genQuota), 1)
	s.calm = true
	for done := 0; done < n; {
		for range min(20, n-done) {
			s.newCheck()
			done++
		}
		s.run(s.now + 1)
		for _, l := range s.logs {
			l.write(s.now)
		}
		if s.now%600 == 0 {
			s.daily(s.now)
		}
	}
	s.run(s.now + 120)
	s.daily(s.now)
	s.events = nil // what would end a check that nobody answers
	s.run(s.now + 1000)
	s.publishAll(s.now)
	return s.now
}

func reconcileAlone(t *testing.T, dir string) {
	o, err := FromDir(dir)
	must(t, err)
	at, err := strconv.ParseInt(os.Getenv("WAYPOST_AUDIT_NOW"), 10, 64)
	must(t, err)
	o.Now = time.Unix(at, 0)
	if name := os.Getenv("WAYPOST_AUDIT_PROFILE"); name != "" {
		f, err := os.Create(name)
		must(t, err)
		must(t, pprof.StartCPUProfile(f))
		defer pprof.StopCPUProfile()
	}
	debug.SetGCPercent(GCPercent)
	rep, err := Reconcile(ctx, o)
	must(t, err)
	status, err := os.ReadFile("/proc/self/status")
	must(t, err)
	fmt.Println(string(status[strings.Index(string(status), "VmHWM:"):][:24]))
	raw, err := json.Marshal(rep)
	must(t, err)
	fmt.Printf("%s\n", raw)
}
