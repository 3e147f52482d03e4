package ceremony

import (
	"context"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/toprf"
)

// Who may have a ceremony opened here, and which one.

// So many ceremonies one key holder's certificate opens here within that time. One a
// quarter is needed, and a few attempts where machines are down.
const (
	maxAttempts = 12
	attemptsIn  = 24 * time.Hour
)

// admit refuses callers who are no key holders. Anybody may carry messages; who
// opens ceremonies and gives them up answers for it.
func admit(ctx context.Context) (roster.Member, error) {
	peer := rpc.Peer(ctx)
	if peer.Role != roster.KeyHolder {
		return peer, waypost.Errorf(waypost.PermissionDenied, "a ceremony is the key holders' affair, and %s is none", peer.Name)
	}
	return peer, nil
}

// mayOpen says in words why the plan cannot be followed here now.
func (h *Holder) mayOpen(ctx context.Context, opener string, p Plan) error {
	if err := h.Roster.Accepts(p.Roster); err != nil {
		return err
	}
	if _, err := p.Ceremony(h.Roster.Version(p.Roster)); err != nil {
		return err
	}
	if position(p.Participants(), h.Name) == 0 {
		return waypost.Errorf(waypost.InvalidArgument, "%s has no part in this ceremony", h.Name)
	}
	if !p.Begins.After(h.Restored.Add(skew)) { // whoever wrote the plan may have another clock
		return waypost.Errorf(waypost.Expired, "%s was restored from a backup at %s and may have taken part in this ceremony already: hold another", h.Name, clock(h.Restored))
	}
	if err := h.stands(p); err != nil {
		return err
	}
	now := h.Now()
	if p.Begins.After(now.Add(skew)) || !now.Before(p.Ends) {
		return waypost.Errorf(waypost.Expired, "the ceremony runs from %s to %s, and here it is %s", clock(p.Begins), clock(p.Ends), clock(now))
	}
	if need, needs := h.needs(p); needs {
		if _, ok := h.Vault.Share(need); !ok {
			return waypost.Errorf(waypost.Unavailable, "%s cannot open the share of epoch %d that the roster names", h.Name, p.Epoch)
		}
	}
	if err := h.consents(p); err != nil {
		return err
	}
	known, err := h.records(ctx)
	if err != nil {
		return err
	}
	return h.vacant(known, opener, now)
}

// vacant reports whether there is place for another ceremony: one is open at a time,
// and nobody makes a holder's database long with attempts.
func (h *Holder) vacant(known []record, opener string, now time.Time) error {
	var attempts []time.Time
	for _, r := range known {
		if r.state == stateOpen && now.Before(r.plan.Ends) {
			return waypost.Errorf(waypost.AlreadyExists, "%s has a ceremony open, %x: end it, or abort it, or wait until %s", h.Name, r.id[:8], clock(r.plan.Ends))
		}
		if r.opener == opener && now.Sub(r.started) < attemptsIn {
			attempts = append(attempts, r.started)
		}
	}
	if n := len(attempts); n >= maxAttempts {
		return waypost.Errorf(waypost.QuotaExceeded, "%s has opened %d ceremonies at %s within a day: find out what stops them, and go on later, or from the folder of another key holder", opener, n, h.Name).
			WithRetryAfter(attempts[n-maxAttempts].Add(attemptsIn))
	}
	return nil
}

// stands says in words why a plan is not to be followed any more, by what governance has
// said since it was made: a participant has left or has another identity key, and who had
// the old one may answer for it; or a reshare is not what the governance of the plan's
// roster and of the newest have signed. It is looked at when a ceremony opens, and again
// before each message as long as the holder has not dealt.
func (h *Holder) stands(p Plan) error {
	under := h.Roster.Version(p.Roster)
	for _, name := range p.Participants() {
		now, ok := h.Roster.Member(name)
		if !ok {
			return waypost.Errorf(waypost.InvalidArgument, "%s is not a member now", name)
		}
		if then, _ := under.Member(name); !then.Identity.Equal(now.Identity) {
			return waypost.Errorf(waypost.InvalidArgument, "%s has another identity key now than in roster version %d: hold the ceremony under the newest", name, p.Roster)
		}
	}
	return p.Approved(h.Roster)
}

// consents refuses to deal others this holder's share as long as its own operator has not
// said so. A refresh gives nobody anything: its shares are for the same holders, and as
// many are needed.
func (h *Holder) consents(p Plan) error {
	if p.Kind != toprf.Reshare || position(p.Dealers, h.Name) == 0 || h.Accepted != nil && h.Accepted(p.ID()) {
		return nil
	}
	return waypost.Errorf(waypost.Unavailable, "the operator of %s has not accepted the plan %s: waypost ceremony accept PLAN --dir ITS-FOLDER --yes", h.Name, short(p.ID()))
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
