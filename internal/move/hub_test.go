package move_test

import (
	"bytes"
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/seal"
)

type rosterOf = roster.Roster

// fakeHub passes pointers by the rules of the real one (spec/pointer.md): all or
// none, known by its change, the former owner told in the same moment.
type fakeHub struct {
	*world
	owner  map[string]waypost.Handle // state and handle of what is live
	passed map[[16]byte][]byte       // change -> release
	told   map[waypost.TicketID]bool // of which the former owner has heard
	box    []seal.Message
	swaps  int
	down   bool
	mute   bool // it does what it is asked, and its answer is lost
	calls  func(size int)
}

func (h *fakeHub) forget(m seal.Message) {
	h.box = slices.DeleteFunc(h.box, func(x seal.Message) bool { return x.ID == m.ID })
}

// lost reports whether a call comes to nothing.
func (h *fakeHub) lost() bool { return h.chaos != nil && h.chaos.IntN(4) == 0 }

var errAway = waypost.Errorf(waypost.Unavailable, "the hub cannot be reached")

func (h *fakeHub) Maintain(_ context.Context, req *waypostv1.MaintainRequest) (*waypostv1.MaintainResponse, error) {
	if h.down || h.lost() {
		return nil, errAway
	}
	if h.calls != nil {
		h.calls(proto.Size(req))
	}
	ticket, receipts, err := waypost.ParseChain(req.Ticket, req.Receipts)
	if err != nil {
		return nil, err
	}
	if err := waypost.VerifyChain(ticket, receipts, h.x.View); err != nil {
		return nil, err
	}
	if h.now.Sub(ticket.IssuedAt) > 10*time.Minute {
		return nil, waypost.Errorf(waypost.Expired, "the ticket is too old")
	}
	if err := ticket.CoversRequest("hub", [32]byte(req.Salt), req.Request); err != nil {
		return nil, err
	}
	var what waypostv1.Maintenance
	if err := proto.Unmarshal(req.Request, &what); err != nil {
		return nil, err
	}
	release, err := waypost.ParseRelease(what.GetChange().GetRelease())
	if err != nil {
		return nil, err
	}
	if err := h.change(release, ticket, req.Salt); err != nil {
		return nil, err
	}
	if h.mute || h.lost() {
		return nil, errAway
	}
	receipt, err := waypost.Receipt{
		Action: waypost.ActionChangeSOR, Signer: "hub", Ticket: ticket.ID, Epoch: ticket.Epoch, Inputs: ticket.Probes,
		Outputs: waypost.HashOutputs(waypost.ActionChangeSOR, nil), Origin: "waypost.test/hub/1", Sequence: 7, Deadline: h.now.Add(time.Minute),
	}.Sign(h.x.Party("hub").Identity)
	return &waypostv1.MaintainResponse{Receipt: receipt.Bytes()}, err
}

func (h *fakeHub) change(r waypost.SignedRelease, ticket waypost.SignedTicket, salt []byte) error {
	if known, ok := h.passed[r.Change]; ok {
		if !bytes.Equal(known, r.Bytes()) {
			return waypost.Errorf(waypost.Misuse, "another release for this change")
		}
		return h.tell(r, ticket, salt)
	}
	key, err := h.x.View.StateKey(r.RosterVersion, r.From)
	if err != nil {
		return err
	}
	if err := r.Verify(key); err != nil {
		return err
	}
	if !h.now.Before(r.Expires) {
		return waypost.Errorf(waypost.Expired, "the release has run out")
	}
	for _, p := range r.Passings {
		if _, live := h.owner[string(r.From)+string(p.Old[:])]; !live {
			return waypost.Errorf(waypost.NotFound, "a pointer of the release is not in the index as one of %s", r.From)
		}
	}
	for _, p := range r.Passings {
		delete(h.owner, string(r.From)+string(p.Old[:]))
		h.owner[string(r.To)+string(p.New[:])] = p.New
	}
	h.passed[r.Change] = r.Bytes()
	h.swaps++
	return h.tell(r, ticket, salt)
}

// tell says to the former owner what was done, once under each ticket.
func (h *fakeHub) tell(r waypost.SignedRelease, ticket waypost.SignedTicket, salt []byte) error {
	if h.told[ticket.ID] {
		return nil
	}
	h.told[ticket.ID] = true
	body, err := proto.Marshal(&waypostv1.Moved{Release: r.Bytes(), Ticket: ticket.Bytes(), Salt: salt})
	h.box = append(h.box, h.message(r.From, body))
	return err
}

// message is the hub's word to a state that pointers have moved.
func (h *fakeHub) message(to waypost.Jurisdiction, body []byte) seal.Message {
	return seal.Message{ID: [16]byte(random()), Sender: "hub", Recipient: string(to), Type: waypost.MessageMoved, Expiry: h.now.Add(waypost.MessageLife), Body: body}
}

// owners are the states that have a pointer, each as often as it has.
func (h *fakeHub) owners() (all []waypost.Jurisdiction) {
	for key := range h.owner {
		all = append(all, waypost.Jurisdiction(key[:2]))
	}
	slices.Sort(all)
	return all
}
