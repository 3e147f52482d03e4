package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/install"
)

// The roles of a test run are real processes: this test binary, told by the
// environment to be the role of a folder, or to be one of the fakes.
const beRole = "WAYPOST_BENCH_TEST_ROLE"

const (
	waits = "fake: says that it is ready and waits for the end of its input"
	fails = "fake: complains and fails"
	dies  = "fake: says that it is ready and fails at once"
)

func TestMain(m *testing.M) {
	folder, ok := os.LookupEnv(beRole)
	if !ok {
		os.Exit(m.Run())
	}
	var err error
	switch folder {
	case fails:
		err = errors.New("there is no share of the key here")
	case waits, dies:
		fmt.Println("fake is ready on https://nowhere")
		if folder == dies {
			err = errors.New("the disk is full")
		} else {
			_, err = io.Copy(io.Discard, os.Stdin)
		}
	default:
		err = runRole(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runRole(folder string) error {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	role, err := install.Open(ctx, folder, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	fmt.Println("ready on https://" + role.Folder.Config.Listen)
	return errors.Join(role.Run(ctx), role.Close())
}

func roleCommand(folder string) *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), beRole+"="+folder)
	return c
}
