package simulate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"time"
)

// trace is everything that happened, in order: two worlds of one seed have the
// same.
type trace struct {
	now  func() time.Time
	sum  hash.Hash
	show io.Writer // or nil
}

func newTrace(now func() time.Time, show io.Writer) *trace {
	return &trace{now: now, sum: sha256.New(), show: show}
}

func (t *trace) note(what string, more ...any) {
	line := fmt.Sprintf("%s %s %v\n", t.now().Format("01-02 15:04:05.000"), what, more)
	_, _ = io.WriteString(t.sum, line) // a hash takes everything
	if t.show != nil {
		_, _ = io.WriteString(t.show, line)
	}
}

func (t *trace) hash() string { return hex.EncodeToString(t.sum.Sum(nil)[:16]) }
