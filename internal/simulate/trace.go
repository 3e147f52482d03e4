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
	now   func() time.Time
	sum   hash.Hash
	print io.Writer // or nil
}

func newTrace(now func() time.Time, print io.Writer) *trace {
	return &trace{now: now, sum: sha256.New(), print: print}
}

func (t *trace) note(what string, more ...any) {
	line := fmt.Sprintf("%s %s %v\n", t.now().Format("01-02 15:04:05.000"), what, more)
	_, _ = io.WriteString(t.sum, line) // a hash takes everything
	if t.print != nil {
		_, _ = io.WriteString(t.print, line)
	}
}

func (t *trace) hash() string { return hex.EncodeToString(t.sum.Sum(nil)[:16]) }
