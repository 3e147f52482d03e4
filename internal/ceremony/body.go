package ceremony

import (
	"bytes"
	"crypto/sha256"
	"io"
	"strings"

	"filippo.io/age"
	"golang.org/x/crypto/cryptobyte"

	"github.com/waypost/waypost/toprf"
)

// What the bodies of the messages hold, each in one canonical spelling.

// commitBody is that of round Commit.
type commitBody struct {
	commit []byte // of a dealer: its message of round 1 of the arithmetic
	// recipients are, of a holder, the age recipients to which the dealers seal what
	// they deal it, by their positions: one for each, so that a complaint about one
	// deal opens no other.
	recipients []string
}

func (c commitBody) bytes() []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(c.commit) })
	list := make([][]byte, len(c.recipients))
	for i, r := range c.recipients {
		list[i] = []byte(r)
	}
	addList(b, list)
	return b.BytesOrPanic()
}

func parseCommit(raw []byte) (c commitBody, ok bool) {
	s := cryptobyte.String(raw)
	var commit cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&commit) {
		return c, false
	}
	list, ok := readList(&s, toprf.MaxHolders)
	c.commit = commit
	for _, raw := range list {
		r, err := age.ParseX25519Recipient(string(raw))
		if err != nil || r.String() != string(raw) {
			return c, false
		}
		c.recipients = append(c.recipients, string(raw))
	}
	return c, ok && s.Empty()
}

// dealsBody is that of round Deal: what is sealed to each holder, by index; of
// those who do not deal nothing.
func dealsBody(sealed [][]byte) []byte {
	b := cryptobyte.NewBuilder(nil)
	addList(b, sealed)
	return b.BytesOrPanic()
}

func parseDeals(raw []byte) (sealed [][]byte, ok bool) {
	s := cryptobyte.String(raw)
	sealed, ok = readList(&s, toprf.MaxHolders)
	return sealed, ok && s.Empty()
}

// signBody is that of round Sign: the hash of the transcript, or a complaint.
type signBody struct {
	transcript [sha256.Size]byte
	dealer     int    // whose deal is complained about, by position; 0: none
	identity   string // that opens it
}

func (s signBody) bytes() []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(uint8(s.dealer))
	if s.dealer == 0 {
		b.AddBytes(s.transcript[:])
	} else {
		addName8(b, s.identity)
	}
	return b.BytesOrPanic()
}

func addName8(b *cryptobyte.Builder, text string) {
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
}

func parseSign(raw []byte) (body signBody, ok bool) {
	s := cryptobyte.String(raw)
	var dealer uint8
	if !s.ReadUint8(&dealer) {
		return body, false
	}
	if body.dealer = int(dealer); dealer == 0 {
		return body, s.CopyBytes(body.transcript[:]) && s.Empty()
	}
	var identity cryptobyte.String
	ok = s.ReadUint8LengthPrefixed(&identity) && s.Empty()
	body.identity = string(identity)
	return body, ok
}

// maxReason bounds the reason of who gives up, in bytes.
const maxReason = 240

// abortBody is that of Abort: why, in words.
func abortBody(reason string) []byte {
	b := cryptobyte.NewBuilder(nil)
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "")
	}
	addName8(b, reason)
	return b.BytesOrPanic()
}

func parseAbort(raw []byte) (reason string, ok bool) {
	s := cryptobyte.String(raw)
	var words cryptobyte.String
	ok = s.ReadUint8LengthPrefixed(&words) && s.Empty() && len(words) <= maxReason && printable(string(words))
	return string(words), ok
}

// printable reports whether words can be shown and logged as they are.
func printable(words string) bool {
	for _, r := range words {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return true
}

// maxSealed bounds a sealed deal, in bytes: one takes about 330.
const maxSealed = 512

// sealTo seals a deal to one of its addressee's recipients.
func sealTo(recipient string, deal []byte) ([]byte, error) {
	to, err := age.ParseX25519Recipient(recipient)
	if err != nil {
		return nil, err
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, to)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(deal); err != nil {
		return nil, err
	}
	err = w.Close()
	return sealed.Bytes(), err
}

// openWith opens a sealed deal. For whoever has the identity the result is the same.
func openWith(identity age.Identity, sealed []byte) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, maxSealed))
}
