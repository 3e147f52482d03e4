package toprf

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var testCeremony = Ceremony{ID: [32]byte{1}, Roster: [32]byte{2}, Threshold: 2, Holders: 3}

// rounds is a ceremony on its way; tests spoil what they like between steps.
type rounds struct {
	c        Ceremony
	parts    []*Participant
	commits  [][]byte
	reveals  [][]byte
	deals    [][][]byte // deals[i][j] from holder i+1 to holder j+1
	outcomes []*Outcome
}

func commitAll(tb rapid.TB, c Ceremony) *rounds {
	tb.Helper()
	r := &rounds{c: c}
	for i := range c.Holders {
		p, m, err := NewParticipant(c, i+1)
		if err != nil {
			tb.Fatal(err)
		}
		r.parts, r.commits = append(r.parts, p), append(r.commits, m)
	}
	return r
}

func (r *rounds) reveal(tb rapid.TB) *rounds {
	tb.Helper()
	for _, p := range r.parts {
		m, err := p.Reveal(r.commits)
		if err != nil {
			tb.Fatal(err)
		}
		r.reveals = append(r.reveals, m)
	}
	return r
}

func (r *rounds) deal(tb rapid.TB) *rounds {
	tb.Helper()
	for _, p := range r.parts {
		m, err := p.Deal(r.reveals)
		if err != nil {
			tb.Fatal(err)
		}
		r.deals = append(r.deals, m)
	}
	return r
}

// to collects what holder index was dealt.
func (r *rounds) to(index int) (deals [][]byte) {
	for _, d := range r.deals {
		deals = append(deals, d[index-1])
	}
	return deals
}

func (r *rounds) finish(tb rapid.TB) *rounds {
	tb.Helper()
	for _, p := range r.parts {
		o, err := p.Finish(r.to(p.index))
		if err != nil {
			tb.Fatal(err)
		}
		r.outcomes = append(r.outcomes, o)
	}
	return r
}

// TestCeremony: all holders end with one transcript and one set of public
// keys, the shares fit them, and any threshold of them compute one function,
// that of the sum of the constant terms, which nobody ever had.
func TestCeremony(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := testCeremony
		c.Holders = rapid.IntRange(1, 6).Draw(rt, "n")
		c.Threshold = rapid.IntRange(1, c.Holders).Draw(rt, "t")
		r := commitAll(rt, c)
		var k Scalar
		for _, p := range r.parts {
			k.add(&k, &p.coefficients()[0])
		}
		r.reveal(rt).deal(rt).finish(rt)
		first := r.outcomes[0]
		inputs := testInputs(1)
		b := mustBlind(t, inputs)
		var shares []Share
		for i, o := range r.outcomes {
			if !bytes.Equal(o.Transcript, first.Transcript) || o.Keys.id != first.Keys.id {
				rt.Fatalf("holder %d has another transcript", i+1)
			}
			pub, err := first.Keys.Share(i + 1)
			if err != nil || !pub.Equal(o.Share.Public()) || o.Share.Index() != i+1 {
				rt.Fatalf("share %d does not fit the public keys: %v", i+1, err)
			}
			shares = append(shares, o.Share)
		}
		want := single(&k, inputs)
		chosen := rapid.Permutation(shares).Draw(rt, "order")[:c.Threshold]
		if got := outputs(rt, first.Keys, b, ask(rt, first.Keys, b, chosen)); !bytes.Equal(got[0], want[0]) {
			rt.Fatal("the shares compute another function than the sum of the contributions")
		}
		gotC, keys, err := VerifyTranscript(first.Transcript)
		if err != nil || gotC != c || keys.id != first.Keys.id {
			rt.Fatalf("the transcript does not verify: %v", err)
		}
	})
}

// blames fails unless err names holder index, with these words.
func blames(t *testing.T, err error, index int, words string) {
	t.Helper()
	var ce *CeremonyError
	if !errors.As(err, &ce) || ce.Index != index || !strings.Contains(ce.Reason, words) {
		t.Errorf("got %v, want holder %d: %s", err, index, words)
	}
}

func TestCeremonyNamesTheCulprit(t *testing.T) {
	other := testCeremony
	other.ID[0]++

	t.Run("commit of another ceremony", func(t *testing.T) {
		r := commitAll(t, testCeremony)
		r.commits[1] = commitAll(t, other).commits[1]
		_, err := r.parts[0].Reveal(r.commits)
		blames(t, err, 2, "ceremony")
	})
	t.Run("changed mind", func(t *testing.T) { // chooses after seeing the others
		r := commitAll(t, testCeremony).reveal(t)
		again := commitAll(t, testCeremony)
		again.commits = r.commits
		again.parts[2].commit = r.commits[2]
		m, err := again.parts[2].Reveal(r.commits)
		if err != nil {
			t.Fatal(err)
		}
		r.reveals[2] = m
		_, err = r.parts[0].Deal(r.reveals)
		blames(t, err, 3, "committed")
	})
	t.Run("copies another's contribution", func(t *testing.T) { // the proof is bound to the index
		r := commitAll(t, testCeremony)
		thief := r.parts[2]
		thief.reveal.vector, thief.reveal.proof = r.parts[0].reveal.vector, r.parts[0].reveal.proof
		thief.commit = r.c.encodeCommit(3, thief.reveal.commitment(r.c, 3))
		r.commits[2] = thief.commit
		r.reveal(t)
		_, err := r.parts[1].Deal(r.reveals)
		blames(t, err, 3, "prove")
	})
	t.Run("cancels the others", func(t *testing.T) { // a rogue constant term, whose secret it cannot know
		r := commitAll(t, testCeremony)
		rogue := r.parts[2]
		var p point
		p.setIdentity()
		for _, honest := range r.parts[:2] {
			p.subtract(&p, &honest.reveal.vector[0].p)
		}
		p.add(&p, &rogue.reveal.vector[0].p)
		rogue.reveal.vector[0], _ = newElement(&p)
		secret := RandomScalar()
		rogue.reveal.proof = proveKnowledge(r.c, 3, rogue.reveal.vector, &secret)
		rogue.commit = r.c.encodeCommit(3, rogue.reveal.commitment(r.c, 3))
		r.commits[2] = rogue.commit
		r.reveal(t)
		_, err := r.parts[0].Deal(r.reveals)
		blames(t, err, 3, "prove")
	})
	t.Run("equivocates in round 1", func(t *testing.T) {
		r := commitAll(t, testCeremony)
		elsewhere := slices.Clone(r.commits)
		elsewhere[1] = commitAll(t, testCeremony).commits[1]
		m, err := r.parts[2].Reveal(elsewhere)
		if err != nil {
			t.Fatal(err)
		}
		r.parts = r.parts[:2]
		r.reveal(t)
		_, err = r.parts[0].Deal(append(r.reveals, m))
		blames(t, err, 3, "saw other commitments")
	})
	t.Run("reveals the identity", func(t *testing.T) {
		r := commitAll(t, testCeremony).reveal(t)
		clear(r.reveals[1][headerSize+32 : headerSize+64])
		_, err := r.parts[0].Deal(r.reveals)
		blames(t, err, 2, "group element")
	})
	for name, size := range map[string]int{"too short a vector": -ElementSize, "too long a vector": ElementSize} {
		t.Run(name, func(t *testing.T) { // would change the threshold unseen
			r := commitAll(t, testCeremony).reveal(t)
			if size < 0 {
				r.reveals[1] = r.reveals[1][:len(r.reveals[1])+size]
			} else {
				r.reveals[1] = append(r.reveals[1], r.reveals[1][:size]...)
			}
			_, err := r.parts[0].Deal(r.reveals)
			blames(t, err, 2, "size")
		})
	}
	t.Run("deals off the polynomial", func(t *testing.T) {
		r := commitAll(t, testCeremony).reveal(t).deal(t)
		wrong := RandomScalar()
		bad := r.c.encodeDeal(3, 1, hashMessages("reveals", r.reveals), &wrong)
		good := r.deals[2][0]
		r.deals[2][0] = bad
		_, err := r.parts[0].Finish(r.to(1))
		blames(t, err, 3, "not on its polynomial")
		blames(t, r.c.CheckDeal(3, 1, r.reveals, bad), 3, "not on its polynomial")
		if err := r.c.CheckDeal(3, 1, r.reveals, good); err != nil {
			t.Errorf("a false complaint is upheld: %v", err)
		}
		if _, err := r.parts[0].Finish(r.to(1)); !errors.Is(err, errStage) {
			t.Errorf("an aborted participant goes on: %v", err)
		}
	})
	t.Run("deals to another", func(t *testing.T) {
		r := commitAll(t, testCeremony).reveal(t).deal(t)
		r.deals[2][0] = r.deals[2][1]
		_, err := r.parts[0].Finish(r.to(1))
		blames(t, err, 3, "another holder")
	})
	t.Run("deals zero", func(t *testing.T) {
		r := commitAll(t, testCeremony).reveal(t).deal(t)
		clear(r.deals[1][0][dealSize-ScalarSize:])
		_, err := r.parts[0].Finish(r.to(1))
		blames(t, err, 2, "nonzero scalar")
	})
	t.Run("equivocates in round 2", func(t *testing.T) {
		r := commitAll(t, testCeremony).reveal(t).deal(t)
		r.deals[1][0][headerSize+1] ^= 1
		_, err := r.parts[0].Finish(r.to(1))
		blames(t, err, 2, "saw other revealed values")
	})
	t.Run("own message changed on the way", func(t *testing.T) {
		r := commitAll(t, testCeremony)
		r.commits[0] = bytes.Clone(r.commits[0])
		r.commits[0][headerSize] ^= 1
		_, err := r.parts[0].Reveal(r.commits)
		blames(t, err, 1, "changed")
	})
}

func TestCeremonyOrder(t *testing.T) {
	r := commitAll(t, testCeremony)
	p := r.parts[0]
	if _, err := p.Deal(r.commits); !errors.Is(err, errStage) {
		t.Errorf("dealing before revealing: %v", err)
	}
	if _, err := p.Finish(r.commits); !errors.Is(err, errStage) {
		t.Errorf("finishing before dealing: %v", err)
	}
	if _, err := r.parts[1].Reveal(r.commits[:2]); !errors.Is(err, errMessages) {
		t.Errorf("revealing before all have committed: %v", err)
	}
	if _, err := p.Reveal(r.commits); err != nil {
		t.Error(err)
	}
	if _, err := p.Reveal(r.commits); !errors.Is(err, errStage) {
		t.Errorf("revealing twice: %v", err)
	}
	for _, c := range []Ceremony{{Threshold: 0, Holders: 3}, {Threshold: 4, Holders: 3}, {Threshold: 1, Holders: MaxHolders + 1}, {}} {
		if _, _, err := NewParticipant(c, 1); !errors.Is(err, errCeremony) {
			t.Errorf("%d of %d: %v", c.Threshold, c.Holders, err)
		}
	}
	for _, index := range []int{0, 4} {
		if _, _, err := NewParticipant(testCeremony, index); !errors.Is(err, errCeremony) {
			t.Errorf("holder %d of 3: %v", index, err)
		}
	}
}

// TestTranscriptIsComplete: no byte of a transcript can change unnoticed.
func TestTranscriptIsComplete(t *testing.T) {
	transcript := commitAll(t, testCeremony).reveal(t).deal(t).finish(t).outcomes[0].Transcript
	for i := range transcript {
		changed := bytes.Clone(transcript)
		changed[i] ^= 4
		if _, _, err := VerifyTranscript(changed); err == nil {
			t.Fatalf("byte %d of %d can be changed", i, len(transcript))
		}
	}
	for _, n := range []int{0, 10, len(transcript) - 1} {
		if _, _, err := VerifyTranscript(transcript[:n]); err == nil {
			t.Errorf("a prefix of %d bytes verifies", n)
		}
	}
	if _, _, err := VerifyTranscript(append(bytes.Clone(transcript), 0)); !errors.Is(err, ErrKeys) {
		t.Errorf("a byte too many: %v", err)
	}
}
