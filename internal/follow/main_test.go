package follow

import (
	"flag"
	"os"
	"testing"
)

// TestMain runs fewer random histories than rapid would: each is made of many
// commits. -rapid.checks=N asks for more.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		_ = flag.Set("rapid.checks", "8")
	}
	os.Exit(m.Run())
}
