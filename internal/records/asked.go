package records

import (
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/store"
)

// Answered is a question of another state's check that this state has answered,
// as state of record.
type Answered struct {
	Asking    waypost.Jurisdiction
	Handle    waypost.Handle
	Record    string
	Outcome   waypost.Outcome      // what was told
	Applicant *waypostv1.Applicant // nil where that was no match
	Ticket    waypost.SignedTicket // of the check
}

// Answered returns what was told about the reference of another state's check, or
// NotFound where nothing was: by then it is forgotten, or was never asked.
func (f *File) Answered(tx *store.Tx, check waypost.TicketID, reference []byte) (Answered, error) {
	var a Answered
	var signed, applicant []byte
	err := tx.Row(`SELECT n.asking, n.handle, p.record, n.told, n.applicant, n.signed FROM notice n JOIN pointer p ON p.handle = n.handle
		WHERE n.ticket = $1 AND n.reference = $2 AND n.told <> ''`, check[:], reference).
		Scan(&a.Asking, &a.Handle, &a.Record, &a.Outcome, &applicant, &signed)
	if errors.Is(err, store.ErrNoRows) {
		return a, waypost.Errorf(waypost.NotFound, "this state has answered no such question of that check, or it is too long ago")
	}
	if err != nil {
		return a, err
	}
	if len(applicant) > 0 {
		a.Applicant = &waypostv1.Applicant{}
		if err := proto.Unmarshal(applicant, a.Applicant); err != nil {
			return a, err
		}
	}
	a.Ticket, err = waypost.ParseTicket(signed)
	return a, err
}

// Asked is a candidate of a check that this state has made.
type Asked struct {
	Owner      waypost.Jurisdiction
	Outcome    waypost.Outcome // as it stands; also in Disclosure
	Disclosure waypost.Disclosure
	Purpose    waypost.Purpose
	Operator   string
	Case       string
	Applicant  *waypostv1.Applicant
	SSN5       string
}

// Asked returns what a candidate of an own check has answered, or NotFound.
func (f *File) Asked(tx *store.Tx, check waypost.TicketID, reference waypost.Reference) (Asked, error) {
	var a Asked
	var signed, applicant []byte
	err := tx.Row(`SELECT a.owner, a.outcome, a.status, a.card_kind, a.termination_required, i.signed, i.applicant, i.operator, i.case_reference
		FROM ask a JOIN inquiry i ON i.ticket = a.ticket WHERE a.ticket = $1 AND a.reference = $2`, check[:], reference[:]).
		Scan(&a.Owner, &a.Disclosure.Outcome, &a.Disclosure.Status, &a.Disclosure.CardKind, &a.Disclosure.TerminationRequired,
			&signed, &applicant, &a.Operator, &a.Case)
	if errors.Is(err, store.ErrNoRows) {
		return a, waypost.Errorf(waypost.NotFound, "no check with this ticket was made here that found such a candidate")
	}
	if err != nil {
		return a, err
	}
	a.Outcome = a.Disclosure.Outcome
	ticket, err := waypost.ParseTicket(signed)
	if err != nil {
		return a, err
	}
	a.Purpose = ticket.Purpose
	var req waypostv1.CheckRequest
	if err := proto.Unmarshal(applicant, &req); err != nil {
		return a, err
	}
	a.Applicant, a.SSN5 = req.Applicant, req.Ssn5
	return a, nil
}
