package loopback_test

import (
	"net"
	"os"
	"sync"
	"testing"

	"github.com/waypost/waypost/internal/loopback"
)

// TestAddress: however many ask at once, everybody gets an address of its own, and
// where there is no folder to count in all still get one.
func TestAddress(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", os.Getenv("XDG_CACHE_HOME")) // other systems' folder is below it
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
