package witness

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// FuzzParseRequest: what is read is the only spelling of itself, and within the
// limits.
func FuzzParseRequest(f *testing.F) {
	log := newLog(f, origin, 9)
	f.Add(log.body(f, 0, 9))
	f.Add(log.body(f, 5, 9))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parseRequest(body)
		if err != nil {
			if !errors.Is(err, errMalformed) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(r.encode(), body) {
			t.Fatal("two spellings of one request")
		}
		if len(body) > maxBody || len(r.proof) > maxProof || r.old < 0 || r.old > maxSize || r.origin == "" || len(r.origin) > maxOrigin ||
			!bytes.HasPrefix(r.note, []byte(r.origin+"\n")) {
			t.Fatal("beyond the limits")
		}
	})
}

// FuzzAdmits: no proof leads from one tree to another but the right one, none to
// a smaller tree, and every size within the limit is judged in good time. (A
// proof may lead to the same root under another size above the old one: a root
// does not tell its size in RFC 6962, the log's signature does.)
func FuzzAdmits(f *testing.F) {
	log := newLog(f, origin, 64)
	known := last{Tree: tlog.Tree{N: 21, Hash: log.root(f, 21)}, found: true}
	right := encodeProof(log.proof(f, 21, 64))
	f.Add(int64(64), right)
	f.Add(int64(21), []byte{})
	f.Fuzz(func(t *testing.T, size int64, raw []byte) {
		if size < 0 || size > maxSize || len(raw) > maxProof*tlog.HashSize {
			return
		}
		var proof tlog.TreeProof
		for ; len(raw) >= tlog.HashSize; raw = raw[tlog.HashSize:] {
			proof = append(proof, tlog.Hash(raw[:tlog.HashSize]))
		}
		next := tlog.Tree{N: size, Hash: log.root(t, 64)}
		if known.admits(21, next, proof) == nil && (size <= 21 || size == 64 && !bytes.Equal(encodeProof(proof), right)) {
			t.Fatal("a proof leads where it must not")
		}
	})
}

func encodeProof(proof tlog.TreeProof) (raw []byte) {
	for _, h := range proof {
		raw = append(raw, h[:]...)
	}
	return raw
}

// FuzzReadCosignature: only the line that the witness signed is taken from an
// answer, whatever else is in it.
func FuzzReadCosignature(f *testing.F) {
	log := newLog(f, origin, 9)
	signed := log.checkpoint(f, 9)
	w, err := newSigner("w.example", testKey("w"))
	if err != nil {
		f.Fatal(err)
	}
	c, err := Dial("https://w.example", w.verifier, nil)
	if err != nil {
		f.Fatal(err)
	}
	good := w.cosign(string(signed[:bytes.Index(signed, []byte("\n\n"))+1]), 1)
	f.Add(good)
	f.Add(append(good, good...))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if line, ok := readCosignature(c.key, signed, answer); ok && !bytes.Equal(line, good) {
			t.Fatalf("%q was never signed", line)
		}
	})
}

// FuzzReadSize: a size has one spelling.
func FuzzReadSize(f *testing.F) {
	f.Add([]byte("20852014\n"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if size, ok := readSize(answer); ok && (size < 0 || string(answer) != fmt.Sprintln(size)) {
			t.Fatal("two spellings of one size")
		}
	})
}
