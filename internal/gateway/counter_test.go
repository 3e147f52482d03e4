package gateway_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/roster"
)

// TestCounter: what a state's own program sees through the door.
func TestCounter(t *testing.T) {
	counter, url, err := cluster.Counter(exchangeDir, "AZ")
	if err != nil {
		t.Fatal(err)
	}
	nevada, _, err := cluster.Counter(exchangeDir, "NV")
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	p := someone()
	good, bad, worse := record("NV", p), record("NV", someone()), record("NV", someone())
	req := &waypostv1.LoadRequest{Records: []*waypostv1.Record{gateway.RecordToProto(bad), gateway.RecordToProto(good), gateway.RecordToProto(worse)}}
	req.Records[0].Person.Born = "1980-02-30"
	req.Records[2].CardKind = "boat"
	res, err := nevada.Load(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	if res.Published != 1 || len(res.Rejected) != 2 || res.Rejected[0].Index != 0 || !strings.Contains(res.Rejected[0].Reason, "calendar") ||
		res.Rejected[1].Index != 2 || !strings.Contains(res.Rejected[1].Reason, "kind of card") {
		t.Errorf("load: %v", res)
	}

	ask := gateway.CheckToProto(gateway.Applicant{Person: p, CardNumber: good.CardNumber, CardState: "NV"}, waypost.IssueRealID, "CASE-9")
	raw, err := counter.Check(ctx, ask)
	if err != nil {
		t.Fatal(err)
	}
	first := gateway.AnswerFromProto(raw)
	expect(t, first, "NV match")
	again, err := counter.GetCheck(ctx, &waypostv1.GetCheckRequest{Ticket: first.TicketHex})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, gateway.AnswerFromProto(again), "NV match")

	ask.Cites = first.TicketHex
	corrected, err := counter.Check(ctx, ask)
	if err != nil {
		t.Fatal(err)
	}
	if again, err = counter.GetCheck(ctx, &waypostv1.GetCheckRequest{Ticket: first.TicketHex}); err != nil || again.Ticket != corrected.Ticket {
		t.Errorf("the corrected check leads to %v (%v), want %s", again, err, corrected.Ticket)
	}
	for name, wrong := range map[string]func() error{
		"cites nothing that is": func() error {
			ask.Cites = strings.Repeat("00", 31) + "01"
			_, err := counter.Check(ctx, ask)
			return err
		},
		"cites no ticket": func() error {
			ask.Cites = "xyz"
			_, err := counter.Check(ctx, ask)
			return err
		},
		"asks for no ticket": func() error {
			_, err := counter.GetCheck(ctx, &waypostv1.GetCheckRequest{Ticket: "12"})
			return err
		},
		"names nobody": func() error {
			_, err := counter.Check(ctx, &waypostv1.CheckRequest{Purpose: "renew", CaseReference: "1"})
			return err
		},
	} {
		if code := waypost.CodeOf(wrong()); code != waypost.InvalidArgument && code != waypost.NotFound {
			t.Errorf("%s: code %q", name, code)
		}
	}
	status, err := counter.Status(ctx, &waypostv1.StatusRequest{})
	if err != nil || status.State != "AZ" {
		t.Errorf("status %v, %v", status, err)
	}

	// A stranger's certificate, and the roster's own certificate of another
	// state, open nothing.
	certPEM, keyPEM, _, err := roster.NewCertificate("stranger", []string{"localhost"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	for _, cert := range []tls.Certificate{stranger, exchange.Role("NV").Folder.Cert} {
		client := gateway.DialCounter(url, cert, counterPin(t, "AZ"))
		if _, err := client.Status(ctx, &waypostv1.StatusRequest{}); waypost.CodeOf(err) != waypost.Unauthenticated {
			t.Errorf("a stranger at the counter: %v", err)
		}
	}
	// And a door that is not Arizona's is not talked to.
	if _, err := gateway.DialCounter(url, stranger, counterPin(t, "NV")).Status(ctx, &waypostv1.StatusRequest{}); err == nil {
		t.Error("a client talks to a door whose key is not the one pinned")
	}
}
