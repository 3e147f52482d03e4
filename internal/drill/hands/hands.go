// Package hands is what the operators of an exchange's roles can reach: each its
// own ledger before anything is written into it, its own database, and what it asks
// of others. As long as nobody reaches in, the roles are what they are without.
package hands

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/keyholder"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/translog"
)

// Hands are those of all operators of one exchange. The zero value keeps still.
type Hands struct {
	ledgers  sync.Map // role -> *atomic.Pointer[Act]
	searches sync.Map // state -> *atomic.Pointer[Answered]
	deaf     sync.Map // state -> []string, the key holders that it does not ask
	kept     sync.Map // state whose post the hub keeps back
	spoiled  sync.Map // letter of which the hub delivers as many other bytes
}

// Act is what an operator does with an entry before it is written: it may change
// it, or return false to keep it off the record.
type Act func(tx *store.Tx, e *journal.Entry) (written bool)

// Answered is what a state's operator does with the hub's answer to a search. Its
// error is what the gateway sees in place of the answer.
type Answered func(res *waypostv1.SearchResponse) error

// Config is the exchange over which the hands have power.
func (h *Hands) Config() cluster.Config {
	return cluster.Config{
		Hub: func(deps *hub.Deps) {
			deps.Journal = hubLedger{deps.Journal, at[Act](&h.ledgers, "hub")}
			deps.Around = func(honest waypostv1connect.HubHandler) waypostv1connect.HubHandler { return post{honest, h} }
		},
		KeyHolders: func(name string, deps *keyholder.Deps) {
			deps.Journal = holderLedger{deps.Journal, at[Act](&h.ledgers, name)}
		},
		Gateways: func(state waypost.Jurisdiction, deps *gateway.Deps) {
			deps.Journal = gatewayLedger{deps.Journal, at[Act](&h.ledgers, string(state))}
			deps.Holders = holders{deps.Holders, string(state), &h.deaf}
			deps.Hub = searches{deps.Hub, at[Answered](&h.searches, string(state))}
		},
	}
}

func at[T any](all *sync.Map, name string) *atomic.Pointer[T] {
	p, _ := all.LoadOrStore(name, new(atomic.Pointer[T]))
	return p.(*atomic.Pointer[T])
}

// With has the operator of a role do this while something happens.
func (h *Hands) With(role string, act Act, happens func() error) error {
	p := at[Act](&h.ledgers, role)
	p.Store(&act)
	defer p.Store(nil)
	return happens()
}

// Searching is With for the hub's answers to a state.
func (h *Hands) Searching(state waypost.Jurisdiction, act Answered, happens func() error) error {
	p := at[Answered](&h.searches, string(state))
	p.Store(&act)
	defer p.Store(nil)
	return happens()
}

// Asking has a state ask only these key holders while something happens.
func (h *Hands) Asking(x *drill.Exchange, state waypost.Jurisdiction, only []string, happens func() error) error {
	var others []string
	for _, m := range x.Roster().Holders() {
		if !slices.Contains(only, m.Name) {
			others = append(others, m.Name)
		}
	}
	h.deaf.Store(string(state), others)
	defer h.deaf.Delete(string(state))
	return happens()
}

// Withholding has the hub keep back a state's post while something happens.
func (h *Hands) Withholding(state waypost.Jurisdiction, happens func() error) error {
	h.kept.Store(string(state), true)
	defer h.kept.Delete(string(state))
	return happens()
}

// Spoil has the hub deliver, in place of the last letter that lies in a state's box,
// bytes that nobody can open: the state learns that there was something, and not what.
// Its post must be kept back meanwhile.
func (h *Hands) Spoil(ctx context.Context, x *drill.Exchange, state waypost.Jurisdiction) error {
	var last uint64
	err := x.Role("hub").DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT last FROM box WHERE recipient = $1`, string(state)).Scan(&last)
	})
	h.spoiled.Store(letter{string(state), last}, true)
	return err
}

// Off keeps entries of these kinds off the record.
func Off(kinds ...string) Act {
	return func(_ *store.Tx, e *journal.Entry) bool { return !slices.Contains(kinds, e.Kind) }
}

// Rename writes entries of one kind down as another.
func Rename(from, to string) Act {
	return func(_ *store.Tx, e *journal.Entry) bool {
		if e.Kind == from {
			e.Kind = to
		}
		return true
	}
}

// Rewrite changes entries of one kind. What is no entry with fields stays as it is.
func Rewrite(kind string, change func(e *journal.Entry, fields map[string]string)) Act {
	return func(_ *store.Tx, e *journal.Entry) bool {
		if fields, err := translog.ParseBody(e.Body); e.Kind == kind && err == nil {
			change(e, fields)
			if body, err := translog.FormatBody(fields); err == nil {
				e.Body = body
			}
		}
		return true
	}
}

// Edit changes a role's database while the role runs, and says if nothing was
// changed.
func Edit(ctx context.Context, x *drill.Exchange, role, statement string, args ...any) error {
	return x.Role(role).DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(statement, args...)
		if err == nil && n == 0 {
			err = fmt.Errorf("nothing in the database of %s was changed", role)
		}
		return err
	})
}

// write appends the entry as the operator wants it. One that is kept off the record
// gets the number that comes next: its receipt has to name a place.
func write(tx *store.Tx, e journal.Entry, hand *atomic.Pointer[Act], honest func(*store.Tx, journal.Entry) (uint64, error)) (seq uint64, err error) {
	if act := hand.Load(); act != nil && !(*act)(tx, &e) {
		err = tx.Row(`SELECT coalesce(max(seq), -1) + 1 FROM journal`).Scan(&seq)
		return seq, err
	}
	return honest(tx, e)
}

type hubLedger struct {
	hub.Ledger
	hand *atomic.Pointer[Act]
}

// Append writes the entry as the operator wants it.
func (l hubLedger) Append(tx *store.Tx, e journal.Entry) (uint64, error) {
	return write(tx, e, l.hand, l.Ledger.Append)
}

type post struct {
	waypostv1connect.HubHandler
	*Hands
}

// letter is a place in a mailbox.
type letter struct {
	state    string
	sequence uint64
}

// Receive gives a state nothing while its post is kept back, also where it has waited
// since before, and of a letter that is spoiled other bytes.
func (p post) Receive(ctx context.Context, req *waypostv1.ReceiveRequest) (*waypostv1.ReceiveResponse, error) {
	res, err := p.HubHandler.Receive(ctx, req)
	state := rpc.Peer(ctx).Name
	if _, kept := p.kept.Load(state); kept {
		return nil, waypost.Errorf(waypost.Unavailable, "there is no post now")
	}
	if err != nil {
		return nil, err
	}
	for _, mail := range res.Mail {
		if _, spoiled := p.spoiled.Load(letter{state, mail.Sequence}); spoiled {
			mail.Sealed = make([]byte, len(mail.Sealed))
		}
	}
	return res, nil
}

type holderLedger struct {
	keyholder.Ledger
	hand *atomic.Pointer[Act]
}

// Append writes the entry as the operator wants it.
func (l holderLedger) Append(tx *store.Tx, e journal.Entry) (uint64, error) {
	return write(tx, e, l.hand, l.Ledger.Append)
}

type gatewayLedger struct {
	gateway.Ledger
	hand *atomic.Pointer[Act]
}

// Append writes the entry as the operator wants it.
func (l gatewayLedger) Append(tx *store.Tx, e journal.Entry) (uint64, error) {
	return write(tx, e, l.hand, l.Ledger.Append)
}

type holders struct {
	gateway.Holders
	state string
	deaf  *sync.Map
}

// Evaluate reaches only those key holders that the state asks now.
func (h holders) Evaluate(ctx context.Context, holder string, req *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
	if names, ok := h.deaf.Load(h.state); ok && slices.Contains(names.([]string), holder) {
		return nil, waypost.Errorf(waypost.Unavailable, "%s is not asked now", holder)
	}
	return h.Holders.Evaluate(ctx, holder, req)
}

type searches struct {
	gateway.Hub
	hand *atomic.Pointer[Answered]
}

// Search shows the hub's answer to the state's operator first.
func (s searches) Search(ctx context.Context, req *waypostv1.SearchRequest) (*waypostv1.SearchResponse, error) {
	res, err := s.Hub.Search(ctx, req)
	if act := s.hand.Load(); err == nil && act != nil {
		if err := (*act)(res); err != nil {
			return nil, err
		}
	}
	return res, err
}
