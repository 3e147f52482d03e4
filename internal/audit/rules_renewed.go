package audit

import (
	"cmp"
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

// renewed is what a state had evaluated for publishing once more and what it published
// of that, in records, over all tickets that can have no further entries.
type renewed struct {
	State     string `json:"state"`
	Evaluated int64  `json:"evaluated"`
	Published int64  `json:"published"`
	Reported  int64  `json:"reported,omitempty"` // the surplus of which there was a finding
}

// tallyRenewed counts a ticket under which records are published once more. One that
// the hub may have had and has erased since, or of which its ledger is not there, is
// left out.
func (d *dossier) tallyRenewed() {
	i := slices.IndexFunc(d.records, func(r *record) bool { return r.kind == kindEvaluate && r.republish })
	if d.soi == noMember || i < 0 {
		return
	}
	for _, l := range d.logs {
		if l != nil && l.member.Role == roster.Hub && (l.lost || d.issued <= l.kept.DarkUntil) {
			return
		}
	}
	one := renewed{State: d.names.nameOf(d.soi), Evaluated: int64(d.records[i].elements / waypost.RecordElements)}
	for _, p := range d.of(kindPublish) {
		one.Published = max(one.Published, int64(p.count))
	}
	d.renewals.Lock()
	defer d.renewals.Unlock()
	d.before.addRenewed(one)
}

func (s *state) addRenewed(one renewed) {
	i, found := slices.BinarySearchFunc(s.Renewed, one, func(a, b renewed) int { return cmp.Compare(a.State, b.State) })
	if !found {
		s.Renewed = slices.Insert(s.Renewed, i, renewed{State: one.State})
	}
	s.Renewed[i].Evaluated += one.Evaluated
	s.Renewed[i].Published += one.Published
}

// judgeRenewed names the states that had more evaluated than cut off batches explain,
// and again when as much has come to it.
func (r *run) judgeRenewed() {
	for i := range r.before.Renewed {
		n := &r.before.Renewed[i]
		surplus, spare := n.Evaluated-n.Published, max(n.Published/spareOneIn, spareAtLeast)
		if surplus <= n.Reported+spare {
			continue
		}
		n.Reported = surplus
		r.findf(RepublishSurplus, n.State, map[string]string{"evaluated": strconv.FormatInt(n.Evaluated, 10), "published": strconv.FormatInt(n.Published, 10)},
			"it had %d records evaluated to publish them once more, and published %d of them: %d evaluations are of nobody's record", n.Evaluated, n.Published, surplus)
	}
}
