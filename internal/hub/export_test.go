package hub

import (
	"context"
	"net"
	"time"

	"github.com/waypost/waypost"
)

// NotByItself has no hub do its housekeeping by itself, which on a busy machine would meet
// the faults of a test.
func NotByItself() { cleanEvery = 24 * time.Hour }

// Clean runs the housekeeping of a hub with these dependencies once.
func Clean(ctx context.Context, d Deps) error {
	s, err := New(Config{Name: "hub"}, d)
	if err != nil {
		return err
	}
	return s.Clean(ctx)
}

// RunWithBoxes serves with boxes that hold so many bytes.
func RunWithBoxes(d Deps, limit int64) func(ctx context.Context, l net.Listener) error {
	return func(ctx context.Context, l net.Listener) error {
		s, err := New(Config{Name: "hub"}, d)
		if err != nil {
			return err
		}
		s.boxLimit = limit
		return s.Run(ctx, l)
	}
}

// Label is where the counter-th pointer of a token stands, in the first epoch.
func Label(h [32]byte, t waypost.Token, counter uint8) []byte {
	l := label(&h, key{1, t}, counter)
	return l[:]
}

const (
	MaxCounter = maxCounter
	OwnPlaces  = ownPlaces
)

// CleanAtOnce is how much one transaction deletes.
const CleanAtOnce = cleanAtOnce

// LabelStatements are those that look for labels, with how many arguments each has.
var LabelStatements = map[string]int{findFew: fewLabels, findLabels: labelsAtOnce, deleteLabels: labelsAtOnce}

// LabelsBetween has the ends of a range and a limit.
const LabelsBetween = labelsBetween

// CheckMaintenance decodes a request and checks what can be checked without a
// database.
func CheckMaintenance(raw []byte, kind waypost.Kind) error {
	m, err := parseMaintenance(raw, kind)
	if err != nil {
		return err
	}
	t := waypost.SignedTicket{Ticket: waypost.Ticket{SOI: "CA", Kind: kind}}
	switch kind {
	case waypost.KindWithdraw:
		_, err = withdraw(t, m.GetWithdraw())
	case waypost.KindActivate:
		_, err = activate(t, m.GetActivate())
	case waypost.KindCompare:
		err = checkComparison(m.GetCompare())
		if c := m.GetCompare(); err == nil {
			if first, last := span(c); waypost.BucketOf(first, c.Bits) != c.From || waypost.BucketOf(last, c.Bits) != c.From+c.Count-1 {
				panic("the span of the buckets is another")
			}
		}
	case waypost.KindChangeSOR:
		_, err = waypost.ParseRelease(m.GetChange().GetRelease())
	}
	return err
}

// LookUp looks tokens up for a state with what a test knows of the servers of
// labels, and returns whom it finds and how many tokens were not looked up.
func LookUp(ctx context.Context, d Deps, r reach, soi waypost.Jurisdiction, tokens ...waypost.Token) (list []waypost.Handle, unreached int, err error) {
	s, err := New(Config{Name: "hub"}, d)
	if err != nil {
		return nil, 0, err
	}
	s.reach = r
	all, unreached, err := s.lookUp(ctx, waypost.Ticket{SOI: soi, Epoch: 1}, waypost.TicketID{}, tokens)
	for _, f := range all {
		list = append(list, f.handle)
	}
	return list, unreached, err
}

// PurgeEpoch deletes the labels of an epoch whose key is gone, in so many steps, and
// returns how many steps are left.
func PurgeEpoch(ctx context.Context, d Deps, epoch byte, steps int) (left int, err error) {
	s, err := New(Config{Name: "hub"}, d)
	if err == nil {
		err = s.purgeEpoch(ctx, epoch, &steps, d.Now().Add(time.Hour))
	}
	return steps, err
}

// Keys is how one process of a hub finds the keys that it seals to.
func Keys(d Deps) (keyOf func(ctx context.Context, member string) ([]byte, error), err error) {
	s, err := New(Config{Name: "hub"}, d)
	return func(ctx context.Context, member string) ([]byte, error) {
		key, err := s.keyOf(ctx, member)
		if err != nil {
			return nil, err
		}
		return key.Encode(), nil
	}, err
}
