package waypost_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost"
)

// hexBytes is a byte string that stands in hex in a vector file.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func (h hexBytes) array32() [32]byte { return [32]byte(h) }

type vectors struct {
	Seed          hexBytes
	PublicKey     hexBytes `json:"public_key"`
	Operator      hexBytes
	Nonce         hexBytes
	Tau           hexBytes
	Elements      hexBytes
	Probes        hexBytes
	CaseSalt      hexBytes `json:"case_salt"`
	CaseReference string   `json:"case_reference"`
	Case          hexBytes
	Tickets       []struct {
		Kind          waypost.Kind
		RosterVersion uint64 `json:"roster_version"`
		Epoch         uint32
		Environment   waypost.Environment
		SOI           waypost.Jurisdiction
		Class         waypost.OperatorClass
		Purpose       waypost.Purpose
		Cites         hexBytes
		IssuedAtMS    int64 `json:"issued_at_ms"`
		Elements      int
		ID, Wire      hexBytes
	}
	Receipts []struct {
		Action         waypost.Action
		Signer         string
		Ticket         hexBytes
		Epoch          uint32
		Outputs, Proof hexBytes
		Origin         string
		Sequence       uint64
		Deadline       int64
		Wire           hexBytes
	}
	Releases []struct {
		RosterVersion uint64 `json:"roster_version"`
		Environment   waypost.Environment
		Change        hexBytes
		From, To      waypost.Jurisdiction
		Expires       int64
		Passings      []struct{ Old, New hexBytes }
		Wire          hexBytes
	}
	Candidates []struct {
		Ticket    hexBytes
		TooMany   bool `json:"too_many"`
		Unreached int
		List      []struct {
			Reference hexBytes
			Owner     waypost.Jurisdiction
		}
		Wire hexBytes
	}
	Tokens struct{ Searched, Hash hexBytes }
	Token  struct {
		Epoch                      uint32
		Output, Token, Ticket, Tag hexBytes
	}
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	raw, err := os.ReadFile("spec/vectors/signed.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v vectors) ticket(i int) waypost.Ticket {
	x := v.Tickets[i]
	return waypost.Ticket{
		Kind: x.Kind, RosterVersion: x.RosterVersion, Epoch: x.Epoch, Environment: x.Environment, SOI: x.SOI,
		Operator: v.Operator.array32(), Class: x.Class, Purpose: x.Purpose, Case: v.Case.array32(),
		Cites: waypost.TicketID(x.Cites), IssuedAt: time.UnixMilli(x.IssuedAtMS).UTC(), Nonce: [16]byte(v.Nonce),
		Elements: x.Elements, Probes: v.Probes.array32(), Tau: v.Tau.array32(),
	}
}

func (v vectors) receipt(i int) waypost.Receipt {
	x := v.Receipts[i]
	return waypost.Receipt{
		Action: x.Action, Signer: x.Signer, Ticket: waypost.TicketID(x.Ticket), Epoch: x.Epoch, Inputs: v.Probes.array32(),
		Outputs: x.Outputs.array32(), Proof: x.Proof.array32(), Origin: x.Origin, Sequence: x.Sequence, Deadline: time.Unix(x.Deadline, 0).UTC(),
	}
}

// The vectors were made by another implementation, see spec/vectors/signed.py.
func TestVectors(t *testing.T) {
	v := readVectors(t)
	key := ed25519.NewKeyFromSeed(v.Seed)
	public := ed25519.PublicKey(v.PublicKey)

	for i, x := range v.Tickets {
		signed, err := v.ticket(i).Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		sameHex(t, "ticket", signed.Bytes(), x.Wire)
		sameHex(t, "ticket id", signed.ID[:], x.ID)
		parsed, err := waypost.ParseTicket(x.Wire)
		if err != nil || parsed.Verify(public) != nil {
			t.Fatalf("ticket %d: %v, %v", i, err, parsed.Verify(public))
		}
		if d := cmp.Diff(v.ticket(i), parsed.Ticket); d != "" {
			t.Error(d)
		}
	}
	for i, x := range v.Receipts {
		signed, err := v.receipt(i).Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		sameHex(t, "receipt", signed.Bytes(), x.Wire)
		parsed, err := waypost.ParseReceipt(x.Wire)
		if err != nil || parsed.Verify(public) != nil || parsed.Receipt != v.receipt(i) {
			t.Errorf("receipt %d: %v, %+v", i, err, parsed.Receipt)
		}
	}
	for _, x := range v.Candidates {
		want := waypost.Candidates{Ticket: waypost.TicketID(x.Ticket), TooMany: x.TooMany, Unreached: x.Unreached}
		for _, one := range x.List {
			want.List = append(want.List, waypost.Candidate{Reference: waypost.Reference(one.Reference), Owner: one.Owner})
		}
		sameHex(t, "candidates", want.Bytes(), x.Wire)
		got, err := waypost.ParseCandidates(x.Wire)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Error(err, d)
		}
	}
}

func TestHashVectors(t *testing.T) {
	v := readVectors(t)
	probes := waypost.HashProbes(v.Elements)
	sameHex(t, "probes", probes[:], v.Probes)
	commitment := waypost.CommitCase(v.CaseSalt.array32(), v.CaseReference)
	sameHex(t, "case", commitment[:], v.Case)
	tokens := waypost.HashTokens(v.Tokens.Searched)
	sameHex(t, "tokens", tokens[:], v.Tokens.Hash)
	outputs := waypost.HashOutputs(waypost.ActionEvaluate, v.Elements)
	sameHex(t, "outputs", outputs[:], v.Receipts[0].Outputs)
	token := waypost.NewToken(v.Token.Epoch, v.Token.Output)
	sameHex(t, "token", token[:], v.Token.Token)
	tag := waypost.NewTag(token, waypost.TicketID(v.Token.Ticket))
	sameHex(t, "tag", tag[:], v.Token.Tag)
}

func sameHex(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if hex.EncodeToString(got) != hex.EncodeToString(want) {
		t.Errorf("%s:\n got %x\nwant %x", what, got, want)
	}
}
