package main

import (
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// bar is a progress bar on standard error, or nothing where that is not a
// terminal.
type bar struct{ b *progressbar.ProgressBar }

func newBar(s *session, what string, total int) bar {
	if s.err != os.Stderr || !term.IsTerminal(int(os.Stderr.Fd())) {
		return bar{}
	}
	return bar{progressbar.NewOptions(total, progressbar.OptionSetWriter(s.err), progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())}
}

func (b bar) set(done int) {
	if b.b != nil {
		_ = b.b.Set(done)
	}
}

func (b bar) finish() {
	if b.b != nil {
		_ = b.b.Finish()
	}
}
