package witness

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	maxBody   = 64 << 10
	maxProof  = 63 // lines, C2SP tlog-witness
	maxOrigin = 255
	// maxSize is the greatest tree, in leaves, as verifiers have it. tlog's own
	// arithmetic is for sizes up to 2^62 and does not end beyond.
	maxSize = 1 << 48
)

// request is the body of add-checkpoint.
type request struct {
	old    int64 // size of the tree that proof begins with
	proof  tlog.TreeProof
	origin string // first line of note
	note   []byte // the signed checkpoint, nothing of it verified
}

// parseRequest reads the only encoding of a request, of at most maxBody bytes.
// The error is errMalformed.
func parseRequest(body []byte) (request, error) {
	head, signed, ok := bytes.Cut(body, []byte("\n\n"))
	if !ok || len(body) > maxBody {
		return request{}, errMalformed
	}
	lines := strings.Split(string(head), "\n")
	size, ok := strings.CutPrefix(lines[0], "old ")
	old, err := strconv.ParseInt(size, 10, 64)
	if !ok || err != nil || old < 0 || old > maxSize || strconv.FormatInt(old, 10) != size || len(lines)-1 > maxProof {
		return request{}, errMalformed
	}
	r := request{old: old, note: signed}
	for _, line := range lines[1:] {
		hash, ok := parseHash(line)
		if !ok {
			return request{}, errMalformed
		}
		r.proof = append(r.proof, hash)
	}
	origin, _, ok := strings.Cut(string(signed[:min(len(signed), maxOrigin+1)]), "\n")
	if !ok || origin == "" || !utf8.ValidString(origin) || strings.IndexByte(origin, 0) >= 0 {
		return request{}, errMalformed
	}
	r.origin = origin
	return r, nil
}

// parseHash decodes one proof line strictly: tlog.ParseHash lets several
// spellings of a hash pass.
func parseHash(line string) (h tlog.Hash, ok bool) {
	if len(line) != base64.StdEncoding.EncodedLen(tlog.HashSize) || strings.ContainsAny(line, "\r\n") {
		return h, false
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(line)
	if err != nil || len(raw) != tlog.HashSize {
		return h, false
	}
	return tlog.Hash(raw), true
}

// encode is the reverse of parseRequest.
func (r request) encode() []byte {
	var b bytes.Buffer
	b.WriteString("old " + strconv.FormatInt(r.old, 10) + "\n")
	for _, h := range r.proof {
		b.WriteString(h.String() + "\n")
	}
	b.WriteString("\n")
	b.Write(r.note)
	return b.Bytes()
}
