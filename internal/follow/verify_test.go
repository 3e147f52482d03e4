package follow

import (
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
)

// Every receipt that is given can be followed to its leaf.
func TestSignerRole(t *testing.T) {
	hub := []waypost.Action{waypost.ActionSearchFirst, waypost.ActionSearchSecond, waypost.ActionPublish, waypost.ActionChangeSOR,
		waypost.ActionWithdraw, waypost.ActionActivate, waypost.ActionCompare, waypost.ActionLeave}
	for _, a := range hub {
		if role, ok := signerRole(a); !ok || role != roster.Hub {
			t.Errorf("%s is signed by %q, %v", a, role, ok)
		}
	}
	if role, ok := signerRole(waypost.ActionEvaluate); !ok || role != roster.KeyHolder {
		t.Errorf("evaluate is signed by %q, %v", role, ok)
	}
	if _, ok := signerRole("something"); ok {
		t.Error("anything is signed by somebody")
	}
}
