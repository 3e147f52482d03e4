package roster

import (
	"strings"
	"testing"
)

// TestAlso: only a hub has further addresses, each used once, each with both doors.
func TestAlso(t *testing.T) {
	for name, c := range map[string]struct {
		change func(hub, other *Member)
		want   string
	}{
		"one more":         {func(hub, _ *Member) { hub.Also = []Doors{{"https://b.test:1", "https://b.test:2"}} }, ""},
		"no public door":   {func(hub, _ *Member) { hub.Also = []Doors{{URL: "https://b.test:1"}} }, "each further address"},
		"not a bare URL":   {func(hub, _ *Member) { hub.Also = []Doors{{"https://b.test:1/x", "https://b.test:2"}} }, "each further address"},
		"its own again":    {func(hub, _ *Member) { hub.Also = []Doors{{hub.URL, "https://b.test:2"}} }, "used twice"},
		"twice":            {func(hub, _ *Member) { hub.Also = []Doors{{"https://b.test:1", "https://b.test:1"}} }, "used twice"},
		"of a key holder":  {func(_, holder *Member) { holder.Also = []Doors{{"https://b.test:1", "https://b.test:2"}} }, "only a hub"},
		"too many of them": {func(hub, _ *Member) { hub.Also = make([]Doors, maxAlso+1) }, "only a hub"},
	} {
		hub := Member{Name: "hub", Role: Hub, URL: "https://a.test:1", Public: "https://a.test:2"}
		holder := Member{Name: "keyholder-1", Role: KeyHolder, URL: "https://k.test:1", Public: "https://k.test:2"}
		c.change(&hub, &holder)
		hub.CertKey[0], holder.CertKey[0] = 1, 2
		r := Roster{Members: []Member{hub, holder}}
		err := r.checkUnique()
		for _, m := range r.Members {
			if err == nil {
				err = m.checkServer()
			}
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	hub := Member{URL: "https://a.test:1", Public: "https://a.test:2", Also: []Doors{{"https://b.test:1", "https://b.test:2"}}}
	if got := strings.Join(append(hub.URLs(), hub.PublicURLs()...), " "); got != "https://a.test:1 https://b.test:1 https://a.test:2 https://b.test:2" {
		t.Error(got)
	}
}
