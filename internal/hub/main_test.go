package hub_test

import (
	"flag"
	"os"
	"testing"

	"github.com/waypost/waypost/internal/hub"
)

// TestMain keeps the model short: -rapid.checks=N asks for more.
func TestMain(m *testing.M) {
	hub.NotByItself()
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		_ = flag.Set("rapid.checks", "30")
	}
	os.Exit(m.Run())
}
