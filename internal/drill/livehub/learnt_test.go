package livehub

import (
	"context"
	"testing"

	"github.com/waypost/waypost/internal/drill"
)

// TestLearnt: a listener that hears nothing, too little, or what was not said fails the
// drill.
func TestLearnt(t *testing.T) {
	for name, c := range map[string]struct {
		finding
		ok bool
	}{
		"all":             {finding{right: 80, all: 80}, true},
		"nine of ten":     {finding{right: 72, all: 80, wrong: 8}, true},
		"nothing":         {finding{all: 80}, false},
		"half":            {finding{right: 1, all: 2}, false},
		"nothing to hear": {finding{}, false},
		"everything":      {finding{right: 80, all: 80, wrong: 3000}, false},
	} {
		lines, err := drill.Run(t.Context(), drill.Drill{Name: "learnt", Run: func(_ context.Context, s *drill.Stage) error {
			(&listener{Stage: s}).learnt(c.finding)
			return nil
		}}, t.TempDir(), drill.Stage{})
		if err != nil || len(lines) != 1 || lines[0].OK != c.ok {
			t.Errorf("%s: %v, %+v", name, err, lines)
		}
	}
}
