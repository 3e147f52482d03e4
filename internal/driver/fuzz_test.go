package driver

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// FuzzReport: what is read of a report is what was sent, and everything that is
// wrong with its item can be said.
func FuzzReport(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parseReport(body)
		if err != nil {
			if waypost.CodeOf(err) != waypost.InvalidArgument {
				t.Errorf("refused with %s", waypost.CodeOf(err))
			}
			return
		}
		again, err := parseReport(must(r.encode()))
		if err != nil || again.Item != r.Item || again.check != r.check || again.handle != r.handle || again.hops != r.hops ||
			!bytes.Equal(again.reference, r.reference) || !bytes.Equal(again.statement, r.statement) || !proto.Equal(again.card, r.card) {
			t.Errorf("read as %+v, sent again as %+v: %v", r, again, err)
		}
		for _, p := range Validate(r.Item, noon) {
			if p.Field == "" || p.Code == "" || len(p.Words) == 0 || len(p.Words) > maxProblemWords || !showable(p.Words) {
				t.Errorf("a problem %+v", p)
			}
		}
		if raw := must(encodeItem(r.Item)); len(raw) > maxItem {
			t.Errorf("an item of %d bytes", len(raw))
		}
	})
}

// FuzzHistory: what is taken of a history can be handed on.
func FuzzHistory(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries, err := ParseHistory(raw)
		if err != nil {
			return
		}
		h := &waypostv1.History{}
		for _, e := range entries {
			h.Entries = append(h.Entries, &waypostv1.HistoryEntry{Item: e.Proto(), From: string(e.From), Arrived: e.At.Unix(), Disputed: string(e.Disputed)})
		}
		again, err := ParseHistory(must(proto.Marshal(h)))
		if err != nil || len(again) != len(entries) {
			t.Fatalf("%d entries, then %d: %v", len(entries), len(again), err)
		}
		for n := range again {
			if again[n].Item != entries[n].Item || again[n].NegatedBy != entries[n].NegatedBy || again[n].EndedBy != entries[n].EndedBy {
				t.Errorf("entry %d was %+v and is %+v", n, entries[n], again[n])
			}
		}
	})
}

// FuzzReply: whatever another state replies can be shown and kept.
func FuzzReply(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		r := parseReply(body)
		for _, p := range r.Problems {
			for _, text := range []string{p.Field, p.Code, p.Words} {
				if len([]rune(text)) > maxProblemWords {
					t.Errorf("a text of %d characters", len([]rune(text)))
				}
				for _, c := range text {
					if c != ' ' && !showable(string(c)) {
						t.Errorf("a text with %U", c)
					}
				}
			}
		}
		if len(r.Problems) > 0 && len(parseReply(must(r.encode())).Problems) == 0 && len(must(r.encode())) <= maxReply {
			t.Error("what was read of a reply cannot be read again")
		}
	})
}
