package duplicate

import (
	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// message is one note on its way, with the case that it belongs to.
type message struct {
	id        ID // of the case
	check     waypost.TicketID
	reference waypost.Reference
	origin    string
	person    *ID // from the state that asked
	note      note
}

// maxBody is more than any message has.
const maxBody = 4 << 10

func (m message) encode() ([]byte, error) {
	p := &waypostv1.CaseMessage{
		Case: m.id[:], Check: m.check[:], Reference: m.reference[:], Origin: m.origin,
		Note: &waypostv1.CaseNote{
			Id: m.note.id[:], Class: string(m.note.class), Written: m.note.written, Text: m.note.text,
			Outcome: string(m.note.outcome), Number: m.note.number, Issued: m.note.issued, Closes: m.note.closes,
		},
	}
	if m.person != nil {
		p.Person = m.person[:]
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(p)
}

// decode reads a message of another state strictly. The author of the note is
// who sent it.
func decode(body []byte, from waypost.Jurisdiction) (m message, err error) {
	var p waypostv1.CaseMessage
	if len(body) > maxBody || proto.Unmarshal(body, &p) != nil || p.Note == nil ||
		len(p.ProtoReflect().GetUnknown()) > 0 || len(p.Note.ProtoReflect().GetUnknown()) > 0 ||
		!fill(m.id[:], p.Case) || !fill(m.check[:], p.Check) || !fill(m.reference[:], p.Reference) || !fill(m.note.id[:], p.Note.Id) {
		return m, waypost.Errorf(waypost.InvalidArgument, "the message about a case is not well formed")
	}
	switch m.origin = p.Origin; m.origin {
	case fromCheck, fromCorrection, fromCampaign:
	default:
		return m, waypost.Errorf(waypost.InvalidArgument, "a case of two states comes from a check, a correction or a campaign")
	}
	if len(p.Person) > 0 {
		m.person = new(ID)
		if !fill(m.person[:], p.Person) {
			return m, waypost.Errorf(waypost.InvalidArgument, "a person is named by %d bytes", len(ID{}))
		}
	}
	m.note = note{
		author: from, id: m.note.id, class: waypost.OperatorClass(p.Note.Class), written: p.Note.Written, text: p.Note.Text,
		outcome: Outcome(p.Note.Outcome), number: p.Note.Number, issued: p.Note.Issued, closes: p.Note.Closes,
	}
	if m.id == (ID{}) || m.check.IsZero() {
		return m, waypost.Errorf(waypost.InvalidArgument, "the message about a case is not well formed")
	}
	return m, m.note.check()
}

// fill copies bytes that are exactly as many as there is room for.
func fill(into, from []byte) bool { return copy(into, from) == len(into) && len(from) == len(into) }
