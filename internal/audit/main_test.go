package audit

import (
	"context"
	"flag"
	"os"
	"testing"
)

var ctx = context.Background()

// TestMain keeps the properties to one history each, which takes a second;
// -rapid.checks=N asks for more.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		_ = flag.Set("rapid.checks", "1")
	}
	os.Exit(m.Run())
}
