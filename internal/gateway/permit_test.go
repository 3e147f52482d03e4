package gateway_test

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
)

func wish() errand.Wish {
	return errand.Wish{Kind: waypost.KindVerifyCard, Purpose: waypost.AcceptAsID, Class: waypost.Attended, Operator: "clerk-7", Case: "CASE-1",
		Recipient: "CA", Request: []byte("one question")}
}

// A permit is a ticket that t key holders have signed for and that covers its one
// request; whatever becomes of it, the ledger has its end, once.
func TestPermit(t *testing.T) {
	az := exchange.Gateway("AZ")
	p, err := az.Permits().Permit(t.Context(), wish())
	if err != nil {
		t.Fatal(err)
	}
	if err := waypost.VerifyChain(p.Ticket, p.Receipts, az.Roster); err != nil {
		t.Error(err)
	}
	if err := p.Ticket.CoversRequest("CA", p.Salt, []byte("one question")); err != nil {
		t.Error(err)
	}
	if p.Ticket.CoversRequest("NV", p.Salt, []byte("one question")) == nil || p.Ticket.CoversRequest("CA", p.Salt, []byte("another")) == nil {
		t.Error("the ticket is good for something else")
	}
	settle := func() error {
		return az.DB.Write(t.Context(), func(tx *store.Tx) error { return az.Permits().Settle(tx, p.Ticket.ID) })
	}
	if err := settle(); err != nil {
		t.Error(err)
	}
	if err := settle(); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("settled twice: %v", err)
	}
	if got := strings.Join(entries(t, "AZ", p.Ticket.ID), " "); got != "ask" {
		t.Errorf("the ledger has: %s", got)
	}
	p, err = az.Permits().Permit(t.Context(), wish())
	if err != nil {
		t.Fatal(err)
	}
	if err := az.CutPermitsOff(t.Context()); err != nil {
		t.Error(err)
	}
	if err := settle(); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("settled too late: %v", err)
	}
	if got := strings.Join(entries(t, "AZ", p.Ticket.ID), " "); got != "ask abandoned" {
		t.Errorf("the ledger has: %s", got)
	}
}

// TestPermitAfterRestart: the process after ends what nobody will answer for at once.
func TestPermitAfterRestart(t *testing.T) {
	p, err := exchange.Gateway("AZ").Permits().Permit(t.Context(), wish())
	if err != nil {
		t.Fatal(err)
	}
	if err := exchange.Stop("AZ"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // what belongs to the process before is known by the second
	if err := exchange.Start(t.Context(), "AZ"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the permit", func() bool {
		return strings.Join(entries(t, "AZ", p.Ticket.ID), " ") == "ask abandoned"
	})
}

// What key holders refuse is refused in the ledger, and who cannot be reached leaves
// it abandoned.
func TestPermitRefused(t *testing.T) {
	az := exchange.Gateway("AZ")
	wrong := wish()
	wrong.Purpose = waypost.Renew // which no presented card is for
	before := len(journalOf(t, "AZ"))
	if _, err := az.Permits().Permit(t.Context(), wrong); waypost.CodeOf(err) != waypost.PermissionDenied {
		t.Errorf("another purpose: %v", err)
	}
	var refused []string // what the ledger says of tickets that were
	for _, e := range journalOf(t, "AZ")[before:] {
		if e.Kind == "refused" {
			refused = append(refused, strings.Join(entries(t, "AZ", e.Ticket), " "))
		}
	}
	if len(refused) != 1 || refused[0] != "ask refused" {
		t.Errorf("the ledger has: %q", refused)
	}
	with(t, silent, "keyholder-1", "keyholder-2", "keyholder-3")
	if _, err := az.Permits().Permit(t.Context(), wish()); waypost.CodeOf(err) != waypost.Unavailable {
		t.Errorf("without a quorum: %v", err)
	}
	check := wish()
	check.Kind = waypost.KindCheck
	if _, err := az.Permits().Permit(t.Context(), check); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("for a check: %v", err)
	}
}

// silent is a key holder that cannot be reached.
func silent(context.Context, func() (*waypostv1.EvaluateResponse, error)) (*waypostv1.EvaluateResponse, error) {
	return nil, waypost.Errorf(waypost.Unavailable, "it is down")
}

// A clerk asks how a record stands that a check has found; the ledgers of both
// states and of three key holders account for it.
func TestQuestion(t *testing.T) {
	p := someone()
	held := load(t, "CA", p)
	a := check(t, "AZ", p)
	expect(t, a, "CA match")
	ctx := rpc.WithOperator(t.Context(), "clerk-7")
	req := &waypostv1.RecordRequest{Check: a.TicketHex, Reference: hex.EncodeToString(a.Candidates[0].Reference[:]), Purpose: "renew"}
	door := exchange.Gateway("AZ").Questions()
	answered := func(said *waypostv1.QuestionAnswer, err error) (*waypostv1.QuestionAnswer, error) {
		t.Helper()
		if err == nil {
			eventually(t, "the answer of California", func() bool {
				said, err = door.Get(ctx, &waypostv1.GetQuestionRequest{Id: said.Id})
				return err != nil || said.Word != "pending"
			})
		}
		return said, err
	}
	said, err := answered(door.Status(ctx, req))
	if err != nil || said.Word != "valid" || said.State != "CA" {
		t.Fatalf("%v, %v", said, err)
	}
	card := &waypostv1.VerifyCardRequest{CaseReference: "CASE-1", Card: &waypostv1.Applicant{
		CardState: "CA", CardNumber: held.CardNumber, Family: p.Family, Given: p.Given, Born: p.Born.String()}}
	if said, err := answered(door.VerifyCard(ctx, card)); err != nil || said.Word != "match" {
		t.Errorf("%v, %v", said, err)
	}
	var ticket waypost.TicketID
	for _, e := range journalOf(t, "AZ") {
		if e.Kind == "concluded" && strings.Contains(string(e.Body), a.TicketHex) {
			ticket = e.Ticket
		}
	}
	if got := strings.Join(entries(t, "AZ", ticket), " "); got != "ask concluded" {
		t.Errorf("AZ's ledger has: %s", got)
	}
	if got := strings.Join(entries(t, "CA", ticket), " "); got != "replied" {
		t.Errorf("CA's ledger has: %s", got)
	}
	evaluations := 0
	for _, h := range []string{"keyholder-1", "keyholder-2", "keyholder-3", "keyholder-4", "keyholder-5"} {
		evaluations += count(entries(t, h, ticket), "evaluate")
	}
	if evaluations < 3 {
		t.Errorf("%d evaluations", evaluations)
	}
	if said, err := exchange.Gateway("NV").Questions().Status(ctx, req); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("with the check of another state: %v, %v", said, err)
	}
}
