package store

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/store/pgtest"
)

// TestServerThatTakesNoWrites: of several servers none is used that takes no writes,
// not even for reading, whatever the URL says: what was written would not be seen.
func TestServerThatTakesNoWrites(t *testing.T) {
	here := pgtest.Shared(t).URL()
	must(t, openURL(t, here).Close())
	u, err := url.Parse(here)
	must(t, err)
	for _, attrs := range []string{"", "any", "prefer-standby"} {
		q := u.Query()
		q.Set("default_transaction_read_only", "on")
		if attrs != "" {
			q.Set("target_session_attrs", attrs)
		}
		u.RawQuery = q.Encode()
		if db, err := Open(ctx, u.String(), "test"); err == nil {
			_ = db.Close()
			t.Errorf("target_session_attrs %q: a server is used that takes no writes", attrs)
		} else if !strings.Contains(fmt.Sprint(err), "read only") {
			t.Errorf("target_session_attrs %q: %v", attrs, err)
		}
	}
}
