package roster

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost"
)

const (
	header  = "waypost roster v1\n"
	maxText = 512 << 10 // bytes of text; a full house takes about 100 KiB
	maxNote = maxText + 64<<10
)

// Digest is a SHA-256 hash, written in padded base64.
type Digest [sha256.Size]byte

// MarshalText encodes the digest in padded base64.
func (d Digest) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, d[:]), nil
}

// UnmarshalText decodes exactly 32 bytes of padded base64.
func (d *Digest) UnmarshalText(text []byte) error {
	b, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if err != nil || len(b) != len(d) {
		return invalid("a hash is 32 bytes in base64")
	}
	copy(d[:], b)
	return nil
}

// Parse verifies a signed roster and decodes it. At least the threshold of
// the trusted governance must have signed, and that of the governance which
// the roster itself names; it must be well-formed and valid at now. The
// errors carry PermissionDenied for missing or wrong signatures, Expired for
// the wrong time and InvalidArgument for the rest.
func Parse(signed []byte, trusted Governance, now time.Time) (*Roster, error) {
	r, err := verify(signed, trusted)
	if err != nil {
		return nil, err
	}
	if err := r.checkTime(now); err != nil {
		return nil, err
	}
	return r, nil
}

// ParseExpired is Parse without the time: for governance, which signs the
// successor of a roster that has run out. No role may act on what it returns.
func ParseExpired(signed []byte, trusted Governance) (*Roster, error) { return verify(signed, trusted) }

// verify is Parse without the time, for rosters that lie behind a newer one.
func verify(signed []byte, trusted Governance) (*Roster, error) {
	text, err := trusted.Open(signed)
	if err != nil {
		return nil, err
	}
	r, err := decode(text)
	if err != nil {
		return nil, err
	}
	if _, err := r.Governance.Open(signed); err != nil {
		return nil, err
	}
	return r, nil
}

// Sign validates the roster and returns it as a note signed by the signers.
func (r *Roster) Sign(signers ...note.Signer) ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	text, err := r.text()
	if err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: text}, signers...)
}

// AddSignature adds further signatures to a signed roster and keeps those it
// has, unverified: each of m governance officers signs in turn, on a machine
// of their own.
func AddSignature(signed []byte, signers ...note.Signer) ([]byte, error) {
	n, err := readNote(signed, note.VerifierList())
	if err != nil {
		return nil, err
	}
	if _, err := decode(n.Text); err != nil {
		return nil, err
	}
	return note.Sign(n, signers...)
}

// Hash identifies the roster: SHA-256 of its text, signatures not included.
func (r *Roster) Hash() (Digest, error) {
	text, err := r.text()
	return sha256.Sum256([]byte(text)), err
}

// Open returns the text of a signed note that at least the threshold of the
// governance keys has signed: a roster, or whatever else governance decides. Otherwise
// the error is PermissionDenied, or InvalidArgument where it is no signed note.
func (g Governance) Open(signed []byte) (text string, err error) {
	verifiers, err := g.verifiers()
	if err != nil {
		return "", err
	}
	n, err := readNote(signed, note.VerifierList(verifiers...))
	if err != nil {
		return "", err
	}
	if len(n.Sigs) < g.Threshold { // note.Open counts each key once
		return "", waypost.Errorf(waypost.PermissionDenied,
			"the signed note carries %d signatures of known governance keys and needs %d", len(n.Sigs), g.Threshold)
	}
	return n.Text, nil
}

// readNote is note.Open, except that a note which no known key signed is
// returned all the same, with no verified signatures.
func readNote(signed []byte, known note.Verifiers) (*note.Note, error) {
	if len(signed) > maxNote {
		return nil, invalid("larger than %d bytes", maxNote)
	}
	n, err := note.Open(signed, known)
	var unverified *note.UnverifiedNoteError
	var wrong *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified):
		return unverified.Note, nil
	case errors.As(err, &wrong):
		return nil, waypost.Errorf(waypost.PermissionDenied, "the roster's signature by %q does not verify", wrong.Name)
	case err != nil:
		return nil, invalid("not a signed note").WithCause(err)
	}
	return n, nil
}

// text is the canonical encoding.
func (r *Roster) text() (string, error) {
	var b bytes.Buffer
	b.WriteString(header)
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return "", invalid("cannot be encoded").WithCause(err)
	}
	return b.String(), nil
}

// decode reads a text strictly. Comparing the re-encoding with the input
// refuses at one stroke whatever JSON leaves open: duplicate and misspelt
// keys, spacing, loose base64, other spellings of a number, string or time.
func decode(text string) (*Roster, error) {
	if len(text) > maxText {
		return nil, invalid("larger than %d bytes", maxText)
	}
	body, ok := strings.CutPrefix(text, header)
	if !ok {
		return nil, invalid("the first line is not %q", strings.TrimSpace(header))
	}
	r, err := decodeLoosely(body)
	if err != nil {
		return nil, err
	}
	again, err := r.text()
	if err != nil {
		return nil, err
	}
	if again != text {
		return nil, invalid("the JSON is not canonical (duplicate or unordered fields, spacing, or loose base64)")
	}
	return r, r.Validate()
}

func decodeLoosely(body string) (*Roster, error) {
	dec := json.NewDecoder(strings.NewReader(body))
	dec.DisallowUnknownFields()
	var r Roster
	if err := dec.Decode(&r); err != nil {
		return nil, invalid("%v", err)
	}
	if dec.More() {
		return nil, invalid("something follows the JSON")
	}
	return &r, nil
}
