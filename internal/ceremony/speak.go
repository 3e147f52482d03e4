package ceremony

import (
	"errors"

	"filippo.io/age"

	"github.com/waypost/waypost/toprf"
)

// secrets are what a participant keeps to itself until its ceremony is over.
type secrets struct {
	seed [toprf.SeedSize]byte
	// identities open what it is dealt, by the positions of the dealers; none if it
	// is to have no share.
	identities []*age.X25519Identity
}

func newSecrets(p Plan, me string) (s secrets, err error) {
	s.seed = toprf.NewSeed()
	if position(p.Holders, me) == 0 {
		return s, nil
	}
	for range p.dealers() {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			return s, err
		}
		s.identities = append(s.identities, id)
	}
	return s, nil
}

// speaker is a participant in its own session: what it says in a round is a function
// of its secrets and of the rounds before, which are complete and judged.
type speaker struct {
	*session
	me      string
	secrets secrets
	old     toprf.Share // its old share, where it has one
}

// body is what it says in a round. In Sign the outcome is its share, unless it has
// none or complains.
func (s *speaker) body(round Round) (body []byte, outcome *toprf.Outcome, err error) {
	switch round {
	case Commit:
		body, err = s.commit()
	case Reveal:
		body, err = s.reveal()
	case Deal:
		body, err = s.deal()
	default:
		return s.sign()
	}
	return body, nil, err
}

// dealer is its part in the arithmetic, nil if it does not deal.
func (s *speaker) dealer() (*toprf.Dealer, error) {
	at := position(s.plan.dealers(), s.me)
	if at == 0 {
		return nil, nil
	}
	return s.ceremony.NewDealer(at, s.old, s.secrets.seed)
}

func (s *speaker) commit() ([]byte, error) {
	var body commitBody
	d, err := s.dealer()
	if err != nil {
		return nil, err
	}
	if d != nil {
		body.commit = d.Commit()
	}
	for _, id := range s.secrets.identities {
		body.recipients = append(body.recipients, id.Recipient().String())
	}
	return body.bytes(), nil
}

func (s *speaker) reveal() ([]byte, error) {
	d, err := s.dealer()
	if d == nil || err != nil {
		return nil, err
	}
	return d.Reveal(s.arithmetic(Commit))
}

func (s *speaker) deal() ([]byte, error) {
	d, err := s.dealer()
	if d == nil || err != nil {
		return dealsBody(nil), err
	}
	deals, err := d.Deal(s.arithmetic(Commit), s.arithmetic(Reveal))
	if err != nil {
		return nil, err
	}
	at := position(s.plan.dealers(), s.me)
	for j, name := range s.plan.Holders {
		to, _ := parseCommit(s.heard[Commit][name].Body)
		if deals[j], err = sealTo(to.recipients[at-1], deals[j]); err != nil {
			return nil, err
		}
	}
	return dealsBody(deals), nil
}

// sign adds up what it was dealt, or complains about the first deal that is wrong.
func (s *speaker) sign() ([]byte, *toprf.Outcome, error) {
	index := position(s.plan.Holders, s.me)
	if index == 0 {
		return signBody{transcript: s.transcriptHash()}.bytes(), nil, nil
	}
	deals := make([][]byte, len(s.plan.dealers()))
	for i, dealer := range s.plan.dealers() {
		sealed, _ := parseDeals(s.heard[Deal][dealer].Body)
		var err error
		if deals[i], err = openWith(s.secrets.identities[i], sealed[index-1]); err != nil {
			return s.complain(i + 1), nil, nil //nolint:nilerr // the complaint says it
		}
	}
	outcome, err := s.ceremony.Receive(index, s.old, s.arithmetic(Commit), s.arithmetic(Reveal), deals)
	if named, ok := errors.AsType[*toprf.CeremonyError](err); ok {
		return s.complain(named.Index), nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return signBody{transcript: s.transcriptHash()}.bytes(), outcome, nil
}

func (s *speaker) complain(dealer int) []byte {
	return signBody{dealer: dealer, identity: s.secrets.identities[dealer-1].String()}.bytes()
}
