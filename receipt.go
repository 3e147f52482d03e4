package waypost

import (
	"bytes"
	"crypto/ed25519"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// Action is what a role did under a ticket and committed to its ledger.
type Action string

const (
	ActionEvaluate     Action = "evaluate"      // a key holder raised the elements to its share
	ActionSearchFirst  Action = "search_first"  // the hub looked up the name and date tokens
	ActionSearchSecond Action = "search_second" // the hub looked up the rest
	ActionPublish      Action = "publish"       // the hub wrote pointers

	// ActionChangeSOR and those below: the hub did what a ticket of the kind of
	// the same name asks for.
	ActionChangeSOR Action = "change_state_of_record"
	ActionWithdraw  Action = "withdraw"
	ActionActivate  Action = "activate"
	ActionCompare   Action = "compare"
	ActionLeave     Action = "leave"
)

const receiptDomain = "waypost receipt v1\n"

// Receipt is a role's signed promise that one action stands in its ledger: the
// leaf numbered Sequence of the log Origin must be in a checkpoint by
// Deadline. A receipt without its leaf proves misconduct offline.
type Receipt struct {
	Action   Action
	Signer   string // roster name, like "keyholder-1" or "hub"
	Ticket   TicketID
	Epoch    uint32
	Inputs   [32]byte // for evaluate and without elements: the ticket's Probes; for the hub: SHA-256 of the tokens
	Outputs  [32]byte // SHA-256 of what was returned
	Proof    [32]byte // SHA-256 of the DLEQ proof, zero at the hub
	Origin   string   // name of the log
	Sequence uint64   // dense leaf index
	Deadline time.Time
}

// SignedReceipt is a receipt with the exact bytes that were signed.
type SignedReceipt struct {
	Receipt
	payload   []byte
	signature []byte
}

// Sign encodes the receipt canonically and signs it with the signer's identity
// key. Deadline is cut to seconds.
func (r Receipt) Sign(identity ed25519.PrivateKey) (SignedReceipt, error) {
	r.Deadline = r.Deadline.UTC().Truncate(time.Second)
	payload, err := r.marshal()
	if err != nil {
		return SignedReceipt{}, err
	}
	return SignedReceipt{Receipt: r, payload: payload, signature: ed25519.Sign(identity, payload)}, nil
}

// Bytes returns the wire form: payload, then the 64-byte signature.
func (s SignedReceipt) Bytes() []byte {
	return joinSignature(s.payload, s.signature)
}

// ParseReceipt decodes the wire form strictly, without checking the signature.
func ParseReceipt(b []byte) (SignedReceipt, error) {
	bad := Errorf(InvalidArgument, "the receipt is not well formed")
	payload, signature, ok := cutSignature(b)
	if !ok {
		return SignedReceipt{}, bad
	}
	r, ok := unmarshalReceipt(payload)
	if !ok {
		return SignedReceipt{}, bad
	}
	again, err := r.marshal()
	if err != nil || !bytes.Equal(again, payload) {
		return SignedReceipt{}, bad
	}
	return SignedReceipt{Receipt: r, payload: payload, signature: signature}, nil
}

// Place is where the leaf must appear, as ledgers cite it: "hub/1:77" for leaf
// 77 of the log "<domain>/hub/1". A receipt that names another member's log than
// its signer's has none, nor one that names a place no log has: instances are 1
// to 999, and a log has at most 2^48 leaves.
func (r Receipt) Place() (string, error) {
	parts := strings.Split(r.Origin, "/")
	n := len(parts)
	if n < 3 || parts[n-2] != r.Signer {
		return "", Errorf(PermissionDenied, "a receipt of %q names the log of somebody else", r.Signer)
	}
	instance, err := strconv.Atoi(parts[n-1])
	if err != nil || instance < 1 || instance > 999 || parts[n-1] != strconv.Itoa(instance) || r.Sequence >= 1<<48 {
		return "", Errorf(PermissionDenied, "a receipt of %q names a leaf that no log has", r.Signer)
	}
	return r.Signer + "/" + parts[n-1] + ":" + strconv.FormatUint(r.Sequence, 10), nil
}

// promiseSkew is how far the clock of a receipt's signer may be ahead.
const promiseSkew = 5 * time.Minute

// CheckPromise judges a receipt that was given at the time now by a member that
// must publish within delay: what it promises has a place and falls due soon.
// Otherwise nobody could ever follow it to its leaf.
func (r Receipt) CheckPromise(now time.Time, delay time.Duration) error {
	if r.Deadline.After(now.Add(delay + promiseSkew)) {
		return Errorf(PermissionDenied, "a receipt of %q promises its leaf for much later than it must be there", r.Signer)
	}
	_, err := r.Place()
	return err
}

// Verify checks the signature.
func (s SignedReceipt) Verify(identity ed25519.PublicKey) error {
	if !ed25519.Verify(identity, s.payload, s.signature) {
		return Errorf(PermissionDenied, "the receipt is not signed by %q", s.Signer)
	}
	return nil
}

// check refuses what has no place in any receipt.
func (r Receipt) check() error {
	switch {
	case !isWord(string(r.Action)):
		return Errorf(InvalidArgument, "the action of a receipt is a word in lower case")
	case !isPrintable(r.Signer, 32):
		return Errorf(InvalidArgument, "the signer of a receipt is named as in the roster")
	case !isPrintable(r.Origin, 255):
		return Errorf(InvalidArgument, "the origin of a log is up to 255 printable characters without spaces")
	case r.Deadline.Unix() <= 0 || r.Deadline.Unix() > lastSecond:
		return Errorf(InvalidArgument, "a receipt says by when its leaf is published")
	}
	return nil
}

func (r Receipt) marshal() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 384))
	b.AddBytes([]byte(receiptDomain))
	addString(b, string(r.Action))
	addString(b, r.Signer)
	b.AddBytes(r.Ticket[:])
	b.AddUint32(r.Epoch)
	b.AddBytes(r.Inputs[:])
	b.AddBytes(r.Outputs[:])
	b.AddBytes(r.Proof[:])
	addString(b, r.Origin)
	b.AddUint64(r.Sequence)
	b.AddUint64(uint64(r.Deadline.Unix()))
	return b.Bytes()
}

func unmarshalReceipt(payload []byte) (r Receipt, ok bool) {
	s := cryptobyte.String(payload)
	var action string
	var deadline uint64
	ok = readDomain(&s, receiptDomain) &&
		readString(&s, &action) &&
		readString(&s, &r.Signer) &&
		s.CopyBytes(r.Ticket[:]) &&
		s.ReadUint32(&r.Epoch) &&
		s.CopyBytes(r.Inputs[:]) &&
		s.CopyBytes(r.Outputs[:]) &&
		s.CopyBytes(r.Proof[:]) &&
		readString(&s, &r.Origin) &&
		s.ReadUint64(&r.Sequence) &&
		s.ReadUint64(&deadline) &&
		s.Empty()
	r.Action = Action(action)
	r.Deadline = time.Unix(int64(deadline), 0).UTC()
	return r, ok
}
