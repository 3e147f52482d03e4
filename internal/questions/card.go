package questions

import (
	"context"
	"crypto/subtle"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/compare"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/store"
)

// maxCardNumber is more than the AAMVA standard prints (25 characters).
const maxCardNumber = 40

// nobody stands in for the record where there is no card of that number, so that
// the answer takes as long.
var nobody = waypost.Record{Person: waypost.Person{Family: "NOBODY", Given: "AT ALL", Born: waypost.Date{Year: 1900, Month: 1, Day: 1}}, CardNumber: "X0000000"}

// verify answers with one bit whether the card is one of this state, still good as
// identification, and this person's. A card whose privilege to drive is suspended is
// still a card of its holder, and the bit must not tell that it is; one that is
// expired, surrendered, revoked or closed identifies nobody (6 CFR 37.11(c)(1) wants
// documents that are valid and unexpired). Why it is no match is not told.
func (q *Questions) verify(ctx context.Context, asked errand.Question) (answer, error) {
	number, who, err := presented(asked.Body)
	if err != nil {
		return answer{}, err
	}
	if !asked.Ticket.Cites.IsZero() { // in the ledgers it would stand as answered without a search
		return answer{}, waypost.Errorf(waypost.PermissionDenied, "a card that is shown follows no check")
	}
	record, err := q.byCard(ctx, number)
	if err != nil {
		return answer{}, err
	}
	good := slices.Contains([]waypost.Status{waypost.Valid, waypost.Suspended, waypost.Disqualified}, record.Status)
	same := subtle.ConstantTimeCompare([]byte(number), []byte(record.CardNumber)) == 1
	agree := compare.Explain(compare.Candidate{Person: who}, compare.Candidate{Person: record.Person}, nil).NamesAndDateAgree
	a := answer{Response: errand.Response{Word: noMatch, Final: true}, record: record.ID}
	if good && same && agree {
		a.Word, a.protected = match, record.Protected
	}
	a.Handle, err = q.handleOf(ctx, record.ID)
	return a, err
}

// handleOf returns the handle by which the ledger knows a record, or nil where it
// has none.
func (q *Questions) handleOf(ctx context.Context, record string) (handle []byte, err error) {
	err = q.DB.Read(ctx, func(tx *store.Tx) error {
		all, err := q.File.Pointers(tx, record)
		if handle = nil; err == nil && len(all) > 0 {
			handle = all[0].Handle[:]
		}
		return err
	})
	return handle, err
}

// byCard returns the record of a card, or nobody's.
func (q *Questions) byCard(ctx context.Context, number string) (waypost.Record, error) {
	id, err := q.File.System().ByCard(ctx, number)
	if err == nil {
		var record waypost.Record
		if record, err = q.File.Record(ctx, id); err == nil {
			return record, nil
		}
	}
	if waypost.CodeOf(err) == waypost.NotFound {
		return nobody, nil
	}
	return nobody, err
}

// presented reads and judges the body of a question about a card.
func presented(body []byte) (number string, who waypost.Person, err error) {
	var card waypostv1.PresentedCard
	if proto.Unmarshal(body, &card) != nil {
		return "", who, waypost.Errorf(waypost.InvalidArgument, "the question about a card is not well formed")
	}
	if card.Number == "" || len(card.Number) > maxCardNumber {
		return "", who, waypost.Errorf(waypost.InvalidArgument, "the question names no card number of at most %d bytes", maxCardNumber)
	}
	who = waypost.Person{Family: card.Family, Given: card.Given}
	if who.Born, err = waypost.ParseDate(card.Born); err != nil {
		return "", who, err
	}
	return card.Number, who, who.Validate()
}
