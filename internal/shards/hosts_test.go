package shards

import "testing"

// TestOneHost: what connects cuts a host at commas, so that one that begins as this
// machine's need not be: there is one host, and no second behind it.
func TestOneHost(t *testing.T) {
	t.Setenv("WAYPOST_SHARD_PASSWORD_A", "x9x9x9")
	for host, good := range map[string]bool{"/tmp": true, "/tmp,evil.example": false, "127.0.0.1,evil.example": false} {
		s := Server{Name: "a", Host: host, Database: "labels", User: "hub", SSLMode: "disable"}
		if err := s.complete(); (err == nil) != good {
			t.Errorf("%s: %v", host, err)
		}
	}
}
