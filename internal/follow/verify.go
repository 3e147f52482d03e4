package follow

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// Verify judges the evidence offline: from itself and from the governance that
// the verifier trusts, without a clock or a connection. It returns the name of
// who did what the claim says, or why nothing is shown.
func (e *Evidence) Verify(trusted roster.Governance) (member string, err error) {
	list, err := checkRosters(e.Roster, trusted)
	if err != nil {
		return "", err
	}
	proof, err := e.hashes()
	if err != nil {
		return "", err
	}
	switch e.Claim {
	case ReceiptWithoutLeaf:
		err = e.receiptWithoutLeaf(list, proof)
	case Fork:
		err = e.fork(list, proof)
	case Rollback:
		err = e.rollback(list)
	default:
		err = unproven("the claim is not one that is known here")
	}
	if err != nil {
		return "", err
	}
	return e.Member, nil
}

// promise is a receipt together with its ticket, verified under the roster
// that the ticket names.
type promise struct {
	ticket  waypost.SignedTicket
	receipt waypost.SignedReceipt
	role    roster.Role // of the signer
}

// tag returns what the leaf that was promised begins with.
func (p promise) tag() [32]byte {
	return translog.Tag(p.ticket.Tau, string(p.role), p.receipt.Origin, string(p.receipt.Action), 0)
}

// overdue reports whether a checkpoint that ends before the promised leaf, and
// was cosigned at the time given, breaks the promise. Clocks of honest members
// differ a little.
func (p promise) overdue(cosigned time.Time) bool {
	return cosigned.After(p.receipt.Deadline.Add(waypost.ClockSkew))
}

// signerRole is the role that makes receipts for the action.
func signerRole(a waypost.Action) (roster.Role, bool) {
	switch a {
	case waypost.ActionEvaluate:
		return roster.KeyHolder, true
	case waypost.ActionSearchFirst, waypost.ActionSearchSecond, waypost.ActionPublish, waypost.ActionChangeSOR,
		waypost.ActionWithdraw, waypost.ActionActivate, waypost.ActionCompare, waypost.ActionLeave:
		return roster.Hub, true
	}
	return "", false
}

// parsePromise decodes a ticket and a receipt without verifying a signature.
func parsePromise(ticket, receipt []byte) (promise, error) {
	t, receipts, err := waypost.ParseChain(ticket, [][]byte{receipt})
	if err != nil {
		return promise{}, err
	}
	p := promise{ticket: t, receipt: receipts[0]}
	var known bool
	switch p.role, known = signerRole(p.receipt.Action); {
	case !known:
		return p, unproven("the receipt is for an action that is not known here")
	case p.receipt.Ticket != t.ID:
		return p, unproven("the receipt is for another ticket")
	}
	_, err = p.receipt.Place()
	return p, err
}

func (p promise) verify(r *roster.Roster) error {
	soi, ok := r.Member(string(p.ticket.SOI))
	if !ok || soi.Role != roster.Gateway {
		return unproven("the ticket's state is not in roster version %d", r.Version)
	}
	if p.ticket.Environment != r.Environment {
		return unproven("the ticket is for the %s environment, the roster for %s", p.ticket.Environment, r.Environment)
	}
	if err := p.ticket.Verify(soi.Identity); err != nil {
		return err
	}
	signer, ok := r.Member(p.receipt.Signer)
	if !ok || signer.Role != p.role {
		return unproven("the receipt's signer is not in roster version %d in that role", r.Version)
	}
	return p.receipt.Verify(signer.Identity)
}

func (e *Evidence) receiptWithoutLeaf(list rosters, proof []tlog.Hash) error {
	p, err := parsePromise(e.Ticket, e.Receipt)
	if err != nil {
		return err
	}
	named, err := list.version(p.ticket.RosterVersion)
	if err != nil {
		return err
	}
	if err := p.verify(named); err != nil {
		return err
	}
	if e.Member != p.receipt.Signer || e.Other != "" || len(e.Prefix) > 0 {
		return unproven("the evidence says something that its receipt does not")
	}
	cp, policy, err := list.witnessed(e.Member, p.receipt.Origin, e.Checkpoint)
	if err != nil {
		return err
	}
	index := int64(p.receipt.Sequence)
	if cp.N > index {
		return e.otherLeaf(p, cp, proof)
	}
	switch {
	case len(e.Leaf) > 0 || len(proof) > 0:
		return unproven("the log ends before the leaf that is shown")
	case !p.overdue(cp.Cosigned):
		return unproven("the log had %d leaves at %s, when leaf %d was not due yet", cp.N, clock(cp.Cosigned), index)
	case !decisive(policy):
		return unproven("under this roster two sets of witnesses can do without each other: that the log was short late proves nothing")
	}
	return nil
}

// otherLeaf: another leaf stands where the promised one should.
func (e *Evidence) otherLeaf(p promise, cp translog.Checkpoint, proof []tlog.Hash) error {
	index := int64(p.receipt.Sequence)
	if err := translog.CheckLeaf(cp, index, e.Leaf, proof); err != nil {
		return unproven("the leaf that is shown is not leaf %d of the log", index).WithCause(err)
	}
	if tag := p.tag(); bytes.HasPrefix(e.Leaf, tag[:]) {
		return unproven("leaf %d is the one that was promised", index)
	}
	return nil
}

// fork: the log's key signed two checkpoints, and the tree of the first does
// not begin with that of the other. Whether a witness cosigned them does not
// matter. A proof of consistency for another root of the smaller size, which
// the larger tree alone can give, shows what the smaller one should have been.
func (e *Evidence) fork(list rosters, proof []tlog.Hash) error {
	if len(e.Ticket)+len(e.Receipt)+len(e.Leaf) > 0 {
		return unproven("the evidence says something that its checkpoints do not")
	}
	newer, err := list.signedBy(e.Member, e.Checkpoint)
	if err != nil {
		return err
	}
	older, err := list.signedBy(e.Member, e.Other)
	if err != nil {
		return err
	}
	switch {
	case older.Origin != newer.Origin:
		return unproven("the checkpoints are of two logs")
	case older.N > newer.N || older.N == 0:
		return unproven("the checkpoints are not in order")
	case older.N == newer.N:
		if older.Hash == newer.Hash || len(proof)+len(e.Prefix) > 0 {
			return unproven("the checkpoints do not contradict each other")
		}
		return nil
	case len(e.Prefix) != tlog.HashSize || tlog.Hash(e.Prefix) == older.Hash:
		return unproven("the checkpoints do not contradict each other")
	}
	if err := tlog.CheckTree(proof, newer.N, newer.Hash, older.N, tlog.Hash(e.Prefix)); err != nil {
		return unproven("what the longer log began with is not proved").WithCause(err)
	}
	return nil
}

// rollback: one witness cosigned the longer checkpoint, and the shorter one
// afterwards.
func (e *Evidence) rollback(list rosters) error {
	if len(e.Ticket)+len(e.Receipt)+len(e.Leaf)+len(e.Proof)+len(e.Prefix) > 0 {
		return unproven("the evidence says something that its checkpoints do not")
	}
	origin, _, _ := strings.Cut(e.Checkpoint, "\n")
	owner, err := ownerOf(origin)
	if err != nil {
		return err
	}
	err = error(unproven("%.80q names no witness of the rosters", e.Member))
	for _, r := range list {
		for _, w := range allWitnesses(r) {
			if w.member != e.Member {
				continue
			}
			if err = wentBack(list, owner, e.Checkpoint, e.Other, w.Verifier); err == nil {
				return nil
			}
		}
	}
	return err
}

func wentBack(list rosters, owner, shorter, longer string, w note.Verifier) error {
	after, err := list.signedBy(owner, shorter, w)
	if err != nil {
		return err
	}
	before, err := list.signedBy(owner, longer, w)
	if err != nil {
		return err
	}
	if after.Origin != before.Origin || after.N >= before.N || !after.Cosigned.After(before.Cosigned) {
		return unproven("the cosignatures are in order")
	}
	return nil
}

// witness is a verifier of cosignatures, and who answers for it: a member, or
// the name of a key outside.
type witness struct {
	note.Verifier
	member string
}

func allWitnesses(r *roster.Roster) (all []witness) {
	for _, h := range r.KeyHolders() {
		if len(h.WitnessKey) == 0 {
			continue
		}
		if v, err := translog.WitnessVerifier(translog.WitnessKey(roster.WitnessName(h.Name), h.WitnessKey)); err == nil {
			all = append(all, witness{v, h.Name})
		}
	}
	for _, w := range r.Witnesses {
		if v, err := translog.WitnessVerifier(w.Key); err == nil {
			all = append(all, witness{v, v.Name()})
		}
	}
	return all
}

// ownerOf returns the member whose log the origin names.
func ownerOf(origin string) (string, error) {
	parts := strings.Split(origin, "/")
	if len(parts) < 3 {
		return "", unproven("%.80q is not the name of a log", origin)
	}
	member := parts[len(parts)-2]
	_, _, err := splitOrigin(origin, member)
	return member, err
}

// Words says what the evidence claims, for people. Verify says whether it
// holds.
func (e *Evidence) Words() string {
	origin, rest, _ := strings.Cut(e.Checkpoint, "\n")
	size, _, _ := strings.Cut(rest, "\n")
	_, other, _ := strings.Cut(e.Other, "\n")
	otherSize, _, _ := strings.Cut(other, "\n")
	switch e.Claim {
	case Fork:
		return fmt.Sprintf("%s signed two checkpoints of %s, for %s and for %s entries, that contradict each other", e.Member, origin, otherSize, size)
	case Rollback:
		return fmt.Sprintf("the witness of %s cosigned %s at %s entries after it had cosigned it at %s", e.Member, origin, size, otherSize)
	}
	p, err := parsePromise(e.Ticket, e.Receipt)
	if err != nil {
		return "a receipt that cannot be read"
	}
	promised := fmt.Sprintf("%s signed that its action %s under ticket %s is leaf %d of %s by %s",
		e.Member, p.receipt.Action, p.ticket.ID, p.receipt.Sequence, p.receipt.Origin, clock(p.receipt.Deadline))
	if len(e.Leaf) == 0 {
		return fmt.Sprintf("%s; the log had only %s leaves when it was cosigned after that", promised, size)
	}
	return promised + "; another leaf stands there"
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// cosignedAt returns when the verified note was cosigned by w.
func cosignedAt(signed []byte, w note.Verifier) (time.Time, error) {
	n, err := note.Open(signed, note.VerifierList(w))
	if err != nil {
		return time.Time{}, err
	}
	if len(n.Sigs) == 0 {
		return time.Time{}, errors.New("not cosigned")
	}
	at, err := torchwood.CosignatureTimestamp(n.Sigs[0])
	return time.Unix(at, 0).UTC(), err
}
