package keyholder_test

import (
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/rpc/rpctest"
)

// At 80 and at 100 percent of a quota there is an entry in the ledger, once in
// each window, whatever restarts; of an operator's hour it names the operator.
func TestAlarm(t *testing.T) {
	t.Parallel()
	quota := rpctest.Ample
	quota.TicketsPerDay, quota.TicketsPerOperatorHour = 10, 4
	r := newRig(t, quota)
	r.earlyInADay()
	by := func(operator byte) func(*waypost.Ticket) {
		return func(t *waypost.Ticket) { t.Operator = [32]byte{operator} }
	}
	tag := func(operator byte) string { return hex.EncodeToString(append([]byte{operator}, make([]byte, 31)...)) }
	for i := range 10 {
		if i == 9 {
			r.restart()
		}
		q := r.ask(by(byte(1 + i/4)))
		r.good(q)
		r.good(q) // again is the same
	}
	over := r.ask(by(4))
	r.refused("an eleventh", r.arizona, over.request(), waypost.QuotaExceeded, "checks today")
	_, err := r.evaluate(over)
	if want := r.Now().Truncate(24 * time.Hour).Add(24 * time.Hour); !waypost.RetryAfterOf(err).Equal(want) {
		t.Errorf("try again at %v, want %v", waypost.RetryAfterOf(err), want)
	}
	want := []map[string]string{
		{"class": "operator", "level": "100", "used": "4", "limit": "4", "operator": tag(1)},
		{"class": "tickets", "level": "80", "used": "8", "limit": "10"},
		{"class": "operator", "level": "100", "used": "4", "limit": "4", "operator": tag(2)},
		{"class": "tickets", "level": "100", "used": "10", "limit": "10"},
	}
	alarms := r.entriesOf("alarm")
	if len(alarms) != len(want) {
		t.Fatalf("%d alarms, want %d", len(alarms), len(want))
	}
	for i, a := range alarms {
		fields, err := journal.ParseBody(a.Body)
		must(t, err)
		want[i]["member"] = "AZ"
		if a.Ticket != [32]byte{} || len(fields) != len(want[i]) {
			t.Errorf("alarm %d: ticket %x, %v", i, a.Ticket, fields)
		}
		for name, value := range want[i] {
			if fields[name] != value {
				t.Errorf("alarm %d: %s is %q, want %q", i, name, fields[name], value)
			}
		}
	}
}

// The metrics say how far each quota is used, after a restart too, and nothing
// about a ticket.
func TestMetrics(t *testing.T) {
	t.Parallel()
	quota := rpctest.Ample
	quota.TicketsPerDay, quota.UnattendedPerDay = 3, 0
	r := newRig(t, quota)
	r.earlyInADay()
	q := r.ask(func(t *waypost.Ticket) { t.Case, t.Operator = [32]byte{9, 9, 9}, [32]byte{8, 8, 8} })
	for range 2 {
		r.good(q)
		r.good(r.ask())
	}
	r.restart()
	r.refused("a fourth", r.arizona, r.ask().request(), waypost.QuotaExceeded, "checks today")
	w := httptest.NewRecorder()
	r.metrics.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := w.Body.String()
	for _, line := range []string{
		`waypost_quota_used{class="tickets",member="AZ"} 3`, `waypost_quota_limit{class="tickets",member="AZ"} 3`, `waypost_quota_alarm_percent{class="tickets",member="AZ"} 100`,
		`waypost_quota_used{class="operators",member="AZ"} 2`, `waypost_quota_used{class="tickets",member="NV"} 0`, `waypost_quota_alarm_percent{class="tickets",member="NV"} 0`,
		`waypost_calls_total{call="KeyHolder/Evaluate",code="ok",member="AZ"} 4`, `waypost_calls_total{call="KeyHolder/Evaluate",code="quota_exceeded",member="AZ"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if strings.Contains(text, "unattended") {
		t.Error("a limit that the member does not have is shown")
	}
	for name, secret := range map[string][]byte{"ticket": q.ID[:], "tau": q.Tau[:], "operator": q.Operator[:], "case": q.Case[:], "nonce": q.Nonce[:]} {
		for _, form := range []string{hex.EncodeToString(secret[:6]), base64.StdEncoding.EncodeToString(secret[:6]), string(secret[:6])} {
			if strings.Contains(text, form) {
				t.Errorf("the metrics name the %s", name)
			}
		}
	}
}
