package follow

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
)

// Claim is what evidence shows.
type Claim string

const (
	// ReceiptWithoutLeaf: the member signed that a leaf would stand in its
	// ledger, and it does not.
	ReceiptWithoutLeaf Claim = "receipt_without_leaf"
	// Fork: the member signed two checkpoints that no one log can have.
	Fork Claim = "fork"
	// Rollback: the witness of the member cosigned a checkpoint after it had
	// cosigned a longer one of the same log. The log itself cannot be accused
	// by this: anybody can show a witness an old checkpoint again.
	Rollback Claim = "rollback"
)

const (
	evidenceType = "waypost evidence v1"
	idDomain     = "waypost evidence id v1"
	// MaxEvidence is the largest evidence in bytes. Most of it is rosters.
	MaxEvidence = 16 << 20
	maxProof    = 64 // hashes in a proof: a log has less than 2^63 leaves
)

// Evidence shows to anybody who has the governance keys, and nothing else,
// that a member did what it must not do. See [Evidence.Verify].
type Evidence struct {
	Type   string `json:"type"` // "waypost evidence v1"
	Claim  Claim  `json:"claim"`
	Member string `json:"member"` // who did it; for a rollback an outside witness may be named by its key
	// Roster holds signed rosters in order of version without a gap. The first
	// is signed by the governance that the verifier trusts, the last was in
	// force when the checkpoint was read.
	Roster     [][]byte `json:"roster"`
	Ticket     []byte   `json:"ticket"`  // wire form; of a receipt_without_leaf
	Receipt    []byte   `json:"receipt"` // wire form; of a receipt_without_leaf
	Checkpoint string   `json:"checkpoint"`
	Leaf       []byte   `json:"leaf"`            // at the receipt's place, or empty where the log ends before it
	Proof      [][]byte `json:"proof"`           // of Leaf in Checkpoint; of a fork, of Prefix in Checkpoint
	Other      string   `json:"other,omitempty"` // checkpoint; of a fork the shorter one, of a rollback the longer one
	// Prefix is the root of the log of Checkpoint at the size of Other; where
	// the sizes are equal it is not needed.
	Prefix []byte `json:"prefix,omitempty"`
}

// Marshal returns the one encoding that Parse accepts: JSON without white
// space, the members in order.
func (e *Evidence) Marshal() ([]byte, error) {
	full := *e
	full.Ticket, full.Receipt, full.Leaf = present(e.Ticket), present(e.Receipt), present(e.Leaf)
	full.Roster, full.Proof = presents(e.Roster), presents(e.Proof)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(&full); err != nil {
		return nil, fmt.Errorf("follow: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// present makes an absent value an empty one: JSON would say null.
func present(b []byte) []byte { return append([]byte{}, b...) }

func presents(list [][]byte) [][]byte {
	full := make([][]byte, len(list))
	for i, b := range list {
		full[i] = present(b)
	}
	return full
}

// Parse reads evidence strictly: what Marshal would write otherwise is refused.
// It says nothing about whether the evidence holds.
func Parse(b []byte) (*Evidence, error) {
	if len(b) > MaxEvidence {
		return nil, unproven("the evidence is larger than %d bytes", MaxEvidence)
	}
	var e Evidence
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		return nil, unproven("the evidence is not the JSON that it must be").WithCause(err)
	}
	switch again, err := e.Marshal(); {
	case err != nil:
		return nil, err
	case !bytes.Equal(again, b):
		return nil, unproven("the evidence is not in its canonical form")
	case e.Type != evidenceType:
		return nil, unproven("this is not %s", evidenceType)
	case !slices.Contains([]Claim{ReceiptWithoutLeaf, Fork, Rollback}, e.Claim):
		return nil, unproven("the claim is not one that is known here")
	case len(e.Proof) > maxProof || len(e.Roster) > maxRosters:
		return nil, unproven("the evidence is longer than any can be")
	}
	return &e, nil
}

// ID returns the 32 hex digits that name the evidence: it depends on what is
// shown, not on how, so that the same is not said twice.
func (e *Evidence) ID() string {
	subject := e.Receipt
	if e.Claim != ReceiptWithoutLeaf {
		origin, _, _ := bytes.Cut([]byte(e.Checkpoint), []byte("\n"))
		subject = origin
	}
	h := sha256.New()
	for _, part := range [][]byte{[]byte(idDomain), []byte(e.Claim), []byte(e.Member), subject} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		h.Write(part)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Path returns the object of a log that holds the evidence.
func (e *Evidence) Path() string { return "evidence/" + e.ID() + ".json" }

// hashes decodes the proof.
func (e *Evidence) hashes() ([]tlog.Hash, error) {
	proof := make([]tlog.Hash, len(e.Proof))
	for i, b := range e.Proof {
		if len(b) != tlog.HashSize {
			return nil, unproven("the proof is not a list of hashes")
		}
		proof[i] = tlog.Hash(b)
	}
	return proof, nil
}

func setProof(proof []tlog.Hash) [][]byte {
	list := make([][]byte, len(proof))
	for i, h := range proof {
		list[i] = h[:]
	}
	return list
}

// unproven says why evidence shows nothing.
func unproven(format string, args ...any) *waypost.Error {
	return waypost.Errorf(waypost.InvalidArgument, format, args...)
}
