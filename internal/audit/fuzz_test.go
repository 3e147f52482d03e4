package audit

import (
	"bytes"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// FuzzRecord: what can be decoded is what was encoded.
func FuzzRecord(f *testing.F) {
	r := record{ticket: [32]byte{1}, kind: kindOutcome, log: 3, index: 9, at: 1_772_000_000, soi: 2, count: 1, cited: []place{{1, 2}}, answers: []answer{{1, outcomeMatch, true}}}
	f.Add(r.appendTo(nil))
	f.Add([]byte{0, 0, 0, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, rest, err := cutRecord(b)
		if err != nil {
			return
		}
		again, left, err := cutRecord(r.appendTo(nil))
		if err != nil || len(left) != 0 || !bytes.Equal(again.appendTo(nil), r.appendTo(nil)) || len(rest) > len(b) {
			t.Fatalf("%+v, then %+v (%v)", r, again, err)
		}
	})
}

// FuzzState: a state file that is not one is refused, and nothing worse.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"type":"waypost audit state v1","names":{"members":[],"logs":[]},"logs":[],"windows":0,"records":0}`), []byte{})
	f.Add([]byte(`{"type":"waypost audit state v1","names":{},"logs":[{"size":3,"peaks":[]}],"windows":0,"records":1}`), []byte{1})
	f.Fuzz(func(t *testing.T, line, rest []byte) {
		var s state
		if s.parse(line, rest) == nil && len(s.windows)+len(s.records) != len(rest) {
			t.Fatal("bytes are missing")
		}
	})
}

// FuzzFields: a member may put anything into its own entries.
func FuzzFields(f *testing.F) {
	f.Add("outcome", []byte(`{"answer_0":"CA match AAAA","answers":"1","searches":"hub/1:3"}`))
	f.Add("evaluate", []byte(`{"ticket":"AAAA"}`))
	f.Add("canary", []byte(`{"check":"00","found":"yes","owner":"CA"}`))
	f.Add("deliver", []byte(`{"operator":"zz","owner":"CA"}`))
	r := &run{names: tables{}}
	r.Rosters = []*roster.Roster{{}}
	r.names.index()
	r.names.add("CA")
	r.names.log("hub/1")
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		for _, role := range []roster.Role{roster.Gateway, roster.Hub, roster.KeyHolder} {
			e := translog.Entry{Kind: name, At: time.Unix(1, 0), Ticket: [32]byte{1}, Body: body}
			rec := record{kind: kindsOf[role][name], ticket: e.Ticket, soi: noMember, owner: noMember}
			fs := fields{l: &logRun{r: r}, rec: &rec, entry: &e}
			if rec.kind == kindNone || !eachField(body, fs.take) || !fs.complete() {
				continue
			}
			if again, _, err := cutRecord(rec.appendTo(nil)); err != nil || again.kind != rec.kind || len(again.cited) != len(rec.cited) {
				t.Fatalf("%+v does not survive the temporary file: %v", rec, err)
			}
		}
	})
}
