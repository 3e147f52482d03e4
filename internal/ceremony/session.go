package ceremony

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"filippo.io/age"

	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

// Fault is why a ceremony cannot go on.
type Fault struct { //nolint:errname // it is the thing, which is an error too
	Culprit  string    // who misbehaved; empty where no signatures show it
	Reason   string    // what happened, in words; begins with a name
	Evidence []Message // the messages that show it
}

// Error says what happened.
func (f *Fault) Error() string { return f.Reason }

// session is a ceremony as far as its messages are known to somebody: a participant,
// the coordinator, or whoever verifies it later.
type session struct {
	plan         Plan
	ceremony     toprf.Ceremony
	keys         map[string]ed25519.PublicKey
	participants []string
	heard        map[Round]map[string]Message
}

func newSession(p Plan, r *roster.Roster) (*session, error) {
	c, err := p.Ceremony(r)
	if err != nil {
		return nil, err
	}
	if err := p.approved(r.Governance); err != nil {
		return nil, err
	}
	return &session{plan: p, ceremony: c, keys: p.identities(r), participants: p.Participants(), heard: make(map[Round]map[string]Message)}, nil
}

// hear takes a message. That it is not signed is an error and nobody's fault but the
// carrier's; two different ones of one participant and round, signed, are a *Fault.
func (s *session) hear(m Message) error {
	if err := m.verify(s.plan.ID(), s.keys); err != nil {
		return err
	}
	before, known := s.heard[m.Round][m.Sender]
	if known && before.Digest() != m.Digest() {
		return &Fault{m.Sender, fmt.Sprintf("%s has signed two different messages of round %s", m.Sender, m.Round), []Message{before, m}}
	}
	if s.heard[m.Round] == nil {
		s.heard[m.Round] = make(map[string]Message)
	}
	s.heard[m.Round][m.Sender] = m
	if sign, ok := s.heard[Sign][m.Sender]; ok {
		if abort, ok := s.heard[Abort][m.Sender]; ok {
			return &Fault{m.Sender, m.Sender + " has signed the transcript and has given up", []Message{sign, abort}}
		}
	}
	return nil
}

// complete reports whether everybody's message of a round is known.
func (s *session) complete(round Round) bool { return len(s.heard[round]) == len(s.participants) }

// silent are those whose message of a round is not known.
func (s *session) silent(round Round) (names []string) {
	for _, p := range s.participants {
		if _, ok := s.heard[round][p]; !ok {
			names = append(names, p)
		}
	}
	return names
}

// digests are those of a round, which is complete, as later messages name it.
func (s *session) digests(round Round) (all [][sha256.Size]byte) {
	if round < Commit {
		return nil
	}
	for _, p := range s.participants {
		all = append(all, s.heard[round][p].Digest())
	}
	return all
}

// transcriptHash is what everybody signs: the plan and the messages of the rounds
// before.
func (s *session) transcriptHash() [sha256.Size]byte {
	h := sha256.New()
	add := func(b []byte) {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
		h.Write(b)
	}
	h.Write([]byte("waypost ceremony transcript v1\n"))
	add(s.plan.Bytes())
	for round := Commit; round < Sign; round++ {
		for _, p := range s.participants {
			add(s.heard[round][p].signed)
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// arithmetic returns the messages of the dealers in a round, by position. The round
// has been judged.
func (s *session) arithmetic(round Round) (messages [][]byte) {
	for _, name := range s.plan.dealers() {
		m := s.heard[round][name]
		if round == Commit {
			c, _ := parseCommit(m.Body)
			messages = append(messages, c.commit)
		} else {
			messages = append(messages, m.Body)
		}
	}
	return messages
}

// judge checks a round as everybody can, those before it being complete and judged.
// All but the last one are complete. The fault is the first one in the order of the
// participants.
func (s *session) judge(round Round) *Fault {
	if f := s.judgeSeen(round); f != nil {
		return f
	}
	switch round {
	case Commit:
		return s.judgeCommits()
	case Reveal:
		return s.judgeReveals()
	case Deal:
		return s.judgeDeals()
	case Sign:
		return s.judgeSigned()
	}
	return nil
}

// judgeSeen holds what the participants say they have seen against what is here.
func (s *session) judgeSeen(round Round) *Fault {
	want := s.digests(round - 1)
	for _, name := range s.participants {
		m, ok := s.heard[round][name]
		if !ok {
			continue
		}
		if len(m.Seen) != len(want) {
			return s.blame(round, name, "does not say what it has seen")
		}
		for i, d := range m.Seen {
			if other := s.participants[i]; d != want[i] {
				if other == name {
					return s.blame(round, name, "denies its own message of the round before")
				}
				// One of the two: the other message, once shown, says which.
				return &Fault{"", fmt.Sprintf("%s says that it has another message of %s in round %s than we have: one of the two is at fault", name, other, round-1),
					[]Message{m, s.heard[round-1][other]}}
			}
		}
	}
	return nil
}

// blame is a fault that one message of one participant shows.
func (s *session) blame(round Round, name, what string) *Fault {
	return &Fault{name, fmt.Sprintf("%s %s (round %s)", name, what, round), []Message{s.heard[round][name]}}
}

// accuse turns what the arithmetic says into a fault of the dealer that it names.
func (s *session) accuse(round Round, err error) *Fault {
	var named *toprf.CeremonyError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &named):
		return s.blame(round, s.plan.dealers()[named.Index-1], named.Reason)
	}
	return &Fault{"", err.Error(), nil}
}

func (s *session) judgeCommits() *Fault {
	for _, name := range s.participants {
		body, ok := parseCommit(s.heard[Commit][name].Body)
		recipients := 0
		if position(s.plan.Holders, name) > 0 {
			recipients = len(s.plan.dealers())
		}
		deals := position(s.plan.dealers(), name) > 0
		if !ok || len(body.recipients) != recipients || (len(body.commit) > 0) != deals {
			return s.blame(Commit, name, "sent a message that is not well formed")
		}
	}
	return s.accuse(Commit, s.ceremony.CheckCommits(s.arithmetic(Commit)))
}

func (s *session) judgeReveals() *Fault {
	for _, name := range s.participants {
		if position(s.plan.dealers(), name) == 0 && len(s.heard[Reveal][name].Body) > 0 {
			return s.blame(Reveal, name, "does not deal and reveals something")
		}
	}
	_, err := s.publicKeys()
	return s.accuse(Reveal, err)
}

// publicKeys are what the ceremony makes, from the rounds Commit and Reveal.
func (s *session) publicKeys() (*toprf.PublicKeys, error) {
	return s.ceremony.Keys(s.arithmetic(Commit), s.arithmetic(Reveal))
}

func (s *session) judgeDeals() *Fault {
	for _, name := range s.participants {
		sealed, ok := parseDeals(s.heard[Deal][name].Body)
		want := 0
		if position(s.plan.dealers(), name) > 0 {
			want = len(s.plan.Holders)
		}
		ok = ok && len(sealed) == want && !slices.ContainsFunc(sealed, func(b []byte) bool { return len(b) > maxSealed })
		if !ok {
			return s.blame(Deal, name, "sent a message that is not well formed")
		}
	}
	return nil
}

func (s *session) judgeSigned() *Fault {
	for _, name := range s.participants {
		m, ok := s.heard[Sign][name]
		if !ok {
			continue // a complaint is judged though the others keep silent
		}
		body, ok := parseSign(m.Body)
		switch {
		case !ok:
			return s.blame(Sign, name, "sent a message that is not well formed")
		case body.dealer != 0:
			return s.judgeComplaint(name, body)
		case body.transcript != s.transcriptHash():
			return s.blame(Sign, name, "signed another transcript than that of the messages it has seen")
		}
	}
	return nil
}

// judgeComplaint opens the one deal that is complained about, and says who of the two
// is at fault: always one.
func (s *session) judgeComplaint(name string, c signBody) *Fault {
	to := position(s.plan.Holders, name)
	if to == 0 || c.dealer > len(s.plan.dealers()) {
		return s.blame(Sign, name, "complains about a deal that was never due")
	}
	identity, err := age.ParseX25519Identity(c.identity)
	commit, _ := parseCommit(s.heard[Commit][name].Body)
	if err != nil || identity.Recipient().String() != commit.recipients[c.dealer-1] {
		return s.blame(Sign, name, "complains about a deal and shows a key that does not open it")
	}
	dealer := s.plan.dealers()[c.dealer-1]
	sealed, _ := parseDeals(s.heard[Deal][dealer].Body)
	deal, err := openWith(identity, sealed[to-1])
	if err != nil {
		return s.dealt(dealer, name, "dealt "+name+" what its key does not open")
	}
	err = s.ceremony.CheckDeal(c.dealer, to, s.arithmetic(Reveal), deal)
	if err == nil {
		return s.blame(Sign, name, "complains about the deal of "+dealer+", which is good")
	}
	if named, ok := errors.AsType[*toprf.CeremonyError](err); ok {
		return s.dealt(dealer, name, named.Reason)
	}
	return &Fault{"", err.Error(), nil}
}

// dealt blames a dealer for what a complaint shows.
func (s *session) dealt(dealer, complainer, what string) *Fault {
	return &Fault{dealer, fmt.Sprintf("%s %s (round %s)", dealer, what, Deal),
		[]Message{s.heard[Commit][complainer], s.heard[Deal][dealer], s.heard[Sign][complainer]}}
}
