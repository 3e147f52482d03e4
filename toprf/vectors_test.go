package toprf

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the vectors anew")

// ceremonyVector is one ceremony whose dealers' seeds are known, in hex. From them
// everything else follows.
type ceremonyVector struct {
	What      string   `json:"what"`
	Ceremony  string   `json:"ceremony"` // its encoding
	OldShares []string `json:"old_shares,omitempty"`
	Seeds     []string `json:"seeds"` // of the dealers, by position
	Commits   []string `json:"commits"`
	Reveals   []string `json:"reveals"`
	Deals     []string `json:"deals"` // of dealer 1 to holder 1, 2, ..., then those of dealer 2, ...
	Keys      string   `json:"keys"`
	Shares    []string `json:"shares"`
}

const ceremonyVectors = "testdata/ceremony.json"

// play holds a ceremony with seeds that repeat one number.
func play(t *testing.T, what string, c Ceremony, olds []Share) (v ceremonyVector, outcomes []*Outcome) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	v = ceremonyVector{What: what, Ceremony: hex.EncodeToString(c.encode())}
	encode := func(s Share) string {
		b, err := s.MarshalBinary()
		must(err)
		return hex.EncodeToString(b)
	}
	old := func(index int) Share {
		if index > len(olds) {
			return Share{}
		}
		return olds[index-1]
	}
	for _, s := range olds {
		v.OldShares = append(v.OldShares, encode(s))
	}
	r := &rounds{c: c, olds: olds}
	for i := range c.dealers() {
		index := i + 1
		if c.Kind == Reshare {
			index = c.Dealers[i]
		}
		seed := [SeedSize]byte(bytes.Repeat([]byte{byte(16*int(c.Kind) + i)}, SeedSize))
		d, err := c.NewDealer(i+1, old(index), seed)
		must(err)
		v.Seeds, v.Commits = append(v.Seeds, hex.EncodeToString(seed[:])), append(v.Commits, hex.EncodeToString(d.Commit()))
		r.parts, r.commits = append(r.parts, d), append(r.commits, d.Commit())
	}
	r.reveal(t).deal(t).finish(t)
	for i := range r.parts {
		v.Reveals = append(v.Reveals, hex.EncodeToString(r.reveals[i]))
		for _, d := range r.deals[i] {
			v.Deals = append(v.Deals, hex.EncodeToString(d))
		}
	}
	for _, o := range r.outcomes {
		v.Shares = append(v.Shares, encode(o.Share))
	}
	v.Keys = hex.EncodeToString(r.outcomes[0].Keys.Bytes())
	return v, r.outcomes
}

// TestCeremonyVectors: what other implementations are held against does not change.
func TestCeremonyVectors(t *testing.T) {
	keygen, first := play(t, "keygen", Ceremony{Kind: Keygen, ID: [32]byte{1}, Roster: [32]byte{2}, Epoch: 1, Threshold: 2, Holders: 3}, nil)
	olds := (&rounds{outcomes: first}).shares()
	refresh, _ := play(t, "refresh", Ceremony{Kind: Refresh, ID: [32]byte{3}, Roster: [32]byte{4}, Epoch: 1, Threshold: 2, Holders: 3, Old: first[0].Keys}, olds)
	reshare, _ := play(t, "reshare", Ceremony{Kind: Reshare, ID: [32]byte{5}, Roster: [32]byte{6}, Epoch: 1, Threshold: 3, Holders: 4, Old: first[0].Keys, Dealers: []int{1, 3}}, olds)
	got, err := json.MarshalIndent([]ceremonyVector{keygen, refresh, reshare}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(ceremonyVectors, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(ceremonyVectors)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the ceremonies differ from " + ceremonyVectors)
	}
}

// TestSeedDoesNotGiveTheShare: the nonce of a dealer's proof is of its share, too. Were
// it of the seed alone, whoever finds a seed later computed the old share of a reshare
// from the proof, which is public.
func TestSeedDoesNotGiveTheShare(t *testing.T) {
	c := Ceremony{Kind: Keygen, ID: [32]byte{5}, Roster: [32]byte{6}, Epoch: 1, Threshold: 2, Holders: 3}
	seed := [SeedSize]byte{7}
	one, two := BlindFromSeed(seed, 1), BlindFromSeed(seed, 2)
	a, b, again := c.proofNonce(seed, 1, &one), c.proofNonce(seed, 1, &two), c.proofNonce(seed, 1, &one)
	if a.encode() == b.encode() || a.encode() != again.encode() {
		t.Error("the nonce is not a function of the seed and the share")
	}
	for slot := range 256 {
		if k := c.scalarFromSeed(seed, 1, byte(slot)); k.encode() == a.encode() {
			t.Errorf("the nonce is the seed's scalar %d", slot)
		}
	}
}
