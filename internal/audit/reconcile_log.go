package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// kept is what is remembered of a log from run to run.
type kept struct {
	Member   string      `json:"member"`
	Instance string      `json:"instance"`
	Origin   string      `json:"origin"`
	Size     int64       `json:"size"` // entries read and verified
	Peaks    []tlog.Hash `json:"peaks,omitempty"`
	Note     []byte      `json:"note,omitempty"` // the checkpoint that was verified last
	Cosigned int64       `json:"cosigned"`       // of that, Unix seconds; 0: never
	Latest   int64       `json:"latest"`         // the latest time of an entry
	Started  int64       `json:"started"`        // of the last entry "started"
	Down     [][2]int64  `json:"down,omitempty"` // from when to when no process wrote, where that is long
	Ended    bool        `json:"ended"`          // the last entry is "stopped"
	Version  uint64      `json:"version"`        // of the roster that it runs under
	Adopted  int64       `json:"adopted"`        // since when

	DarkBelow    int64                       `json:"dark_below,omitempty"`    // past the last entry that could not be read: erased, or damaged
	DarkUntil    int64                       `json:"dark_until,omitempty"`    // what it says happened before
	BlankSince   int64                       `json:"blank_since,omitempty"`   // the newest erased entry is not older
	Blank        int64                       `json:"blank,omitempty"`         // erased entries met
	Declared     int64                       `json:"declared,omitempty"`      // erased entries that "erase" entries tell of
	BlankBefore  int64                       `json:"blank_before,omitempty"`  // Blank at the end of the run before
	Days         map[string]map[string]int64 `json:"days,omitempty"`          // entries of a day by kind, until "daily" has come
	Accusations  []accusation                `json:"accusations,omitempty"`   // not shown yet
	Daily        string                      `json:"daily,omitempty"`         // the last day that was counted
	Signed       []string                    `json:"signed,omitempty"`        // transcripts of ceremonies that a key holder has signed, the latest
	LossTold     bool                        `json:"loss_told,omitempty"`     // that it was closed in a restore, and what that lost
	Succeeds     bool                        `json:"succeeds,omitempty"`      // it is the successor of another
	RosterWarned uint64                      `json:"roster_warned,omitempty"` // the version for which roster_missing was reported
}

// logRun is one log in one run.
type logRun struct {
	r        *run
	number   uint16
	member   roster.Member // as the newest roster names it that does
	source   Source
	kept     kept
	past     kept // as it was when the run began
	head     translog.Checkpoint
	readable bool // its head is good
	disputed bool // its head contradicts what others have seen, or nobody has witnessed it
	lost     bool // it is not among the sources any more
	broken   bool // and does not fit what was read

	tree     translog.Frontier
	closed   *closure                // it has a successor; or nil
	foreign  map[translog.KeyID]bool // data keys that are not for this auditor
	counters map[string]int64
	counting windows
	scratch  []byte

	ticketFields []byte // scratch, see fields
	limits       limits

	after after // what others cite of it past its end
}

// settleTime is how much later than an entry was committed its leaf must be in
// a checkpoint: the publisher's minute, and the difference of two clocks.
const settleTime = 60 + 30

// horizon is the time, Unix seconds, up to which everything that was committed
// to the log has been read.
func (l *logRun) horizon() int64 {
	if l.closed != nil {
		return 1 << 62 // nothing comes to it any more
	}
	if l.kept.Cosigned == 0 {
		return -1
	}
	return l.kept.Cosigned - settleTime
}

// ended reports whether the process has written its last entry. Of a log that
// cannot be read now nobody knows whether it has gone on.
func (l *logRun) ended() bool {
	return l.closed != nil || l.kept.Ended && (l.readable || l.source.Former)
}

// closedBy is horizon for the question whether something can still come: to a log
// that has ended nothing comes while it is not started again.
func (l *logRun) closedBy() int64 {
	switch {
	case l.lost || l.source.Former:
		return 1 << 62
	case l.ended():
		return max(l.horizon(), l.r.Now.Unix()-settleTime)
	}
	return l.horizon()
}

// scan reads what is new up to the head of the log.
func (l *logRun) scan(ctx context.Context) error {
	l.tree = translog.Frontier{Size: l.kept.Size, Peaks: slices.Clone(l.kept.Peaks)}
	for from := l.kept.Size; from < l.head.N; {
		n := from / torchwood.TileWidth
		width := int(min(torchwood.TileWidth, l.head.N-n*torchwood.TileWidth))
		leaves, blobs, err := l.bundle(ctx, n, width)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			l.giveUpf(Gap, map[string]string{"place": l.place(from)}, "%s is in the checkpoint of %d entries, and cannot be read: %v", l.place(from), l.head.N, err)
			return nil
		}
		skip := from - n*torchwood.TileWidth
		for i := skip; i < int64(width); i++ {
			l.tree.Add(leaves[i])
			if err := l.entry(ctx, n*torchwood.TileWidth+i, leaves[i], blobs[i]); err != nil {
				return err
			}
		}
		l.r.step(int64(width) - skip)
		from = n*torchwood.TileWidth + int64(width)
	}
	if l.tree.Root() != l.head.Hash {
		l.contradiction(ctx)
		return nil
	}
	l.kept.Size, l.kept.Peaks, l.kept.Note = l.tree.Size, l.tree.Peaks, l.head.Note
	if !l.head.Cosigned.IsZero() {
		l.kept.Cosigned = l.head.Cosigned.Unix()
	}
	return l.counting.flush(l, 1<<62)
}

// giveUpf reports what is wrong with the log as a whole and goes back to what
// was known of it before: the next run looks again.
func (l *logRun) giveUpf(kind string, evidence map[string]string, format string, args ...any) {
	l.withheldf(kind, evidence, format, args...)
	l.kept, l.broken = l.past, true
}

// contradiction tells apart why the entries that were read do not make the
// tree of the checkpoint.
func (l *logRun) contradiction(ctx context.Context) {
	evidence := map[string]string{"log": l.kept.Origin, "size": strconv.FormatInt(l.head.N, 10), "checkpoint": string(l.head.Note)}
	if old, ok := l.remembered(); ok {
		if err := translog.CheckConsistency(ctx, l.source.Reader, old, l.head); errors.Is(err, translog.ErrFork) {
			evidence["earlier_checkpoint"] = string(old.Note)
			l.giveUpf(Fork, evidence, "the ledger shown now is not the continuation of the one that was read before: %v", err)
			return
		}
	}
	l.giveUpf(Damaged, evidence, "the entries shown are not those of the checkpoint that %s signed", l.member.Name)
}

// remembered is the checkpoint up to which the log was read before.
func (l *logRun) remembered() (translog.Checkpoint, bool) {
	if l.past.Size == 0 {
		return translog.Checkpoint{}, false
	}
	tree := translog.Frontier{Size: l.past.Size, Peaks: l.past.Peaks}
	return translog.Checkpoint{Origin: l.past.Origin, Tree: tlog.Tree{N: tree.Size, Hash: tree.Root()}, Note: l.past.Note}, true
}

// bundle reads the leaves and the sealed entries of bundle n, of which width
// are in the tree.
func (l *logRun) bundle(ctx context.Context, n int64, width int) (leaves, blobs [][]byte, err error) {
	tile := tlog.Tile{H: torchwood.TileHeight, L: -1, N: n, W: width}
	data, err := l.source.Reader.ReadTiles(ctx, []tlog.Tile{tile})
	if err != nil {
		return nil, nil, err
	}
	if leaves, err = cutLeaves(data[0], width); err != nil {
		return nil, nil, err
	}
	sealed, err := l.source.Reader.ReadEndpoint(ctx, translog.SealedPath(n, width))
	have := width
	if errors.Is(err, fs.ErrNotExist) && width < torchwood.TileWidth { // it has become whole since
		sealed, err = l.source.Reader.ReadEndpoint(ctx, translog.SealedPath(n, torchwood.TileWidth))
		have = torchwood.TileWidth
	}
	if err != nil {
		return nil, nil, err
	}
	blobs, err = translog.ParseSealed(sealed, have)
	return leaves, blobs, err
}

// cutLeaves returns the first width leaves of an entry bundle.
func cutLeaves(data []byte, width int) ([][]byte, error) {
	const each = 2 + translog.LeafSize
	if len(data) < width*each {
		return nil, errors.New("the bundle is cut short")
	}
	leaves := make([][]byte, width)
	for i := range leaves {
		one := data[i*each : (i+1)*each]
		if binary.BigEndian.Uint16(one) != translog.LeafSize {
			return nil, fmt.Errorf("leaf %d of the bundle is not of %d bytes", i, translog.LeafSize)
		}
		leaves[i] = one[2:]
	}
	return leaves, nil
}

// open decrypts one entry and checks that it is the one of its leaf. ok is
// false where it was erased, or does not open and that has been reported.
func (l *logRun) open(ctx context.Context, index int64, leaf, blob []byte) (e translog.Entry, ok bool, err error) {
	e, err = l.r.opener.Open(ctx, l.wrapped, string(l.member.Role), l.kept.Origin, index, leaf, blob)
	switch {
	case err == nil:
		return e, true, nil
	case ctx.Err() != nil:
		return e, false, ctx.Err()
	case errors.Is(err, translog.ErrErased):
	case errors.Is(err, journal.ErrNotEntitled): // once for all entries under the key
		if id, err := translog.SealedKey(blob); err == nil && !l.foreign[id] {
			l.foreign[id] = true
			l.damagedf(index, "the data key %s is not wrapped for this auditor", id)
		}
	default:
		l.damagedf(index, "%v", err)
	}
	return e, false, nil
}

func (l *logRun) damagedf(index int64, format string, args ...any) {
	l.withheldf(Damaged, map[string]string{"place": l.place(index)}, "%s does not open: %s", l.place(index), fmt.Sprintf(format, args...))
}

func (l *logRun) wrapped(ctx context.Context, id translog.KeyID) ([]byte, error) {
	return l.source.Reader.ReadEndpoint(ctx, id.Path())
}

// reopen reads one entry again, for what its record leaves out.
func (l *logRun) reopen(ctx context.Context, index int64) (translog.Entry, error) {
	if l.source.Reader == nil {
		return translog.Entry{}, fs.ErrNotExist
	}
	n := index / torchwood.TileWidth
	leaves, blobs, err := l.bundle(ctx, n, int(min(torchwood.TileWidth, max(l.head.N, l.kept.Size)-n*torchwood.TileWidth)))
	if err != nil {
		return translog.Entry{}, err
	}
	i := index % torchwood.TileWidth
	if i >= int64(len(blobs)) {
		return translog.Entry{}, errors.New("it is past the end")
	}
	e, ok, err := l.open(ctx, index, leaves[i], blobs[i])
	if err == nil && !ok {
		err = translog.ErrErased
	}
	return e, err
}

// place is how ledgers cite the leaf.
func (l *logRun) place(index int64) string {
	return l.kept.Member + "/" + l.kept.Instance + ":" + strconv.FormatInt(index, 10)
}

func stamp(at int64) string { return time.Unix(at, 0).UTC().Format(time.RFC3339) }
