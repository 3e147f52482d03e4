package policy

import (
	"slices"

	"github.com/waypost/waypost"
)

// TerminationRequired says whether a card held at the state of record must be
// terminated before the asking state may issue for the given purpose. It is
// the value that a match carries as termination_required; realID and the card's
// class are known to the state of record only and never travel themselves.
//
//   - Nothing is being issued (duplicate_resolution, post_conviction, ...): no.
//   - The card is no longer in force (surrendered, expired, revoked, closed): no.
//     A suspended licence, and a disqualified commercial one, are still held.
//   - A licence, commercial licence or permit: yes. One person holds one
//     licence (6 CFR 37.29(b); for commercial drivers 49 CFR 383.21; the Driver
//     License Compact, article V(3): "currently in force").
//   - An ID card: only where it is a REAL ID and a REAL ID is being issued. An
//     individual may hold only one REAL ID card (6 CFR 37.29(a) to (c)).
func TerminationRequired(purpose waypost.Purpose, kind waypost.CardKind, status waypost.Status, realID bool) bool {
	issuing := slices.Contains([]waypost.Purpose{waypost.IssueLicence, waypost.IssuePermit,
		waypost.IssueID, waypost.IssueRealID, waypost.Renew}, purpose)
	held := slices.Contains([]waypost.Status{waypost.Valid, waypost.Suspended, waypost.Disqualified}, status)
	if !issuing || !held {
		return false
	}
	if kind == waypost.IDCard {
		return realID && purpose == waypost.IssueRealID
	}
	return true
}
