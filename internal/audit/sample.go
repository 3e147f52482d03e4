package audit

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// Sample is a draw of tickets that are to be opened. Everything that decided it
// is in it, so that anybody who may open the key holders' ledgers can draw again.
//
// A ticket is a candidate where a key holder's ledger has it between Since and
// Beacon, and it is for a check. It is drawn where
//
//	SHA-256(sampleDomain ‖ origin ‖ size ‖ root ‖ ... ‖ ticket id) < Rate · 2^256
//
// over the heads of the beacon in order of their origins: strings are preceded
// by their length as 4 bytes, size is 8 bytes, big-endian. The heads that decide
// come after the ticket: nobody can choose one that escapes.
type Sample struct {
	Type        string              `json:"type"`
	Rate        string              `json:"rate"`  // decimal, above 0 and at most 1
	Since       []string            `json:"since"` // signed checkpoints of the sample before, none at first
	Beacon      []string            `json:"beacon"`
	Evaluations int64               `json:"evaluations"` // entries of candidates, in all ledgers
	Drawn       map[string][]string `json:"drawn"`       // ticket ids in hex, sorted, by the state that asked
}

const (
	sampleType   = "waypost sample v1"
	sampleDomain = sampleType
	maxSample    = 64 << 20 // bytes of a file
	maxHeads     = 1000
)

var rateShape = regexp.MustCompile(`^(0\.[0-9]{1,9}|1)$`)

// ParseSample decodes a sample strictly. What it says is checked by
// [Sample.Verify].
func ParseSample(raw []byte) (*Sample, error) {
	var s Sample
	if len(raw) > maxSample {
		return nil, fmt.Errorf("a sample of more than %d bytes", maxSample)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil || s.Type != sampleType || d.More() {
		return nil, waypost.Errorf(waypost.InvalidArgument, "this is not a sample as waypost audit sample writes it")
	}
	if _, err := parseRate(s.Rate); err != nil {
		return nil, err
	}
	if len(s.Beacon) == 0 || len(s.Beacon) > maxHeads || len(s.Since) > maxHeads {
		return nil, waypost.Errorf(waypost.InvalidArgument, "a sample has 1 to %d checkpoints", maxHeads)
	}
	return &s, nil
}

func parseRate(text string) (*big.Rat, error) {
	if rateShape.MatchString(text) {
		if r, ok := new(big.Rat).SetString(text); ok && r.Sign() > 0 {
			return r, nil
		}
	}
	return nil, waypost.Errorf(waypost.InvalidArgument, "the rate is a share like 0.005: above 0, at most 1, at most nine digits")
}

// Verify checks the signatures and witnesses on the checkpoints, that there is
// one of each key holder, and that each ticket listed was drawn by them.
func (s *Sample) Verify(rosters []*roster.Roster) error {
	heads, err := beaconOf(rosters, s.Beacon)
	if err != nil {
		return err
	}
	d, err := newLottery(heads, s.Rate)
	if err != nil {
		return err
	}
	for state, tickets := range s.Drawn {
		for _, text := range tickets {
			id, err := hex.DecodeString(text)
			if err != nil || len(id) != 32 || !d.falls([32]byte(id)) {
				return fmt.Errorf("a ticket of %.2q is listed that the checkpoints did not draw", state)
			}
		}
	}
	return nil
}

// ID names the draw: the hash of what decided it.
func (s *Sample) ID() string {
	h := sha256.New()
	for _, note := range s.Beacon {
		_ = binary.Write(h, binary.BigEndian, uint32(len(note)))
		h.Write([]byte(note))
	}
	h.Write([]byte(s.Rate))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// lottery decides which tickets fall under the rate.
type lottery struct {
	prefix []byte
	rate   *big.Rat
}

func newLottery(heads []translog.Checkpoint, rate string) (lottery, error) {
	r, err := parseRate(rate)
	d := lottery{prefix: prefixed(nil, sampleDomain), rate: r}
	for _, h := range heads {
		d.prefix = prefixed(d.prefix, h.Origin)
		d.prefix = binary.BigEndian.AppendUint64(d.prefix, uint64(h.N))
		d.prefix = append(d.prefix, h.Hash[:]...)
	}
	return d, err
}

func prefixed(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// falls: as a fraction of 2^256, the hash is under the rate.
func (d lottery) falls(ticket [32]byte) bool {
	sum := sha256.Sum256(append(bytes.Clone(d.prefix), ticket[:]...))
	left := new(big.Int).Mul(new(big.Int).SetBytes(sum[:]), d.rate.Denom())
	return left.Cmp(new(big.Int).Lsh(d.rate.Num(), 256)) < 0
}

// headsOf verifies checkpoints of key holders and returns them in order of their
// origins, none twice.
func headsOf(rosters []*roster.Roster, notes []string) ([]translog.Checkpoint, error) {
	var heads []translog.Checkpoint
	for _, note := range notes {
		member, head, err := verifyEver(rosters, []byte(note))
		if err != nil {
			return nil, err
		}
		if roleIn(rosters, member) != roster.KeyHolder {
			return nil, fmt.Errorf("%s is no key holder: its ledger decides nothing", member)
		}
		heads = append(heads, head)
	}
	slices.SortFunc(heads, func(a, b translog.Checkpoint) int { return cmp.Compare(a.Origin, b.Origin) })
	for i := 1; i < len(heads); i++ {
		if heads[i].Origin == heads[i-1].Origin {
			return nil, fmt.Errorf("there are two checkpoints of %s", heads[i].Origin)
		}
	}
	return heads, nil
}

// beaconOf is headsOf for what decides: every key holder has a part in it.
func beaconOf(rosters []*roster.Roster, notes []string) ([]translog.Checkpoint, error) {
	heads, err := headsOf(rosters, notes)
	for _, h := range rosters[len(rosters)-1].KeyHolders() {
		named := func(c translog.Checkpoint) bool { return strings.Contains(c.Origin, "/"+h.Name+"/") }
		if err == nil && !slices.ContainsFunc(heads, named) {
			err = fmt.Errorf("there is no checkpoint of %s: every key holder has a part in the draw", h.Name)
		}
	}
	return heads, err
}

// verifyEver checks a checkpoint under the rosters that name the member of its
// origin, the newest first: it may be of the time of any of them.
func verifyEver(rosters []*roster.Roster, note []byte) (member string, head translog.Checkpoint, err error) {
	origin, _, _ := bytes.Cut(note, []byte("\n"))
	if parts := strings.Split(string(origin), "/"); len(parts) >= 3 {
		member = parts[len(parts)-2]
	}
	err = waypost.Errorf(waypost.NotFound, "a checkpoint is of no member of the rosters given")
	first := true
	for _, r := range slices.Backward(rosters) {
		m, ok := r.Member(member)
		if !ok {
			continue
		}
		policy, policyErr := follow.Policy(r, m, string(origin))
		if policyErr != nil {
			return member, head, policyErr
		}
		head, verifyErr := policy.Verify(note)
		if verifyErr == nil {
			return member, head, nil
		}
		if first {
			err, first = verifyErr, false
		}
	}
	return member, translog.Checkpoint{}, err
}

// Draw reads the checkpoints of all key holders now and draws among the tickets
// that were evaluated since the sample before, which is nil at first.
func Draw(ctx context.Context, o Options, rate string, before *Sample) (*Sample, error) {
	s := &Sample{Type: sampleType, Rate: rate, Since: []string{}}
	if before != nil {
		s.Since = before.Beacon
	}
	for _, source := range o.Sources {
		if roleIn(o.Rosters, source.Member) != roster.KeyHolder {
			continue
		}
		head, err := readHead(ctx, o.Rosters, source)
		if err != nil {
			return nil, fmt.Errorf("the ledger %s/%s: %w", source.Member, source.Instance, err)
		}
		s.Beacon = append(s.Beacon, string(head.Note))
	}
	return s, s.fill(ctx, o)
}

// Redraw draws again from the ledgers by the checkpoints in the sample, and
// returns an error where the outcome is another.
func (s *Sample) Redraw(ctx context.Context, o Options) error {
	again := &Sample{Type: s.Type, Rate: s.Rate, Since: s.Since, Beacon: s.Beacon}
	if err := again.fill(ctx, o); err != nil {
		return err
	}
	one, err := json.Marshal(s)
	if err != nil {
		return err
	}
	two, err := json.Marshal(again)
	if err == nil && !bytes.Equal(one, two) {
		err = errors.New("the ledgers and checkpoints give another sample than the file says")
	}
	return err
}

// fill draws by the beacon.
func (s *Sample) fill(ctx context.Context, o Options) error {
	heads, err := beaconOf(o.Rosters, s.Beacon)
	if err != nil {
		return err
	}
	older, err := headsOf(o.Rosters, s.Since)
	if err != nil {
		return fmt.Errorf("the sample before: %w", err)
	}
	d, err := newLottery(heads, s.Rate)
	if err != nil {
		return err
	}
	f := filling{Options: o, sample: s, draw: d, drawn: make(map[string]map[string]bool), opener: journal.NewOpener(o.Identities...)}
	from := make([]int64, len(heads))
	for i, h := range heads {
		if j := slices.IndexFunc(older, func(old translog.Checkpoint) bool { return old.Origin == h.Origin }); j >= 0 {
			if err := f.continues(ctx, older[j], h); err != nil {
				return err
			}
			from[i] = older[j].N
		}
		f.total += h.N - from[i]
	}
	for i, h := range heads {
		if err := f.log(ctx, h, from[i]); err != nil {
			return fmt.Errorf("the ledger %s: %w", h.Origin, err)
		}
	}
	s.Evaluations = f.evaluations
	s.Drawn = make(map[string][]string)
	for state, tickets := range f.drawn {
		s.Drawn[state] = sortedKeys(tickets)
	}
	return nil
}

type filling struct {
	Options
	sample      *Sample
	draw        lottery
	opener      *journal.Opener
	drawn       map[string]map[string]bool
	evaluations int64
	done, total int64
}

func (f *filling) sourceOf(origin string) (Source, error) {
	for _, s := range f.Sources {
		if strings.HasSuffix(origin, "/"+s.Member+"/"+s.Instance) && s.Reader != nil {
			return s, nil
		}
	}
	return Source{}, errors.New("it is not published")
}

func (f *filling) continues(ctx context.Context, older, newer translog.Checkpoint) error {
	source, err := f.sourceOf(newer.Origin)
	if err != nil {
		return err
	}
	return translog.CheckConsistency(ctx, source.Reader, older, newer)
}

// log draws among the tickets of one ledger.
func (f *filling) log(ctx context.Context, head translog.Checkpoint, from int64) error {
	source, err := f.sourceOf(head.Origin)
	if err != nil {
		return err
	}
	return eachOpened(ctx, f.opener, roster.KeyHolder, source.Reader, head, from, func(o opened) error {
		if f.done++; f.Progress != nil && f.done%256 == 0 {
			f.Progress(f.done, f.total)
		}
		if errors.Is(o.err, translog.ErrErased) || o.err == nil && o.entry.Kind != "evaluate" {
			return nil
		}
		if o.err != nil {
			return fmt.Errorf("entry %d: %w", o.index, o.err)
		}
		t, err := ticketIn(o.entry.Body)
		if err != nil || t.ID != o.entry.Ticket {
			return fmt.Errorf("entry %d has no ticket, or another than its own", o.index)
		}
		if t.Kind != waypost.KindCheck {
			return nil
		}
		f.evaluations++
		if !f.draw.falls(t.ID) {
			return nil
		}
		if f.drawn[string(t.SOI)] == nil {
			f.drawn[string(t.SOI)] = make(map[string]bool)
		}
		f.drawn[string(t.SOI)][hex.EncodeToString(t.ID[:])] = true
		return nil
	})
}
