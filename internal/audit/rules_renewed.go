package audit

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
)

// What is evaluated to publish records once more is published once more. Elements say
// nothing about whose they are: a state that has others evaluated under the key to come,
// within its number, asks it about whom it likes. The hub knows which tickets have
// brought records under that key.

const (
	// A rotation's number leaves this much to spare for batches that are cut off: a
	// twentieth, and a hundred records (waypost ceremony rotate announce).
	spareOneIn   = 20
	spareAtLeast = 100
)

// renewed is what a state had evaluated for publishing once more under the key of an
// epoch, and what it published of that, in records, over all tickets that can have no
// further entries.
type renewed struct {
	State     string `json:"state"`
	Epoch     uint32 `json:"epoch"`
	Evaluated int64  `json:"evaluated"`
	Published int64  `json:"published"`
	Reported  int64  `json:"reported,omitempty"` // the surplus of which there was a finding
}

func byStateAndEpoch(a, b renewed) int {
	return cmp.Or(cmp.Compare(a.State, b.State), cmp.Compare(a.Epoch, b.Epoch))
}

// tallyRenewed counts a ticket under which records are published once more. One that
// the hub may have had and has erased since, or of which its ledger is not there, is
// left out. What the state says that it published counts as what the hub says: a word
// for which the hub has no entry is named by another rule.
func (d *dossier) tallyRenewed() {
	under := d.evaluatedOnceMore()
	if d.soi == noMember || under == nil {
		return
	}
	for _, l := range d.logs {
		if l != nil && l.member.Role == roster.Hub && (l.lost || d.issued <= l.kept.DarkUntil) {
			return
		}
	}
	one := renewed{State: d.names.nameOf(d.soi), Evaluated: int64(under.elements / waypost.RecordElements)}
	if r := d.roster(under.version); r != nil {
		one.Epoch = r.Newest()
	}
	for _, p := range d.of(kindPublish, kindPublished) {
		one.Published = max(one.Published, int64(p.count))
	}
	d.renewals.Lock()
	defer d.renewals.Unlock()
	d.before.addRenewed(one)
}

// evaluatedOnceMore is the entry of a key holder about an evaluation for publishing once
// more, that of the fewest elements of which a quorum tells; nil if fewer do. They make no
// token, and what one key holder writes down by itself is laid on nobody.
func (d *dossier) evaluatedOnceMore() *record {
	most := make(map[uint16]*record) // by key holder
	for _, r := range d.of(kindEvaluate) {
		holder := d.memberAt(r.log)
		if before := most[holder]; r.republish && holder != noMember && (before == nil || before.elements < r.elements) {
			most[holder] = r
		}
	}
	all := slices.SortedFunc(maps.Values(most), func(a, b *record) int {
		return cmp.Or(cmp.Compare(b.elements, a.elements), cmp.Compare(a.log, b.log), cmp.Compare(a.index, b.index))
	})
	for i, r := range all {
		if i+1 >= d.threshold(r.version) {
			return r
		}
	}
	return nil
}

func (s *state) addRenewed(one renewed) {
	i, found := slices.BinarySearchFunc(s.Renewed, one, byStateAndEpoch)
	if !found {
		s.Renewed = slices.Insert(s.Renewed, i, renewed{State: one.State, Epoch: one.Epoch})
	}
	s.Renewed[i].Evaluated += one.Evaluated
	s.Renewed[i].Published += one.Published
}

// judgeRenewed names the states that had more evaluated in a rotation than cut off
// batches explain, and again when as much has come to it. A hub that has nothing of what
// it is brought, or says that it has it already, makes a state appear so, whose ledger
// then says of as many tickets that they were abandoned: it stands beside the state.
func (r *run) judgeRenewed() {
	for i := range r.before.Renewed {
		n := &r.before.Renewed[i]
		surplus, spare := n.Evaluated-n.Published, max(n.Published/spareOneIn, spareAtLeast)
		if surplus <= n.Reported+spare {
			continue
		}
		n.Reported = surplus
		r.findf(RepublishSurplus, n.State, map[string]string{"epoch": strconv.FormatUint(uint64(n.Epoch), 10), "or": r.hubName(),
			"evaluated": strconv.FormatInt(n.Evaluated, 10), "published": strconv.FormatInt(n.Published, 10)},
			"it had %d records evaluated to publish them once more, and published %d of them: %d evaluations are of nobody's record", n.Evaluated, n.Published, surplus)
	}
}
