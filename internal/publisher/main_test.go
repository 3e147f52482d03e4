package publisher

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain also serves as the program of the process that TestKill9 kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("PUBLISHER_TEST_DIR"); dir != "" {
		fmt.Println(publishForever(dir, os.Getenv("PUBLISHER_TEST_URL")))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
