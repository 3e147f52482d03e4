package loopback_test

import (
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/waypost/waypost/internal/loopback"
)

// TestAddress: however many ask at once, everybody gets an address of its own, and
// where there is no folder to count in all still get one.
func TestAddress(t *testing.T) {
	given := counted(t)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", os.Getenv("XDG_CACHE_HOME")) // other systems' folder is below it
	if _, err := loopback.Address(); err != nil {
		t.Fatal(err)
	}
	// Far from those that other programs have been given, and are about to use.
	if err := os.WriteFile(counter(t), make([]byte, (given+11000)%22000), 0o600); err != nil {
		t.Fatal(err)
	}
	all := make([]string, 400)
	var asking sync.WaitGroup
	for i := range all {
		asking.Go(func() {
			var err error
			if all[i], err = loopback.Address(); err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
	seen := make(map[string]bool)
	for _, address := range all {
		if seen[address] {
			t.Errorf("%s was given out twice", address)
		}
		seen[address] = true
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir()+"/nothing")
	t.Setenv("HOME", os.Getenv("XDG_CACHE_HOME"))
	l, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	if l.Addr().(*net.TCPAddr).Port < 10000 || l.Addr().(*net.TCPAddr).Port >= 32000 {
		t.Errorf("%s", l.Addr())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// counter is the file in which the programs of this user count.
func counter(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(cache, "waypost", "ports")
}

// counted is how many addresses have been given out; 0 where nobody counts.
func counted(t *testing.T) int64 {
	t.Helper()
	if _, err := os.UserCacheDir(); err != nil {
		return 0
	}
	info, err := os.Stat(counter(t))
	if err != nil {
		return 0
	}
	return info.Size()
}
