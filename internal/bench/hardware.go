package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Hardware is what the figures were measured on. A text that the system does
// not tell is empty.
type Hardware struct {
	CPU    string  `json:"cpu"`
	Cores  int     `json:"cores"` // that this process may use
	System string  `json:"system"`
	Go     string  `json:"go"`
	Disk   string  `json:"disk"`     // under the exchange's databases
	Fsync  float64 `json:"fsync_ms"` // median of writing 4 KiB to it durably
	// Load is the load average of the last minute before the run: above about
	// zero, others were at work and the figures are lower bounds.
	Load float64 `json:"load_average_before"`
}

func hardware(dir string) (Hardware, error) {
	h := Hardware{CPU: cpuModel(), Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Go: runtime.Version(), Disk: diskOf(dir)}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		h.Load, _ = strconv.ParseFloat(strings.Fields(string(load))[0], 64)
	}
	var err error
	h.Fsync, err = fsync(dir)
	return h, err
}

// Machine says in a few words what this runs on.
func Machine() string { return fmt.Sprintf("%d cores of %s", runtime.NumCPU(), orUnknown(cpuModel())) }

func cpuModel() string {
	info, _ := os.ReadFile("/proc/cpuinfo") // absent elsewhere than on Linux
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// diskOf names the file system and device that the folder is on.
func diskOf(dir string) string {
	mounts, _ := os.ReadFile("/proc/self/mountinfo") // absent elsewhere than on Linux
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return ""
	}
	disk, longest := "", 0
	for line := range strings.Lines(string(mounts)) {
		// proc(5): ... mount point is the fifth field; after " - " come the
		// type and the source.
		mount, source, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(mount), strings.Fields(source)
		if !ok || len(left) < 5 || len(right) < 2 {
			continue
		}
		at := strings.TrimSuffix(left[4], "/")
		if (dir == at || strings.HasPrefix(dir, at+"/")) && len(at) >= longest {
			disk, longest = right[0]+" on "+right[1], len(at)
		}
	}
	return disk
}

// fsync returns the median of some durable appends in milliseconds.
func fsync(dir string) (float64, error) {
	f, err := os.CreateTemp(dir, "fsync-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	const rounds = 31
	took := make([]time.Duration, rounds)
	for i := range took {
		start := time.Now()
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return milliseconds(quantile(took, 0.5)), nil
}

// ProcessorTime returns what a process has used of the cores since its start,
// and whether this system tells.
func ProcessorTime(pid int) (time.Duration, bool) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, false
	}
	// proc(5): user and system time are the 14th and 15th field, in hundredths
	// of a second; the second field may hold anything, but ends with the last
	// parenthesis.
	_, rest, _ := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, false
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, err1 == nil && err2 == nil
}

// BusyTime is what all processes together have used of the cores since the
// system started, and whether it tells.
func BusyTime() (time.Duration, bool) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	// proc(5): the first line sums up the cores in hundredths of a second:
	// user, nice, system, idle, iowait, irq, softirq, steal.
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 {
		return 0, false
	}
	sum := int64(0)
	for _, i := range []int{1, 2, 3, 6, 7, 8} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, false
		}
		sum += n
	}
	return time.Duration(sum) * 10 * time.Millisecond, true
}

// residentMiB is what a process has in memory, in MiB; 0 where the system does not
// tell.
func residentMiB(pid int) float64 {
	statm, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(statm)) // proc(5): the second is resident pages
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return float64(pages*os.Getpagesize()) / (1 << 20)
}
