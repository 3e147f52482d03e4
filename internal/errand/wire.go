package errand

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"unicode"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/seal"
)

const (
	// maxBody is the largest body of a request: what goes around it fits as well.
	maxBody = 200 << 10
	// maxReply is the largest body of a reply.
	maxReply = 240 << 10
	// around is what a reply's letter needs besides its body.
	around = 1 << 10
	// maxNumber bounds how many replies an errand can have.
	maxNumber = 1000
	// maxEarly is how far ahead of what is missing a reply is held.
	maxEarly = 64
	// maxOnTheWay is the largest body of a reply that is not the last: a thousand of
	// them must not fill anybody's disk.
	maxOnTheWay = 4<<10 - around
)

// request is an errand as it goes out and comes in.
type request struct {
	id       ID
	ticket   waypost.SignedTicket
	receipts []waypost.SignedReceipt
	salt     [32]byte
	bytes    []byte // what the ticket commits to
	body     []byte
}

// encodeErrand is what a ticket commits to.
func encodeErrand(id ID, body []byte) ([]byte, error) {
	return proto.Marshal(&waypostv1.Errand{Id: id[:], Body: body})
}

// encodeRequest is the body of the letter that goes with a permit.
func encodeRequest(p Permit, errand []byte) ([]byte, error) {
	return proto.Marshal(&waypostv1.Request{Ticket: p.Ticket.Bytes(), Receipts: receiptBytes(p.Receipts), Salt: p.Salt[:], Request: errand})
}

func receiptBytes(receipts []waypost.SignedReceipt) [][]byte {
	raw := make([][]byte, len(receipts))
	for i, r := range receipts {
		raw[i] = r.Bytes()
	}
	return raw
}

// parseRequest reads the body of a request. Nothing is verified yet.
func parseRequest(b []byte) (q request, ok bool) {
	var letter waypostv1.Request
	var inner waypostv1.Errand
	if proto.Unmarshal(b, &letter) != nil || len(letter.Salt) != len(q.salt) || len(letter.Receipts) > waypost.MaxReceipts ||
		proto.Unmarshal(letter.Request, &inner) != nil || len(inner.Id) != len(q.id) || len(inner.Body) > maxBody {
		return q, false
	}
	var err error
	if q.ticket, q.receipts, err = waypost.ParseChain(letter.Ticket, letter.Receipts); err != nil {
		return q, false
	}
	q.id, q.salt, q.bytes, q.body = ID(inner.Id), [32]byte(letter.Salt), letter.Request, inner.Body
	return q, q.id != ID{}
}

// digestOf is what an id stands for at the state that is asked: under each of its
// tickets the same is asked, for the same purpose, about the same check.
func digestOf(t waypost.Ticket, body []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte("waypost question v1\n" + string(t.Kind) + "\n" + string(t.Purpose) + "\n"))
	h.Write(t.Cites[:])
	h.Write(body)
	return [32]byte(h.Sum(nil))
}

// encodeReply is the body of the letter that brings a reply.
func (e *Engine) encodeReply(id ID, ticket waypost.TicketID, r Reply) ([]byte, error) {
	digest := sha256.Sum256(r.Body)
	said, err := proto.Marshal(&waypostv1.Reply{Errand: id[:], Number: r.Number, Word: r.Word, Final: r.Final, Digest: digest[:]})
	if err != nil {
		return nil, err
	}
	statement, err := e.Post.State(waypost.MessageReply, ticket, said)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(&waypostv1.ReplyLetter{Statement: statement, Body: r.Body, Refused: r.Refused})
}

// parseReply reads the body of a reply and what its state has signed of it. The
// signature is not verified yet; where there is none, the request was not admitted.
func parseReply(b []byte) (id ID, r Reply, signed *seal.Statement, ok bool) {
	var letter waypostv1.ReplyLetter
	if proto.Unmarshal(b, &letter) != nil || len(letter.Body) > maxReply {
		return id, r, nil, false
	}
	if len(letter.Statement) == 0 {
		r = Reply{Number: 1, Word: Refused, Final: true, Refused: readable(letter.Refused)}
		ok = len(letter.Errand) == len(id) && len(letter.Body) == 0
		copy(id[:], letter.Errand)
		return id, r, nil, ok
	}
	st, err := seal.ParseStatement(letter.Statement)
	var said waypostv1.Reply
	if err != nil || st.Type != waypost.MessageReply || proto.Unmarshal(st.Body, &said) != nil {
		return id, r, nil, false
	}
	digest := sha256.Sum256(letter.Body)
	ok = len(letter.Errand) == 0 && len(said.Errand) == len(id) && said.Number >= 1 && said.Number <= maxNumber &&
		(said.Final || len(letter.Body) <= maxOnTheWay) &&
		string(said.Digest) == string(digest[:]) && (said.Word != Refused || said.Final && len(letter.Body) == 0) &&
		(said.Word == Refused || letter.Refused == "")
	copy(id[:], said.Errand)
	r = Reply{Number: said.Number, Word: said.Word, Final: said.Final, Body: letter.Body, Refused: readable(letter.Refused), Statement: letter.Statement}
	return id, r, &st, ok
}

// has reports whether the word may be replied to an errand of this kind.
func (h Handler) has(word string) bool { return word == Refused || slices.Contains(h.Words, word) }

// size is the class of the kind's replies.
func (h Handler) size() seal.SizeClass { return max(h.Least, seal.Size4K) }

// room is how large the body of such a reply may be.
func (h Handler) room() int { return min(int(h.size())-around, maxReply) }

// readable makes a text from another state fit for a clerk's screen.
func readable(text string) string {
	const limit = 200 // characters
	clean := make([]rune, 0, limit)
	for _, r := range text {
		if !unicode.IsPrint(r) {
			r = ' '
		}
		if clean = append(clean, r); len(clean) == limit {
			break
		}
	}
	return string(clean)
}

// printable reports whether a text can be stored by every engine and shown on
// every terminal.
func printable(text string) bool {
	return !slices.ContainsFunc([]rune(text), func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
}

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
