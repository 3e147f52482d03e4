package hub_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The metrics show what waits in each box, and what each member has used.
func TestMeasure(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.afterMidnight()
	letter := r.letter("AZ", "CA", "one")
	r.send("AZ", letter, r.letter("AZ", "CA", "two"))
	w := httptest.NewRecorder()
	r.metrics.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	bytes := r.count(`SELECT bytes FROM box WHERE recipient = 'CA'`)
	if bytes < 2*4096 {
		t.Fatalf("two letters are %d bytes", bytes)
	}
	for _, line := range []string{
		`waypost_mailbox_messages{member="CA"} 2`, fmt.Sprintf(`waypost_mailbox_bytes{member="CA"} %d`, bytes),
		fmt.Sprintf(`waypost_quota_used{class="mail",member="AZ"} %d`, bytes), `waypost_quota_alarm_percent{class="mail",member="AZ"} 0`,
		`waypost_quota_limit{class="mail",member="AZ"} 4.294967296e+09`, `waypost_calls_total{call="Hub/Send",code="ok",member="AZ"} 1`,
	} {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("no line %s in\n%s", line, w.Body)
		}
	}
}
