package waypost_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost"
)

// book is a roster in which each holder's key is made from its number.
type book struct {
	holders, threshold int
	environment        waypost.Environment
}

func holderKey(i int) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(100 + i)}, 32))
}

func (b book) Environment() waypost.Environment { return b.environment }

func (b book) version(v uint64) error {
	if v != 1 {
		return waypost.Errorf(waypost.Unavailable, "roster version %d is not known here", v)
	}
	return nil
}

func (b book) StateKey(v uint64, j waypost.Jurisdiction) (ed25519.PublicKey, error) {
	if j != stateName {
		return nil, waypost.Errorf(waypost.PermissionDenied, "%s is not a member", j)
	}
	return publicOf(stateKey), b.version(v)
}

func (b book) HolderKey(v uint64, name string) (ed25519.PublicKey, error) {
	for i := range b.holders {
		if name == holderName(i) {
			return publicOf(holderKey(i)), b.version(v)
		}
	}
	return nil, waypost.Errorf(waypost.PermissionDenied, "not a key holder")
}

func (b book) Threshold(v uint64) (int, error) { return b.threshold, b.version(v) }

func holderName(i int) string { return fmt.Sprintf("keyholder-%d", i+1) }

func goodReceipt(t waypost.SignedTicket, i int) waypost.Receipt {
	return waypost.Receipt{
		Action: waypost.ActionEvaluate, Signer: holderName(i), Ticket: t.ID, Epoch: t.Epoch, Inputs: t.Probes,
		Outputs: [32]byte{byte(i)}, Proof: [32]byte{9}, Origin: "test/" + holderName(i) + "/1", Sequence: uint64(i), Deadline: time.Unix(1767225661, 0).UTC(),
	}
}

func sign(t testing.TB, r waypost.Receipt, key ed25519.PrivateKey) waypost.SignedReceipt {
	t.Helper()
	s, err := r.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestVerifyChain(t *testing.T) {
	authority := book{holders: 5, threshold: 3, environment: waypost.Test}
	ticket := signed(t, goodTicket())
	receipt := func(i int, changes ...func(*waypost.Receipt)) waypost.SignedReceipt {
		r := goodReceipt(ticket, i)
		for _, change := range changes {
			change(&r)
		}
		return sign(t, r, holderKey(i))
	}
	chain := func(receipts ...waypost.SignedReceipt) []waypost.SignedReceipt { return receipts }
	with := func(change func(*waypost.Receipt)) []waypost.SignedReceipt {
		return chain(receipt(0), receipt(1), receipt(2, change))
	}
	resigned := func(change func(*waypost.Ticket)) waypost.SignedTicket {
		other := goodTicket()
		change(&other)
		return signed(t, other)
	}
	// Receipts that follow a changed ticket, so that only the change is wrong.
	following := func(s waypost.SignedTicket) []waypost.SignedReceipt {
		var all []waypost.SignedReceipt
		for i := range 3 {
			all = append(all, sign(t, goodReceipt(s, i), holderKey(i)))
		}
		return all
	}
	forged, err := goodTicket().Sign(otherKey)
	if err != nil {
		t.Fatal(err)
	}
	prod := resigned(func(t *waypost.Ticket) { t.Environment = waypost.Prod })
	version2 := resigned(func(t *waypost.Ticket) { t.RosterVersion = 2 })
	stranger := resigned(func(t *waypost.Ticket) { t.SOI = "ZZ" })
	purpose := resigned(func(t *waypost.Ticket) { t.Purpose = "law_enforcement" })
	size := resigned(func(t *waypost.Ticket) { t.Elements = 33 })
	twin := resigned(func(t *waypost.Ticket) { t.Nonce = [16]byte{8} })

	for _, c := range []struct {
		name     string
		ticket   waypost.SignedTicket
		receipts []waypost.SignedReceipt
		code     waypost.Code
		words    string
	}{
		{"three", ticket, chain(receipt(0), receipt(1), receipt(2)), "", ""},
		{"another three, in any order", ticket, chain(receipt(4), receipt(0), receipt(2)), "", ""},
		{"all five", ticket, chain(receipt(0), receipt(1), receipt(2), receipt(3), receipt(4)), "", ""},
		{"none", ticket, nil, waypost.PermissionDenied, "from 0 key holders, 3 are needed"},
		{"two", ticket, chain(receipt(0), receipt(1)), waypost.PermissionDenied, "from 2 key holders, 3 are needed"},
		{"one of them twice", ticket, chain(receipt(0), receipt(1), receipt(1)), waypost.PermissionDenied, "two receipts come from the same"},
		{"one of them twice, in two receipts", ticket, chain(receipt(0), receipt(1), receipt(1, func(r *waypost.Receipt) { r.Sequence = 7 })),
			waypost.PermissionDenied, "two receipts come from the same"},
		{"three good and one of another ticket", ticket, append(following(ticket), sign(t, goodReceipt(twin, 3), holderKey(3))),
			waypost.PermissionDenied, "belongs to another ticket"},
		{"receipts of another ticket", ticket, following(twin), waypost.PermissionDenied, "belongs to another ticket"},
		{"a receipt for other inputs", ticket, with(func(r *waypost.Receipt) { r.Inputs[0]++ }), waypost.PermissionDenied, "belongs to another ticket"},
		{"a receipt of another epoch", ticket, with(func(r *waypost.Receipt) { r.Epoch++ }), waypost.PermissionDenied, "belongs to another ticket"},
		{"a receipt for another act", ticket, with(func(r *waypost.Receipt) { r.Action = waypost.ActionSearchFirst }), waypost.PermissionDenied, "belongs to another ticket"},
		{"a receipt in another's name", ticket, with(func(r *waypost.Receipt) { r.Signer = holderName(3) }), waypost.PermissionDenied, `not signed by "keyholder-4"`},
		{"a receipt of nobody", ticket, with(func(r *waypost.Receipt) { r.Signer = "hub" }), waypost.PermissionDenied, "not a key holder"},
		{"a state signs a receipt itself", ticket, chain(receipt(0), receipt(1), sign(t, goodReceipt(ticket, 2), stateKey)), waypost.PermissionDenied, "not signed by"},
		{"a forged ticket", forged, following(forged), waypost.PermissionDenied, "the ticket is not signed by AZ"},
		{"the other environment", prod, following(prod), waypost.PermissionDenied, "for the prod environment, this is test"},
		{"an unknown roster version", version2, following(version2), waypost.Unavailable, "roster version 2"},
		{"a state that is not a member", stranger, following(stranger), waypost.PermissionDenied, "ZZ is not a member"},
		{"a purpose that does not exist", purpose, following(purpose), waypost.PermissionDenied, "the purpose law_enforcement does not allow a check"},
		{"33 elements", size, following(size), waypost.InvalidArgument, "cannot carry 33 elements"},
	} {
		err := waypost.VerifyChain(c.ticket, c.receipts, authority)
		if waypost.CodeOf(err) != c.code || err != nil && !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v, want %s: %q", c.name, err, c.code, c.words)
		}
	}
}

func TestParseChain(t *testing.T) {
	ticket := signed(t, goodTicket())
	one := sign(t, goodReceipt(ticket, 0), holderKey(0)).Bytes()
	many := func(n int) [][]byte {
		all := make([][]byte, n)
		for i := range all {
			all[i] = one
		}
		return all
	}
	gotTicket, got, err := waypost.ParseChain(ticket.Bytes(), many(waypost.MaxReceipts))
	if err != nil || gotTicket.ID != ticket.ID || len(got) != waypost.MaxReceipts || !bytes.Equal(got[3].Bytes(), one) {
		t.Errorf("%d receipts: %v", len(got), err)
	}
	for name, c := range map[string]struct {
		ticket   []byte
		receipts [][]byte
	}{
		"too many receipts": {ticket.Bytes(), many(waypost.MaxReceipts + 1)},
		"a short ticket":    {ticket.Bytes()[1:], many(1)},
		"a short receipt":   {ticket.Bytes(), [][]byte{one, one[1:]}},
		"an empty receipt":  {ticket.Bytes(), [][]byte{nil}},
		"places exchanged":  {one, [][]byte{ticket.Bytes()}},
	} {
		if _, _, err := waypost.ParseChain(c.ticket, c.receipts); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReceiptRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := waypost.Receipt{
			Action: waypost.Action(rapid.StringMatching(`[a-z][a-z_]{0,31}`).Draw(t, "action")),
			Signer: rapid.StringMatching(`[!-~]{1,32}`).Draw(t, "signer"), Ticket: array32(t, "ticket"), Epoch: rapid.Uint32().Draw(t, "epoch"),
			Inputs: array32(t, "inputs"), Outputs: array32(t, "outputs"), Proof: array32(t, "proof"),
			Origin: rapid.StringMatching(`[!-~]{1,255}`).Draw(t, "origin"), Sequence: rapid.Uint64().Draw(t, "sequence"),
			Deadline: time.Unix(rapid.Int64Range(1, 253402300799).Draw(t, "deadline"), 0).UTC(),
		}
		s, err := r.Sign(stateKey)
		if err != nil {
			t.Fatal(err)
		}
		back, err := waypost.ParseReceipt(s.Bytes())
		if err != nil || back.Receipt != r || !bytes.Equal(back.Bytes(), s.Bytes()) || back.Verify(publicOf(stateKey)) != nil {
			t.Fatalf("signed %+v, read %+v, %v", r, back.Receipt, err)
		}
	})
}

func TestReceiptBits(t *testing.T) {
	wire := sign(t, goodReceipt(signed(t, goodTicket()), 0), holderKey(0)).Bytes()
	for i := range len(wire) * 8 {
		flipped := bytes.Clone(wire)
		flipped[i/8] ^= 1 << (i % 8)
		if got, err := waypost.ParseReceipt(flipped); err == nil && got.Verify(publicOf(holderKey(0))) == nil {
			t.Errorf("bit %d of byte %d may be flipped", i%8, i/8)
		}
	}
	for n := range len(wire) {
		if _, err := waypost.ParseReceipt(wire[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are accepted", n, len(wire))
		}
	}
}

// TestReceiptPromises: a receipt that nobody could follow to its leaf is
// refused by whom it was given to.
func TestReceiptPromises(t *testing.T) {
	now, delay := time.Unix(1767225600, 0), time.Minute
	good := goodReceipt(signed(t, goodTicket()), 0)
	if err := good.CheckPromise(now, delay); err != nil {
		t.Error(err)
	}
	if place, err := good.Place(); place != "keyholder-1/1:0" || err != nil {
		t.Errorf("%q, %v", place, err)
	}
	for name, change := range map[string]func(*waypost.Receipt){
		"next year":          func(r *waypost.Receipt) { r.Deadline = now.AddDate(1, 0, 0) },
		"somebody's log":     func(r *waypost.Receipt) { r.Origin = "test/keyholder-2/1" },
		"no instance":        func(r *waypost.Receipt) { r.Origin = "test/keyholder-1/" },
		"instance 0":         func(r *waypost.Receipt) { r.Origin = "test/keyholder-1/0" },
		"instance 01":        func(r *waypost.Receipt) { r.Origin = "test/keyholder-1/01" },
		"instance 1000":      func(r *waypost.Receipt) { r.Origin = "test/keyholder-1/1000" },
		"a folder above":     func(r *waypost.Receipt) { r.Origin = "test/keyholder-1/.." },
		"no domain":          func(r *waypost.Receipt) { r.Origin = "keyholder-1/1" },
		"beyond any log":     func(r *waypost.Receipt) { r.Sequence = 1 << 48 },
		"the largest number": func(r *waypost.Receipt) { r.Sequence = 1<<64 - 1 },
	} {
		r := good
		change(&r)
		if err := r.CheckPromise(now, delay); waypost.CodeOf(err) != waypost.PermissionDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReceiptShapes(t *testing.T) {
	for name, spoil := range map[string]func(*waypost.Receipt){
		"no action":         func(r *waypost.Receipt) { r.Action = "" },
		"no signer":         func(r *waypost.Receipt) { r.Signer = "" },
		"signer with space": func(r *waypost.Receipt) { r.Signer = "key holder" },
		"long signer":       func(r *waypost.Receipt) { r.Signer = strings.Repeat("x", 33) },
		"no origin":         func(r *waypost.Receipt) { r.Origin = "" },
		"long origin":       func(r *waypost.Receipt) { r.Origin = strings.Repeat("x", 256) },
		"two lines":         func(r *waypost.Receipt) { r.Origin = "a\nb" },
		"no deadline":       func(r *waypost.Receipt) { r.Deadline = time.Time{} },
		"year 10000":        func(r *waypost.Receipt) { r.Deadline = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"end of time":       func(r *waypost.Receipt) { r.Deadline = time.Unix(1<<63-1, 0) },
	} {
		r := goodReceipt(signed(t, goodTicket()), 0)
		spoil(&r)
		if _, err := r.Sign(stateKey); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}
