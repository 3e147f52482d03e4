package driver

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// TestMain keeps the walks through the model few: each makes many durable writes.
// The command line can ask for more.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "25"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
