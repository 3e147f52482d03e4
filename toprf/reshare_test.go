package toprf

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// refreshOf is a refresh of the shares that a ceremony has made.
func refreshOf(old *rounds) Ceremony {
	return Ceremony{Kind: Refresh, ID: NewSeed(), Roster: [32]byte{2}, Epoch: old.c.Epoch,
		Threshold: old.c.Threshold, Holders: old.c.Holders, Old: old.outcomes[0].Keys}
}

// reshareOf has the dealers of an old sharing make a new one.
func reshareOf(old *rounds, dealers []int, threshold, holders int) Ceremony {
	return Ceremony{Kind: Reshare, ID: NewSeed(), Roster: [32]byte{2}, Epoch: old.c.Epoch,
		Threshold: threshold, Holders: holders, Old: old.outcomes[0].Keys, Dealers: dealers}
}

// someOf draws k of the numbers 1 to n, ascending.
func someOf(rt *rapid.T, k, n int) (chosen []int) {
	all := make([]int, n)
	for i := range all {
		all[i] = i + 1
	}
	in := make(map[int]bool)
	for _, i := range rapid.Permutation(all).Draw(rt, "some")[:k] {
		in[i] = true
	}
	for _, i := range all {
		if in[i] {
			chosen = append(chosen, i)
		}
	}
	return chosen
}

// keySum is the key that a key generation has made, which nobody ever has.
func (r *rounds) keySum() (k Scalar) {
	for _, p := range r.parts {
		k.add(&k, &p.coefficients()[0])
	}
	return k
}

// TestNewShares: after any refreshes and reshares, among any holders and with any
// thresholds, the key is what it was, any t of the new shares evaluate like the
// old ones, and old and new ones do not mix.
func TestNewShares(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := testCeremony
		c.Holders = rapid.IntRange(2, 5).Draw(rt, "n")
		c.Threshold = rapid.IntRange(2, c.Holders).Draw(rt, "t")
		r := commitAll(rt, c).reveal(rt).deal(rt).finish(rt)
		k := r.keySum()
		for range rapid.IntRange(1, 3).Draw(rt, "times") {
			next := refreshOf(r)
			if rapid.Bool().Draw(rt, "reshare") {
				n := rapid.IntRange(2, 6).Draw(rt, "new n")
				next = reshareOf(r, someOf(rt, r.c.Threshold, r.c.Holders), rapid.IntRange(2, n).Draw(rt, "new t"), n)
			}
			old := r
			r = commitAll(rt, next, old.shares()...).reveal(rt).deal(rt).finish(rt)
			r.check(t, rt, &k)
			if !r.outcomes[0].Keys.Group().Equal(old.outcomes[0].Keys.Group()) {
				rt.Fatal("the group key has changed")
			}
			doNotMix(t, rt, old, r, &k)
		}
	})
}

// doNotMix combines all new shares but one too many, and an old one, as if they
// were of one sharing: the result is not that of the key.
func doNotMix(t *testing.T, rt *rapid.T, old, r *rounds, k *Scalar) {
	for i, o := range r.outcomes {
		if i < len(old.outcomes) && o.Share.Public().Equal(old.outcomes[i].Share.Public()) {
			rt.Fatalf("holder %d has its old share", i+1)
		}
	}
	index := rapid.IntRange(1, min(r.c.Holders, old.c.Holders)).Draw(rt, "stale")
	shares := []Share{old.outcomes[index-1].Share}
	for _, o := range r.outcomes {
		if len(shares) < r.c.Threshold && o.Share.Index() != index {
			shares = append(shares, o.Share)
		}
	}
	inputs := testInputs(1)
	b := mustBlind(t, inputs)
	keys := r.outcomes[0].Keys
	stale, err := shares[0].Evaluate(b.Elements(), zeroHedge)
	if err != nil {
		rt.Fatal(err)
	}
	var bad *BadEvaluationError
	if _, err := keys.Verify(index, b.Elements(), stale); !errors.As(err, &bad) || bad.Index != index {
		rt.Fatalf("an old share passes for a new one: %v", err)
	}
	indexes, points := make([]int, len(shares)), make([]*point, len(shares))
	for i, s := range shares {
		var q point
		q.mulSecret(s.key(), &b.Elements()[0].p)
		indexes[i], points[i] = s.Index(), &q
	}
	coefficients, denominator := lagrange(indexes, 0)
	var mixed, want, scaled point
	mixed.sumSteps(schedule(coefficients), points)
	want.mulSecret(k, &b.Elements()[0].p)
	scaled.sumSteps(schedule(oneBig(denominator)), []*point{&want})
	if mixed.equal(&scaled) {
		rt.Fatal("old and new shares mix")
	}
}

// TestNewSharesNameTheCulprit: what only a refresh or a reshare can go wrong in.
func TestNewSharesNameTheCulprit(t *testing.T) {
	old := commitAll(t, testCeremony).reveal(t).deal(t).finish(t)
	reshare := reshareOf(old, []int{1, 3}, 2, 2)

	t.Run("refresh that moves the key", func(t *testing.T) {
		r := commitAll(t, refreshOf(old), old.shares()...).reveal(t)
		moved := RandomScalar()
		var q point
		q.mulBaseSecret(&moved)
		enc := q.encode()
		copy(r.reveals[1][headerSize+32:], enc[:])
		_, err := r.parts[0].Deal(r.commits, r.reveals)
		blames(t, err, 2, "constant term that is not zero")
	})
	t.Run("refresh dealt with a constant term", func(t *testing.T) {
		r := commitAll(t, refreshOf(old), old.shares()...).reveal(t)
		r.parts[2].coefficients()[0] = RandomScalar()
		r.deal(t)
		_, err := r.receive(1)
		blames(t, err, 3, "not on its polynomial")
	})
	t.Run("refresh onto another's share", func(t *testing.T) {
		r := commitAll(t, refreshOf(old), old.shares()...).reveal(t).deal(t)
		if _, err := r.c.Receive(1, old.outcomes[1].Share, r.commits, r.reveals, r.to(1)); !errors.Is(err, errOldShare) {
			t.Errorf("another's share is refreshed: %v", err)
		}
	})
	t.Run("reshares something else", func(t *testing.T) {
		r := commitAll(t, reshare, old.shares()...)
		cheat := r.parts[1]
		cheat.coefficients()[0] = RandomScalar()
		var q point
		q.mulBaseSecret(&cheat.coefficients()[0])
		cheat.reveal.vector[0], _ = newElement(&q)
		nonce := RandomScalar()
		cheat.reveal.proof = proveKnowledge(reshare, 2, cheat.reveal.vector, &cheat.coefficients()[0], &nonce)
		r.commits[1] = cheat.Commit()
		r.reveal(t)
		_, err := r.parts[0].Deal(r.commits, r.reveals)
		blames(t, err, 2, "something else than its share")
		_, err = r.c.Keys(r.commits, r.reveals)
		blames(t, err, 2, "something else than its share")
	})
	t.Run("reshares off the polynomial", func(t *testing.T) {
		r := commitAll(t, reshare, old.shares()...).reveal(t).deal(t)
		wrong := RandomScalar()
		r.deals[0][1] = r.c.encodeDeal(1, 2, hashMessages("reveals", r.reveals), &wrong)
		_, err := r.receive(2)
		blames(t, err, 1, "not on its polynomial")
		blames(t, r.c.CheckDeal(1, 2, r.reveals, r.deals[0][1]), 1, "not on its polynomial")
		if err := r.c.CheckDeal(2, 2, r.reveals, r.deals[1][1]); err != nil {
			t.Errorf("a false complaint is upheld: %v", err)
		}
	})
	t.Run("a message of another kind", func(t *testing.T) {
		r := commitAll(t, refreshOf(old), old.shares()...)
		r.commits[1] = commitAll(t, testCeremony).commits[1]
		_, err := r.parts[0].Reveal(r.commits)
		blames(t, err, 2, "ceremony")
	})
}

// TestNewSharesTranscript: no byte of the transcript of any kind can change
// unnoticed: what is bound is all of it, the old sharing too.
func TestNewSharesTranscript(t *testing.T) {
	old := commitAll(t, testCeremony).reveal(t).deal(t).finish(t)
	for name, c := range map[string]Ceremony{"refresh": refreshOf(old), "reshare": reshareOf(old, []int{2, 3}, 3, 4)} {
		r := commitAll(t, c, old.shares()...).reveal(t).deal(t).finish(t)
		transcript := r.outcomes[0].Transcript
		for i := 0; i < len(transcript); i += 3 {
			changed := bytes.Clone(transcript)
			changed[i] ^= 1
			if _, _, err := VerifyTranscript(changed); err == nil {
				t.Fatalf("%s: byte %d of %d can be changed", name, i, len(transcript))
			}
		}
		for n := 0; n < len(transcript); n += 7 {
			if _, _, err := VerifyTranscript(transcript[:n]); err == nil {
				t.Errorf("%s: a prefix of %d bytes verifies", name, n)
			}
		}
	}
}
