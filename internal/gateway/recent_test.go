package gateway

import "testing"

// What was put is there once, until so many others have come, and never more than
// that.
func TestRecent(t *testing.T) {
	t.Parallel()
	r := newRecent[int, string]()
	if _, ok := r.take(0); ok {
		t.Error("something was there from the beginning")
	}
	r.put(1, "noticed")
	r.put(1, "continued")
	if value, ok := r.take(1); !ok || value != "continued" {
		t.Errorf("%q, %t", value, ok)
	}
	if _, ok := r.take(1); ok {
		t.Error("it was there twice")
	}
	r.put(2, "x")
	for i := range keptRecent - 1 {
		r.put(100+i, "y")
	}
	if _, ok := r.take(2); !ok {
		t.Error("it has given way before its time")
	}
	for i := range 3 * keptRecent {
		if r.put(10_000+i, "z"); len(r.of) > keptRecent {
			t.Fatalf("%d are kept", len(r.of))
		}
	}
	if _, ok := r.take(100); ok {
		t.Error("it has not given way")
	}
	if _, ok := r.take(10_000 + 3*keptRecent - 1); !ok {
		t.Error("the newest is not there")
	}
}
