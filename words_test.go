package waypost_test

import (
	"strings"
	"testing"

	"github.com/waypost/waypost"
)

// What a clerk must never misread.
func TestWords(t *testing.T) {
	coverage := waypost.Coverage{Searched: []waypost.Jurisdiction{"CA", "NY"}, Unanswered: []waypost.Jurisdiction{"NV"}, NotMembers: []waypost.Jurisdiction{"IL"}}
	match := waypost.CandidateAnswer{State: "CA", Disclosure: waypost.Disclosure{Outcome: waypost.Match, Status: waypost.Valid, CardKind: waypost.Licence, TerminationRequired: true}}
	pending := waypost.CandidateAnswer{State: "NV", Disclosure: waypost.Disclosure{Outcome: waypost.Pending}}
	for _, c := range []struct {
		name   string
		answer waypost.Answer
		want   []string
		never  []string
	}{
		{"nobody", waypost.Answer{Complete: true, Coverage: coverage}, []string{"NO OTHER CARD", "Searched: 2 states", "IL not taking part"}, []string{"MATCH"}},
		{"a match", waypost.Answer{Complete: true, Candidates: []waypost.CandidateAnswer{match}}, []string{"MATCH: this person holds a card of CA (licence, valid); it must be ended"}, []string{"NO OTHER CARD"}},
		{"not answered", waypost.Answer{Candidates: []waypost.CandidateAnswer{pending}, Coverage: coverage, TicketHex: "ab"}, []string{"NV has not answered yet", "completes by itself"}, []string{"NO OTHER CARD"}},
		{"owed", waypost.Answer{Owed: true}, []string{"CHECK OWED", "not a \"no\""}, []string{"NO OTHER CARD"}},
		{"a part of the index", waypost.Answer{Owed: true, Coverage: waypost.Coverage{IndexInPart: true}},
			[]string{"CHECK OWED. A part of the hub's index", "only the part of the index that can be reached"}, []string{"NO OTHER CARD", "0 states", "key holders"}},
		{"owed, one found already", waypost.Answer{Owed: true, Candidates: []waypost.CandidateAnswer{match}}, []string{"CHECK OWED", "MATCH"}, []string{"NO OTHER CARD"}},
		{"too many", waypost.Answer{TooMany: true, Complete: true}, []string{"TOO MANY", "supervisor"}, []string{"NO OTHER CARD"}},
	} {
		got := c.answer.Words()
		for _, words := range c.want {
			if !strings.Contains(got, words) {
				t.Errorf("%s: %q is not said in:\n%s", c.name, words, got)
			}
		}
		for _, words := range c.never {
			if strings.Contains(got, words) {
				t.Errorf("%s: %q is said in:\n%s", c.name, words, got)
			}
		}
	}
}
