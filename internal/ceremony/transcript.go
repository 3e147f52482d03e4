package ceremony

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

// Transcript is a ceremony that is over, for everybody: its plan and what every
// participant signed, in the order of rounds and participants. After a finished one
// these are the four rounds; of one that failed they are what somebody has kept.
type Transcript struct {
	Plan     []byte   `json:"plan"`
	Approval []byte   `json:"approval,omitempty"` // of a reshare, by governance
	Messages [][]byte `json:"messages"`
}

// maxTranscript bounds a transcript as a file, in bytes: one of 64 participants takes
// about 1.5 MiB.
const maxTranscript = 8 << 20

// transcript is the finished ceremony.
func (s *session) transcript() *Transcript {
	t := &Transcript{Plan: s.plan.Bytes(), Approval: s.plan.Approval}
	for round := Commit; round <= Sign; round++ {
		for _, name := range s.participants {
			t.Messages = append(t.Messages, s.heard[round][name].signed)
		}
	}
	return t
}

// ReadTranscript reads a transcript file.
func ReadTranscript(raw []byte) (*Transcript, error) {
	if len(raw) > maxTranscript {
		return nil, malformed("transcript")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	t := new(Transcript)
	if d.Decode(t) != nil || len(t.Messages) > 8*maxParticipants {
		return nil, malformed("transcript")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed("transcript")
	}
	return t, nil
}

// Result is what a finished ceremony has made.
type Result struct {
	Plan       Plan
	Keys       *toprf.PublicKeys
	Transcript roster.Digest // its hash, which every participant has signed
}

// Verify checks a finished ceremony under the roster that its plan names: everything
// that the participants could see, that all have signed, and that governance wanted what
// was reshared. What is wrong is a
// *Fault where somebody's signature shows it.
func (t *Transcript) Verify(r *roster.Roster) (*Result, error) {
	s, err := t.session(r)
	if err != nil {
		return nil, err
	}
	for round := Commit; round <= Sign; round++ {
		if !s.complete(round) {
			return nil, waypost.Errorf(waypost.InvalidArgument, "the transcript has no message of %v in round %s: it counts only when all have signed", s.silent(round), round)
		}
		if fault := s.judge(round); fault != nil {
			return nil, fault
		}
	}
	if len(t.Messages) != 4*len(s.participants) {
		return nil, waypost.Errorf(waypost.InvalidArgument, "the transcript holds more than the ceremony")
	}
	keys, err := s.publicKeys()
	if err != nil {
		return nil, err
	}
	return &Result{Plan: s.plan, Keys: keys, Transcript: s.transcriptHash()}, nil
}

// Judge says who misbehaved in a ceremony, from the signed messages that are shown;
// nil if they do not say. Everybody comes to the same result from the same messages.
func Judge(t *Transcript, r *roster.Roster) (*Fault, error) {
	s, err := t.session(r)
	if fault, ok := errors.AsType[*Fault](err); ok {
		return fault, nil
	}
	if err != nil {
		return nil, err
	}
	return s.verdict(), nil
}

// session hears all messages.
func (t *Transcript) session(r *roster.Roster) (*session, error) {
	p, err := ParsePlan(t.Plan)
	if err != nil {
		return nil, err
	}
	p.Approval = t.Approval
	s, err := newSession(p, r)
	if err != nil {
		return nil, err
	}
	fault, err := hearAll(s, t.Messages, func(Message) bool { return true })
	switch {
	case err != nil:
		return nil, err
	case fault != nil:
		return nil, fault
	}
	return s, nil
}

// Gather puts together what participants have of one ceremony, whether it is over or
// not: its transcript, or the evidence of why it failed.
func Gather(of *waypostv1.CeremonyState, states []*waypostv1.CeremonyState) (*Transcript, error) {
	p, err := ParsePlan(of.Plan)
	if err != nil {
		return nil, err
	}
	id := p.ID()
	found := make(map[[32]byte]Message)
	for _, state := range append(states, of) {
		for _, raw := range state.Messages {
			if m, err := ParseMessage(raw); err == nil && m.Ceremony == id {
				found[m.Digest()] = m
			}
		}
	}
	at := func(m Message) int { return int(m.Round)*maxParticipants + position(p.Participants(), m.Sender) }
	all := slices.SortedFunc(maps.Values(found), func(a, b Message) int {
		return cmp.Or(at(a)-at(b), bytes.Compare(a.signed, b.signed))
	})
	t := &Transcript{Plan: of.Plan, Approval: of.Approval}
	for _, m := range all {
		t.Messages = append(t.Messages, m.signed)
	}
	return t, nil
}
