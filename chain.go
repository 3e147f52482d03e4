package waypost

import (
	"crypto/ed25519"
	"slices"
	"strings"
)

// Authority is what a verifier must know of the roster. Keys are looked up by
// the roster version that the ticket names, so that a stored message still
// verifies after the roster was re-signed.
type Authority interface {
	// Environment is the one that the verifier serves.
	Environment() Environment
	// StateKey returns the identity key of a member state.
	StateKey(rosterVersion uint64, j Jurisdiction) (ed25519.PublicKey, error)
	// HolderKey returns the identity key of a key holder.
	HolderKey(rosterVersion uint64, name string) (ed25519.PublicKey, error)
	// Threshold is how many key holders must have evaluated (t).
	Threshold(rosterVersion uint64) (int, error)
}

// VerifyChain checks the chain of authorisation of one ticket: the state of
// inquiry's signature, then valid receipts over the same ticket, inputs, and
// epoch from at least t distinct key holders of the roster. It returns the
// first thing that is wrong. Freshness is judged by the key holders alone.
func VerifyChain(t SignedTicket, receipts []SignedReceipt, a Authority) error {
	if t.Environment != a.Environment() {
		return Errorf(PermissionDenied, "the ticket is for the %s environment, this is %s", t.Environment, a.Environment())
	}
	stateKey, err := a.StateKey(t.RosterVersion, t.SOI)
	if err != nil {
		return err
	}
	if err := t.Verify(stateKey); err != nil {
		return err
	}
	need, err := a.Threshold(t.RosterVersion)
	if err != nil {
		return err
	}
	signers := make(map[string]bool, len(receipts))
	for _, r := range receipts {
		if err := verifyLink(t, r, a); err != nil {
			return err
		}
		if signers[r.Signer] {
			return Errorf(PermissionDenied, "two receipts come from the same key holder %q", r.Signer)
		}
		signers[r.Signer] = true
	}
	if len(signers) < need {
		return Errorf(PermissionDenied, "the ticket has receipts from %d key holders, %d are needed", len(signers), need)
	}
	return nil
}

// MaxReceipts bounds how many receipts a chain may bring.
const MaxReceipts = 32

func verifyLink(t SignedTicket, r SignedReceipt, a Authority) error {
	if r.Action != ActionEvaluate || r.Ticket != t.ID || r.Epoch != t.Epoch || r.Inputs != t.Probes {
		return Errorf(PermissionDenied, "a receipt from %q belongs to another ticket", r.Signer)
	}
	key, err := a.HolderKey(t.RosterVersion, r.Signer)
	if err != nil {
		return err
	}
	if err := r.Verify(key); err != nil {
		return err
	}
	_, err = r.Place()
	return err
}

// Places are where the leaves of receipts must appear, sorted and separated by
// spaces, as ledgers cite them. The receipts were verified with VerifyChain.
func Places(receipts ...SignedReceipt) string {
	places := make([]string, 0, len(receipts))
	for _, r := range receipts {
		if place, err := r.Place(); err == nil {
			places = append(places, place)
		}
	}
	slices.Sort(places)
	return strings.Join(places, " ")
}

// ParseChain decodes a ticket and its receipts from their wire forms.
func ParseChain(ticket []byte, receipts [][]byte) (SignedTicket, []SignedReceipt, error) {
	t, err := ParseTicket(ticket)
	if err != nil {
		return SignedTicket{}, nil, err
	}
	if len(receipts) > MaxReceipts {
		return SignedTicket{}, nil, Errorf(InvalidArgument, "a ticket cannot bring more than %d receipts", MaxReceipts)
	}
	signed := make([]SignedReceipt, len(receipts))
	for i, raw := range receipts {
		if signed[i], err = ParseReceipt(raw); err != nil {
			return SignedTicket{}, nil, err
		}
	}
	return t, signed, nil
}
