package waypost_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/gateway"
)

// TestOneCheck tells the story of one check: a driver licensed in California
// stands at a counter in Arizona. Everything in it is real: six servers, four
// gateways' databases, TLS with client certificates, a quorum of key holders
// and sealed messages; only the people are made up.
func TestOneCheck(t *testing.T) {
	ctx := context.Background()
	exchange, err := cluster.Open(ctx, cluster.Config{
		Dir: t.TempDir(), States: []waypost.Jurisdiction{"AZ", "CA", "NV"}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := exchange.Close(); err != nil {
			t.Error(err)
		}
	})

	// California has a card holder, and has published a pointer: ten tokens
	// that nobody can make without three of the five key holders.
	ines := waypost.Person{Family: "Okonkwo-Reyes", Given: "Inés", Born: waypost.Date{Year: 1988, Month: 4, Day: 9}, Sex: "F", SSN5: "48213"}
	published, rejected, err := exchange.Gateway("CA").File().Load(ctx, "loader", 0, []waypost.Record{
		{ID: "CA-1", Person: ines, CardNumber: "D1234567", Kind: waypost.Licence, Status: waypost.Valid},
	})
	if err != nil || published != 1 || len(rejected) != 0 {
		t.Fatalf("loading: %d published, %v rejected, %v", published, rejected, err)
	}

	// She moves to Arizona and applies for a REAL ID. The clerk types what she
	// shows; the marks and the hyphen do not matter.
	answer, err := exchange.Gateway("AZ").Check(ctx,
		gateway.Applicant{Person: waypost.Person{Family: "OKONKWO REYES", Given: "INES", Born: ines.Born, Sex: "F", SSN5: "48213"}},
		gateway.Counter{Operator: "clerk-7", Class: waypost.Attended, Purpose: waypost.IssueRealID, Case: "AZ-2026-0001"})
	if err != nil {
		t.Fatal(err)
	}
	if !answer.Complete || len(answer.Candidates) != 1 {
		t.Fatalf("answer %+v, want one complete candidate", answer)
	}
	got := answer.Candidates[0]
	if got.Reference == (waypost.Reference{}) {
		t.Error("California's candidate has no reference, by which a move could name it")
	}
	want := waypost.CandidateAnswer{State: "CA", Reference: got.Reference, Disclosure: waypost.Disclosure{
		Outcome: waypost.Match, Status: waypost.Valid, CardKind: waypost.Licence, TerminationRequired: true}}
	if got != want {
		t.Errorf("California answered %+v, want %+v", got, want)
	}

	// Somebody nobody knows: the clerk hears no, and how far that no reaches.
	answer, err = exchange.Gateway("AZ").Check(ctx,
		gateway.Applicant{Person: waypost.Person{Family: "Nemo", Given: "Ulysse", Born: waypost.Date{Year: 1970, Month: 1, Day: 2}}},
		gateway.Counter{Operator: "clerk-7", Class: waypost.Attended, Purpose: waypost.IssueRealID, Case: "AZ-2026-0002"})
	if err != nil {
		t.Fatal(err)
	}
	if !answer.Complete || len(answer.Candidates) != 0 || len(answer.Coverage.Searched) != 2 {
		t.Errorf("answer %+v, want no candidate in 2 states searched", answer)
	}
}
