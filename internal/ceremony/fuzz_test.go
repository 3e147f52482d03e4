package ceremony

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"testing"
	"time"

	"github.com/waypost/waypost/toprf"
)

var samplePlan = Plan{Kind: toprf.Reshare, Roster: 7, Epoch: 2, Threshold: 2, Holders: holderNames(1, 2, 3), Dealers: holderNames(1, 2),
	Begins: time.Unix(1_800_000_000, 0).UTC(), Ends: time.Unix(1_800_003_600, 0).UTC()}

func FuzzPlan(f *testing.F) {
	f.Add(samplePlan.Bytes())
	keygen := samplePlan
	keygen.Kind, keygen.Dealers = toprf.Keygen, nil
	f.Add(keygen.Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ParsePlan(raw)
		if err == nil && (!bytes.Equal(p.Bytes(), raw) || p.check() != nil || p.Ends.Sub(p.Begins) > MaxTime) {
			t.Fatalf("%x is read as %+v", raw, p)
		}
	})
}

// FuzzMessage reads messages and the bodies in them: each has one spelling.
func FuzzMessage(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	add := func(round Round, body []byte) {
		f.Add(Message{Ceremony: samplePlan.ID(), Round: round, Sender: "keyholder-1", Seen: make([][32]byte, 3), Body: body}.sign(key).signed)
	}
	add(Commit, commitBody{commit: []byte("x"), recipients: []string{"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"}}.bytes())
	add(Deal, dealsBody([][]byte{{1}, {2, 3}}))
	add(Sign, signBody{transcript: [32]byte{1}}.bytes())
	add(Sign, signBody{dealer: 2, identity: "AGE-SECRET-KEY-1"}.bytes())
	add(Abort, abortBody("enough"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ParseMessage(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(m.payload(), raw[:len(raw)-ed25519.SignatureSize]) {
			t.Fatalf("%x is read as %+v", raw, m)
		}
		if c, ok := parseCommit(m.Body); ok && !bytes.Equal(c.bytes(), m.Body) {
			t.Fatalf("commit %x", m.Body)
		}
		if d, ok := parseDeals(m.Body); ok && !bytes.Equal(dealsBody(d), m.Body) {
			t.Fatalf("deals %x", m.Body)
		}
		if s, ok := parseSign(m.Body); ok && !bytes.Equal(s.bytes(), m.Body) {
			t.Fatalf("sign %x", m.Body)
		}
		if reason, ok := parseAbort(m.Body); ok && (!bytes.Equal(abortBody(reason), m.Body) || !printable(reason)) {
			t.Fatalf("abort %x", m.Body)
		}
	})
}

func FuzzTranscript(f *testing.F) {
	raw, err := json.Marshal(Transcript{Plan: samplePlan.Bytes(), Messages: [][]byte{{1}, {2}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if read, err := ReadTranscript(raw); err == nil && len(read.Messages) > 8*maxParticipants {
			t.Fatal("a transcript of too many messages is read")
		}
	})
}

// FuzzShareFile: what a share file's public line may be.
func FuzzShareFile(f *testing.F) {
	f.Add([]byte(shareHeader + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nage-encryption.org/v1\n"))
	f.Add([]byte("waypost share v2 \n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		public, sealed, err := cutShare(raw)
		if err == nil && !bytes.Equal(append([]byte(shareHeader+public+"\n"), sealed...), raw) {
			t.Fatalf("%q is cut into %q and %q", raw, public, sealed)
		}
	})
}
