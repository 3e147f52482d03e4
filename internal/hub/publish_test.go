package hub_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/journal/journaltest"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc/rpctest"
	"github.com/waypost/waypost/internal/store"
)

func inputsOf(records ...*waypostv1.PublishedRecord) [32]byte {
	var all []byte
	for _, r := range records {
		all = append(append(all, r.Handle...), r.Tokens...)
	}
	return waypost.HashTokens(all)
}

func people(from, n int) (all []*waypostv1.PublishedRecord) {
	for i := range n {
		all = append(all, person(from+i, token(from+i)))
	}
	return all
}

// tables counts the rows of the index.
func (r *rig) tables() string {
	r.t.Helper()
	return fmt.Sprintf("%d pointers, %d live, %d labels, %d publications", r.count("SELECT count(*) FROM pointer"),
		r.count("SELECT count(*) FROM pointer WHERE state = 1"), r.count("SELECT count(*) FROM label"), r.count("SELECT count(*) FROM publication"))
}

func (r *rig) tablesAre(want string) {
	r.t.Helper()
	if got := r.tables(); got != want {
		r.t.Errorf("%s, want %s", got, want)
	}
}

// A publication is done or not; the receipt says which records, never what the
// index holds.
func TestPublish(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	records := people(0, 53)
	p := r.permit("CA", waypost.KindPublish, 530)
	first, err := r.tryPublish(p, records...)
	must(t, err)
	r.receipt(first.Receipt, p, waypost.ActionPublish, inputsOf(records...), nil)
	r.tablesAre("53 pointers, 53 live, 530 labels, 1 publications")

	again, err := r.tryPublish(p, records...)
	must(t, err)
	sameBytes(t, "receipt", again.Receipt, first.Receipt)
	r.restart()
	again, err = r.tryPublish(p, records...)
	must(t, err)
	sameBytes(t, "receipt after a restart", again.Receipt, first.Receipt)
	for range 2 {
		_, err = r.tryPublish(p, people(100, 53)...)
		refused(t, "other records", err, waypost.Misuse, "has published other records before")
	}
	if kinds := r.kinds(); kinds["publish"] != 1 || kinds["misuse"] != 1 || len(kinds) != 2 {
		t.Errorf("the journal counts %v", kinds)
	}
	r.tablesAre("53 pointers, 53 live, 530 labels, 1 publications")

	// The answer for people who share everything with others is like any.
	same := person(200)
	same.Tokens = records[0].Tokens
	p = r.permit("NV", waypost.KindPublish, 10)
	res, err := r.tryPublish(p, same)
	must(t, err)
	if len(res.Receipt) != len(first.Receipt) {
		t.Error("the length of a receipt depends on the index")
	}
	r.receipt(res.Receipt, p, waypost.ActionPublish, inputsOf(same), nil)

	r.Advance(11 * time.Minute)
	_, err = r.tryPublish(p, same)
	refused(t, "after the window", err, waypost.Expired, "older than 10m0s")
}

func TestPublishRefused(t *testing.T) {
	t.Parallel()
	quota := rpctest.Ample
	quota.PublishElementsPerDay, quota.PublishElementsForALoad = 30, 20
	r := newRigWith(t, quota)
	p := r.permit("CA", waypost.KindPublish, 20)
	change := func(change func(r *waypostv1.PublishedRecord)) []*waypostv1.PublishedRecord {
		all := people(0, 2)
		change(all[1])
		return all
	}
	for _, c := range []struct {
		name    string
		p       permit
		records []*waypostv1.PublishedRecord
		code    waypost.Code
		words   string
	}{
		{"one record less", p, people(0, 1), waypost.InvalidArgument, "covers 20 elements, 1 records of 10 tokens"},
		{"one record more", p, people(0, 3), waypost.InvalidArgument, "covers 20 elements, 3 records of 10 tokens"},
		{"none", p, nil, waypost.InvalidArgument, "covers 20 elements, 0 records"},
		{"nine tokens", p, change(func(r *waypostv1.PublishedRecord) { r.Tokens = padded(9) }), waypost.InvalidArgument, "10 tokens of 32 bytes"},
		{"eleven tokens", p, change(func(r *waypostv1.PublishedRecord) { r.Tokens = padded(11) }), waypost.InvalidArgument, "10 tokens of 32 bytes"},
		{"a short handle", p, change(func(r *waypostv1.PublishedRecord) { r.Handle = r.Handle[1:] }), waypost.InvalidArgument, "a handle has 16 bytes, not all of them zero"},
		{"one handle twice", p, change(func(r *waypostv1.PublishedRecord) { r.Handle = handle(0) }), waypost.InvalidArgument, "names a handle twice"},
		{"a check ticket", r.check("CA"), people(0, 2), waypost.InvalidArgument, "the ticket of a check publishes one record, not 2"},
		{"no receipts", permit{SignedTicket: p.SignedTicket}, people(0, 2), waypost.PermissionDenied, "from 0 key holders"},
		{"beyond the quota", r.permit("CA", waypost.KindPublish, 60), people(0, 6), waypost.QuotaExceeded, "load grant"},
	} {
		_, err := r.tryPublish(c.p, c.records...)
		refused(t, c.name, err, c.code, c.words)
	}
	_, err := r.client["NV"].Publish(t.Context(), &waypostv1.PublishRequest{Ticket: p.Bytes(), Receipts: p.receipts, Records: people(0, 2)})
	refused(t, "another state's ticket", err, waypost.PermissionDenied, "NV brought a ticket of CA")
	r.tablesAre("0 pointers, 0 live, 0 labels, 0 publications")
	if n := len(r.kinds()); n != 0 {
		t.Errorf("refusals stand in the journal: %v", r.kinds())
	}
	_, err = r.tryPublish(p, people(0, 2)...)
	must(t, err)
	r.Update(func(n *roster.Roster) {
		for i := range n.Members {
			if n.Members[i].Name == "CA" {
				n.Members[i].Capabilities, n.Members[i].Participation = []roster.Capability{roster.Search}, roster.InquiryOnly
			}
		}
	})
	_, err = r.tryPublish(r.permit("CA", waypost.KindPublish, 10), people(5, 1)...)
	refused(t, "without the capability", err, waypost.PermissionDenied, "CA does not take part in publish")
}

// A handle that is in the index stays as it is, under whatever ticket it comes
// again: a load may be repeated from any point.
func TestPublishAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	records := people(0, 3)
	r.publish("CA", records...)
	r.publish("CA", records...)
	r.tablesAre("3 pointers, 3 live, 30 labels, 2 publications")
	r.publish("CA", person(0, token(77))) // other tokens: a change is another kind of transaction
	r.tablesAre("3 pointers, 3 live, 30 labels, 3 publications")
	r.publish("NV", person(0, token(0))) // another owner's handle is another's
	r.tablesAre("4 pointers, 4 live, 40 labels, 4 publications")
	if got := r.first(r.check("AZ"), token(77)); len(got.List) != 0 {
		t.Errorf("%d candidates", len(got.List))
	}
	repeated := person(9)
	repeated.Tokens = padded(10, token(5), token(5), token(5))
	r.publish("CA", repeated)
	r.tablesAre("5 pointers, 5 live, 48 labels, 5 publications")
}

// However a publication is cut short, nothing of it is found, and the next call
// with its ticket completes it, counted once.
func TestPublishCrash(t *testing.T) {
	t.Parallel()
	quota := rpctest.Ample
	quota.PublishElementsPerDay, quota.PublishElementsForALoad = 450, 0
	r := newRigWith(t, quota)
	r.afterMidnight()
	r.publish("NV", person(900, token(1))) // shares a token
	records := people(0, 45)               // three steps, between the first and the last
	for cut := 1; ; cut++ {
		// A new state of affairs for each place to stop at.
		p := r.permit("CA", waypost.KindPublish, 450)
		var commits atomic.Int64
		point := []string{"commit", "committed"}[cut%2]
		fail := store.Fault(func(at string) error {
			if at == point && commits.Add(1) == int64(cut+1)/2 {
				return errors.New("power cut")
			}
			return nil
		})
		r.fault.Store(&fail)
		_, err := r.tryPublish(p, records...)
		r.fault.Store(nil)
		if err == nil {
			if cut < 9 {
				t.Errorf("a publication has %d commits, want 5", commits.Load())
			}
			break
		}
		refused(t, "cut short", err, waypost.Internal, "internal error")
		// The very last commit may have taken effect; before it, nothing shows.
		if live := r.count("SELECT count(*) FROM pointer WHERE owner = 'CA' AND state = 1"); live != 0 && live != 45 {
			t.Errorf("cut %d: %d of 45 pointers are live", cut, live)
		} else if live == 0 {
			if got := r.first(r.check("AZ"), token(0), token(44)); len(got.List) != 0 {
				t.Errorf("cut %d: a pending pointer is found", cut)
			}
		}
		_, err = r.tryPublish(p, records...)
		must(t, err)
		if live, labels := r.count("SELECT count(*) FROM pointer WHERE owner = 'CA' AND state = 1"), r.count("SELECT count(*) FROM label"); live != 45 || labels != 460 {
			t.Errorf("cut %d: %d live pointers and %d labels after the retry, want 45 and 460", cut, live, labels)
		}
		_, err = r.tryPublish(r.permit("CA", waypost.KindPublish, 10), person(800))
		refused(t, "the quota is used", err, waypost.QuotaExceeded, "load grant")
		r.reset()
	}
}

// reset empties California's index and everybody's quota.
func (r *rig) reset() {
	r.t.Helper()
	must(r.t, r.db.Write(r.t.Context(), func(tx *store.Tx) error {
		for _, s := range []string{
			`DELETE FROM label WHERE pointer IN (SELECT id FROM pointer WHERE owner = 'CA')`, `DELETE FROM pointer WHERE owner = 'CA'`, `DELETE FROM quota`,
		} {
			if _, err := tx.Exec(s); err != nil {
				return err
			}
		}
		return nil
	}))
}

// A publication that was given up half-way does not stand in the way of its
// records, even where they have changed since.
func TestPublishAfterAbandoned(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	records := people(0, 30)
	var commits atomic.Int64
	fail := store.Fault(func(at string) error {
		if at == "commit" && commits.Add(1) == 3 {
			return errors.New("power cut")
		}
		return nil
	})
	r.fault.Store(&fail)
	_, err := r.tryPublish(r.permit("CA", waypost.KindPublish, 300), records...)
	refused(t, "cut short", err, waypost.Internal, "")
	r.fault.Store(nil)
	r.tablesAre("5 pointers, 0 live, 50 labels, 1 publications")
	records[3] = person(3, token(333))
	records[3].Generation = 2
	r.publish("CA", records...)
	r.activate("CA", 2, 1)
	if got := r.first(r.check("AZ"), token(333)); len(got.List) != 1 {
		t.Errorf("%d candidates for what the record is now", len(got.List))
	}
	notices := r.notices("CA")
	if len(notices) != 1 || notices[0].Generation != 2 {
		t.Errorf("notices %v", notices)
	}
}

// Many publications at once, sharing tokens, lose and double nothing.
func TestPublishAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var all sync.WaitGroup
	for i := range 6 {
		records := []*waypostv1.PublishedRecord{person(2*i, token(0), token(1)), person(2*i+1, token(0))}
		p := r.permit("CA", waypost.KindPublish, 20)
		for range 3 { // each of them three times at once
			all.Go(func() {
				if _, err := r.tryPublish(p, records...); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	r.tablesAre("12 pointers, 12 live, 120 labels, 6 publications")
	if got := r.first(r.check("AZ"), token(0)); len(got.List) != 12 {
		t.Errorf("%d of 12 people with one token are found", len(got.List))
	}
	if got := r.first(r.check("AZ"), token(1)); len(got.List) != 6 {
		t.Errorf("%d of 6 people with one token are found", len(got.List))
	}
}

// The labels of people who share a token are HMACs of their own: without h
// nothing says that they belong together, 64 is the end, and 48 of them that of one
// owner: nobody keeps others out.
func TestLabels(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i, owner := range []waypost.Jurisdiction{"CA", "CA", "CA", "CA", "CA", "NV", "NV"} {
		var crowd []*waypostv1.PublishedRecord
		for j := range 10 {
			crowd = append(crowd, person(10*i+j, token(0)))
		}
		r.publish(owner, crowd...)
	}
	pointers := make(map[int64]bool)
	for counter := range uint8(hub.MaxCounter) {
		var pointer int64
		must(t, r.db.Read(t.Context(), func(tx *store.Tx) error {
			return tx.Row(`SELECT pointer FROM label WHERE label = $1`, hub.Label([32]byte{1}, token(0), counter)).Scan(&pointer)
		}))
		pointers[pointer] = true
	}
	if len(pointers) != hub.MaxCounter {
		t.Errorf("%d people under one token", len(pointers))
	}
	r.tablesAre("70 pointers, 70 live, 694 labels, 7 publications") // two of CA's and four of NV's lack one of their ten
	lacking := make(map[string]int)
	page, err := journaltest.Opener().Read(t.Context(), r.journal, 0, 1000)
	must(t, err)
	for _, e := range page {
		if body, err := journal.ParseBody(e.Body); err == nil && e.Kind == "unlabelled" {
			n, _ := strconv.Atoi(body["labels"])
			lacking[body["member"]+" "+body["epoch"]] += n
		}
	}
	if len(lacking) != 2 || lacking["CA 1"] != 2 || lacking["NV 1"] != 4 {
		t.Errorf("the ledger says who lacks labels: %v", lacking)
	}
	if n := strings.Count(r.said.String(), "records lack labels"); n != 2 {
		t.Errorf("the log says so %d times", n)
	}
	got := r.first(r.check("AZ"), token(0))
	if len(got.List) != waypost.MaxCandidates || !got.TooMany {
		t.Errorf("%d candidates, too many: %v", len(got.List), got.TooMany)
	}
	seen := make(map[string]bool)
	for _, h := range [][32]byte{{1}, {2}} {
		for _, token := range []waypost.Token{token(0), token(1)} {
			for counter := range uint8(hub.MaxCounter) {
				seen[string(hub.Label(h, token, counter))] = true
			}
		}
	}
	if len(seen) != 4*hub.MaxCounter {
		t.Errorf("%d labels of %d keys, tokens and counters", len(seen), 4*hub.MaxCounter)
	}
}

// Who withdraws and publishes again gets no more places of a token than others: those
// of withdrawn records are taken by whoever has fewer than 48.
func TestPlacesOfWithdrawn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	next := 0
	publish := func(owner waypost.Jurisdiction, n int) (numbers []int) {
		var crowd []*waypostv1.PublishedRecord
		for range n {
			crowd, numbers = append(crowd, person(next, token(0))), append(numbers, next)
			next++
		}
		r.publish(owner, crowd...)
		return numbers
	}
	r.maintained(r.ask("CA", withdrawal(publish("CA", 48)...)))
	publish("CA", 16) // all 64 places are taken, and 48 are of withdrawn records
	publish("CA", 40)
	publish("NV", 16)
	live := make(map[string]int)
	for counter := range uint8(hub.MaxCounter) {
		var owner string
		must(t, r.db.Read(t.Context(), func(tx *store.Tx) error {
			return tx.Row(`SELECT p.owner FROM label l JOIN pointer p ON p.id = l.pointer WHERE l.label = $1 AND p.state = 1`, hub.Label([32]byte{1}, token(0), counter)).Scan(&owner)
		}))
		live[owner]++
	}
	if live["CA"] != 48 || live["NV"] != 16 {
		t.Errorf("places by owner: %v", live)
	}
}
