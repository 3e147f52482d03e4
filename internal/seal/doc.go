// Package seal makes and opens the messages that travel through mailboxes:
// signed by the sender, then encrypted to the recipient.
//
//	sealed    = header ‖ HPKE(info = domain ‖ header, plaintext)
//	header    = suite(2) recipient(1+n) message id(16) expiry(8) key id(32)   in clear
//	plaintext = length(4) signature(64) sender type ticket roster-version body, zero-padded
//
// The hub, which stores sealed messages, sees the [Envelope] and nothing else:
// who sent it, what kind it is and which ticket it belongs to are inside. HPKE
// (RFC 9180) binds the header, so that no bit of it can change.
//
// The signature (Ed25519) covers the suite, the sender, the recipient's key id,
// which is a hash of its name and key, and every other field, under a domain
// prefix with each field length-prefixed. Because it names the key it was made
// for, a recipient cannot pass it on under another envelope as if it had been
// meant for a third party (Davis, "Defective Sign & Encrypt", 2001).
//
// # Suite
//
// There is one: MLKEM768-X25519 (X-Wing, draft-ietf-hpke-pq), HKDF-SHA256 and
// AES-256-GCM, all from the standard library. Its KEM stays closed unless both
// X25519 and ML-KEM-768 fall. Contents recorded today are thereby out of reach
// of a later quantum computer; signatures, which must hold only until the
// expiry, are classical.
//
// # Sizes
//
// The plaintext is padded to exactly 4, 16, 64 or 256 KiB. A sender gives all
// messages of one exchange the same MinSize, so that an answer, a refusal and
// an error look alike to the hub.
//
// # Keys
//
// Encryption keys rotate weekly and are destroyed two weeks after they were
// replaced ([Keyring]): a sealed message that was copied cannot be opened
// later, by whatever order. A [PublicKey] is signed by its owner's identity
// key. Replay is not this package's affair: the recipient's inbox remembers
// message ids until their expiry.
package seal
