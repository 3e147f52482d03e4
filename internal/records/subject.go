package records

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/journal"
)

// Key is what finds the ledger's entries about one pointer: see [Subject]. It is
// worth nothing for any other.
func Key(secret [32]byte, handle []byte) (key [32]byte) {
	m := hmac.New(sha256.New, derive(secret, "subjects"))
	m.Write(handle)
	m.Sum(key[:0])
	return key
}

// Subject is what an entry about one of a state's records says instead of naming
// it: HMAC-SHA-256(record key, ticket id). Who has the key of the record finds
// the entries about it; nobody else can tell that two entries are about one.
func Subject(recordKey [32]byte, ticket [32]byte) string {
	m := hmac.New(sha256.New, recordKey[:])
	m.Write(ticket[:])
	return hex.EncodeToString(m.Sum(nil))
}

// Subject is the field that says which record an entry is about.
func (f *File) Subject(h waypost.Handle, ticket waypost.TicketID) journal.Field {
	return journal.Field{Name: "subject", Value: Subject(Key(f.Secret, h[:]), ticket)}
}

// DecoySecret is what decoys are derived under, for a gateway's secret.
func DecoySecret(secret [32]byte) []byte { return derive(secret, "decoys") }

// derive makes a key for one use of the gateway's secret.
func derive(secret [32]byte, use string) []byte {
	m := hmac.New(sha256.New, secret[:])
	m.Write([]byte("waypost gateway v1 " + use))
	return m.Sum(nil)
}
