package move_test

import "testing"

// The history that went along with a release which was never used is forgotten once
// the hub's word about it cannot come any more.
func TestUnusedHistoryIsForgotten(t *testing.T) {
	w, az, ca, m := moving(t)
	w.settleErrands()
	must(t, az.cancel(m))
	kept := func() int { return ca.count(`SELECT count(*) FROM moving WHERE length(exported) > 0`) }
	w.pass(12 * day)
	w.settle()
	if kept() != 1 {
		t.Fatal("the history is forgotten while the hub may still pass the record")
	}
	w.pass(82 * day)
	w.settle()
	if kept() != 0 || ca.count(`SELECT count(*) FROM moving`) != 1 {
		t.Errorf("%d histories are kept", kept())
	}
}
