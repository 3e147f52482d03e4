package ceremony

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/toprf"
)

// Ledger is where every step is written down, in the transaction of the step.
type Ledger interface {
	Append(tx *store.Tx, e journal.Entry) (seq uint64, err error)
}

// Deps is what a key holder's side of ceremonies works with.
type Deps struct {
	Name     string // in the roster
	Roster   *roster.View
	DB       *store.DB
	Journal  Ledger
	Vault    *Vault
	Identity ed25519.PrivateKey
	// Accepted reports whether the operator of this key holder has looked at a plan and
	// said that it may deal by it; nil if nothing was accepted.
	Accepted func(ID) bool
	// Restored is when this holder's database came back from a backup; zero if it never
	// did. What was said in ceremonies of before is not known: nothing more is.
	Restored time.Time
	Now      func() time.Time
	Log      *slog.Logger
}

// Holder is a key holder's side of ceremonies: the calls of the Ceremony service. One
// ceremony is open at a time.
type Holder struct {
	Deps
	mu    sync.Mutex // one step at a time
	cried time.Time  // when it was last said that a share is missing
}

var (
	_ waypostv1connect.CeremonyHandler = (*Holder)(nil)
	_ waypostv1connect.CeremonyClient  = (*Holder)(nil)
)

// NewHolder takes up what a process before left: secrets and shares that no ceremony
// needs are destroyed.
func NewHolder(ctx context.Context, deps Deps) (*Holder, error) {
	h := &Holder{Deps: deps}
	if err := h.dropOlder(ctx); err != nil {
		return nil, err
	}
	return h, h.tidyAll(ctx)
}

// dropOlder gives up what was open in a database that has come back from a backup, without
// a word: the holder may have said other things after that.
func (h *Holder) dropOlder(ctx context.Context) error {
	known, err := h.records(ctx)
	if err != nil {
		return err
	}
	for _, r := range known {
		if r.state == stateOpen && !r.started.After(h.Restored) {
			if err := h.drop(ctx, r, "the database of "+h.Name+" came back from a backup"); err != nil {
				return err
			}
		}
	}
	return nil
}

// tidyAll destroys what a crash, or a commit whose outcome was not known, has left.
func (h *Holder) tidyAll(ctx context.Context) error {
	known, err := h.records(ctx)
	if err != nil {
		return err
	}
	for _, r := range known {
		if err := h.tidy(ctx, r); err != nil {
			return err
		}
	}
	open, err := slotsIn(h.Vault.shares, ".open")
	if err != nil {
		return err
	}
	keys, err := slotsIn(h.Vault.identities, ".key")
	if err != nil {
		return err
	}
	for _, slot := range slices.Concat(open, keys) { // of a ceremony that was never recorded
		if !slices.ContainsFunc(known, func(r record) bool { return r.slot == slot }) {
			if err := h.Vault.forget(slot); err != nil {
				return err
			}
		}
	}
	return nil
}

// tidy destroys what a ceremony that has come so far has no use for, once: then its
// record has no slot any more.
func (h *Holder) tidy(ctx context.Context, r record) (err error) {
	switch {
	case r.slot == "" || r.state == stateOpen:
		return nil
	case r.state == stateAborted:
		err = h.Vault.forget(r.slot)
	default:
		err = h.Vault.release(r.slot)
	}
	if err != nil {
		return err
	}
	r.slot = ""
	return h.DB.Write(ctx, r.update)
}

// StartCeremony implements the service.
func (h *Holder) StartCeremony(ctx context.Context, req *waypostv1.StartCeremonyRequest) (*waypostv1.CeremonyState, error) {
	peer, err := admit(ctx)
	if err != nil {
		return nil, err
	}
	plan, err := ParsePlan(req.Plan)
	if err != nil {
		return nil, err
	}
	plan.Approval = req.Approval
	h.mu.Lock()
	defer h.mu.Unlock()
	r, err := h.record(ctx, plan.ID())
	if err == nil {
		return h.newest(ctx, r)
	}
	if !errors.Is(err, store.ErrNoRows) {
		return nil, err
	}
	if err := h.mayOpen(ctx, peer.Name, plan); err != nil {
		return nil, err
	}
	if r, err = h.open(context.WithoutCancel(ctx), peer.Name, plan); err != nil {
		return nil, err
	}
	return h.newest(ctx, r)
}

// needs is the public share of the old share that this holder's part takes, if it
// takes one.
func (h *Holder) needs(p Plan) (public []byte, needs bool) {
	key, ok := h.Roster.Version(p.Roster).KeyOf(p.Epoch)
	me, _ := h.Roster.Version(p.Roster).Member(h.Name)
	if !ok || p.Kind == toprf.Keygen || position(p.dealers(), h.Name) == 0 {
		return nil, false
	}
	return key.Shares[me.Index-1], true
}

// open records the ceremony and what this holder says in the first round.
func (h *Holder) open(ctx context.Context, opener string, p Plan) (record, error) {
	if err := errors.Join(h.expire(ctx), h.tidyAll(ctx)); err != nil {
		return record{}, err
	}
	r := record{id: p.ID(), plan: p, opener: opener, state: stateOpen, started: h.Now()}
	r.slot = slotName(p.Epoch, r.id[:])
	if err := h.Vault.begin(r.slot); err != nil {
		return record{}, err
	}
	s, err := newSecrets(p, h.Name)
	if err == nil {
		err = h.Vault.hold(r.slot, s)
	}
	var m Message
	if err == nil {
		m, _, err = h.say(r, nil, Commit)
	}
	if err == nil {
		err = h.DB.Write(ctx, func(tx *store.Tx) error {
			if err := r.insert(tx); err != nil {
				return err
			}
			if err := keepMessage(tx, m); err != nil {
				return err
			}
			return h.note(tx, r, "opened", journal.Field{Name: "opener", Value: opener})
		})
	}
	if err != nil {
		return record{}, err // whether it is recorded is not known: tidyAll sees to what is left
	}
	h.Log.Info("a ceremony is open", "ceremony", short(r.id), "made", kindWord(p.Kind), "epoch", p.Epoch)
	return r, nil
}

// say makes this holder's message of a round from what it has heard, and with Sign
// its share.
func (h *Holder) say(r record, heard *session, round Round) (Message, *toprf.Outcome, error) {
	if heard == nil {
		var err error
		if heard, err = h.session(r.plan); err != nil {
			return Message{}, nil, err
		}
	}
	s := &speaker{session: heard, me: h.Name}
	var err error
	if s.secrets, err = h.Vault.held(r.slot); err != nil {
		return Message{}, nil, err
	}
	if need, needs := h.needs(r.plan); needs {
		var ok bool
		if s.old, ok = h.Vault.Share(need); !ok {
			return Message{}, nil, waypost.Errorf(waypost.Unavailable, "%s cannot open its old share", h.Name)
		}
	}
	body, outcome, err := s.body(round)
	if err != nil {
		return Message{}, nil, fmt.Errorf("round %s: %w", round, err)
	}
	m := Message{Ceremony: r.id, Round: round, Sender: h.Name, Seen: s.digests(round - 1), Body: body}
	return m.sign(h.Identity), outcome, nil
}

func (h *Holder) session(p Plan) (*session, error) {
	r := h.Roster.Version(p.Roster)
	if r == nil {
		return nil, waypost.Errorf(waypost.Unavailable, "roster version %d is not known here", p.Roster)
	}
	return newSession(p, r)
}

// AdvanceCeremony implements the service. Messages that it has are passed over; what
// it has said it says again.
func (h *Holder) AdvanceCeremony(ctx context.Context, req *waypostv1.AdvanceCeremonyRequest) (*waypostv1.CeremonyState, error) {
	if _, err := admit(ctx); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	ctx = context.WithoutCancel(ctx)
	r, s, err := h.take(ctx, req.Ceremony)
	if err != nil {
		return nil, err
	}
	round := Round(req.Round)
	if req.Round < uint32(Commit) || req.Round > uint32(Sign) {
		return nil, malformed("round")
	}
	if r.state == stateAborted {
		return h.newest(ctx, r)
	}
	fault, err := hearAll(s, req.Messages, func(m Message) bool { return m.Round == round })
	switch {
	case err != nil:
		return nil, err
	case fault != nil:
		return h.fail(ctx, r, s, fault)
	case !s.complete(round):
		return nil, waypost.Errorf(waypost.InvalidArgument, "messages of round %s are missing: %v", round, s.silent(round))
	}
	return h.advance(ctx, r, s, round)
}

// take finds a ceremony with all that was heard of it here.
func (h *Holder) take(ctx context.Context, id []byte) (r record, s *session, err error) {
	if len(id) != len(r.id) {
		return r, nil, malformed("id")
	}
	if r, err = h.record(ctx, ID(id)); errors.Is(err, store.ErrNoRows) {
		return r, nil, waypost.Errorf(waypost.NotFound, "%s knows of no such ceremony", h.Name)
	}
	if err != nil {
		return r, nil, err
	}
	if s, err = h.session(r.plan); err != nil {
		return r, nil, err
	}
	messages, err := h.messages(ctx, r.id)
	for _, m := range messages {
		if heard := s.hear(m); heard != nil && !errors.As(heard, new(*Fault)) {
			return r, nil, heard
		}
	}
	return r, s, err
}

// hearAll takes signed messages into a session: a fault that they show, or an error
// where one is not what its carrier says it is.
func hearAll(s *session, raw [][]byte, expected func(Message) bool) (fault *Fault, err error) {
	if len(raw) > 8*maxParticipants {
		return nil, malformed("message")
	}
	for _, b := range raw {
		m, err := ParseMessage(b)
		if err != nil {
			return nil, err
		}
		if !expected(m) {
			return nil, waypost.Errorf(waypost.InvalidArgument, "a message of round %s is not expected here", m.Round)
		}
		if err := s.hear(m); err != nil && !errors.As(err, &fault) {
			return nil, err
		}
	}
	return fault, nil
}

// advance judges the round and says the next thing, if it has not been said.
func (h *Holder) advance(ctx context.Context, r record, s *session, round Round) (*waypostv1.CeremonyState, error) {
	for before := Commit; before < round; before++ {
		if !s.complete(before) {
			return nil, waypost.Errorf(waypost.InvalidArgument, "%s has not seen round %s yet", h.Name, before)
		}
	}
	if _, said := s.heard[round+1][h.Name]; said || r.state == stateDone {
		return h.newest(ctx, r)
	}
	if r.state == stateOpen && !h.Now().Before(r.plan.Ends) {
		return h.fail(ctx, r, s, &Fault{Reason: fmt.Sprintf("%s gives up: the time was over", h.Name)})
	}
	if fault := s.judge(round); fault != nil {
		return h.fail(ctx, r, s, fault)
	}
	if round < Deal { // what is dealt is dealt
		if err := h.stands(r.plan); err != nil {
			return h.fail(ctx, r, s, &Fault{Reason: fmt.Sprintf("%s gives up: %v", h.Name, err)})
		}
		if err := h.consents(r.plan); err != nil {
			return nil, err
		}
	}
	if round == Sign {
		r.state = stateDone
		return h.settle(ctx, r, s, round, nil, "")
	}
	m, outcome, err := h.say(r, s, round+1)
	if err != nil {
		return nil, err
	}
	if round+1 < Sign {
		return h.settle(ctx, r, s, round, &m, "")
	}
	if body, _ := parseSign(m.Body); body.dealer == 0 { // else its complaint is judged when all have signed
		r.state = stateSigned
	}
	if outcome != nil {
		if err := h.Vault.keep(r.slot, outcome.Share); err != nil {
			return nil, err
		}
	}
	if r.state != stateSigned {
		return h.settle(ctx, r, s, round, &m, "")
	}
	r.transcript = s.transcriptHash()
	return h.settle(ctx, r, s, round, &m, "signed")
}

// settle commits a round: the messages of all, the own of the next, the state and the
// entry. Only then does anything leave.
func (h *Holder) settle(ctx context.Context, r record, s *session, round Round, own *Message, step string) (*waypostv1.CeremonyState, error) {
	err := h.DB.Write(ctx, func(tx *store.Tx) error {
		for _, name := range s.participants {
			if err := keepMessage(tx, s.heard[round][name]); err != nil {
				return err
			}
		}
		if own != nil {
			if err := keepMessage(tx, *own); err != nil {
				return err
			}
		}
		if err := r.update(tx); err != nil || step == "" {
			return err
		}
		return h.note(tx, r, step)
	})
	if err == nil {
		err = h.tidy(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	return h.newest(ctx, r)
}
