package bench

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store/pgtest"
)

// TestStages: the parts of a check, each beside the least that it can take.
func TestStages(t *testing.T) {
	ms := func(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }
	read := readStages("ticket;dur=1.500, evaluate;dur=7.25,search;dur=x, nothing, first_leg;desc=a;dur=9")
	if diff := cmp.Diff(map[string]time.Duration{"ticket": ms(1.5), "evaluate": ms(7.25), "first_leg": ms(9)}, read); diff != "" {
		t.Error(diff)
	}
	shots := []shot{{stages: map[string]time.Duration{"ticket": ms(2), "evaluate": ms(10)}}, {stages: map[string]time.Duration{"ticket": ms(4), "evaluate": ms(8)}}, {err: context.Canceled}}
	got := stagesOf(shots, map[string]float64{"blind_32": 1000, "evaluate_32": 1600, "verify_32": 600, "combine_32": 100, "finalize_32": 900, "recompute_20": 800}, 2, 0.5)
	want := []Stage{
		{"ticket", 2, 4, 1, 1, 1.5},
		{"evaluate", 8, 10, 2.4 + .9 + .1 + .9, 1, 4.8}, // three holders on two cores
		{"search", 0, 0, 0, 2, 1}, {"first_leg", 0, 0, 0, 4, 2}, {"disclosure", 0, 0, .8, 4, 2.8}, {"conclude", 0, 0, 0, 1, .5},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
		t.Error(diff)
	}
}

// TestPage: the figures go between the markers, and nothing else of the page changes.
func TestPage(t *testing.T) {
	r := Report{
		Hardware: Hardware{CPU: "a processor", Cores: 2, System: "linux/amd64", Go: "go1.26", Disk: "ext4", Fsync: 0.15},
		CheckReport: &CheckReport{P50: 30, ArithmeticShare: 0.4, ArithmeticCPU: 9.7, Stages: []Stage{{"ticket", 2, 4, 1, 1, 1.5}},
			Phases: []Phase{{Name: "saturation", Checks: 7, P50: 200, PerSecond: 70, CPU: map[string]float64{"hub": 4, "keyholders": 8, "gateways": 12}}}},
		Peer: &PeerReport{Server: "15.1", TLS: true, Records: 8, P50: 0.1, CPU: 0.05},
	}
	r.Peer.compare(r.CheckReport)
	path := filepath.Join(t.TempDir(), "page.md")
	write := func(page string) {
		if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("before\n" + pageBegin + "\nold figures\n" + pageEnd + "\nafter\n")
	for range 2 { // the second time on what the first has written
		if err := r.WritePage(path); err != nil {
			t.Fatal(err)
		}
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := string(page)
		if !strings.HasPrefix(text, "before\n"+pageBegin+"\n") || !strings.HasSuffix(text, "\n"+pageEnd+"\nafter\n") || strings.Contains(text, "old figures") {
			t.Errorf("the page around the figures: %s", text)
		}
		for _, want := range []string{"2 cores of a processor", "| `saturation` | 7 | 200 ms |", "| `ticket` | 2.0 ms | 4.0 ms | 1.00 ms | 1 | 1.5 ms |", "over TLS", "480 times the processor time, 300 times the median latency"} {
			if !strings.Contains(text, want) {
				t.Errorf("the page does not say %q:\n%s", want, text)
			}
		}
	}
	for _, page := range []string{"no markers", pageBegin, pageEnd + pageBegin} {
		write(page)
		if err := r.WritePage(path); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%q: %v", page, err)
		}
	}
}

// TestPeer: everybody is found in the plain index, and it leaves no table behind.
func TestPeer(t *testing.T) {
	url := pgtest.Start(t, 1)[0].URL()
	c := Config{Database: url, People: 20, Duration: time.Second, Progress: func(string, int, int) {}}
	r, err := measurePeer(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Records < 4*20 || r.P50 <= 0 || r.P99 < r.P50 || r.PerSecond <= 0 || r.CPU < r.ServerCPU || r.TLS || !strings.HasPrefix(r.Server, "1") {
		t.Errorf("%+v", r)
	}
	server, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close(t.Context())
	var left int
	if err := server.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE tablename = $1", peerTable).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d tables are left: %v", left, err)
	}
	c.Database = "postgres://nobody@127.0.0.1:1/none"
	if _, err := measurePeer(t.Context(), c); waypost.CodeOf(err) != waypost.Unavailable {
		t.Errorf("no server: %v", err)
	}
}
