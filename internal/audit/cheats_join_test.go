package audit_test

import (
	"bytes"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync"
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/audit"
	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// line is one line of a published log: what the public sees of it, and what it
// is.
type line struct {
	leaf  []byte
	size  float64 // of the sealed entry, from the mean of its kind
	place float64 // 0 is the beginning of the log, 1 the end
	truth opened
}

// TestJoin measures whether the public can tell that two lines of two ledgers
// are about one check. For each feature of a pair of lines it prints the AUC:
// how often a pair about one check looks more alike than a pair about two. A
// half is a coin. And it prints how often the most alike line of the other
// ledger is the right one.
//
// Leaves tell nothing, whatever is compared, nor do the sizes of sealed entries. When and in which order they are
// published tells the more, the thinner traffic is: that is not for a leaf to
// hide. With the audit secret of a check all its lines are found, and no others.
func TestJoin(t *testing.T) {
	d := open(t, roster.Quota{})
	d.traffic(12)
	d.settle()
	rep := d.reconcile("")
	d.expect(rep, nil, nil)
	sizes := make(map[string]int64)
	for _, l := range rep.Logs {
		sizes[l.Origin] = l.Size
	}
	all := make(map[string][]line)
	for _, role := range d.roles() { // as the audit has read them: a ticket of upkeep may have begun since
		all[role] = d.published(role)[:sizes[d.Role(role).Journal.Origin()]]
	}

	asks := centred(slices.Concat(kindsOf(all["AZ"], "ask"), kindsOf(all["CA"], "ask"), kindsOf(all["NV"], "ask")))
	searches := centred(kindsOf(all["hub"], "search_first"))
	evaluations := centred(slices.Concat(kindsOf(all["keyholder-1"], "evaluate"), kindsOf(all["keyholder-2"], "evaluate"), kindsOf(all["keyholder-3"], "evaluate")))
	for _, pair := range []struct {
		name string
		a, b []line
	}{{"a state's ask and the hub's search", asks, searches}, {"the hub's search and a key holder's evaluation", searches, evaluations}} {
		for _, f := range features {
			auc, sigma, n := compare(pair.a, pair.b, f.alike)
			t.Logf("%s, by %s: AUC %.3f (%d pairs of one check; a coin is .500 ± %.3f); right at the first guess %.1f of %d, a coin %.1f",
				pair.name, f.name, auc, n, sigma, guess(pair.a, pair.b, f.alike), len(pair.a), float64(n)/float64(len(pair.b)))
			// At 5 sigma chance alone would fail one run in 200,000: leaves are random, and eight of these differ.
			if f.blind && math.Abs(auc-0.5) > 5.5*sigma {
				t.Errorf("%s can be joined by %s", pair.name, f.name)
			}
		}
	}
	joined, lines := d.join(all)
	t.Logf("with the audit secret: %d tickets joined with all their %d lines in %d ledgers, and with no other line", joined, lines, len(all))
	if int64(joined) != rep.Tickets {
		t.Errorf("%d of %d tickets were joined", joined, rep.Tickets)
	}
}

// traffic makes checks of all kinds from all states side by side.
func (d *drill) traffic(each int) {
	d.t.Helper()
	known := map[waypost.Jurisdiction]waypost.Person{"AZ": d.holder("AZ"), "CA": d.holder("CA"), "NV": d.holder("NV")}
	purposes := []waypost.Purpose{waypost.Renew, waypost.IssueRealID, waypost.IssueLicence}
	var working sync.WaitGroup
	for i, state := range states {
		working.Go(func() {
			for n := range each {
				p := someone()
				if n%2 == 0 {
					p = known[states[(i+1+n/2%2)%len(states)]]
				}
				why := gateway.Counter{Operator: "clerk-7", Class: waypost.Attended, Purpose: purposes[n%3], Case: fmt.Sprint(n)}
				if n%4 == 3 {
					why.Class = waypost.Unattended
				}
				a, err := d.Gateway(state).Check(d.t.Context(), gateway.Applicant{Person: p}, why)
				if err != nil {
					d.t.Errorf("%s was answered %+v, %v", state, a, err)
					return
				}
				d.wait(state, a)
			}
		})
	}
	working.Wait()
}

// published reads a role's log as the public does, and opens it as only the
// auditor can.
func (d *drill) published(role string) (lines []line) {
	d.t.Helper()
	ctx := d.t.Context()
	reader, err := translog.Dir(d.log(role))
	if err != nil {
		d.t.Fatal(err)
	}
	current := d.Roster()
	m, _ := current.Member(role)
	policy, err := follow.Policy(current, m, d.Role(role).Journal.Origin())
	if err != nil {
		d.t.Fatal(err)
	}
	head, err := translog.Fetch(ctx, reader, policy)
	if err != nil {
		d.t.Fatal(err)
	}
	entries := d.entries(role)
	for b, err := range translog.Bundles(ctx, reader, head, 0) {
		if err != nil {
			d.t.Fatal(err)
		}
		sealed, err := translog.Sealed(ctx, reader, head, b)
		if err != nil {
			d.t.Fatal(err)
		}
		for i, leaf := range b.Leaves {
			n := b.First + int64(i)
			lines = append(lines, line{leaf, float64(len(sealed[i])), float64(n) / float64(head.N), entries[n]})
		}
	}
	return lines
}

// kindsOf are the lines of one kind about checks. The public is not told the
// kind of a line; here it knows even that.
func kindsOf(lines []line, kind string) (some []line) {
	for _, l := range lines {
		fields, err := translog.ParseBody(l.truth.Body)
		publishes := err == nil && fields["kind"] == string(waypost.KindPublish)
		if t, err := audit.TicketIn(l.truth.Body); err == nil {
			publishes = t.Kind == waypost.KindPublish
		}
		if l.truth.Kind == kind && !publishes {
			some = append(some, l)
		}
	}
	return some
}

// centred takes the mean from the sizes.
func centred(lines []line) []line {
	var sum float64
	for _, l := range lines {
		sum += l.size
	}
	for i := range lines {
		lines[i].size -= sum / float64(len(lines))
	}
	return lines
}

// features are how two lines may look alike; the larger the more. The blind ones
// must tell nothing.
var features = []struct {
	name  string
	blind bool
	alike func(a, b line) float64
}{
	{"equal bits of the tags", true, func(a, b line) float64 { return equalBits(a.leaf[:32], b.leaf[:32]) }},
	{"equal bits of the commitments", true, func(a, b line) float64 { return equalBits(a.leaf[32:], b.leaf[32:]) }},
	{"equal bits of tag and commitment", true, func(a, b line) float64 { return equalBits(a.leaf[:32], b.leaf[32:]) }},
	{"the longest prefix in common", true, func(a, b line) float64 { return prefix(a.leaf, b.leaf) }},
	{"the longest string in common", true, func(a, b line) float64 { return common(a.leaf, b.leaf) }},
	{"bytes that both have", true, func(a, b line) float64 { return shared(a.leaf, b.leaf) }},
	{"the size of the sealed entry", true, func(a, b line) float64 { return -math.Abs(a.size - b.size) }},
	{"the time of the commit, to the second", false, func(a, b line) float64 { return -math.Abs(a.truth.At.Sub(b.truth.At).Seconds()) }},
	{"the place in the log", false, func(a, b line) float64 { return -math.Abs(a.place - b.place) }},
}

func equalBits(a, b []byte) (n float64) {
	for i := range a {
		n += float64(8 - bits.OnesCount8(a[i]^b[i]))
	}
	return n
}

func prefix(a, b []byte) (n float64) {
	for i := range a {
		if a[i] != b[i] {
			break
		}
		n++
	}
	return n
}

func common(a, b []byte) float64 {
	for n := 6; n > 0; n-- { // leaves are random: three bytes in common are rare
		for i := 0; i+n <= len(a); i++ {
			if bytes.Contains(b, a[i:i+n]) {
				return float64(n)
			}
		}
	}
	return 0
}

func shared(a, b []byte) (n float64) {
	for _, c := range a {
		if bytes.IndexByte(b, c) >= 0 {
			n++
		}
	}
	return n
}

// compare returns the AUC of a feature, the standard deviation that it has where
// the feature tells nothing, and the number of pairs about one check.
func compare(as, bs []line, alike func(a, b line) float64) (auc, sigma float64, n int) {
	var same, other []float64
	for _, a := range as {
		for _, b := range bs {
			if a.truth.Ticket == b.truth.Ticket {
				same = append(same, alike(a, b))
			} else {
				other = append(other, alike(a, b))
			}
		}
	}
	slices.Sort(other)
	for _, s := range same {
		below, equal := slices.BinarySearch(other, s)
		above := below
		if equal {
			above, _ = slices.BinarySearchFunc(other, s, func(x, s float64) int {
				if x <= s {
					return -1
				}
				return 1
			})
		}
		auc += float64(below+above) / 2
	}
	x, y := float64(len(same)), float64(len(other))
	return auc / (x * y), math.Sqrt((x + y + 1) / (12 * x * y)), len(same)
}

// guess is for how many lines the most alike one of the others is about the same
// check; one drawn from several that are equally alike counts in part.
func guess(as, bs []line, alike func(a, b line) float64) (right float64) {
	for _, a := range as {
		best, hits, ties := math.Inf(-1), 0.0, 0.0
		for _, b := range bs {
			switch s := alike(a, b); {
			case s > best:
				best, hits, ties = s, 0, 0
				fallthrough
			case s == best:
				if ties++; a.truth.Ticket == b.truth.Ticket {
					hits++
				}
			}
		}
		right += hits / ties
	}
	return right
}

// join finds the lines of each ticket in all ledgers by its audit secret alone,
// and fails the test unless they are just those that are about it.
func (d *drill) join(all map[string][]line) (tickets, lines int) {
	d.t.Helper()
	type spot struct {
		role  string
		index int
	}
	secrets, about := make(map[[32]byte][32]byte), make(map[[32]byte][]spot)
	tags := make(map[[32]byte]spot)
	for role, log := range all {
		for i, l := range log {
			tag := [32]byte(l.leaf[:32])
			if _, twice := tags[tag]; twice {
				d.t.Errorf("two lines have the same tag: %s:%d", role, i)
			}
			tags[tag] = spot{role, i}
			if l.truth.Ticket != [32]byte{} {
				secrets[l.truth.Ticket] = l.truth.Tau
				about[l.truth.Ticket] = append(about[l.truth.Ticket], spot{role, i})
			}
		}
	}
	for id, tau := range secrets {
		found := make(map[spot]bool)
		for role := range all {
			m, _ := d.Roster().Member(role)
			for _, kind := range ticketKinds {
				for ordinal := uint64(0); ; ordinal++ {
					at, ok := tags[translog.Tag(tau, string(m.Role), d.Role(role).Journal.Origin(), kind, ordinal)]
					if !ok {
						break
					}
					if at.role != role {
						d.t.Errorf("a line of %s is found in the ledger of %s", role, at.role)
					}
					found[at] = true
				}
			}
		}
		for _, at := range about[id] {
			if !found[at] {
				d.t.Errorf("with the audit secret %s:%d is not found", at.role, at.index)
			}
			delete(found, at)
			lines++
		}
		for at := range found {
			d.t.Errorf("%s:%d is found with the audit secret of another ticket", at.role, at.index)
		}
	}
	return len(secrets), lines
}

// ticketKinds are the kinds of entries about tickets.
var ticketKinds = []string{"ask", "outcome", "owed", "abandoned", "refused", "published", "evaluate", "search_first", "search_second", "deliver",
	"publish", "misuse", "notified", "continue", "decline", "disclose", "withheld", "refuse",
	"withdraw", "activate", "compare", "leave", "change_state_of_record", "concluded", "replied", "moved"}
