package toprf

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var testCeremony = Ceremony{Kind: Keygen, ID: [32]byte{1}, Roster: [32]byte{2}, Epoch: 3, Threshold: 2, Holders: 3}

// rounds is a ceremony on its way; tests spoil what they like between steps.
type rounds struct {
	c        Ceremony
	olds     []Share // of the old holders, by index
	parts    []*Dealer
	commits  [][]byte
	reveals  [][]byte
	deals    [][][]byte // deals[i][j] from dealer i+1 to holder j+1
	outcomes []*Outcome
}

// old is the old share with the index, or none.
func (r *rounds) old(index int) Share {
	if index > len(r.olds) {
		return Share{}
	}
	return r.olds[index-1]
}

func commitAll(tb rapid.TB, c Ceremony, olds ...Share) *rounds {
	tb.Helper()
	r := &rounds{c: c, olds: olds}
	for i := range c.dealers() {
		index := i + 1
		if c.Kind == Reshare {
			index = c.Dealers[i]
		}
		p, err := c.NewDealer(i+1, r.old(index), NewSeed())
		if err != nil {
			tb.Fatal(err)
		}
		r.parts, r.commits = append(r.parts, p), append(r.commits, p.Commit())
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
		m, err := p.Deal(r.commits, r.reveals)
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

// receive is the end of the ceremony for one holder.
func (r *rounds) receive(index int) (*Outcome, error) {
	return r.c.Receive(index, r.old(index), r.commits, r.reveals, r.to(index))
}

func (r *rounds) finish(tb rapid.TB) *rounds {
	tb.Helper()
	for j := range r.c.Holders {
		o, err := r.receive(j + 1)
		if err != nil {
			tb.Fatal(err)
		}
		r.outcomes = append(r.outcomes, o)
	}
	return r
}

// shares are what the holders got, by index.
func (r *rounds) shares() (all []Share) {
	for _, o := range r.outcomes {
		all = append(all, o.Share)
	}
	return all
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
		r.check(t, rt, &k)
	})
}

// check holds the outcomes of a finished ceremony against the key.
func (r *rounds) check(t *testing.T, rt *rapid.T, k *Scalar) {
	first := r.outcomes[0]
	inputs := testInputs(1)
	b := mustBlind(t, inputs)
	for i, o := range r.outcomes {
		if !bytes.Equal(o.Transcript, first.Transcript) || o.Keys.id != first.Keys.id {
			rt.Fatalf("holder %d has another transcript", i+1)
		}
		pub, err := first.Keys.Share(i + 1)
		if err != nil || !pub.Equal(o.Share.Public()) || o.Share.Index() != i+1 {
			rt.Fatalf("share %d does not fit the public keys: %v", i+1, err)
		}
	}
	want := single(k, inputs)
	chosen := rapid.Permutation(r.shares()).Draw(rt, "order")[:r.c.Threshold]
	if got := outputs(rt, first.Keys, b, ask(rt, first.Keys, b, chosen)); !bytes.Equal(got[0], want[0]) {
		rt.Fatal("the shares compute another function than that of the key")
	}
	c, keys, err := VerifyTranscript(first.Transcript)
	if err != nil || !bytes.Equal(c.encode(), r.c.encode()) || keys.id != first.Keys.id {
		rt.Fatalf("the transcript does not verify: %v", err)
	}
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
		again := commitAll(t, testCeremony).parts[2].reveal
		again.commits = hashMessages("commits", r.commits)
		r.reveals[2] = r.c.encodeReveal(3, &again)
		_, err := r.parts[0].Deal(r.commits, r.reveals)
		blames(t, err, 3, "committed")
	})
	t.Run("copies another's contribution", func(t *testing.T) { // the proof is bound to the index
		r := commitAll(t, testCeremony)
		thief := r.parts[2]
		thief.reveal.vector, thief.reveal.proof = r.parts[0].reveal.vector, r.parts[0].reveal.proof
		r.commits[2] = thief.Commit()
		r.reveal(t)
		_, err := r.parts[1].Deal(r.commits, r.reveals)
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
		secret, nonce := RandomScalar(), RandomScalar()
		rogue.reveal.proof = proveKnowledge(r.c, 3, rogue.reveal.vector, &secret, &nonce)
		r.commits[2] = rogue.Commit()
		r.reveal(t)
		_, err := r.parts[0].Deal(r.commits, r.reveals)
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
		_, err = r.parts[0].Deal(r.commits, append(r.reveals, m))
		blames(t, err, 3, "saw other commitments")
	})
	t.Run("reveals the identity", func(t *testing.T) {
		r := commitAll(t, testCeremony).reveal(t)
		clear(r.reveals[1][headerSize+32 : headerSize+64])
		_, err := r.parts[0].Deal(r.commits, r.reveals)
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
			_, err := r.parts[0].Deal(r.commits, r.reveals)
			blames(t, err, 2, "size")
		})
	}
	t.Run("deals off the polynomial", func(t *testing.T) {
		r := commitAll(t, testCeremony).reveal(t).deal(t)
		wrong := RandomScalar()
		bad := r.c.encodeDeal(3, 1, hashMessages("reveals", r.reveals), &wrong)
		good := r.deals[2][0]
		r.deals[2][0] = bad
		_, err := r.receive(1)
		blames(t, err, 3, "not on its polynomial")
		blames(t, r.c.CheckDeal(3, 1, r.reveals, bad), 3, "not on its polynomial")
		if err := r.c.CheckDeal(3, 1, r.reveals, good); err != nil {
			t.Errorf("a false complaint is upheld: %v", err)
		}
	})
	t.Run("deals to another", func(t *testing.T) {
		r := commitAll(t, testCeremony).reveal(t).deal(t)
		r.deals[2][0] = r.deals[2][1]
		_, err := r.receive(1)
		blames(t, err, 3, "another holder")
	})
	t.Run("deals zero", func(t *testing.T) {
		r := commitAll(t, testCeremony).reveal(t).deal(t)
		clear(r.deals[1][0][dealSize-ScalarSize:])
		_, err := r.receive(1)
		blames(t, err, 2, "nonzero scalar")
	})
	t.Run("equivocates in round 2", func(t *testing.T) {
		r := commitAll(t, testCeremony).reveal(t).deal(t)
		r.deals[1][0][headerSize+1] ^= 1
		_, err := r.receive(1)
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

func TestCeremonyRefuses(t *testing.T) {
	r := commitAll(t, testCeremony)
	if _, err := r.parts[1].Reveal(r.commits[:2]); !errors.Is(err, errMessages) {
		t.Errorf("revealing before all have committed: %v", err)
	}
	r.reveal(t)
	if _, err := r.parts[1].Deal(r.commits, r.reveals[:2]); !errors.Is(err, errMessages) {
		t.Errorf("dealing before all have revealed: %v", err)
	}
	r.deal(t)
	if _, err := r.c.Receive(1, Share{}, r.commits, r.reveals, r.to(1)[:2]); !errors.Is(err, errMessages) {
		t.Errorf("receiving before all have dealt: %v", err)
	}
	if _, err := r.c.Receive(4, Share{}, r.commits, r.reveals, r.to(1)); !errors.Is(err, errCeremony) {
		t.Errorf("holder 4 of 3 receives: %v", err)
	}
	keys, shares, err := Generate(2, 3)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]Ceremony{
		"no threshold":             {Kind: Keygen, Threshold: 0, Holders: 3},
		"a threshold above n":      {Kind: Keygen, Threshold: 4, Holders: 3},
		"too many holders":         {Kind: Keygen, Threshold: 1, Holders: MaxHolders + 1},
		"nothing":                  {},
		"another kind":             {Kind: 4, Threshold: 2, Holders: 3},
		"keygen from old":          {Kind: Keygen, Threshold: 2, Holders: 3, Old: keys},
		"refresh from nothing":     {Kind: Refresh, Threshold: 2, Holders: 3},
		"refresh with dealers":     {Kind: Refresh, Threshold: 2, Holders: 3, Old: keys, Dealers: []int{1, 2}},
		"refresh for others":       {Kind: Refresh, Threshold: 2, Holders: 4, Old: keys},
		"refresh to a threshold":   {Kind: Refresh, Threshold: 3, Holders: 3, Old: keys},
		"reshare from nothing":     {Kind: Reshare, Threshold: 2, Holders: 3, Dealers: []int{1, 2}},
		"reshare by one":           {Kind: Reshare, Threshold: 2, Holders: 3, Old: keys, Dealers: []int{1}},
		"reshare by one twice":     {Kind: Reshare, Threshold: 2, Holders: 3, Old: keys, Dealers: []int{2, 2}},
		"reshare in disorder":      {Kind: Reshare, Threshold: 2, Holders: 3, Old: keys, Dealers: []int{2, 1}},
		"reshare by more than two": {Kind: Reshare, Threshold: 2, Holders: 3, Old: keys, Dealers: []int{1, 2, 3}},
		"reshare by a stranger":    {Kind: Reshare, Threshold: 2, Holders: 3, Old: keys, Dealers: []int{1, 4}},
	} {
		if _, err := c.NewDealer(1, shares[0], [32]byte{}); !errors.Is(err, errCeremony) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, position := range []int{0, 4} {
		if _, err := testCeremony.NewDealer(position, Share{}, [32]byte{}); !errors.Is(err, errCeremony) {
			t.Errorf("dealer %d of 3: %v", position, err)
		}
	}
	_, strangers, err := Generate(2, 3)
	if err != nil {
		t.Fatal(err)
	}
	reshare := Ceremony{Kind: Reshare, Threshold: 2, Holders: 3, Old: keys, Dealers: []int{1, 3}}
	for name, share := range map[string]Share{"no share": {}, "another's share": shares[1], "a share of another key": strangers[0]} {
		if _, err := reshare.NewDealer(1, share, [32]byte{}); !errors.Is(err, errOldShare) {
			t.Errorf("resharing %s: %v", name, err)
		}
	}
}

// TestDealerRepeats: a dealer that lost its memory says the same again; of other
// ceremonies and seeds it says something else.
func TestDealerRepeats(t *testing.T) {
	vector := func(c Ceremony, position int, seed [32]byte) []byte {
		d, err := c.NewDealer(position, Share{}, seed)
		if err != nil {
			t.Fatal(err)
		}
		return EncodeElements(d.reveal.vector)
	}
	seed := NewSeed()
	first := vector(testCeremony, 1, seed)
	if !bytes.Equal(first, vector(testCeremony, 1, seed)) {
		t.Error("a dealer does not repeat itself")
	}
	other := testCeremony
	other.Epoch++
	for what, v := range map[string][]byte{"ceremony": vector(other, 1, seed), "position": vector(testCeremony, 2, seed), "seed": vector(testCeremony, 1, NewSeed())} {
		if bytes.Contains(first, v[:32]) || bytes.Contains(v, first[:32]) {
			t.Errorf("another %s has the same polynomial", what)
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
