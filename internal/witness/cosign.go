package witness

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/waypost/waypost/translog"
)

// signer makes cosignatures of type cosignature/v1. torchwood has one too, which
// takes the time from the system's clock.
type signer struct {
	name     string
	verifier string // "name+hash+keydata"
	hash     uint32 // key id
	private  ed25519.PrivateKey
}

func newSigner(name string, private ed25519.PrivateKey) (*signer, error) {
	if len(private) != ed25519.PrivateKeySize {
		return nil, invalid("the key is not an Ed25519 private key")
	}
	key := translog.WitnessKey(name, private.Public().(ed25519.PublicKey))
	v, err := translog.WitnessVerifier(key)
	if err != nil {
		return nil, invalid("%v", err)
	}
	return &signer{name: name, verifier: key, hash: v.KeyHash(), private: private}, nil
}

// cosign returns the signature line for the checkpoint with this text (the lines
// before its signatures) at a time in Unix seconds:
//
//	— <name> base64(key id[4] ‖ time[8] ‖ Ed25519("cosignature/v1\ntime <time>\n" text))
func (s *signer) cosign(text string, at int64) []byte {
	signature := ed25519.Sign(s.private, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, text))
	raw := binary.BigEndian.AppendUint32(nil, s.hash)
	raw = binary.BigEndian.AppendUint64(raw, uint64(at))
	return fmt.Appendf(nil, "— %s %s\n", s.name, base64.StdEncoding.EncodeToString(append(raw, signature...)))
}
