package records_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// shown is one pointer as the hub was shown it.
type shown struct {
	kind       waypost.Kind
	handle     waypost.Handle
	supersedes waypost.Handle
	tokens     map[waypost.Token]bool
}

// stands is how a pointer stands at the hub.
type stands struct {
	shown
	live       bool
	generation uint32
	version    uint32  // 0: 1
	epoch      uint32  // the newest that it is published under
	before     *stands // as it was before it was published once more
	receipt    [16]byte
}

// hub does what spec/pointer.md says, in memory, for one owner.
type hub struct {
	*rig
	pointers map[waypost.Handle]*stands
	shown    []shown
	closed   map[uint32]bool // generations that take no pointers any more
	meantime func()          // called while it does something other than publish
	down     error           // before it does anything
	cut      error           // after it did it
}

func (h *hub) Publish(_ context.Context, req *waypostv1.PublishRequest) (*waypostv1.PublishResponse, error) {
	if h.down != nil {
		return nil, h.down
	}
	ticket, err := waypost.ParseTicket(req.Ticket)
	if err != nil {
		return nil, err
	}
	var inputs bytes.Buffer
	batch := make([]stands, len(req.Records))
	for i, r := range req.Records {
		inputs.Write(r.Handle)
		inputs.Write(r.Tokens)
		inputs.Write(r.Supersedes)
		s := stands{shown: shown{kind: ticket.Kind, handle: waypost.Handle(r.Handle), tokens: make(map[waypost.Token]bool)}, live: true, generation: r.Generation}
		for at := 0; at < len(r.Tokens); at += 32 {
			s.tokens[waypost.Token(r.Tokens[at:at+32])] = true
		}
		keys, err := h.x.View.KeysFor(ticket.Ticket)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			s.epoch = max(s.epoch, k.Epoch)
		}
		if len(s.tokens) != 10*len(keys) {
			h.t.Errorf("a pointer is published with %d tokens under %d keys", len(s.tokens), len(keys))
		}
		sum := sha256.Sum256(append([]byte("waypost pointer published v1\n"), ticket.ID[:]...))
		copy(s.receipt[:], sum[:])
		copy(s.supersedes[:], r.Supersedes)
		there := h.pointers[s.handle]
		if ticket.Kind == waypost.KindRepublish {
			switch {
			case there == nil || !there.live:
				return nil, waypost.Errorf(waypost.NotFound, "not live")
			case there.epoch >= s.epoch:
				return nil, waypost.Errorf(waypost.AlreadyExists, "under that key already")
			}
			s.generation, s.version, s.receipt, s.before = there.generation, there.version, there.receipt, there
		} else if there != nil && !there.live {
			return nil, waypost.Errorf(waypost.AlreadyExists, "withdrawn")
		}
		if len(r.Supersedes) > 0 {
			old := h.pointers[s.supersedes]
			if (old == nil || !old.live) && there == nil {
				return nil, waypost.Errorf(waypost.NotFound, "not live")
			}
			if ticket.Kind == waypost.KindPublish {
				return nil, waypost.Errorf(waypost.InvalidArgument, "a publication takes nobody's place")
			}
		}
		if h.closed[s.generation] {
			return nil, waypost.Errorf(waypost.InvalidArgument, "the generation is active")
		}
		batch[i] = s
	}
	for _, s := range batch {
		h.shown = append(h.shown, s.shown)
		h.pointers[s.handle] = &s
		if old := h.pointers[s.supersedes]; old != nil {
			old.live = false
		}
	}
	if h.cut != nil {
		return nil, h.cut
	}
	receipt := h.receipt(waypost.ActionPublish, ticket, waypost.HashTokens(inputs.Bytes()), nil)
	return &waypostv1.PublishResponse{Receipt: receipt}, nil
}

func (h *hub) receipt(action waypost.Action, t waypost.SignedTicket, inputs [32]byte, answer []byte) []byte {
	r, err := waypost.Receipt{Action: action, Signer: "hub", Ticket: t.ID, Epoch: t.Epoch, Inputs: inputs,
		Outputs: waypost.HashOutputs(action, answer), Origin: "waypost.test/hub/1", Deadline: h.now.Add(time.Minute)}.Sign(h.x.Party("hub").Identity)
	if err != nil {
		h.t.Fatal(err)
	}
	return r.Bytes()
}

func (h *hub) Maintain(_ context.Context, req *waypostv1.MaintainRequest) (*waypostv1.MaintainResponse, error) {
	if h.down != nil {
		return nil, h.down
	}
	ticket, err := waypost.ParseTicket(req.Ticket)
	if err != nil {
		return nil, err
	}
	if err := ticket.CoversRequest("hub", [32]byte(req.Salt), req.Request); err != nil {
		return nil, err
	}
	var what waypostv1.Maintenance
	if err := proto.Unmarshal(req.Request, &what); err != nil {
		return nil, err
	}
	if h.meantime != nil {
		h.meantime()
	}
	done := &waypostv1.Maintained{}
	switch w := what.What.(type) {
	case *waypostv1.Maintenance_Withdraw:
		for _, raw := range w.Withdraw.Handles {
			h.end(waypost.Handle(raw), done)
		}
	case *waypostv1.Maintenance_Leave:
		for handle := range h.pointers {
			h.end(handle, done)
		}
	case *waypostv1.Maintenance_Activate:
		if n := h.live(func(s *stands) bool { return s.generation == w.Activate.Generation }); !w.Activate.RollBack && uint64(n) != w.Activate.Records {
			return nil, waypost.Errorf(waypost.InvalidArgument, "%d are here", n)
		}
		h.closed = map[uint32]bool{w.Activate.Generation: true}
	case *waypostv1.Maintenance_Compare:
		if err := h.compare(w.Compare, done); err != nil {
			return nil, err
		}
	default:
		return nil, errors.New("the hub was asked for something else")
	}
	if h.cut != nil {
		return nil, h.cut
	}
	answer, err := proto.Marshal(done)
	if err != nil {
		return nil, err
	}
	return &waypostv1.MaintainResponse{Answer: answer, Receipt: h.receipt(waypost.Action(ticket.Kind), ticket, ticket.Probes, answer)}, nil
}

func (h *hub) end(handle waypost.Handle, done *waypostv1.Maintained) {
	if s := h.pointers[handle]; s != nil && s.live {
		s.live = false
		done.Withdrawn++
	}
}

func (h *hub) live(is func(*stands) bool) (n int) {
	for _, s := range h.pointers {
		if s.live && is(s) {
			n++
		}
	}
	return n
}

// compare takes at most 4096 pointers of one bucket one by one.
func (h *hub) compare(c *waypostv1.Comparison, done *waypostv1.Maintained) error {
	sums := make([][32]byte, c.Count)
	for i := range sums {
		done.Buckets = append(done.Buckets, &waypostv1.Bucket{Digest: sums[i][:]})
	}
	digests := make(map[string][]byte)
	for handle, s := range h.pointers {
		i := waypost.BucketOf(handle, c.Bits) - c.From
		if !s.live || i >= c.Count {
			continue
		}
		d := waypost.DigestPointer(handle, s.generation, max(1, s.version), s.epoch, s.receipt)
		waypost.AddDigest(&sums[i], d)
		done.Buckets[i].Pointers++
		digests[string(handle[:])] = d[:waypost.DigestSize]
	}
	if !c.None && len(c.Held) == 0 {
		return nil
	}
	if len(digests) > 4096 {
		return waypost.Errorf(waypost.InvalidArgument, "compare by more bits")
	}
	for i, held := range c.Held {
		if !bytes.Equal(digests[string(held.Handle)], held.Digest) {
			done.Differing = append(done.Differing, uint32(i))
		}
		delete(digests, string(held.Handle))
	}
	for handle := range digests {
		h.end(waypost.Handle([]byte(handle)), done)
	}
	return nil
}
