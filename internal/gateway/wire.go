package gateway

import (
	"encoding/hex"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// AnswerToProto and AnswerFromProto carry an answer through the counter door.
func AnswerToProto(a waypost.Answer) *waypostv1.CheckAnswer {
	out := &waypostv1.CheckAnswer{
		Ticket: a.TicketHex, Owed: a.Owed, TooMany: a.TooMany, Complete: a.Complete,
		Coverage: &waypostv1.Coverage{
			Searched: texts(a.Coverage.Searched), Unanswered: texts(a.Coverage.Unanswered),
			Loading: texts(a.Coverage.Loading), NotMembers: texts(a.Coverage.NotMembers), NamesOnly: a.Coverage.NamesOnly,
			IndexInPart: a.Coverage.IndexInPart,
		},
	}
	for _, c := range a.Candidates {
		out.Candidates = append(out.Candidates, &waypostv1.CandidateAnswer{
			State: string(c.State), Outcome: string(c.Outcome), Status: string(c.Status), CardKind: string(c.CardKind),
			TerminationRequired: c.TerminationRequired, Refused: c.Refused, Reference: hex.EncodeToString(c.Reference[:]),
		})
	}
	for _, o := range a.Own {
		out.OwnRecords = append(out.OwnRecords, &waypostv1.OwnRecord{Id: o.ID, Outcome: string(o.Outcome)})
	}
	return out
}

// AnswerFromProto is the inverse of AnswerToProto.
func AnswerFromProto(p *waypostv1.CheckAnswer) waypost.Answer {
	a := waypost.Answer{
		TicketHex: p.Ticket, Owed: p.Owed, TooMany: p.TooMany, Complete: p.Complete, Candidates: []waypost.CandidateAnswer{},
		Coverage: waypost.Coverage{
			Searched: states(p.GetCoverage().GetSearched()), Unanswered: states(p.GetCoverage().GetUnanswered()),
			Loading: states(p.GetCoverage().GetLoading()), NotMembers: states(p.GetCoverage().GetNotMembers()), NamesOnly: p.GetCoverage().GetNamesOnly(),
			IndexInPart: p.GetCoverage().GetIndexInPart(),
		},
	}
	if raw, err := hex.DecodeString(p.Ticket); err == nil {
		copy(a.Ticket[:], raw)
	}
	for _, c := range p.Candidates {
		var reference waypost.Reference
		_ = reference.UnmarshalText([]byte(c.Reference)) // the door's own words
		a.Candidates = append(a.Candidates, waypost.CandidateAnswer{State: waypost.Jurisdiction(c.State), Reference: reference, Refused: c.Refused,
			Disclosure: waypost.Disclosure{Outcome: waypost.Outcome(c.Outcome), Status: waypost.Status(c.Status),
				CardKind: waypost.CardKind(c.CardKind), TerminationRequired: c.TerminationRequired}})
	}
	for _, o := range p.OwnRecords {
		a.Own = append(a.Own, waypost.OwnRecord{ID: o.Id, Outcome: waypost.Outcome(o.Outcome)})
	}
	return a
}

func texts(in []waypost.Jurisdiction) []string {
	out := make([]string, len(in))
	for i, j := range in {
		out[i] = string(j)
	}
	return out
}

func states(in []string) []waypost.Jurisdiction {
	out := make([]waypost.Jurisdiction, len(in))
	for i, j := range in {
		out[i] = waypost.Jurisdiction(j)
	}
	return out
}
