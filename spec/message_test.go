package spec_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hpke"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/waypost/waypost/internal/seal"
)

// hexBytes is a byte string that stands in hex in a vector file.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// messageVector is spec/vectors/message.json.
type messageVector struct {
	Comment       string   `json:"comment"`
	Recipient     string   `json:"recipient"`
	RecipientKey  hexBytes `json:"recipient_identity"` // signs the encryption key
	EncryptionKey hexBytes `json:"encryption_key"`     // as in the hub's directory
	KeyID         hexBytes `json:"key_id"`
	Private       hexBytes `json:"private_key"` // of the KEM
	Sealed        hexBytes `json:"sealed"`
	Plain         hexBytes `json:"plain"` // what HPKE opens, without the zeros at its end
	Size          int      `json:"size"`  // of the plaintext with them
	Sender        string   `json:"sender"`
	SenderKey     hexBytes `json:"sender_identity"`
	Type          string   `json:"type"`
	ID            hexBytes `json:"id"`
	Ticket        hexBytes `json:"ticket"`
	RosterVersion uint64   `json:"roster_version"`
	Expiry        int64    `json:"expiry"`
	Body          hexBytes `json:"body"`
	Statement     hexBytes `json:"statement"`
}

const messagePath = "vectors/message.json"

func readMessage(t testing.TB) (v messageVector) {
	t.Helper()
	b, err := os.ReadFile(messagePath)
	must(t, err)
	must(t, json.Unmarshal(b, &v))
	return v
}

const ringHeader = "waypost keyring v1\n"

// makeMessage seals a message anew; the key and the sealed bytes depend on how
// the standard library draws them.
func makeMessage(t *testing.T) (v messageVector) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, 1)
	ring, err := seal.NewKeyring("CA", key("CA identity"), start)
	must(t, err)
	file, err := ring.MarshalBinary()
	must(t, err)
	m := seal.Message{
		ID: [16]byte{1, 2, 3}, Sender: "AZ", Type: "first_leg", Ticket: [32]byte(sum("ticket")), RosterVersion: 7,
		Expiry: start.Add(48 * time.Hour), Body: []byte("a body of a message"),
	}
	v = messageVector{
		Comment:   "Written by the tests of spec. Hex. The KEM key and the sealed message are random.",
		Recipient: "CA", RecipientKey: hexBytes(public("CA identity")), EncryptionKey: ring.Current().Encode(), KeyID: ring.Current().ID[:],
		Sender: m.Sender, SenderKey: hexBytes(public("AZ identity")), Type: m.Type, ID: m.ID[:], Ticket: m.Ticket[:],
		RosterVersion: m.RosterVersion, Expiry: m.Expiry.Unix(), Body: m.Body,
	}
	n := binary.BigEndian.Uint16(file[len(ringHeader):])
	v.Private = file[len(ringHeader)+2:][:n]
	v.Sealed, err = seal.Seal(m, key("AZ identity"), ring.Current())
	must(t, err)
	opened, err := seal.Open(v.Sealed, ring, senders(v), start)
	must(t, err)
	plain := v.open(t)
	v.Statement, v.Plain, v.Size = opened.Statement, bytes.TrimRight(plain, "\x00"), len(plain)
	return v
}

func senders(v messageVector) func(uint64, string) (ed25519.PublicKey, error) {
	return func(uint64, string) (ed25519.PublicKey, error) { return ed25519.PublicKey(v.SenderKey), nil }
}

// open is what spec/message.md says, without package seal.
func (v messageVector) open(t testing.TB) []byte {
	t.Helper()
	private, err := hpke.MLKEM768X25519().NewPrivateKey(v.Private)
	must(t, err)
	header := v.Sealed[:2+1+len(v.Recipient)+16+8+32]
	info := append([]byte("waypost sealed message v1"), header...)
	plain, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), info, v.Sealed[len(header):])
	must(t, err)
	return plain
}

// TestMessage: the vector opens, in both ways, and says what it says.
func TestMessage(t *testing.T) {
	if *update {
		b, err := json.MarshalIndent(makeMessage(t), "", " ")
		must(t, err)
		must(t, os.WriteFile(messagePath, append(b, '\n'), 0o644))
	}
	v := readMessage(t)
	plain := v.open(t)
	if len(plain) != v.Size || !bytes.Equal(bytes.TrimRight(plain, "\x00"), v.Plain) {
		t.Error("the plaintext is another")
	}
	ring := []byte(ringHeader)
	for _, part := range [][]byte{v.Private, v.EncryptionKey} {
		ring = append(binary.BigEndian.AppendUint16(ring, uint16(len(part))), part...)
	}
	keys, err := seal.ParseKeyring(ring, v.Recipient)
	must(t, err)
	m, err := seal.Open(v.Sealed, keys, senders(v), start)
	must(t, err)
	if m.Sender != v.Sender || m.Type != v.Type || !bytes.Equal(m.ID[:], v.ID) || !bytes.Equal(m.Ticket[:], v.Ticket) || m.RosterVersion != v.RosterVersion ||
		m.Expiry.Unix() != v.Expiry || !bytes.Equal(m.Body, v.Body) || !bytes.Equal(m.Statement, v.Statement) {
		t.Errorf("the message says %+v", m)
	}
}

func messageCases(t testing.TB) []question {
	v := readMessage(t)
	list := altered(question{Name: "statement", Check: "statement", Data: v.Statement, With: with{Key: hex.EncodeToString(v.SenderKey)}})
	list = append(list, altered(question{Name: "encryption key", Check: "encryption_key", Data: v.EncryptionKey,
		With: with{Key: hex.EncodeToString(v.RecipientKey), Recipient: v.Recipient, At: start}})...)
	sealed := []byte(v.Sealed)
	at := 2 + 1 + len(v.Recipient)
	for _, c := range []struct {
		why  string
		data []byte
		ok   bool
	}{
		{"as it was sealed", sealed, true},
		{"a byte of what is encrypted is altered, which only opening shows", flipped(sealed, -1), true},
		{"another suite", flipped(sealed, 1), false},
		{"a recipient that is no name", bytes.Replace(sealed, []byte("\x02CA"), []byte("\x02C "), 1), false},
		{"no message id", bytes.Join([][]byte{sealed[:at], make([]byte, 16), sealed[at+16:]}, nil), false},
		{"no expiry", bytes.Join([][]byte{sealed[:at+16], make([]byte, 8), sealed[at+24:]}, nil), false},
		{"a byte less", sealed[:len(sealed)-1], false},
		{"a byte more", append(bytes.Clone(sealed), 0), false},
		{"the header alone", sealed[:at+56], false},
	} {
		list = append(list, question{Name: "envelope: " + c.why, Check: "envelope", Data: c.data, OK: c.ok})
	}
	return list
}
