package records

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
)

// How an inquiry stands, in the numbers of the gateway, which writes them.
const (
	inquiryComplete = 2
	inquiryOwed     = 3
)

// onCheck is how long a check's ticket can be used to publish under.
const onCheck = 24 * time.Hour

// Issuing is a card that was issued on a check.
type Issuing struct {
	Ticket   waypost.TicketID // of the check
	Record   waypost.Record
	Former   []waypost.Person // former names that the record is to be found by
	Override string           // why, although the check does not allow it by itself
}

// inquiry is what is known here of a check.
type inquiry struct {
	ticket    waypost.SignedTicket
	state     int
	successor []byte
	applicant *waypostv1.CheckRequest
	asked     []Asked
	tokens    []made // in slot order, or nil
	digits    string // that stood in for an SSN, or would have
}

// Issue stores the record of a card that was issued on a check, and publishes it
// with the check's own tokens under the check's own ticket. It is refused in words
// where the check found a card that must be ended first or is not complete, unless
// there is a reason for it, which is kept. Of a record that is in the index
// already nothing is published. published is false where the index has to wait.
func (f *File) Issue(ctx context.Context, operator string, i Issuing) (published bool, err error) {
	if reason := defect(i.Record); reason != "" {
		return false, waypost.Errorf(waypost.InvalidArgument, "%s", reason)
	}
	if len(i.Override) > 500 || !printable(i.Override) {
		return false, waypost.Errorf(waypost.InvalidArgument, "the reason is at most 500 printable bytes")
	}
	done, err := f.alone(ctx, i.Record.ID)
	if err != nil {
		return false, err
	}
	defer done()
	check, err := f.inquiry(ctx, i.Ticket)
	if err != nil {
		return false, err
	}
	if err := f.isFor(check, i.Record); err != nil {
		return false, err
	}
	before, err := f.known(ctx, i.Record.ID)
	if err != nil {
		return false, err
	}
	err = f.DB.Write(ctx, func(tx *store.Tx) error {
		all, err := historyOf(tx, i.Record.ID)
		if err != nil {
			return err
		}
		movedIn := slices.ContainsFunc(all, func(p pointer) bool { return p.PassedBy != "" && p.State == Live })
		if err := check.allows(); err != nil && !movedIn && strings.TrimSpace(i.Override) == "" {
			return err
		}
		if err := f.want(tx, operator, i, check, all, before); err != nil {
			return err
		}
		if err := f.wantRecord(tx, i.Record); err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO issued (ticket, record, operator, override, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (ticket) DO NOTHING`,
			i.Ticket[:], i.Record.ID, operator, i.Override, f.Now().Unix())
		return err
	})
	if err != nil {
		return false, err
	}
	if err := f.storeChange(ctx, i.Record.ID); err != nil {
		return false, err
	}
	return f.publishRecord(ctx, i.Record.ID), nil
}

// known returns a record as it is or is to be, or nil.
func (f *File) known(ctx context.Context, id string) (*waypost.Record, error) {
	r, err := f.wantedRecord(ctx, id)
	if waypost.CodeOf(err) == waypost.NotFound {
		return nil, nil
	}
	return &r, err
}

// want commits the pointers that are to be published for an issued card.
func (f *File) want(tx *store.Tx, operator string, i Issuing, check inquiry, all []pointer, before *waypost.Record) error {
	main, others, err := split(all)
	switch {
	case err == nil:
		if before == nil || !f.sameKeys(before.Person, i.Record.Person) {
			return waypost.Errorf(waypost.InvalidArgument, "the record is in the index under another name, date of birth or SSN: change it first")
		}
	case slices.ContainsFunc(all, func(p pointer) bool { return p.State == Coming }):
		return waypost.Errorf(waypost.Unavailable, "the record is on its way here from another state: issue the card once it is here, or cancel the move")
	case waypost.CodeOf(err) == waypost.NotFound:
		sameSSN := before != nil && matchkey.SSN5(before.SSN5) == matchkey.SSN5(i.Record.SSN5)
		main = f.main(i.Record.ID, i.Record.Person, era(all, sameSSN), all, operator)
		if len(all) == 0 { // what was there before decides on digits and decoys
			main.digits = f.mask(i.Record.ID, check.digits)
			if check.tokens != nil {
				main.sets, main.ticket = check.tokens, i.Ticket
			}
		}
		main.at(f.Now())
		if err := f.put(tx, main); err != nil {
			return err
		}
	default:
		return err
	}
	others = append(others, main)
	var aliases []pointer
	for _, name := range i.Former {
		if slices.ContainsFunc(others, func(o pointer) bool { return f.same(o.person, name)&nameSlots == nameSlots }) {
			continue // there already
		}
		if len(others) == waypost.MaxPointers {
			return waypost.Errorf(waypost.InvalidArgument, "a record has at most %d names", waypost.MaxPointers)
		}
		p := f.alias(i.Record.ID, name, others, operator)
		others, aliases = append(others, p), append(aliases, p)
	}
	return f.wantAll(tx, main.Generation, aliases)
}

// isFor refuses a check that was made for other match keys than the record has.
func (f *File) isFor(check inquiry, r waypost.Record) error {
	a := check.applicant.Applicant
	born, err := waypost.ParseDate(a.GetBorn())
	if err != nil {
		return err
	}
	who := waypost.Person{Family: a.GetFamily(), Given: a.GetGiven(), Middle: a.GetMiddle(), Suffix: a.GetSuffix(), Born: born,
		Sex: waypost.Sex(a.GetSex()), SSN5: check.applicant.Ssn5}
	if !f.sameKeys(who, r.Person) {
		return waypost.Errorf(waypost.InvalidArgument, "the check was made for another name, date of birth or SSN than the record has: make a check for the record as it is")
	}
	return nil
}

// allows says in words why no card can be issued on the check as it stands.
func (c inquiry) allows() error {
	refuse := func(format string, args ...any) error {
		return waypost.Errorf(waypost.PermissionDenied, format+", or give the reason why the card was issued all the same", args...)
	}
	switch {
	case len(c.successor) > 0:
		return refuse("another check has taken the place of this one: issue on ticket %s", hex.EncodeToString(c.successor))
	case c.state == inquiryOwed:
		return refuse("the check is owed: no other state has been asked yet. Wait for its answer")
	}
	for _, a := range c.asked {
		switch {
		case a.Outcome == waypost.Match && a.Disclosure.TerminationRequired:
			return refuse("%s has a card of this person that must be ended first: ask it to become the state of record", a.Owner)
		case a.Outcome == waypost.Possible:
			return refuse("%s may have a card of this person: resolve the possible match first", a.Owner)
		case a.Outcome == waypost.Pending:
			return refuse("the check is not complete: %s has not answered. Wait for its answer", a.Owner)
		}
	}
	if c.state != inquiryComplete {
		return refuse("the check is not complete. Wait for the answers")
	}
	return nil
}

// inquiry reads a check of this state.
func (f *File) inquiry(ctx context.Context, id waypost.TicketID) (inquiry, error) {
	c := inquiry{applicant: &waypostv1.CheckRequest{}}
	var signed, applicant []byte
	err := f.DB.Read(ctx, func(tx *store.Tx) error {
		c.asked = nil
		err := tx.Row(`SELECT signed, state, successor, applicant, digits FROM inquiry WHERE ticket = $1`, id[:]).Scan(&signed, &c.state, &c.successor, &applicant, &c.digits)
		if err != nil {
			return err
		}
		if c.tokens, err = f.checkTokens(tx, id); err != nil && waypost.CodeOf(err) != waypost.NotFound {
			return err
		}
		return tx.Query(`SELECT owner, outcome, termination_required FROM ask WHERE ticket = $1 ORDER BY reference`, []any{id[:]},
			func(scan func(dest ...any) error) error {
				var a Asked
				err := scan(&a.Owner, &a.Outcome, &a.Disclosure.TerminationRequired)
				c.asked = append(c.asked, a)
				return err
			})
	})
	if errors.Is(err, store.ErrNoRows) {
		return c, waypost.Errorf(waypost.NotFound, "no check with this ticket was made here")
	}
	if err != nil {
		return c, err
	}
	if c.ticket, err = waypost.ParseTicket(signed); err != nil {
		return c, err
	}
	if !waypost.KindStatus.Allows(c.ticket.Purpose) { // the issue purposes
		return c, waypost.Errorf(waypost.PermissionDenied, "the check was made for %s: a card is issued on a check that was made to issue it", c.ticket.Purpose)
	}
	if f.Now().Sub(c.ticket.IssuedAt) > onCheck {
		c.tokens = nil
	}
	return c, proto.Unmarshal(applicant, c.applicant)
}

// publishOnCheck publishes one pointer under the ticket of the check that its
// tokens are from. Where that is refused the ticket is forgotten: p is wanted by
// itself from then on.
func (f *File) publishOnCheck(ctx context.Context, p *pointer) error {
	ticket, receipts, err := f.chainOf(ctx, p.ticket)
	if err == nil {
		err = f.hubUsable()
	}
	var receipt waypost.SignedReceipt
	if err == nil {
		receipt, err = f.handOver(ctx, ticket, receipts, []pointer{*p})
	}
	if refused(err) {
		p.ticket = waypost.TicketID{}
		return errors.Join(err, f.DB.Write(ctx, func(tx *store.Tx) error { return f.put(tx, *p) }))
	}
	if err != nil {
		return err
	}
	return f.DB.Write(ctx, func(tx *store.Tx) error {
		if err := f.arrived(tx, *p, ticket); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM check_token WHERE ticket = $1`, ticket.ID[:]); err != nil {
			return err
		}
		if err := f.Journal.KeepReceipts(tx, ticket, receiptBytes([]waypost.SignedReceipt{receipt})); err != nil {
			return err
		}
		return f.log(tx, ticket, "published", journal.Field{Name: "records", Value: "1"},
			journal.Field{Name: "evaluations", Value: waypost.Places(receipts...)},
			journal.Field{Name: "publications", Value: waypost.Places(receipt)})
	})
}

// refused reports whether another try under the same ticket cannot succeed.
func refused(err error) bool {
	switch waypost.CodeOf(err) {
	case waypost.InvalidArgument, waypost.PermissionDenied, waypost.Expired, waypost.NotFound, waypost.AlreadyExists, waypost.Misuse:
		return true
	}
	return false
}

// chainOf returns a check's ticket and the key holders' receipts.
func (f *File) chainOf(ctx context.Context, check waypost.TicketID) (waypost.SignedTicket, []waypost.SignedReceipt, error) {
	var signed, stored []byte
	err := f.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT signed, receipts FROM inquiry WHERE ticket = $1`, check[:]).Scan(&signed, &stored)
	})
	if errors.Is(err, store.ErrNoRows) {
		err = waypost.Errorf(waypost.NotFound, "no check with this ticket was made here")
	}
	if err != nil {
		return waypost.SignedTicket{}, nil, err
	}
	var list waypostv1.FirstLeg
	if err := proto.Unmarshal(stored, &list); err != nil {
		return waypost.SignedTicket{}, nil, err
	}
	ticket, receipts, err := waypost.ParseChain(signed, list.Receipts)
	if err == nil && f.Now().Sub(ticket.IssuedAt) > onCheck {
		err = waypost.Errorf(waypost.Expired, "the check is more than a day old")
	}
	return ticket, receipts, err
}

// forget deletes what is kept no longer: the tokens of checks after a day, or a
// month where the check found a card and the record may move here on it.
func (f *File) forget(ctx context.Context) error {
	now := f.Now()
	if before(now, f.forgotten.Load(), forgetEvery) {
		return nil
	}
	f.forgotten.Store(now.Add(forgetEvery).Unix())
	for n := int64(forgetAtOnce); n == forgetAtOnce; {
		if err := f.DB.WriteBulk(ctx, func(tx *store.Tx) (err error) {
			n, err = tx.Exec(`DELETE FROM check_token WHERE ticket IN (SELECT ticket FROM check_token WHERE at < $1 LIMIT $2)`, now.Add(-onMove).Unix(), forgetAtOnce)
			return err
		}); err != nil {
			return err
		}
	}
	return f.forgetUnused(ctx, now.Add(-onCheck).Unix())
}

// forgetUnused deletes the tokens of checks before a time that found no card. Those that
// it has looked at and left, and there may be a month of them, it does not look at again.
func (f *File) forgetUnused(ctx context.Context, limit int64) error {
	at, last := f.looked.Load(), []byte{}
	for n := forgetAtOnce; n == forgetAtOnce; {
		var unused [][]any
		if err := f.DB.Read(ctx, func(tx *store.Tx) error {
			n, unused = 0, nil
			return tx.Query(`SELECT c.ticket, c.at, EXISTS (SELECT 1 FROM ask WHERE ask.ticket = c.ticket AND ask.outcome IN ($1, $2))
				FROM check_token c WHERE c.at < $3 AND (c.at > $4 OR c.at = $4 AND c.ticket > $5) ORDER BY c.at, c.ticket LIMIT $6`,
				[]any{string(waypost.Match), string(waypost.Possible), limit, at, last, forgetAtOnce}, func(scan func(dest ...any) error) error {
					var used bool
					last = nil // a new one, which unused may keep
					if err := scan(&last, &at, &used); err != nil {
						return err
					}
					if n++; !used {
						unused = append(unused, []any{last})
					}
					return nil
				})
		}); err != nil {
			return err
		}
		if len(unused) == 0 {
			continue
		}
		if err := f.DB.WriteBulk(ctx, func(tx *store.Tx) error {
			_, err := tx.ExecMany(`DELETE FROM check_token WHERE ticket = $1`, unused)
			return err
		}); err != nil {
			return err
		}
	}
	f.looked.Store(limit)
	return nil
}

// forgetAtOnce is how many checks one transaction forgets: others wait for it.
const forgetAtOnce = 32

const (
	forgetEvery = 10 * time.Minute
	onMove      = 30 * 24 * time.Hour
)
