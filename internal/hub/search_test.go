package hub_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc/rpctest"
	"github.com/waypost/waypost/internal/store"
)

// A search returns references and owners; the owners learn which record each
// reference means, and are told before the asker is.
func TestSearch(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1), token(2)), person(2, token(2)), person(3, token(3)))
	r.publish("NV", person(4, token(2), token(9)))
	r.publish("AZ", person(5, token(1), token(2)))

	p := r.check("AZ")
	first := r.first(p, token(1), token(2))
	if len(first.List) != 3 || first.TooMany {
		t.Fatalf("%d candidates, want two of California and one of Nevada, and not the asker's own", len(first.List))
	}
	references := referencesOf(first)
	for state, want := range map[waypost.Jurisdiction][]int{"CA": {1, 2}, "NV": {4}, "AZ": nil} {
		got := make(map[string]bool)
		for _, n := range r.notices(state) {
			if references[waypost.Reference(n.Reference)] != state || n.StateOfInquiry != "AZ" || n.Generation != 0 {
				t.Errorf("%s got the notice %v", state, n)
			}
			got[hex.EncodeToString(n.Handle)] = true
		}
		for _, n := range want {
			if !got[hex.EncodeToString(handle(n))] {
				t.Errorf("%s was not told of its record %d", state, n)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s was told of %d records, want %d", state, len(got), len(want))
		}
	}

	// Part two finds what part one has not returned.
	second := r.found(p, 2, padded(waypost.SSNElements, token(2), token(3), token(9)))
	if len(second.List) != 1 || second.List[0].Owner != "CA" {
		t.Errorf("part two: %v, want California's third record alone", second.List)
	}
	if kinds := r.kinds(); kinds["search_first"] != 1 || kinds["search_second"] != 1 || kinds["deliver"] != 4 || kinds["publish"] != 3 {
		t.Errorf("the journal counts %v", kinds)
	}
}

// References are of one ticket: two searches for the same cannot be joined by
// them, and their order is no order of the records.
func TestReferencesAreUnlinkable(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var records []*waypostv1.PublishedRecord
	for i := range 12 {
		records = append(records, person(i, token(0), token(100+i)))
	}
	r.publish("CA", records...)
	seen := make(map[waypost.Reference]bool)
	orders := make(map[string]bool)
	var pointers []int64
	must(t, r.db.Read(t.Context(), func(tx *store.Tx) error {
		return tx.Query(`SELECT id FROM pointer`, nil, func(scan func(...any) error) error {
			var id int64
			err := scan(&id)
			pointers = append(pointers, id)
			return err
		})
	}))
	for range 4 {
		p := r.check("AZ")
		for _, c := range r.first(p, token(0)).List {
			if seen[c.Reference] {
				t.Error("a reference came twice")
			}
			seen[c.Reference] = true
			for _, id := range pointers {
				if bytes.Contains(c.Reference[:], fmt.Appendf(nil, "%d", id)) || bytes.Contains(c.Reference[:], bigEndian(id)) {
					t.Error("a reference shows the pointer's id")
				}
			}
		}
		order := ""
		for _, n := range r.notices("CA") {
			order += hex.EncodeToString(n.Handle[15:])
		}
		orders[order] = true
	}
	if len(orders) == 1 {
		t.Error("four tickets have their references in one order of the records")
	}
}

func bigEndian(n int64) []byte {
	b := make([]byte, 8)
	for i := range b {
		b[i] = byte(n >> (56 - 8*i))
	}
	return b
}

// Within the window the same part gets the same bytes, counted once, also from
// the next process; other tokens under the ticket are misuse, once in the
// ledger; later the ticket is refused, and stays refused when forgotten.
func TestSearchReplay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)), person(2, token(2)))
	p := r.check("AZ")
	one, two := padded(waypost.NameElements, token(1)), padded(waypost.SSNElements, token(2))

	_, err := r.search(p, 2, two)
	refused(t, "part two first", err, waypost.InvalidArgument, "part one of the search comes first")
	first, err := r.search(p, 1, one)
	must(t, err)
	second, err := r.search(p, 2, two)
	must(t, err)
	again := func() {
		for part, want := range map[uint32]*waypostv1.SearchResponse{1: first, 2: second} {
			tokens := map[uint32][]byte{1: one, 2: two}[part]
			got, err := r.search(p, part, tokens)
			must(t, err)
			sameBytes(t, "candidates", got.Candidates, want.Candidates)
			sameBytes(t, "receipt", got.Receipt, want.Receipt)
		}
	}
	again()
	r.Advance(8 * time.Minute)
	r.restart()
	again()
	for range 3 {
		_, err = r.search(p, 1, padded(waypost.NameElements, token(2)))
		refused(t, "other tokens in part one", err, waypost.Misuse, "has searched other tokens before")
		_, err = r.search(p, 2, padded(waypost.SSNElements, token(1)))
		refused(t, "other tokens in part two", err, waypost.Misuse, "has searched other tokens before")
	}
	want := map[string]int{"publish": 1, "search_first": 1, "search_second": 1, "deliver": 2, "misuse": 1}
	if kinds := r.kinds(); fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Errorf("the journal counts %v, want %v", kinds, want)
	}
	if n := len(r.notices("CA")); n != 2 {
		t.Errorf("%d notices for two candidates", n)
	}

	r.Advance(3 * time.Minute)
	_, err = r.search(p, 1, one)
	refused(t, "after the window", err, waypost.Expired, "older than 10m0s")
	r.Advance(20 * time.Minute)
	must(t, hub.Clean(t.Context(), r.deps()))
	if n := r.count("SELECT count(*) FROM misuse"); n != 1 {
		t.Errorf("%d tickets whose misuse is remembered as long as they are good for anything, want 1", n)
	}
	for _, table := range []string{"search", "reference"} {
		if n := r.count("SELECT count(*) FROM " + table); n != 0 {
			t.Errorf("%d rows in %s after housekeeping", n, table)
		}
	}
	_, err = r.search(p, 1, one)
	refused(t, "after housekeeping", err, waypost.Expired, "older than 10m0s")
}

// Housekeeping takes all that is old and nothing that is not, in small steps.
func TestHousekeeping(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var records []*waypostv1.PublishedRecord
	for i := range 20 {
		records = append(records, person(i, token(0)))
	}
	r.publish("CA", records...)
	for range 15 { // 300 references, more than one step
		p := r.check("AZ")
		r.first(p, token(0))
		r.found(p, 2, padded(waypost.SSNElements))
	}
	r.Advance(21 * time.Minute)
	p := r.check("AZ")
	r.first(p, token(0))
	must(t, hub.Clean(t.Context(), r.deps()))
	if refs, searches := r.count("SELECT count(*) FROM reference"), r.count("SELECT count(*) FROM search"); refs != 20 || searches != 1 {
		t.Errorf("%d references of %d searches are left, want 20 of 1", refs, searches)
	}
	r.Advance(waypost.MessageLife + time.Minute - 21*time.Minute)
	must(t, hub.Clean(t.Context(), r.deps()))
	if n := r.count("SELECT count(*) FROM mailbox"); n != 20 {
		t.Errorf("%d messages are left, want the 20 of the last search", n)
	}
	if size, held := r.count("SELECT sum(length(sealed)) FROM mailbox"), r.count("SELECT bytes FROM box WHERE recipient = 'CA'"); size != held {
		t.Errorf("the box counts %d bytes and holds %d", held, size)
	}
}

// Twenty with most hits, and a flag. Nothing is left out for being found late.
func TestTooMany(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var crowd []*waypostv1.PublishedRecord
	for i := range 25 {
		crowd = append(crowd, person(i, token(0)))
	}
	r.publish("CA", crowd...)
	r.publish("NV", person(100, token(18), token(19)), person(101, token(17), token(18), token(19)))
	tokens := []waypost.Token{token(0)}
	for len(tokens) < 17 {
		tokens = append(tokens, randomToken())
	}
	tokens = append(tokens, token(17), token(18), token(19))
	p := r.check("AZ")
	got := r.found(p, 1, join(tokens))
	if len(got.List) != waypost.MaxCandidates || !got.TooMany {
		t.Fatalf("%d candidates, too many: %v", len(got.List), got.TooMany)
	}
	nevada := 0
	for _, c := range got.List {
		if c.Owner == "NV" {
			nevada++
		}
	}
	if nevada != 2 {
		t.Errorf("%d of the two with most hits are among the candidates", nevada)
	}
	// Exactly twenty are not too many.
	r.publish("CA", func() (all []*waypostv1.PublishedRecord) {
		for i := range 20 {
			all = append(all, person(200+i, token(50)))
		}
		return all
	}()...)
	if got := r.first(r.check("AZ"), token(50)); len(got.List) != 20 || got.TooMany {
		t.Errorf("%d candidates of 20, too many: %v", len(got.List), got.TooMany)
	}
}

// Who may search what, in words. A refusal leaves no trace.
func TestSearchRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)))
	before := r.kinds()
	good := r.check("AZ")
	nineteen, twelve := padded(19), padded(12)
	short := good
	short.receipts = good.receipts[:1]
	twice := good
	twice.receipts = [][]byte{good.receipts[0], good.receipts[0]}
	other := good
	other.receipts = r.check("AZ").receipts
	forged, err := good.Ticket.Sign(r.Party("NV").Identity)
	must(t, err)
	for _, c := range []struct {
		name   string
		p      permit
		part   uint32
		tokens []byte
		code   waypost.Code
		words  string
	}{
		{"part zero", good, 0, padded(20), waypost.InvalidArgument, "parts 1 and 2"},
		{"part three", good, 3, padded(12), waypost.InvalidArgument, "parts 1 and 2"},
		{"19 tokens", good, 1, nineteen, waypost.InvalidArgument, "20 tokens of 32 bytes"},
		{"21 tokens", good, 1, padded(21), waypost.InvalidArgument, "20 tokens of 32 bytes"},
		{"12 tokens in part one", good, 1, twelve, waypost.InvalidArgument, "20 tokens of 32 bytes"},
		{"20 tokens in part two", good, 2, padded(20), waypost.InvalidArgument, "12 tokens of 32 bytes"},
		{"half a token", good, 1, padded(20)[1:], waypost.InvalidArgument, "20 tokens of 32 bytes"},
		{"one receipt", short, 1, padded(20), waypost.PermissionDenied, "receipts from 1 key holders, 2 are needed"},
		{"one receipt twice", twice, 1, padded(20), waypost.PermissionDenied, "two receipts come from the same key holder"},
		{"receipts of another ticket", other, 1, padded(20), waypost.PermissionDenied, "belongs to another ticket"},
		{"no receipts", permit{SignedTicket: good.SignedTicket}, 1, padded(20), waypost.PermissionDenied, "from 0 key holders"},
		{"a forged ticket", permit{forged, good.receipts}, 1, padded(20), waypost.PermissionDenied, "not signed by AZ"},
		{"a publish ticket", r.permit("AZ", waypost.KindPublish, 10), 1, padded(20), waypost.PermissionDenied, "a publish ticket does not allow a check"},
		{"the other environment", r.check("AZ", func(t *waypost.Ticket) { t.Environment = waypost.Prod }), 1, padded(20), waypost.PermissionDenied, "for the prod environment"},
		{"an old ticket", r.check("AZ", func(t *waypost.Ticket) { t.IssuedAt = t.IssuedAt.Add(-11 * time.Minute) }), 1, padded(20), waypost.Expired, "older than 10m0s"},
		{"a ticket of the future", r.check("AZ", func(t *waypost.Ticket) { t.IssuedAt = t.IssuedAt.Add(time.Hour) }), 1, padded(20), waypost.Expired, "in the future"},
		{"an unknown roster", r.check("AZ", func(t *waypost.Ticket) { t.RosterVersion = 9 }), 1, padded(20), waypost.Unavailable, "roster version 9"},
	} {
		_, err := r.search(c.p, c.part, c.tokens)
		refused(t, c.name, err, c.code, c.words)
	}
	_, err = r.client["NV"].Search(t.Context(), &waypostv1.SearchRequest{Ticket: good.Bytes(), Receipts: good.receipts, Part: 1, Tokens: padded(20)})
	refused(t, "another state's ticket", err, waypost.PermissionDenied, "NV brought a ticket of AZ")
	if after := r.kinds(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the journal went from %v to %v", before, after)
	}
	// Once part one is committed, a forged copy of the ticket still is none.
	tokens := padded(20)
	r.found(good, 1, tokens)
	_, err = r.search(permit{SignedTicket: forged}, 1, tokens)
	refused(t, "a forged replay", err, waypost.PermissionDenied, "not signed by AZ")
	_, err = r.search(permit{SignedTicket: forged}, 2, twelve)
	refused(t, "a forged part two", err, waypost.PermissionDenied, "not signed by AZ")
	if n := len(r.notices("CA")); n != 0 {
		t.Errorf("%d notices for searches that found nothing", n)
	}
	r.Update(func(n *roster.Roster) {
		for i := range n.Members {
			if n.Members[i].Name == "AZ" {
				n.Members[i].Capabilities = []roster.Capability{roster.Answer}
			}
		}
	})
	_, err = r.search(r.check("AZ"), 1, padded(20))
	refused(t, "without the capability", err, waypost.PermissionDenied, "AZ does not take part in search")
}

func TestSearchQuota(t *testing.T) {
	t.Parallel()
	quota := rpctest.Ample
	quota.TicketsPerDay = 3
	r := newRigWith(t, quota)
	r.afterMidnight()
	var last permit
	tokens := padded(20)
	for range 3 {
		last = r.check("AZ")
		r.found(last, 1, tokens)
	}
	_, err := r.search(r.check("AZ"), 1, tokens)
	refused(t, "a fourth", err, waypost.QuotaExceeded, "AZ has used its quota of checks today")
	r.found(last, 1, tokens) // a replay is not another
	r.found(last, 2, padded(12))
	r.found(r.check("NV"), 1, tokens)
	if n := r.kinds()["alarm"]; n != 1 {
		t.Errorf("%d alarms for a quota used up by the third search", n)
	}
}

// The same part many times at once is searched once.
func TestSearchAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)), person(2, token(1)))
	p := r.check("AZ")
	tokens := padded(waypost.NameElements, token(1))
	answers := make([]*waypostv1.SearchResponse, 8)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			var err error
			if answers[i], err = r.search(p, 1, tokens); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	for _, a := range answers[1:] {
		sameBytes(t, "candidates", a.Candidates, answers[0].Candidates)
		sameBytes(t, "receipt", a.Receipt, answers[0].Receipt)
	}
	if kinds := r.kinds(); kinds["search_first"] != 1 || kinds["deliver"] != 2 {
		t.Errorf("the journal counts %v", kinds)
	}
	if n := len(r.notices("CA")); n != 2 {
		t.Errorf("%d notices, want 2", n)
	}
}

// Entry, references, notices and answer are one: a crash leaves all or nothing,
// and the retry gets what was committed.
func TestSearchCrash(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"begin", "commit", "committed"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.publish("CA", person(1, token(1)))
			p := r.check("AZ")
			tokens := padded(waypost.NameElements, token(1))
			fail := store.Fault(func(at string) error {
				if at == point {
					return errors.New("power cut")
				}
				return nil
			})
			r.fault.Store(&fail)
			_, err := r.search(p, 1, tokens)
			refused(t, "during the crash", err, waypost.Internal, "internal error")
			r.fault.Store(nil)
			want := 0
			if point == "committed" {
				want = 1
			}
			counts := func() [4]int {
				return [4]int{r.kinds()["search_first"], r.kinds()["deliver"], r.count("SELECT count(*) FROM reference"), r.count("SELECT count(*) FROM mailbox")}
			}
			if got := counts(); got != [4]int{want, want, want, want} {
				t.Errorf("entries, deliveries, references, notices after the crash: %v, want %d each", got, want)
			}
			r.restart()
			r.found(p, 1, tokens)
			if got := counts(); got != [4]int{1, 1, 1, 1} {
				t.Errorf("after the retry: %v", got)
			}
		})
	}
}
