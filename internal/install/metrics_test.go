package install

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waypost/waypost"
)

// configure changes the config of the role in the folder.
func configure(t *testing.T, folder string, change func(*Config)) {
	t.Helper()
	var c Config
	path := filepath.Join(folder, "config.json")
	if err := readJSON(path, &c); err != nil {
		t.Fatal(err)
	}
	change(&c)
	if err := writeJSON(path, c); err != nil {
		t.Fatal(err)
	}
}

// TestMetrics: a role whose config names a door for metrics serves those it
// knows, and none without.
func TestMetrics(t *testing.T) {
	dir := create(t)
	lost := filepath.Join(dir, "keyholder-3")
	if err := os.RemoveAll(filepath.Join(lost, identityFolder)); err != nil {
		t.Fatal(err)
	}
	configure(t, lost, func(c *Config) { c.WithoutShare = true })
	for folder, want := range map[string]string{
		"hub":         `waypost_quota_limit{class="tickets",member="CA"} 10`,
		"keyholder-1": `waypost_quota_limit{class="tickets",member="CA"} 10`,
		"keyholder-2": "waypost_shares_missing 0",
		"keyholder-3": "waypost_shares_missing 1",
		"gateway-CA":  "waypost_checks_owed 0",
	} {
		path := filepath.Join(dir, folder)
		if r, err := open(t, path); err != nil || r.metrics != nil {
			t.Fatalf("%s serves metrics that nobody asked for: %v", folder, err)
		} else if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		configure(t, path, func(c *Config) { c.Metrics = "127.0.0.1:0" })
		r, err := open(t, path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		text := get(t, "http://"+r.metricsDoor.Addr().String()+"/metrics")
		for _, line := range []string{want, "waypost_journal_entries ", "waypost_log_published_entries ", "waypost_roster_remaining_seconds ", "waypost_logs_blocked "} {
			if !strings.Contains(text, "\n"+line) {
				t.Errorf("%s: no line %s in\n%s", folder, line, text)
			}
		}
		stop()
		if err := errors.Join(<-done, r.Close()); err != nil {
			t.Error(err)
		}
	}
	configure(t, filepath.Join(dir, "hub"), func(c *Config) { c.Metrics = "0.0.0.0:9464" })
	if _, err := open(t, filepath.Join(dir, "hub")); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("metrics for everybody: %v", err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%d %v", res.StatusCode, err)
	}
	return string(body)
}
