package waypost_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost"
)

func anyCandidates(t *rapid.T) waypost.Candidates {
	c := waypost.Candidates{Ticket: array32(t, "ticket"), TooMany: rapid.Bool().Draw(t, "many"), Unreached: rapid.IntRange(0, waypost.CheckElements).Draw(t, "unreached")}
	references := rapid.SliceOfNDistinct(rapid.SliceOfN(rapid.Byte(), 16, 16), 0, waypost.MaxCandidates, func(b []byte) string { return string(b) }).Draw(t, "references")
	slices.SortFunc(references, bytes.Compare)
	for _, r := range references {
		owner := waypost.Jurisdiction(rapid.StringMatching(`[A-Z]{2}`).Draw(t, "owner"))
		c.List = append(c.List, waypost.Candidate{Reference: waypost.Reference(r), Owner: owner})
	}
	return c
}

func TestCandidatesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCandidates(t)
		back, err := waypost.ParseCandidates(c.Bytes())
		if d := cmp.Diff(c, back); err != nil || d != "" {
			t.Fatal(err, d)
		}
	})
}

// One set of candidates has one encoding, and its order says nothing.
func TestCandidatesCanonical(t *testing.T) {
	a, b := waypost.Candidate{Reference: waypost.Reference{1}, Owner: "CA"}, waypost.Candidate{Reference: waypost.Reference{2}, Owner: "NV"}
	list := func(all ...waypost.Candidate) []byte { return waypost.Candidates{List: all}.Bytes() }
	if _, err := waypost.ParseCandidates(list(a, b)); err != nil {
		t.Fatal(err)
	}
	many := make([]waypost.Candidate, waypost.MaxCandidates+1)
	for i := range many {
		many[i] = waypost.Candidate{Reference: waypost.Reference{byte(i + 1)}, Owner: "CA"}
	}
	good := list(a, b)
	flag := len("waypost candidates v1\n") + 32
	for name, raw := range map[string][]byte{
		"out of order":         list(b, a),
		"a reference twice":    list(a, a),
		"lower case owner":     list(waypost.Candidate{Reference: waypost.Reference{1}, Owner: "ca"}),
		"21 candidates":        list(many...),
		"a trailing byte":      append(bytes.Clone(good), 0),
		"one byte short":       good[:len(good)-1],
		"a third truth":        append(append(bytes.Clone(good[:flag]), 2), good[flag+1:]...),
		"too many unreached":   append(append(bytes.Clone(good[:flag+1]), waypost.CheckElements+1), good[flag+2:]...),
		"a count too high":     append(append(bytes.Clone(good[:flag+2]), 3), good[flag+3:]...),
		"another domain":       append([]byte("W"), good[1:]...),
		"nothing":              nil,
		"somebody else's list": []byte("CA, NV"),
	} {
		if _, err := waypost.ParseCandidates(raw); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHashesAreSeparated(t *testing.T) {
	seen := make(map[[32]byte]string)
	for name, h := range map[string][32]byte{
		"probes": waypost.HashProbes(nil), "tokens": waypost.HashTokens(nil), "case": waypost.CommitCase([32]byte{}, ""),
		"evaluate": waypost.HashOutputs(waypost.ActionEvaluate, nil), "search": waypost.HashOutputs(waypost.ActionSearchFirst, nil),
		"second": waypost.HashOutputs(waypost.ActionSearchSecond, nil), "publish": waypost.HashOutputs(waypost.ActionPublish, nil),
		"token of epoch 1": waypost.NewToken(1, nil), "token of epoch 2": waypost.NewToken(2, nil),
	} {
		if other, twice := seen[h]; twice {
			t.Errorf("%s and %s have one hash", name, other)
		}
		seen[h] = name
	}
	token, other := waypost.NewToken(1, make([]byte, 64)), waypost.NewToken(1, make([]byte, 63))
	if waypost.NewTag(token, waypost.TicketID{1}) == waypost.NewTag(token, waypost.TicketID{2}) || waypost.NewTag(token, waypost.TicketID{1}) == waypost.NewTag(other, waypost.TicketID{1}) {
		t.Error("a tag is of one token and one ticket")
	}
}
