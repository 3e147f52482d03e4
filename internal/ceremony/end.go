package ceremony

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/toprf"
)

// fail ends the ceremony over a fault, with the evidence and this holder's word that
// it gives up, unless it has signed: then only somebody's signed message can end it.
// One that all have signed is done for ever: what somebody signs later is kept and
// told, and takes nothing back.
func (h *Holder) fail(ctx context.Context, r record, s *session, f *Fault) (*waypostv1.CeremonyState, error) {
	step := "aborted"
	switch {
	case (r.state == stateAborted || r.state == stateDone) && (r.culprit != "" || f.Culprit == ""):
		return h.newest(ctx, r)
	case r.state == stateAborted || r.state == stateDone:
		step = "named" // who it was is known now
	case r.state != stateOpen && len(f.Evidence) == 0:
		return nil, waypost.Errorf(waypost.PermissionDenied, "%s has signed: the ceremony is over when the roster says so", h.Name)
	}
	givesUp, err := h.mayGiveUp(r, s)
	if err != nil {
		return nil, err
	}
	r.culprit, r.reason = f.Culprit, f.Reason
	if r.state != stateDone {
		r.state = stateAborted
	}
	h.Log.Error("a ceremony is void, or somebody disowns it", "ceremony", short(r.id), "state", r.state, "culprit", f.Culprit, "reason", f.Reason)
	err = h.DB.Write(ctx, func(tx *store.Tx) error {
		if err := s.keep(tx, f.Evidence); err != nil {
			return err
		}
		if givesUp {
			m := Message{Ceremony: r.id, Round: Abort, Sender: h.Name, Body: abortBody(f.Reason)}
			if err := keepMessage(tx, m.sign(h.Identity)); err != nil {
				return err
			}
		}
		if err := r.update(tx); err != nil {
			return err
		}
		return h.note(tx, r, step, evidence(f)...)
	})
	if err == nil {
		err = h.tidy(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	return h.newest(ctx, r)
}

// keep stores all messages that are known, and the evidence.
func (s *session) keep(tx *store.Tx, evidence []Message) error {
	for _, heard := range s.heard {
		for _, name := range s.participants {
			if m, ok := heard[name]; ok {
				if err := keepMessage(tx, m); err != nil {
					return err
				}
			}
		}
	}
	for _, m := range evidence {
		if err := keepMessage(tx, m); err != nil {
			return err
		}
	}
	return nil
}

// mayGiveUp reports whether this holder may say that it gives up: not when it has
// signed, and a finished share says that it may have, before its database came back
// from a backup.
func (h *Holder) mayGiveUp(r record, s *session) (bool, error) {
	if _, signed := s.heard[Sign][h.Name]; signed || r.state != stateOpen {
		return false, nil
	}
	kept, err := h.Vault.kept(r.slot)
	return !kept, err
}

// evidence names the messages that show a fault, which are kept with the ceremony.
func evidence(f *Fault) []journal.Field {
	if len(f.Evidence) == 0 {
		return nil
	}
	var all []byte
	for _, m := range f.Evidence {
		d := m.Digest()
		all = append(all, d[:]...)
	}
	sum := sha256.Sum256(all)
	return []journal.Field{{Name: "evidence", Value: hex.EncodeToString(sum[:])}}
}

// AbortCeremony implements the service. With messages it hears them, and ends the
// ceremony if they show a fault or that a participant has given up. Without any it gives
// up itself, which only its own certificate can have it do, as long as it has not
// signed: whoever ends a ceremony is known by its signature.
func (h *Holder) AbortCeremony(ctx context.Context, req *waypostv1.AbortCeremonyRequest) (*waypostv1.CeremonyState, error) {
	peer, err := admit(ctx)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	ctx = context.WithoutCancel(ctx)
	r, s, err := h.take(ctx, req.Ceremony)
	if err != nil {
		return nil, err
	}
	fault, err := hearAll(s, req.Messages, func(Message) bool { return true })
	if err != nil {
		return nil, err
	}
	if fault == nil {
		fault = s.verdict()
	}
	switch {
	case fault == nil && len(req.Messages) > 0:
		return h.newest(ctx, r) // nothing new
	case fault == nil && peer.Name != h.Name:
		return nil, waypost.Errorf(waypost.PermissionDenied, "%s does not give up on the word of %s: who gives up signs it, and shows that to the others (waypost ceremony abort)", h.Name, peer.Name)
	case fault == nil && r.state == stateDone:
		return nil, waypost.Errorf(waypost.PermissionDenied, "everybody has signed: the shares count when a roster names them, and are destroyed if none does in %d days", int(Waits.Hours()/24))
	case fault == nil:
		fault = &Fault{Reason: h.Name + " gives up: its operator has said so"}
	}
	return h.fail(ctx, r, s, fault)
}

// verdict judges all rounds that are complete, and of the last one what there is, and
// then those who have given up.
func (s *session) verdict() *Fault {
	for round := Commit; round <= Sign && (round == Sign || s.complete(round)); round++ {
		if found := s.judge(round); found != nil {
			return found
		}
	}
	for _, name := range s.participants {
		m, ok := s.heard[Abort][name]
		if !ok {
			continue
		}
		reason, ok := parseAbort(m.Body)
		if !ok || len(m.Seen) > 0 {
			return s.blame(Abort, name, "sent a message that is not well formed")
		}
		return &Fault{"", fmt.Sprintf("%s has given up: %s", name, reason), []Message{m}}
	}
	return nil
}

// Expire gives up what is open beyond its time, and destroys the shares that are
// over. A key holder calls it with its housekeeping.
func (h *Holder) Expire(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := errors.Join(h.expire(ctx), h.tidyAll(ctx), h.prune(ctx)); err != nil {
		return err
	}
	destroyed, spared, err := h.Vault.Sweep(h.Roster, h.Name)
	for _, slot := range destroyed {
		h.Log.Info("a share that no roster names is destroyed", "share", slot)
	}
	if len(spared) > 0 && h.Now().Sub(h.cried) >= time.Hour {
		h.cried = h.Now()
		h.Log.Error("the share that the newest roster names cannot be opened here; the old one is kept until it can: hold a refresh, or a reshare without this holder", "kept", spared)
	}
	return err
}

func (h *Holder) expire(ctx context.Context) error {
	known, err := h.records(ctx)
	if err != nil {
		return err
	}
	for _, r := range known {
		if r.state != stateOpen || h.Now().Before(r.plan.Ends) {
			continue
		}
		if h.Roster.Version(r.plan.Roster) == nil { // nothing of it can be judged any more
			if err := h.drop(ctx, r, fmt.Sprintf("the time was over, and roster version %d is not known here", r.plan.Roster)); err != nil {
				return err
			}
			continue
		}
		_, s, err := h.take(ctx, r.id[:])
		if err != nil {
			return err
		}
		if _, err := h.fail(ctx, r, s, &Fault{Reason: fmt.Sprintf("%s gives up: the time was over", h.Name)}); err != nil {
			return err
		}
	}
	return nil
}

// keepUnused is how long a ceremony that came to nothing is kept, with its messages, or
// one whose shares no roster has named: whoever may open ceremonies must not fill the
// database. Who was at fault stays in the ledger.
const keepUnused = 365 * 24 * time.Hour

// prune deletes what was given up long ago, and has no files any more, and what was done
// long ago for nothing.
func (h *Holder) prune(ctx context.Context) error {
	known, err := h.records(ctx)
	if err != nil {
		return err
	}
	for _, r := range known {
		over := r.state == stateAborted && r.slot == "" || r.state == stateDone && !h.named(r)
		if !over || h.Now().Sub(r.started) < keepUnused {
			continue
		}
		if err := h.DB.Write(ctx, r.remove); err != nil {
			return err
		}
	}
	return nil
}

// named reports whether a roster that is known here (the newest and those of a year
// before it) has the shares of a ceremony.
func (h *Holder) named(r record) bool {
	for n := h.Roster.Latest().Version; n > 0; n-- {
		v := h.Roster.Version(n)
		if v == nil {
			return false
		}
		if v.Ceremony == r.transcript || v.Beside != nil && v.Beside.Ceremony == r.transcript {
			return true
		}
	}
	return false
}

// drop gives up a ceremony without a word to the others.
func (h *Holder) drop(ctx context.Context, r record, why string) error {
	r.state, r.reason = stateAborted, h.Name+" gives up: "+why
	err := h.DB.Write(ctx, func(tx *store.Tx) error {
		if err := r.update(tx); err != nil {
			return err
		}
		return h.note(tx, r, "aborted")
	})
	if err != nil {
		return err
	}
	return h.tidy(ctx, r)
}

// GetCeremony implements the service.
func (h *Holder) GetCeremony(ctx context.Context, req *waypostv1.GetCeremonyRequest) (*waypostv1.CeremonyState, error) {
	if _, err := admit(ctx); err != nil {
		return nil, err
	}
	known, err := h.records(ctx)
	if err != nil {
		return nil, err
	}
	if len(req.Ceremony) == 0 {
		if len(known) == 0 {
			return new(waypostv1.CeremonyState), nil
		}
		req = &waypostv1.GetCeremonyRequest{Ceremony: known[len(known)-1].id[:]}
	}
	if len(req.Ceremony) != len(ID{}) {
		return nil, malformed("id")
	}
	r, err := h.record(ctx, ID(req.Ceremony))
	if errors.Is(err, store.ErrNoRows) {
		return nil, waypost.Errorf(waypost.NotFound, "%s knows of no such ceremony", h.Name)
	}
	if err != nil {
		return nil, err
	}
	messages, err := h.messages(ctx, r.id)
	answer := r.wire()
	for _, m := range messages {
		answer.Messages = append(answer.Messages, m.signed)
	}
	if err == nil {
		answer.Holds, err = h.holds(ctx, r)
	}
	return answer, err
}

// holds reports whether this holder can open the share that a ceremony has made for it:
// what governance asks before it signs a roster that names the shares. What does not
// concern it, and a ceremony that is not over, it does not hold.
func (h *Holder) holds(ctx context.Context, r record) (bool, error) {
	index := position(r.plan.Holders, h.Name)
	if index == 0 || r.state != stateSigned && r.state != stateDone || h.Roster.Version(r.plan.Roster) == nil {
		return false, nil
	}
	_, s, err := h.take(ctx, r.id[:])
	if err != nil {
		return false, err
	}
	keys, err := s.publicKeys()
	if err != nil {
		return false, err
	}
	share, err := keys.Share(index)
	if err != nil {
		return false, err
	}
	_, opens := h.Vault.Share(share.Bytes())
	return opens, nil
}

// newest is the state of a ceremony with what this holder has said last.
func (h *Holder) newest(ctx context.Context, r record) (*waypostv1.CeremonyState, error) {
	messages, err := h.messages(ctx, r.id)
	answer := r.wire()
	for _, m := range messages { // in the order of the rounds
		if m.Sender == h.Name {
			answer.Messages = [][]byte{m.signed}
		}
	}
	return answer, err
}

func short(id ID) string { return hex.EncodeToString(id[:8]) }

func kindWord(k toprf.Kind) string {
	switch k {
	case toprf.Keygen:
		return "keygen"
	case toprf.Refresh:
		return "refresh"
	}
	return "reshare"
}
