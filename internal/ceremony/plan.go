package ceremony

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

// ID names one attempt: the hash of its plan.
type ID [sha256.Size]byte

// Plan is what the participants of a ceremony agree on before it starts.
type Plan struct {
	Nonce      [16]byte
	Kind       toprf.Kind
	Roster     uint64        // the version that names the participants and the shares in force
	RosterHash roster.Digest // of that version
	Epoch      uint32        // of the key
	Threshold  int           // of the shares to be made
	// Holders are to have the shares, by index from 1. All of them deal, except in a
	// Reshare: there Dealers do, holders of the old shares in order of their indices.
	Holders []string
	Dealers []string
	Begins  time.Time // whole seconds
	Ends    time.Time // afterwards whoever has not signed gives up
	// Approval is, of a Reshare, its Text as governance has signed it. It is no part of
	// what is hashed.
	Approval []byte
}

const (
	planDomain = "waypost ceremony plan v1\n"
	idDomain   = "waypost ceremony id v1\n"

	// MaxTime is how long a ceremony may take: its participants may be in different
	// time zones.
	MaxTime = 24 * time.Hour
	// skew is how far the clocks of two participants may lie apart.
	skew = 5 * time.Minute

	maxPlan = 8 << 10 // bytes; 64 names take 2 KiB
)

// NewPlan drafts a plan under a roster, from now on. holders are those who are to
// have the shares; of a Refresh they and the threshold are those that there are, and
// neither is looked at. In a Reshare dealers hold old shares, as many as the old
// threshold.
func NewPlan(kind toprf.Kind, r *roster.Roster, epoch uint32, threshold int, holders, dealers []string, now time.Time, within time.Duration) (Plan, error) {
	hash, err := r.Hash()
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Kind: kind, Roster: r.Version, RosterHash: hash, Epoch: epoch, Threshold: threshold, Holders: holders, Dealers: dealers,
		Begins: now.UTC().Truncate(time.Second)}
	p.Ends = p.Begins.Add(within.Truncate(time.Second))
	_, _ = rand.Read(p.Nonce[:]) // never fails (Go 1.24)
	if kind == toprf.Refresh {
		key, ok := r.KeyOf(epoch)
		if !ok {
			return Plan{}, noKeyOf(r, epoch)
		}
		p.Threshold, p.Holders, p.Dealers = key.Threshold, names(r.Holders()), nil
	}
	_, err = p.Ceremony(r)
	return p, err
}

func names(members []roster.Member) (all []string) {
	for _, m := range members {
		all = append(all, m.Name)
	}
	return all
}

// Bytes is the canonical encoding: see spec/ceremony.md.
func (p Plan) Bytes() []byte {
	b := cryptobyte.NewBuilder([]byte(planDomain))
	b.AddBytes(p.Nonce[:])
	b.AddUint8(uint8(p.Kind))
	b.AddUint64(p.Roster)
	b.AddBytes(p.RosterHash[:])
	b.AddUint32(p.Epoch)
	b.AddUint8(uint8(p.Threshold))
	for _, list := range [][]string{p.Holders, p.Dealers} {
		b.AddUint8(uint8(len(list)))
		for _, name := range list {
			addName(b, name)
		}
	}
	b.AddUint64(uint64(p.Begins.Unix()))
	b.AddUint64(uint64(p.Ends.Unix()))
	return b.BytesOrPanic() // all lengths are bounded by check
}

// ParsePlan reads what Bytes wrote, and nothing else.
func ParsePlan(raw []byte) (p Plan, err error) {
	s := cryptobyte.String(raw)
	var kind, threshold uint8
	var begins, ends uint64
	ok := len(raw) <= maxPlan && readDomain(&s, planDomain) && s.CopyBytes(p.Nonce[:]) && s.ReadUint8(&kind) && s.ReadUint64(&p.Roster) &&
		s.CopyBytes(p.RosterHash[:]) && s.ReadUint32(&p.Epoch) && s.ReadUint8(&threshold) &&
		readNames(&s, &p.Holders) && readNames(&s, &p.Dealers) && s.ReadUint64(&begins) && s.ReadUint64(&ends) && s.Empty()
	const lastSecond = 253402300799 // of the year 9999
	if !ok || begins == 0 || begins > lastSecond || ends > lastSecond {
		return Plan{}, malformed("plan")
	}
	p.Kind, p.Threshold = toprf.Kind(kind), int(threshold)
	p.Begins, p.Ends = time.Unix(int64(begins), 0).UTC(), time.Unix(int64(ends), 0).UTC()
	if err := p.check(); err != nil || !bytes.Equal(p.Bytes(), raw) {
		return Plan{}, malformed("plan")
	}
	return p, nil
}

// check is what can be checked without a roster.
func (p Plan) check() error {
	switch {
	case p.Kind != toprf.Keygen && p.Kind != toprf.Refresh && p.Kind != toprf.Reshare:
		return waypost.Errorf(waypost.InvalidArgument, "a ceremony is a keygen, a refresh or a reshare")
	case len(p.Holders) == 0 || len(p.Holders) > toprf.MaxHolders || len(p.Dealers) > toprf.MaxHolders || p.Threshold < 1 || p.Threshold > len(p.Holders):
		return waypost.Errorf(waypost.InvalidArgument, "a ceremony makes shares for 1 to %d key holders, and the threshold is 1 to their number", toprf.MaxHolders)
	case (p.Kind == toprf.Reshare) != (len(p.Dealers) > 0):
		return waypost.Errorf(waypost.InvalidArgument, "in a reshare, and in nothing else, those who deal are named")
	case p.Epoch == 0:
		return waypost.Errorf(waypost.InvalidArgument, "epochs count from 1")
	case !p.Begins.Before(p.Ends) || p.Ends.Sub(p.Begins) > MaxTime:
		return waypost.Errorf(waypost.InvalidArgument, "a ceremony takes more than nothing and at most %d hours", int(MaxTime.Hours()))
	}
	return nil
}

// ID is the ceremony's id.
func (p Plan) ID() ID { return sha256.Sum256(append([]byte(idDomain), p.Bytes()...)) }

// Participants are all who take part, the holders first.
func (p Plan) Participants() []string {
	all := slices.Clone(p.Holders)
	for _, d := range p.Dealers {
		if !slices.Contains(p.Holders, d) {
			all = append(all, d)
		}
	}
	return all
}

// dealers are those who deal, by position from 1.
func (p Plan) dealers() []string {
	if p.Kind == toprf.Reshare {
		return p.Dealers
	}
	return p.Holders
}

// position is where a name stands in a list, counted from 1; 0 if nowhere.
func position(list []string, name string) int { return slices.Index(list, name) + 1 }

// Ceremony checks the plan against the roster version that it names, and says what
// the arithmetic of it is.
func (p Plan) Ceremony(r *roster.Roster) (toprf.Ceremony, error) {
	var c toprf.Ceremony
	hash, err := r.Hash()
	if err != nil {
		return c, err
	}
	if err := p.check(); err != nil {
		return c, err
	}
	if r.Version != p.Roster || hash != p.RosterHash {
		return c, waypost.Errorf(waypost.InvalidArgument, "the ceremony is under another roster than version %d here", r.Version)
	}
	if err := p.checkNames(r); err != nil {
		return c, err
	}
	c = toprf.Ceremony{Kind: p.Kind, ID: p.ID(), Roster: p.RosterHash, Epoch: p.Epoch, Threshold: p.Threshold, Holders: len(p.Holders)}
	switch p.Kind {
	case toprf.Keygen:
		return c, p.checkKeygen(r)
	case toprf.Refresh:
		return p.refresh(c, r)
	}
	return p.reshare(c, r)
}

// checkNames insists on key holders of the roster, each once.
func (p Plan) checkNames(r *roster.Roster) error {
	for _, list := range [][]string{p.Holders, p.Dealers} {
		for i, name := range list {
			m, ok := r.Member(name)
			switch {
			case !ok || m.Role != roster.KeyHolder || m.Removed:
				return waypost.Errorf(waypost.InvalidArgument, "%q is not a key holder of roster version %d", name, r.Version)
			case slices.Contains(list[:i], name):
				return waypost.Errorf(waypost.InvalidArgument, "%s is named twice", name)
			}
		}
	}
	return nil
}

func (p Plan) checkKeygen(r *roster.Roster) error {
	switch {
	case p.Epoch != r.Newest()+1:
		return waypost.Errorf(waypost.InvalidArgument, "a new key is of the epoch after the newest, %d", r.Newest()+1)
	case r.Epoch != 0 && !slices.Equal(p.Holders, names(r.Holders())):
		return waypost.Errorf(waypost.InvalidArgument, "the next key is for the key holders that there are, in the order of their shares: reshare first")
	}
	return nil
}

func noKeyOf(r *roster.Roster, epoch uint32) error {
	return waypost.Errorf(waypost.InvalidArgument, "roster version %d has no key of epoch %d to refresh", r.Version, epoch)
}

func (p Plan) refresh(c toprf.Ceremony, r *roster.Roster) (toprf.Ceremony, error) {
	key, ok := r.KeyOf(p.Epoch)
	switch {
	case !ok:
		return c, noKeyOf(r, p.Epoch)
	case key.Threshold < 2:
		return c, waypost.Errorf(waypost.InvalidArgument, "with a threshold of 1 every share is the key: there is nothing to refresh")
	case p.Threshold != key.Threshold || !slices.Equal(p.Holders, names(r.Holders())):
		return c, waypost.Errorf(waypost.InvalidArgument, "a refresh is for the key holders that there are, in the order of their shares, with their threshold")
	}
	var err error
	c.Old, err = key.Public()
	return c, err
}

func (p Plan) reshare(c toprf.Ceremony, r *roster.Roster) (toprf.Ceremony, error) {
	switch {
	case r.Epoch == 0 || p.Epoch != r.Epoch:
		return c, waypost.Errorf(waypost.InvalidArgument, "what is reshared is the roster's own key, of epoch %d", r.Epoch)
	case r.Beside != nil:
		return c, waypost.Errorf(waypost.InvalidArgument, "while the index is rotated from one key to another nothing is reshared: finish the rotation first")
	case p.Threshold < r.LeastThreshold(p.Begins):
		return c, waypost.Errorf(waypost.InvalidArgument, "the shares of a reshare need %d key holders at least, as those in force do: a lower threshold is announced in a roster first, and waits its time", r.LeastThreshold(p.Begins))
	case len(p.Dealers) != r.Threshold:
		return c, waypost.Errorf(waypost.InvalidArgument, "%d key holders deal, as many as the threshold is", r.Threshold)
	}
	for _, name := range p.Dealers {
		m, _ := r.Member(name)
		if m.Index == 0 {
			return c, waypost.Errorf(waypost.InvalidArgument, "%s has no share to deal", name)
		}
		c.Dealers = append(c.Dealers, m.Index)
	}
	if !slices.IsSorted(c.Dealers) {
		return c, waypost.Errorf(waypost.InvalidArgument, "those who deal are named in the order of their shares")
	}
	var err error
	c.Old, err = r.Keys()
	return c, err
}
