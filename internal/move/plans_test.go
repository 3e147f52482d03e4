package move_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
)

// small are tables that have rows only of what is under way at this moment.
var small = []string{"publication", "permit", "record_change", "driver_stray", "withheld", "campaign_record", "comparison", "outbox"}

var scan = regexp.MustCompile(`^SCAN (\w+)( USING (?:COVERING )?INDEX (\w+_due|\w+_open|\w+_owed))?`)

// What every room does each second, and what is asked for with every look at the
// metrics, reads what is unfinished: never all that a state has, or ever had.
func TestNothingIsReadWhole(t *testing.T) {
	w := newWorld(t, "AZ", "CA")
	az, ca := w.state("AZ"), w.state("CA")
	h := ca.hold(person())
	ca.item("CA-1", 1)
	check, reference := az.check(ca, "CA-1", h)
	_, err := az.start(check, reference, "AZ-7")
	must(t, err)
	w.settle()
	for _, s := range w.states {
		s.write(func(tx *store.Tx) error { // at three in the morning it would begin another, with a hub that the file does not have here
			_, err := tx.Exec(`INSERT INTO comparison (at, pointers, missing, withdrawn, receipt) VALUES ($1, 1, 0, 0, $2)`, s.now.Unix(), []byte{})
			return err
		})
		for _, step := range []func() error{
			func() error { return s.engine.Step(t.Context()) }, func() error { return s.file.Step(t.Context()) },
			func() error { return s.desk.Step(t.Context()) }, func() error { return s.moves.Step(t.Context()) },
			func() error { _, err := s.moves.Suspense(t.Context(), time.Hour); return err },
		} {
			must(t, step())
		}
		seen := 0
		s.plans.Range(func(statement, plan any) bool {
			text := statement.(string)
			if strings.HasPrefix(text, "DELETE") || strings.Contains(text, "journal") {
				return true // once an hour or a day; not of these rooms
			}
			seen++
			for _, line := range plan.([]string) {
				found := scan.FindStringSubmatch(line)
				if found == nil || found[1] == "CONSTANT" || found[2] != "" {
					continue
				}
				if !strings.Contains(" "+strings.Join(small, " ")+" ", " "+found[1]+" ") {
					t.Errorf("%s: %s: %s", s.name, line, text)
				}
			}
			return true
		})
		if seen < 30 {
			t.Errorf("only %d statements were seen", seen)
		}
	}
}
