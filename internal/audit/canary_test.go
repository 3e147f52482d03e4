package audit

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
)

// canary: a hub that hides the pointer of a synthetic person is found out by the
// state that looks for it, and an honest one is not accused.
func (r live) canary() {
	t := r.t
	r.onlyWhenDue()
	zenobia := waypost.Person{Family: "Rosencrantz", Given: "Zenobia", Born: waypost.Date{Year: 1966, Month: 2, Day: 9}, Sex: "F"}
	record := waypost.Record{ID: "CA-900001", Person: zenobia, CardNumber: "K900001", Kind: waypost.IDCard, Status: waypost.Valid}
	ca, az := r.auditor("CA"), r.auditor("AZ")
	if _, err := ca.PlantCanary(ctx, &waypostv1.PlantCanaryRequest{Record: gateway.RecordToProto(record), LookedForBy: "CA"}); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("a state looks for itself: %v", err)
	}
	r.load("CA", barnaby)
	// Without real checks to hide among nobody looks: from Arizona's last one on.
	r.advance(11 * time.Minute)
	taken := record
	taken.ID = "CA-Vanterpool-0"
	if _, err := ca.PlantCanary(ctx, &waypostv1.PlantCanaryRequest{Record: gateway.RecordToProto(taken), LookedForBy: "AZ"}); waypost.CodeOf(err) != waypost.AlreadyExists {
		t.Errorf("a real record becomes a canary: %v", err)
	}
	for range 2 { // planting and adding again change nothing
		if _, err := ca.PlantCanary(ctx, &waypostv1.PlantCanaryRequest{Record: gateway.RecordToProto(record), LookedForBy: "AZ"}); err != nil {
			t.Fatal(err)
		}
		add := gateway.CheckToProto(gateway.Applicant{Person: zenobia}, "", "")
		if _, err := az.AddCanary(ctx, &waypostv1.AddCanaryRequest{Owner: "CA", Applicant: add.Applicant, Ssn5: add.Ssn5}); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.number("AZ", `SELECT count(*) FROM canary`); n != 1 {
		t.Fatalf("%d canaries", n)
	}
	// The look is put off.
	r.publish()
	r.due()
	r.wait("the look is put off", func() bool { return r.number("AZ", `SELECT due FROM canary`) > 0 })
	if n := r.number("AZ", `SELECT count(*) FROM inquiry WHERE case_reference = 'canary'`); n != 0 {
		t.Errorf("%d checks were made before any real one", n)
	}

	r.check("AZ", barnaby)
	r.due()
	if found := r.said(1); found["yes"] != 1 || found["no"] != 0 {
		t.Errorf("an honest hub: %v", found)
	}
	if n := r.number("AZ", `SELECT count(*) FROM inquiry WHERE operator = 'clerk-1' AND case_reference = 'canary'`); n != 1 {
		t.Errorf("%d checks were made like real ones", n)
	}
	r.publish()
	if hidden := r.hidden(); len(hidden) != 0 {
		t.Errorf("an honest hub: %+v", hidden)
	}

	// The hub hides what it has: the pointer is not live any more.
	must(t, r.Role("hub").DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE pointer SET state = 3`)
		return err
	}))
	r.due()
	r.wait("the first miss", func() bool { return r.number("AZ", `SELECT misses FROM canary`) == 1 })
	if found := r.said(1); found["no"] != 0 {
		t.Errorf("accused after one look: %v", found)
	}
	r.due()
	if found := r.said(2); found["no"] != 1 {
		t.Errorf("a hub that hides: %v", found)
	}
	// What rests on something being absent is said once the ledgers go on beyond it.
	r.Clock.Advance(3 * time.Minute)
	r.check("NV", desmond)
	r.publish()
	if hidden := r.hidden(); len(hidden) != 1 || hidden[0].Member != "hub" || !strings.Contains(hidden[0].Words, "CA") {
		t.Errorf("%+v", hidden)
	}
}

// onlyWhenDue has Arizona look for canaries when due says so, and at no other time: by
// themselves looks come at random times, which may be at once. What is put off, as
// opposed to a look that is under way, is put off for good.
func (r live) onlyWhenDue() {
	must(r.t, r.Stop("AZ"))
	for _, when := range []string{"INSERT ON canary", "UPDATE OF due ON canary WHEN NEW.due > 0 AND length(NEW.ticket) = 0"} {
		must(r.t, storetest.Exec(ctx, filepath.Join(r.folder("AZ"), "gateway.db"),
			"CREATE TRIGGER put_off_"+when[:6]+" AFTER "+when+" BEGIN UPDATE canary SET due = 4000000000 WHERE id = NEW.id; END"))
	}
	must(r.t, r.Start(ctx, "AZ"))
}

// due makes Arizona's canaries due.
func (r live) due() {
	must(r.t, r.Role("AZ").DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE canary SET due = 0`)
		return err
	}))
}

func (r live) number(role, query string) (n int) {
	must(r.t, r.Role(role).DB.Read(ctx, func(tx *store.Tx) error { return tx.Row(query).Scan(&n) }))
	return n
}

func (r live) wait(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatal("this did not happen in 3 minutes: ", what)
		}
	}
}

// said waits for so many canary entries of Arizona and counts what they say.
func (r live) said(n int) map[string]int {
	r.t.Helper()
	found := make(map[string]int)
	r.wait("canary entries", func() bool { return r.number("AZ", `SELECT count(*) FROM journal WHERE kind = 'canary'`) >= n })
	r.publish()
	o, err := FromGateway(r.folder("AZ"))
	must(r.t, err)
	for _, e := range r.entries(o, "canary") {
		found[e["found"]]++
	}
	return found
}

// hidden is what reconcile finds about canaries. The parts before have left
// findings of other kinds.
func (r live) hidden() (found []Finding) {
	o, err := FromDir(r.dir)
	must(r.t, err)
	o.Now = r.Clock.Now()
	rep, err := Reconcile(ctx, o)
	must(r.t, err)
	for _, f := range rep.Findings {
		if f.Kind == HiddenPointer {
			found = append(found, f)
		}
	}
	return found
}
