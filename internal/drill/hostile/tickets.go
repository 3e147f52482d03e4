package hostile

import (
	"bytes"
	"context"
	"encoding/hex"
	"sync"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill/rogue"
)

// target is the key holder that the rogue state asks.
const target = "keyholder-1"

// spoiled is a ticket that is signed as it should be, over what should not be, and how it
// must be refused.
type spoiled struct {
	bend
	elements func(honest []byte) []byte
	ticket   func(t *waypost.Ticket)
}

const size = 32 // of an element, in bytes

// spoilings are those that a key holder must refuse.
func spoilings() []spoiled {
	at := func(place int, with []byte) func([]byte) []byte {
		return func(e []byte) []byte {
			copy(e[place*size:], with)
			return e
		}
	}
	identity, ones := make([]byte, size), bytes.Repeat([]byte{0xff}, size)
	negative := append([]byte{1}, make([]byte, size-1)...)                                              // odd: no canonical encoding is
	beyond := append(append([]byte{0xed}, bytes.Repeat([]byte{0xff}, size-2)...), 0x7f)                 // the prime itself: zero, not canonical
	noSquare, _ := hex.DecodeString("26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371") // RFC 9496, A.3
	form := func(name string) bend { return bend{name, waypost.InvalidArgument, "not canonical ristretto255"} }
	number := func(name, words string) bend { return bend{name, waypost.InvalidArgument, words} }
	return []spoiled{
		{form("the identity"), at(0, identity), nil}, {form("the identity at the end"), at(31, identity), nil}, {form("no field element"), at(3, ones), nil},
		{form("an odd encoding"), at(7, negative), nil}, {form("the prime"), at(15, beyond), nil}, {form("no point"), at(20, noSquare), nil},
		{number("31 elements", "brings 31"), func(e []byte) []byte { return e[:31*size] }, nil},
		{number("33 elements", "cannot carry 33 elements"), func(e []byte) []byte { return append(e, e[:size]...) }, func(t *waypost.Ticket) { t.Elements = 33 }},
		{number("half an element", "brings 31"), func(e []byte) []byte { return e[:31*size+16] }, nil},
		{number("no elements", "brings 0"), func([]byte) []byte { return nil }, nil},
		{bend{"a clock ten minutes slow", waypost.Expired, "older than"}, nil, func(t *waypost.Ticket) { t.IssuedAt = t.IssuedAt.Add(-10 * time.Minute) }},
		{bend{"a clock ten minutes fast", waypost.Expired, "in the future"}, nil, func(t *waypost.Ticket) { t.IssuedAt = t.IssuedAt.Add(10 * time.Minute) }},
		{bend{"the other environment", waypost.PermissionDenied, "environment"}, nil, func(t *waypost.Ticket) {
			t.Environment = map[waypost.Environment]waypost.Environment{waypost.Test: waypost.Prod, waypost.Prod: waypost.Test}[t.Environment]
		}},
		{bend{"another key", waypost.Expired, "epoch"}, nil, func(t *waypost.Ticket) { t.Epoch += 7 }},
		{bend{"another roster", waypost.Unavailable, "roster"}, nil, func(t *waypost.Ticket) { t.RosterVersion += 7 }},
		{bend{"another state", waypost.PermissionDenied, "brought a ticket of"}, nil, func(t *waypost.Ticket) { t.SOI = asking }},
		{bend{name: "nothing amiss"}, nil, nil}, // else refusals would say nothing
	}
}

// spoil sends each, several times.
func (p *play) spoil(ctx context.Context, r *result) {
	for range p.stage.Size.Pick(1, 10, 300) {
		for _, s := range spoilings() {
			if ctx.Err() != nil {
				return
			}
			l, err := p.spoiledLook(s)
			if err != nil {
				r.wrongf("no ticket over %s: %v", s.name, err)
				continue
			}
			err = s.reached(ctx, func() error {
				_, err := p.rogue.Evaluate(ctx, target, l.Ticket.Bytes(), l.Elements)
				return err
			})
			s.judge(ctx, r, "a ticket over "+s.name, err)
		}
	}
}

// spoiledLook makes a ticket, spoils it and signs it.
func (p *play) spoiledLook(s spoiled) (*rogue.Look, error) {
	return p.look(func(honest *rogue.Look) []byte {
		if s.elements == nil {
			return honest.Elements
		}
		return s.elements(bytes.Clone(honest.Elements))
	}, s.ticket)
}

// look is a signed ticket over the elements.
func (p *play) look(elements func(honest *rogue.Look) []byte, change func(t *waypost.Ticket)) (*rogue.Look, error) {
	key := p.rogue.Folder.Identity
	l, err := p.rogue.Look(rogue.Keys(p.known[0].Person), key, func(*waypost.Ticket) {})
	if err != nil {
		return nil, err
	}
	l.Elements = elements(l)
	t := l.Ticket.Ticket
	t.Probes = waypost.HashProbes(l.Elements)
	if change != nil {
		change(&t)
	}
	l.Ticket, err = t.Sign(key)
	return l, err
}

// replay sends a good ticket many times.
func (p *play) replay(ctx context.Context, r *result) {
	l, err := p.look(func(l *rogue.Look) []byte { return l.Elements }, nil)
	if err != nil {
		r.wrongf("no ticket: %v", err)
		return
	}
	var mu sync.Mutex
	var first []byte
	var sending sync.WaitGroup
	for range 8 {
		sending.Go(func() {
			for range p.stage.Size.Pick(5, 50, 500) {
				res, err := p.rogue.Evaluate(ctx, target, l.Ticket.Bytes(), l.Elements)
				if err != nil {
					if waypost.CodeOf(err) == waypost.Internal {
						r.wrongf("a replay ends in an internal error")
					}
					r.count("refused: " + string(waypost.CodeOf(err)))
					continue
				}
				r.count("answered with the same bytes")
				mu.Lock()
				if got := append(bytes.Clone(res.Elements), res.Receipt...); first == nil {
					first = got
				} else if !bytes.Equal(first, got) {
					r.wrongf("a replay is answered with other bytes")
				}
				mu.Unlock()
			}
		})
	}
	sending.Wait()
	if first == nil && ctx.Err() == nil {
		r.wrongf("a good ticket is never answered")
	}
}
