package audit

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/translog"
)

// live is an exchange of real roles on this machine.
type live struct {
	*cluster.Cluster
	t   *testing.T
	dir string
}

func openLive(t *testing.T) live {
	dir := t.TempDir()
	c, err := cluster.Open(t.Context(), cluster.Config{Dir: dir, States: []waypost.Jurisdiction{"AZ", "CA", "NV"}, Holders: 3, Threshold: 2,
		Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return live{c, t, dir}
}

func (r live) folder(state waypost.Jurisdiction) string {
	return install.FolderOf(r.dir, string(state))
}

// auditor is a client of the state's door.
func (r live) auditor(state waypost.Jurisdiction) waypostv1connect.CounterClient {
	client, _, err := install.DialAuditor(r.folder(state))
	must(r.t, err)
	return client
}

func (r live) load(state waypost.Jurisdiction, people ...waypost.Person) {
	var records []waypost.Record
	for i, p := range people {
		records = append(records, waypost.Record{ID: fmt.Sprintf("%s-%s-%d", state, p.Family, i), Person: p, CardNumber: "K1", Kind: waypost.Licence, Status: waypost.Valid})
	}
	_, rejected, err := r.Gateway(state).File().Load(r.t.Context(), "loader", 0, records)
	if err != nil || len(rejected) > 0 {
		r.t.Fatal(rejected, err)
	}
}

var atCounter = gateway.Counter{Operator: "clerk-1", Class: waypost.Attended, Purpose: waypost.IssueRealID, Case: "CASE-1"}

// check waits for the last answer: on a busy machine an owner may answer after the
// clerk was told that it has not.
func (r live) check(state waypost.Jurisdiction, p waypost.Person) waypost.Answer {
	r.t.Helper()
	a, err := r.Gateway(state).Check(r.t.Context(), gateway.Applicant{Person: p}, atCounter)
	must(r.t, err)
	r.wait("the last answer", func() bool {
		if !a.Complete {
			a, err = r.Gateway(state).Answer(r.t.Context(), a.Ticket)
			must(r.t, err)
		}
		return a.Complete
	})
	return a
}

func (r live) publish() { must(r.t, r.Publish(r.t.Context())) }

// advance sets the clock forward, and waits until everybody relies on everybody's
// ledger again.
func (r live) advance(d time.Duration) {
	r.t.Helper()
	r.Clock.Advance(d)
	names := []string{"hub", "keyholder-1", "keyholder-2", "keyholder-3"}
	for _, name := range append(names, "AZ", "CA", "NV") {
		for _, member := range names {
			r.wait(name+" relies on "+member, func() bool { return r.Role(name).Follower.Usable(member) == nil })
		}
	}
}

var (
	desmond = waypost.Person{Family: "Achterberg", Given: "Desmond", Born: waypost.Date{Year: 1984, Month: 3, Day: 17}, Sex: "M", SSN5: "52096"}
	ottilie = waypost.Person{Family: "Quillfeather", Given: "Ottilie", Born: waypost.Date{Year: 1971, Month: 8, Day: 2}, Sex: "F", SSN5: "31841"}
	barnaby = waypost.Person{Family: "Vanterpool", Given: "Barnaby", Born: waypost.Date{Year: 1990, Month: 11, Day: 23}, Sex: "M"}
)

// TestStates is what auditors of states do, at one exchange of real roles.
func TestStates(t *testing.T) {
	r := openLive(t)
	for _, part := range []struct {
		name string
		run  func(live)
	}{{"person", live.person}, {"sample", live.sample}, {"canary", live.canary}} {
		t.Run(part.name, func(t *testing.T) {
			r.t = t
			part.run(r)
		})
	}
}

// person: a person is told every look at their records and nobody else's, each
// with a proof that others can verify.
func (r live) person() {
	t := r.t
	r.load("CA", desmond, ottilie)
	first := r.check("AZ", desmond)
	second := r.check("NV", desmond)
	r.check("AZ", ottilie)
	// Another surname: found by the SSN, compared in clear.
	renamed := desmond
	renamed.Family = "Featherstonehaugh"
	third := r.check("NV", renamed)
	r.publish()

	o, err := FromGateway(r.folder("CA"))
	must(t, err)
	res, err := r.auditor("CA").FindRecords(t.Context(), &waypostv1.FindRecordsRequest{
		Person: &waypostv1.Applicant{Family: "ACHTERBERG", Given: "desmond", Born: "1984-03-17"}})
	must(t, err)
	if len(res.Records) != 1 {
		t.Fatalf("%d records", len(res.Records))
	}
	key := RecordKey{res.Records[0].Id, [32]byte(res.Records[0].Key)}
	found, proofs, err := Person(ctx, o, []RecordKey{key})
	must(t, err)
	var got []string
	entries := 0
	for _, l := range found.Looks {
		got = append(got, l.Asked+" "+l.Ticket[:16]+" "+l.Purpose+" "+l.Ended)
		entries += len(l.Entries)
		if l.Record != key.ID || l.Outcome == "" || l.Policy == "" || l.Class != "attended" || len(l.Entries) != 3 || l.Entries[0].Kind != "notified" {
			t.Errorf("%+v", l)
		}
	}
	want := []string{
		"AZ " + first.Ticket.String() + " issue_real_id was told: match",
		"NV " + second.Ticket.String() + " issue_real_id was told: match",
		"NV " + third.Ticket.String() + " issue_real_id was told: match",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || len(proofs) != entries {
		t.Errorf("%d proofs of %d entries:\n%s\nwant\n%s", len(proofs), entries, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, p := range proofs {
		if member, _, _, err := VerifyProof(o.Rosters, p); err != nil || member != "CA" {
			t.Errorf("%s: %v", member, err)
		}
	}
	var text strings.Builder
	must(t, found.WriteText(&text))
	if !strings.Contains(text.String(), "3 looks") {
		t.Error(text.String())
	}
	// The key of one record says nothing about another.
	other, err := r.auditor("CA").FindRecords(t.Context(), &waypostv1.FindRecordsRequest{Id: "CA-Quillfeather-1"})
	must(t, err)
	if found, _, err := Person(ctx, o, []RecordKey{{other.Records[0].Id, [32]byte(other.Records[0].Key)}}); err != nil || len(found.Looks) != 1 {
		t.Errorf("%+v, %v", found, err)
	}
	// Who is not entitled reads nothing.
	stranger, err := age.GenerateHybridIdentity()
	must(t, err)
	o.Identities = []age.Identity{stranger}
	if found, proofs, err := Person(ctx, o, []RecordKey{key}); err != nil || len(found.Looks) != 0 || len(proofs) != 0 || found.Closed != found.Size {
		t.Errorf("a stranger: %+v, %v", found, err)
	}
	r.doors(t, first.TicketHex)
}

// doors: auditors cannot work at the counter, nor clerks open tickets; and what
// an auditor was shown stands in the ledger.
func (r live) doors(t *testing.T, ticket string) {
	door, _, err := install.DialDoor(r.folder("AZ"))
	must(t, err)
	clerk := waypostv1connect.NewCounterClient(door)
	auditor := r.auditor("AZ")
	for what, call := range map[string]func() error{
		"a clerk opens a ticket": func() error {
			_, err := clerk.OpenTicket(ctx, &waypostv1.OpenTicketRequest{Ticket: ticket})
			return err
		},
		"a clerk finds records": func() error {
			_, err := clerk.FindRecords(ctx, &waypostv1.FindRecordsRequest{Id: "AZ-1"})
			return err
		},
		"a clerk plants": func() error {
			_, err := clerk.PlantCanary(ctx, &waypostv1.PlantCanaryRequest{})
			return err
		},
		"a clerk adds": func() error {
			_, err := clerk.AddCanary(ctx, &waypostv1.AddCanaryRequest{})
			return err
		},
		"an auditor checks": func() error {
			_, err := auditor.Check(ctx, gateway.CheckToProto(gateway.Applicant{Person: desmond}, waypost.Renew, "1"))
			return err
		},
		"an auditor sees a check": func() error {
			_, err := auditor.GetCheck(ctx, &waypostv1.GetCheckRequest{Ticket: ticket})
			return err
		},
		"an auditor loads": func() error {
			_, err := auditor.Load(ctx, &waypostv1.LoadRequest{})
			return err
		},
	} {
		if code := waypost.CodeOf(call()); code != waypost.Unauthenticated {
			t.Errorf("%s: %q", what, code)
		}
	}
	if _, err := auditor.FindRecords(ctx, &waypostv1.FindRecordsRequest{Id: "AZ-nobody"}); waypost.CodeOf(err) != waypost.NotFound {
		t.Error(err)
	}
	opening, err := auditor.OpenTicket(ctx, &waypostv1.OpenTicketRequest{Ticket: ticket})
	if err != nil || opening.CaseReference != "CASE-1" {
		t.Errorf("%+v, %v", opening, err)
	}
	r.publish()
	o, err := FromDir(r.dir)
	must(t, err)
	rep, err := Reconcile(ctx, o)
	if err != nil || len(rep.Findings) != 0 || rep.Counters["opened"] != 4 {
		t.Errorf("%+v, %v", rep, err)
	}
	logs, err := Verify(ctx, o, 10*time.Minute)
	must(t, err)
	for _, l := range logs {
		if l.Problem != "" || l.Opened != l.Size {
			t.Errorf("%+v", l)
		}
	}
	if _, err := FromGateway(filepath.Join(r.dir, "hub")); err == nil {
		t.Error("the hub is a gateway")
	}
}

// entries are the bodies of the published entries of a kind.
func (r live) entries(o Options, kind string) (all []map[string]string) {
	for _, s := range o.Sources {
		head, err := readHead(ctx, o.Rosters, s)
		must(r.t, err)
		must(r.t, eachOpened(ctx, journal.NewOpener(o.Identities...), roleIn(o.Rosters, s.Member), s.Reader, head, 0, func(e opened) error {
			if e.err == nil && e.entry.Kind == kind {
				fields, err := translog.ParseBody(e.entry.Body)
				must(r.t, err)
				all = append(all, fields)
			}
			return nil
		}))
	}
	return all
}
