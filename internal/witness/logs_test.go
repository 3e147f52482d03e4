package witness

import (
	"testing"
	"time"

	"github.com/waypost/waypost/internal/rpc/rpctest"
	"github.com/waypost/waypost/translog"
)

// TestRosterLogs: the logs of members under their log keys, no other names, and
// none of who is gone; an expired roster still names them.
func TestRosterLogs(t *testing.T) {
	x := rpctest.New(t, rpctest.Ample, "CA", "NV")
	logs := RosterLogs(x.View, "waypost.test")
	for _, origin := range []string{"waypost.test/CA/1", "waypost.test/hub/999", "waypost.test/keyholder-2/12"} {
		if v, ok := logs(origin); !ok || v.Name() != origin {
			t.Errorf("%s is not witnessed", origin)
		}
	}
	for _, origin := range []string{
		"", "waypost.test", "waypost.test/CA", "waypost.test/CA/", "waypost.test/CA/0", "waypost.test/CA/01", "waypost.test/CA/1000", "waypost.test/CA/1/1",
		"waypost.test/CA/-1", "waypost.test/ca/1", "waypost.test/AZ/1", "waypost.test//1", "other.test/CA/1", "waypost.testCA/1", "/CA/1",
	} {
		if _, ok := logs(origin); ok {
			t.Errorf("%q is witnessed", origin)
		}
	}
	ca, _ := x.View.Member("CA")
	want, err := translog.LogVerifier("waypost.test/CA/1", ca.LogKey)
	must(t, err)
	if v, _ := logs("waypost.test/CA/1"); v.KeyHash() != want.KeyHash() {
		t.Error("not under the log key of the roster")
	}
	x.Remove("CA")
	if _, ok := logs("waypost.test/CA/1"); ok {
		t.Error("a member that is gone is witnessed")
	}
	x.Advance(30 * 24 * time.Hour)
	if _, ok := logs("waypost.test/NV/1"); !ok {
		t.Error("a roster that ran out names no log")
	}
}
