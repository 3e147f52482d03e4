package translog

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
)

// LogVerifier returns the verifier of the checkpoints of a log: a signed-note
// Ed25519 key named by the origin.
func LogVerifier(origin string, key ed25519.PublicKey) (note.Verifier, error) {
	if err := checkOrigin(origin); err != nil {
		return nil, err
	}
	vkey, err := note.NewEd25519VerifierKey(origin, key)
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(vkey)
}

// algCosignature is the type byte of a cosignature/v1 key in C2SP signed-note.
const algCosignature = 4

// WitnessKey returns the C2SP vkey, of type cosignature/v1, of a witness with
// the given name and key. See [WitnessVerifier] for what a name may be.
func WitnessKey(name string, key ed25519.PublicKey) string {
	typed := append([]byte{algCosignature}, key...)
	sum := sha256.Sum256(append([]byte(name+"\n"), typed...))
	return fmt.Sprintf("%s+%08x+%s", name, binary.BigEndian.Uint32(sum[:4]), base64.StdEncoding.EncodeToString(typed))
}

// WitnessVerifier returns the verifier of the cosignatures of a witness, given
// its C2SP vkey of type cosignature/v1. The name is not empty and has neither
// space nor plus. Only the canonical spelling of a key is accepted.
func WitnessVerifier(vkey string) (note.Verifier, error) {
	if len(vkey) > 512 {
		return nil, errors.New("the key of a witness is too long")
	}
	v, err := torchwood.NewCosignatureVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("the key of a witness: %w", err)
	}
	if v.String() != vkey {
		return nil, errors.New("the key of a witness is not spelled canonically")
	}
	return v, nil
}
