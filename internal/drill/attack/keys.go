package attack

import (
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/ceremony"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/toprf"
)

// order is that of the group (RFC 9496, section 4): shares are numbers below it.
var order = func() *big.Int {
	v, _ := new(big.Int).SetString("27742317777372353535851937790883648493", 10)
	return v.Add(v, new(big.Int).Lsh(big.NewInt(1), 252))
}()

// ShareOf opens the share in the folder of a key holder, as who has all of the folder
// can. now is the time by which its roster is judged.
func ShareOf(folder string, now func() time.Time) (toprf.Share, error) {
	f, err := install.OpenFolder(folder, now)
	if err != nil {
		return toprf.Share{}, err
	}
	vault, err := ceremony.LookVault(folder+"/share", folder+"/identities")
	if err != nil {
		return toprf.Share{}, err
	}
	me, _ := f.Roster.Member(f.Config.Name)
	share, ok := vault.Share(me.PublicShare)
	if !ok {
		return share, fmt.Errorf("the share of %s does not open", me.Name)
	}
	return share, nil
}

// Points are shares as the attacker reckons with them: by the number of the holder.
type Points map[int]*big.Int

// PointsOf are the secrets of shares.
func PointsOf(shares ...toprf.Share) (Points, error) {
	points := make(Points)
	for _, s := range shares {
		raw, err := s.MarshalBinary()
		if err != nil {
			return nil, err
		}
		secret := raw[2:] // after version and index
		slices.Reverse(secret)
		points[s.Index()] = new(big.Int).SetBytes(secret)
	}
	return points, nil
}

// Secret is the value at 0 of the polynomial through the points (Shamir 1979): the
// key, if there are as many as the threshold.
func (p Points) Secret() *big.Int {
	sum := new(big.Int)
	for j := range p {
		term := new(big.Int).Mul(p[j], p.weight(j))
		sum.Add(sum, term)
	}
	return sum.Mod(sum, order)
}

// weight is by how much the point of j counts at 0.
func (p Points) weight(j int) *big.Int {
	above, below := big.NewInt(1), big.NewInt(1)
	for m := range p {
		if m != j {
			above.Mul(above, big.NewInt(int64(-m)))
			below.Mul(below, big.NewInt(int64(j-m)))
		}
	}
	below.Mod(below, order)
	above.Mul(above, below.ModInverse(below, order))
	return above.Mod(above, order)
}

// With is p and one more point.
func (p Points) With(holder int, value *big.Int) Points {
	more := Points{holder: value}
	maps.Copy(more, p)
	return more
}

// Guess is a number that may be the key, and why one might think so.
type Guess struct {
	Why    string
	Secret *big.Int
}

// Guesses are what too few shares suggest, with holders in all and a threshold of one
// more than there are shares: each share for the key, all of them as if they were
// enough, their sum, and the missing share taken for a number that somebody might have
// chosen.
func (p Points) Guesses(holders int) (guesses []Guess) {
	sum, missing := new(big.Int), 0
	for j := range holders {
		if value, ok := p[j+1]; ok {
			sum.Add(sum, value)
			guesses = append(guesses, Guess{"a share for the key", value})
		} else if missing == 0 {
			missing = j + 1
		}
	}
	guesses = append(guesses, Guess{"the shares as if they were enough", p.Secret()}, Guess{"their sum", sum.Mod(sum, order)})
	for _, small := range []int64{0, 1} {
		guesses = append(guesses, Guess{"the missing share guessed", p.With(missing, big.NewInt(small)).Secret()})
	}
	return append(guesses, Guess{"no key at all", big.NewInt(1)})
}

// Missing tries n numbers drawn from the seed for the missing share of a holder, each
// against the public key of the group, which everybody has in the roster. It returns
// the key if one is right. planted, if not nil, is tried in the middle.
func (p Points) Missing(holder, n int, seed uint64, group toprf.Element, planted *big.Int) (*big.Int, error) {
	r := rand.New(rand.NewPCG(seed, 0x6d697373696e67))
	weight := p.With(holder, new(big.Int)).weight(holder)
	rest := p.With(holder, new(big.Int)).Secret()
	for i := range n {
		guess := draw(r)
		if planted != nil && i == n/2 {
			guess = planted
		}
		secret := guess.Mul(guess, weight)
		secret.Add(secret, rest).Mod(secret, order)
		key, err := NewKey(secret, 1)
		if err != nil {
			return nil, err
		}
		if key.Public().Equal(group) {
			return secret, nil
		}
	}
	return nil, nil
}

// draw draws a number below the order.
func draw(r *rand.Rand) *big.Int {
	var wide [64]byte
	for i := 0; i < len(wide); i += 8 {
		binary.BigEndian.PutUint64(wide[i:], r.Uint64())
	}
	v := new(big.Int).SetBytes(wide[:])
	return v.Mod(v, order)
}

// Key is a number that the attacker takes for the key of an epoch.
type Key struct {
	share toprf.Share // of a group of one
	epoch uint32
}

// NewKey takes a number for the key. It is an error only for zero.
func NewKey(secret *big.Int, epoch uint32) (Key, error) {
	raw := secret.FillBytes(make([]byte, toprf.ScalarSize))
	slices.Reverse(raw)
	scalar, err := toprf.DecodeScalar(raw)
	if err != nil {
		return Key{}, err
	}
	share, err := toprf.NewShare(1, scalar)
	return Key{share, epoch}, err
}

// Public is the public key that belongs to it.
func (k Key) Public() toprf.Element { return k.share.Public() }

// one is the blind of who need not hide.
var one = func() toprf.Scalar {
	raw := make([]byte, toprf.ScalarSize)
	raw[0] = 1
	s, err := toprf.DecodeScalar(raw)
	if err != nil {
		panic(err) // one is a scalar
	}
	return s
}()

// Tokens are those of the inputs, match keys, under the key, on all cores.
func (k Key) Tokens(inputs [][]byte) ([]waypost.Token, error) {
	tokens := make([]waypost.Token, len(inputs))
	size := min(max(len(inputs)/runtime.NumCPU(), 1), 1000)
	var working sync.WaitGroup
	var mu sync.Mutex
	var failed error
	free := make(chan struct{}, runtime.NumCPU())
	for lo := 0; lo < len(inputs); lo += size {
		hi := min(lo+size, len(inputs))
		free <- struct{}{}
		working.Go(func() {
			defer func() { <-free }()
			if err := k.tokens(inputs[lo:hi], tokens[lo:hi]); err != nil {
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
			}
		})
	}
	working.Wait()
	return tokens, failed
}

func (k Key) tokens(inputs [][]byte, tokens []waypost.Token) error {
	elements := make([]toprf.Element, len(inputs))
	for i, input := range inputs {
		var err error
		if elements[i], err = toprf.Blind(input, one); err != nil {
			return err
		}
	}
	raised, err := k.share.Evaluate(elements, make([]byte, toprf.HedgeSize))
	if err != nil {
		return err
	}
	for i, input := range inputs {
		tokens[i] = waypost.NewToken(k.epoch, finalize(input, raised.Elements[i*toprf.ElementSize:][:toprf.ElementSize]))
	}
	return nil
}

// finalize is the last hash of RFC 9497, section 3.3.1.
func finalize(input, element []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(input)))
	b = append(b, input...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(element)))
	b = append(append(b, element...), "Finalize"...)
	sum := sha512.Sum512(b)
	return sum[:]
}
