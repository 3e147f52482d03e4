package records

import (
	"encoding/hex"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// ToProto is a record as the counter door takes it.
func ToProto(r waypost.Record) *waypostv1.Record {
	return &waypostv1.Record{
		Id: r.ID, Ssn5: r.SSN5, CardKind: string(r.Kind), Status: string(r.Status), StatusSince: day(r.Since), RealId: r.RealID, Protected: r.Protected,
		Person: &waypostv1.Applicant{Family: r.Family, Given: r.Given, Middle: r.Middle, Suffix: r.Suffix, Born: r.Born.String(), Sex: string(r.Sex), CardNumber: r.CardNumber},
	}
}

// FromProto is the inverse of ToProto. What it returns may have other defects.
func FromProto(r *waypostv1.Record) (waypost.Record, error) {
	who, err := personFromProto(r.GetPerson())
	if err != nil {
		return waypost.Record{}, err
	}
	who.SSN5 = r.Ssn5
	since, err := parseDay(r.StatusSince)
	return waypost.Record{
		ID: r.Id, Person: who, CardNumber: r.GetPerson().GetCardNumber(), Kind: waypost.CardKind(r.CardKind),
		Status: waypost.Status(r.Status), Since: since, RealID: r.RealId, Protected: r.Protected,
	}, err
}

func personFromProto(a *waypostv1.Applicant) (waypost.Person, error) {
	born, err := waypost.ParseDate(a.GetBorn())
	if err != nil {
		return waypost.Person{}, err
	}
	sex, err := waypost.ParseSex(a.GetSex())
	return waypost.Person{Family: a.GetFamily(), Given: a.GetGiven(), Middle: a.GetMiddle(), Suffix: a.GetSuffix(), Born: born, Sex: sex}, err
}

// parseDay reads a date since when something is so; empty is the zero time.
func parseDay(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil || t.Year() < 1900 || t.Year() > 2200 {
		return time.Time{}, waypost.Errorf(waypost.InvalidArgument, "since when a status holds is YYYY-MM-DD")
	}
	return t, nil
}

// day is a date as it is stored and sent, empty where it is not known.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

// parseTicketID reads the id of a check as it is shown: 64 hex digits.
func parseTicketID(text string) (waypost.TicketID, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(waypost.TicketID{}) {
		return waypost.TicketID{}, waypost.Errorf(waypost.InvalidArgument, "a ticket is named by 64 hex digits")
	}
	return waypost.TicketID(raw), nil
}
