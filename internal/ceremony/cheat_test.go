package ceremony

import (
	"bytes"
	"crypto/sha256"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/toprf"
)

// speaks has a participant say something else in a round, under its own signature, and
// stand by it later: say is given its message as an honest one.
func (l *link) speaks(t *testing.T, round Round, say func(m *Message)) {
	var said []byte
	l.out = func(s *waypostv1.CeremonyState) error {
		m, err := ParseMessage(s.Messages[0])
		must(t, err)
		if m.Round != round || s.State == stateAborted {
			return nil
		}
		if said == nil {
			say(&m)
			said = m.sign(l.to.identity).signed
		}
		s.Messages[0] = said
		return nil
	}
	// From then on it keeps silent: its own process would see that this was never said.
	l.in = func(*waypostv1.AdvanceCeremonyRequest) error {
		if said != nil {
			return waypost.Errorf(waypost.Unavailable, "silent")
		}
		return nil
	}
}

// cheats is what one participant does and what is said of it.
type cheat struct {
	name   string
	kind   toprf.Kind
	round  Round
	says   func(t *testing.T, r *rig, m *Message)
	blames string
	words  string
}

// garble changes a byte from the end of the body.
func garble(fromEnd int) func(*testing.T, *rig, *Message) {
	return func(_ *testing.T, _ *rig, m *Message) {
		m.Body = bytes.Clone(m.Body)
		m.Body[len(m.Body)-fromEnd] ^= 1
	}
}

// resealed changes what is sealed to the first holder.
func resealed(change func(t *testing.T, r *rig, sealed [][]byte) []byte) func(*testing.T, *rig, *Message) {
	return func(t *testing.T, r *rig, m *Message) {
		sealed, ok := parseDeals(m.Body)
		if !ok {
			t.Fatal("a good message is not well formed")
		}
		sealed[0] = change(t, r, sealed)
		m.Body = dealsBody(sealed)
	}
}

const rogue = "keyholder-2"

var cheats = []cheat{
	{"commits to garbage", toprf.Keygen, Commit, func(_ *testing.T, _ *rig, m *Message) { m.Body = []byte("garbage") }, rogue, "not well formed"},
	{"commits to nothing", toprf.Keygen, Commit, func(_ *testing.T, _ *rig, m *Message) {
		c, _ := parseCommit(m.Body)
		c.commit = nil
		m.Body = c.bytes()
	}, rogue, "not well formed"},
	{"commits for another", toprf.Keygen, Commit, func(_ *testing.T, _ *rig, m *Message) {
		c, _ := parseCommit(m.Body)
		c.commit[1+sha256.Size]++
		m.Body = c.bytes()
	}, rogue, "another size, kind, sender or ceremony"},
	{"names too few recipients", toprf.Reshare, Commit, func(_ *testing.T, _ *rig, m *Message) {
		c, _ := parseCommit(m.Body)
		c.recipients = c.recipients[1:]
		m.Body = c.bytes()
	}, rogue, "not well formed"},
	{"reveals another polynomial", toprf.Keygen, Reveal, garble(1), rogue, "other values than it had committed to"},
	{"reveals a constant term", toprf.Refresh, Reveal, func(_ *testing.T, _ *rig, m *Message) {
		m.Body = bytes.Clone(m.Body)
		copy(m.Body[66:], m.Body[98:130])
	}, rogue, "constant term that is not zero"},
	{"sees nothing", toprf.Keygen, Reveal, func(_ *testing.T, _ *rig, m *Message) { m.Seen = nil }, rogue, "does not say what it has seen"},
	{"denies itself", toprf.Keygen, Deal, func(_ *testing.T, _ *rig, m *Message) { m.Seen[1][0] ^= 1 }, rogue, "denies its own message"},
	{"deals too few", toprf.Keygen, Deal, func(_ *testing.T, _ *rig, m *Message) {
		sealed, _ := parseDeals(m.Body)
		m.Body = dealsBody(sealed[1:])
	}, rogue, "not well formed"},
	{"seals for nobody", toprf.Keygen, Deal, resealed(func(*testing.T, *rig, [][]byte) []byte { return []byte("x") }), rogue, "what its key does not open"},
	{"seals for another", toprf.Reshare, Deal, resealed(func(_ *testing.T, _ *rig, sealed [][]byte) []byte { return sealed[1] }), rogue, "what its key does not open"},
	{"deals off its polynomial", toprf.Refresh, Deal, resealed(misdeal), rogue, "not on its polynomial"},
	{"signs another transcript", toprf.Keygen, Sign, garble(1), rogue, "another transcript"},
	{"complains without a key", toprf.Keygen, Sign, func(t *testing.T, _ *rig, m *Message) {
		id, err := age.GenerateX25519Identity()
		must(t, err)
		m.Body = signBody{dealer: 1, identity: id.String()}.bytes()
	}, rogue, "shows a key that does not open it"},
	{"complains about nobody", toprf.Keygen, Sign, func(_ *testing.T, _ *rig, m *Message) {
		m.Body = signBody{dealer: 9, identity: "x"}.bytes()
	}, rogue, "a deal that was never due"},
	{"complains about a good deal", toprf.Keygen, Sign, func(t *testing.T, r *rig, m *Message) {
		m.Body = signBody{dealer: 1, identity: r.stolen}.bytes()
	}, rogue, "which is good"},
}

// misdeal seals, to the key that the first holder has named for the rogue, a deal that
// is in order but for its value.
func misdeal(t *testing.T, r *rig, _ [][]byte) []byte {
	holder := r.party["keyholder-1"]
	records, err := holder.records(t.Context())
	must(t, err)
	latest := records[len(records)-1]
	s, err := holder.vault.held(latest.slot)
	must(t, err)
	sealed, err := openWith(s.identities[1], r.honestDeal(t, latest))
	must(t, err)
	sealed[len(sealed)-toprf.ScalarSize] ^= 1
	again, err := sealTo(s.identities[1].Recipient().String(), sealed)
	must(t, err)
	return again
}

// honestDeal is what the rogue's own process has sealed to the first holder.
func (r *rig) honestDeal(t *testing.T, latest record) []byte {
	messages, err := r.party[rogue].messages(t.Context(), latest.id)
	must(t, err)
	for _, m := range messages {
		if m.Round == Deal && m.Sender == rogue {
			sealed, _ := parseDeals(m.Body)
			return sealed[0]
		}
	}
	t.Fatal("the rogue has dealt nothing")
	return nil
}

// steal copies the key that opens what the first dealer deals the rogue, before the
// rogue's process destroys it.
func (r *rig) steal(t *testing.T) {
	known, err := r.party[rogue].records(t.Context())
	must(t, err)
	if len(known) == 0 {
		return
	}
	if s, err := r.party[rogue].vault.held(known[len(known)-1].slot); err == nil {
		r.stolen = s.identities[0].String()
	}
}

// TestCheats: whatever a participant does, all others name it, from what it signed;
// nothing is left of the ceremony but the evidence, and the next one succeeds.
func TestCheats(t *testing.T) {
	t.Parallel()
	for _, c := range cheats {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 3)
			if c.kind != toprf.Keygen {
				r.hold(toprf.Keygen, 2, holderNames(1, 2, 3), nil)
			}
			before := r.count()
			var dealers []string
			if c.kind == toprf.Reshare {
				dealers = holderNames(1, 2)
			}
			p := r.plan(c.kind, 2, holderNames(1, 2, 3), dealers)
			_, err := r.lead(p, func(links map[string]*link) {
				links[rogue].speaks(t, c.round, func(m *Message) { c.says(t, r, m) })
				told := links[rogue].in
				links[rogue].in = func(req *waypostv1.AdvanceCeremonyRequest) error { r.steal(t); return told(req) }
			})
			if blamed(err) != c.blames || !strings.Contains(err.Error(), c.words) {
				t.Fatalf("the ceremony ends with %q, %v; want %s: %s", blamed(err), err, c.blames, c.words)
			}
			r.named(p, c.blames)
			// Who has signed before the fault is shown keeps its share, which no roster
			// ever names, until its wait is over.
			may := before
			if c.round >= Deal {
				may += 2
			}
			if after := r.count(); after > may {
				t.Errorf("%d files of shares are there after a void ceremony, before it %d", after, before)
			}
			r.hold(c.kind, 2, p.Holders, p.Dealers)
			r.evaluates()
		})
	}
}

// count is how many shares the honest holders have, and no secrets of ceremonies.
func (r *rig) count() (n int) {
	for name, p := range r.party {
		if name != rogue {
			if left, _ := filepath.Glob(filepath.Join(p.dir, "share", "*.open")); len(left) > 0 {
				r.t.Errorf("%s has the secrets of a ceremony still: %v", name, left)
			}
			files, _ := filepath.Glob(filepath.Join(p.dir, "share", "*"))
			n += len(files)
		}
	}
	return n
}

// named checks that every honest holder names the culprit, in its ledger too, and that
// an onlooker who has the messages does.
func (r *rig) named(p Plan, culprit string) {
	r.t.Helper()
	id := p.ID()
	var states []*waypostv1.CeremonyState
	for name, party := range r.party {
		if name == rogue {
			continue
		}
		state, err := party.GetCeremony(r.as(r.t.Context(), name), &waypostv1.GetCeremonyRequest{Ceremony: id[:]})
		must(r.t, err)
		if state.State != stateAborted || state.Culprit != culprit {
			r.t.Errorf("at %s the ceremony is %s, the culprit %q: %s", name, state.State, state.Culprit, state.Reason)
		}
		states = append(states, state)
		steps := party.entries(id)
		if last := steps[len(steps)-1]; last["culprit"] != culprit || last["evidence"] == "" || last["reason"] != state.Reason {
			r.t.Errorf("%s's ledger says %v", name, last)
		}
	}
	evidence, err := Gather(states[0], states)
	must(r.t, err)
	if fault, err := Judge(evidence, r.view.Version(p.Roster)); err != nil || fault == nil || fault.Culprit != culprit {
		r.t.Errorf("an onlooker says %v, %v", fault, err)
	}
	if _, err := evidence.Verify(r.view.Version(p.Roster)); err == nil {
		r.t.Error("a void ceremony verifies")
	}
}

// TestTwoFaced: a participant says two different things in a round, to different
// holders, with a coordinator that helps it. Nobody goes on, and both messages end up
// with everybody.
func TestTwoFaced(t *testing.T) {
	for _, round := range []Round{Commit, Reveal, Deal} {
		t.Run(round.String(), func(t *testing.T) {
			r := newRig(t, 3)
			p := r.plan(toprf.Keygen, 2, holderNames(1, 2, 3), nil)
			_, err := r.lead(p, func(links map[string]*link) {
				links["keyholder-3"].in = func(req *waypostv1.AdvanceCeremonyRequest) error {
					for i, raw := range req.Messages {
						m, err := ParseMessage(raw)
						must(t, err)
						if m.Sender == rogue && m.Round == round {
							m.Body = append(bytes.Clone(m.Body[:len(m.Body)-1]), m.Body[len(m.Body)-1]^1)
							if round == Commit { // another commitment, well formed
								m2, _ := ParseMessage(raw)
								c, _ := parseCommit(m2.Body)
								c.commit = bytes.Clone(c.commit)
								c.commit[len(c.commit)-1] ^= 1
								m.Body = c.bytes()
							}
							req.Messages[i] = m.sign(r.party[rogue].identity).signed
						}
					}
					return nil
				}
			})
			if blamed(err) != rogue {
				t.Fatalf("the ceremony ends with %q: %v", blamed(err), err)
			}
			r.named(p, rogue)
		})
	}
}

// TestCarrier: what the coordinator alters is refused and nobody's fault; a message in
// the wrong place as well.
func TestCarrier(t *testing.T) {
	r := newRig(t, 2)
	p := r.plan(toprf.Keygen, 2, holderNames(1, 2), nil)
	for name, alter := range map[string]func(req *waypostv1.AdvanceCeremonyRequest){
		"a byte": func(req *waypostv1.AdvanceCeremonyRequest) {
			req.Messages[1] = bytes.Clone(req.Messages[1])
			req.Messages[1][90] ^= 1
		},
		"one less":     func(req *waypostv1.AdvanceCeremonyRequest) { req.Messages = req.Messages[:1] },
		"garbage":      func(req *waypostv1.AdvanceCeremonyRequest) { req.Messages[0] = []byte("x") },
		"a round":      func(req *waypostv1.AdvanceCeremonyRequest) { req.Round++ },
		"no such":      func(req *waypostv1.AdvanceCeremonyRequest) { req.Round = 9 },
		"another id":   func(req *waypostv1.AdvanceCeremonyRequest) { req.Ceremony = make([]byte, 32) },
		"a short id":   func(req *waypostv1.AdvanceCeremonyRequest) { req.Ceremony = req.Ceremony[:5] },
		"too many":     func(req *waypostv1.AdvanceCeremonyRequest) { req.Messages = make([][]byte, 1000) },
		"a last round": func(req *waypostv1.AdvanceCeremonyRequest) { req.Round = 4 },
	} {
		_, err := r.lead(p, func(links map[string]*link) {
			links["keyholder-1"].in = func(req *waypostv1.AdvanceCeremonyRequest) error { alter(req); return nil }
		})
		code := waypost.CodeOf(err)
		if err == nil || blamed(err) != "" || code != waypost.InvalidArgument && code != waypost.PermissionDenied && code != waypost.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.lead(p, nil); err != nil {
		t.Errorf("after all that the ceremony cannot be finished: %v", err)
	}
}
