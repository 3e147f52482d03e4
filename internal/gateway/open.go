package gateway

import (
	"context"
	"strconv"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
)

// auditing are the calls of the counter door that only auditors may make.
var auditing = map[string]bool{
	waypostv1connect.CounterOpenTicketProcedure:  true,
	waypostv1connect.CounterFindRecordsProcedure: true,
	waypostv1connect.CounterPlantCanaryProcedure: true,
	waypostv1connect.CounterAddCanaryProcedure:   true,
}

// OpenTicket shows for whom and why a ticket was, as far as its name probes can
// show it, and writes down that it did.
func (d counterDoor) OpenTicket(ctx context.Context, req *waypostv1.OpenTicketRequest) (*waypostv1.Opening, error) {
	id, err := parseTicketID(req.Ticket)
	if err != nil {
		return nil, err
	}
	s := d.server
	kept, err := s.inquiryOf(ctx, id)
	if err != nil {
		return nil, err
	}
	order, blinds := nameBlinds(kept.seed)
	opening := &waypostv1.Opening{
		Ticket: kept.ticket.Bytes(), Elements: kept.elements, Order: order, Blinds: blinds,
		Applicant: kept.applicant.Applicant, CaseReference: kept.caseRef, Operator: kept.operator,
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := tx.Row(`SELECT case_salt FROM inquiry WHERE ticket = $1`, id[:]).Scan(&opening.CaseSalt); err != nil {
			return err
		}
		return s.log(tx, kept.ticket, "opened", journal.Field{Name: "auditor", Value: rpc.Operator(ctx)})
	})
	if err != nil {
		return nil, err
	}
	return opening, nil
}

// Finder is what a state system may offer besides: the ids of the records with
// exactly this family name, given name and date of birth.
type Finder interface {
	Find(ctx context.Context, family, given string, born waypost.Date) (ids []string, err error)
}

// FindRecords returns the keys of records, one for each of their pointers, and writes down that it did.
func (d counterDoor) FindRecords(ctx context.Context, req *waypostv1.FindRecordsRequest) (*waypostv1.FindRecordsResponse, error) {
	s := d.server
	ids := []string{req.Id}
	if req.Id == "" {
		finder, ok := s.People.(Finder)
		if !ok {
			return nil, waypost.Errorf(waypost.InvalidArgument, "this state's own system cannot be searched by name from here: give the id of the record")
		}
		born, err := waypost.ParseDate(req.GetPerson().GetBorn())
		if err != nil {
			return nil, err
		}
		if ids, err = finder.Find(ctx, req.Person.Family, req.Person.Given, born); err != nil {
			return nil, err
		}
	}
	res := &waypostv1.FindRecordsResponse{}
	body, err := journal.Body(journal.Field{Name: "auditor", Value: rpc.Operator(ctx)}, journal.Field{Name: "records", Value: strconv.Itoa(len(ids))})
	if err != nil {
		return nil, err
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		res.Records = nil
		for _, id := range ids {
			handles, err := s.file.Handles(tx, id)
			if err != nil {
				return err
			}
			for _, h := range handles { // none: it was never in the index, so nobody has asked about it
				key := records.Key(s.Secret, h[:])
				res.Records = append(res.Records, &waypostv1.RecordKey{Id: id, Key: key[:]})
			}
		}
		_, err := s.Journal.Append(tx, journal.Entry{Kind: "opened", At: s.Now(), Body: body})
		return err
	})
	if err == nil && len(res.Records) == 0 {
		err = waypost.Errorf(waypost.NotFound, "no record of this state that is or was in the index is named so")
	}
	if err != nil {
		return nil, err
	}
	return res, nil
}

// CheckOpening holds an opening against its ticket, as a state of record does
// with a second leg: Misuse where the name probes are not the applicant's.
func CheckOpening(t waypost.Ticket, o *waypostv1.Opening) (Applicant, error) {
	who, err := fromProto(o.GetApplicant())
	if err != nil {
		return who, err
	}
	return who, checkProbes(t, who.Person, &waypostv1.SecondLeg{Elements: o.Elements, Order: o.Order, Blinds: o.Blinds})
}
