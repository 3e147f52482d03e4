package simulate

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/seal"
)

// link is how one gateway's process reaches the others: it stands in the place of
// the network, and does to calls what a network does.
type link struct{ from *life }

var unreachable = waypost.Errorf(waypost.Unavailable, "no answer from the other party")

// call carries one call over the link. What a network may do happens here: the
// request or the answer is lost or late, or the request comes twice.
func call[Req, Res proto.Message](ctx context.Context, l *link, to, what string, req Req, do func(context.Context, *life, Req) (Res, error)) (Res, error) {
	var none Res
	w := l.from.w
	w.trace.note("call", l.from.name, to, what)
	w.sleep(w.faults.latency())
	if l.from.dead {
		return none, errDead
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	target := w.role[to].up()
	if target == nil || w.faults.parted(l.from.name, to) || w.faults.lost() {
		w.trace.note("lost", l.from.name, to, what)
		return none, unreachable
	}
	me, ok := w.roster.Member(l.from.name)
	if !ok {
		return none, waypost.Errorf(waypost.Unauthenticated, "%s is no member", l.from.name)
	}
	ctx = rpc.WithPeer(context.Background(), me)
	res, err := do(ctx, target, proto.CloneOf(req))
	if !target.dead && w.faults.twice() {
		w.trace.note("twice", l.from.name, to, what)
		res, err = do(ctx, target, proto.CloneOf(req))
	}
	answered := !target.dead
	w.sleep(w.faults.latency())
	switch {
	case l.from.dead:
		return none, errDead
	case !answered || w.faults.parted(l.from.name, to) || w.faults.lost():
		w.trace.note("unanswered", l.from.name, to, what)
		return none, unreachable
	case err != nil:
		w.trace.note("refused", l.from.name, to, what, waypost.CodeOf(err))
		return none, rpc.AsSeen(err)
	}
	return proto.CloneOf(res), nil
}

// Evaluate implements [gateway.Holders].
func (l *link) Evaluate(ctx context.Context, holder string, req *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
	return call(ctx, l, holder, "evaluate", req, func(ctx context.Context, to *life, req *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
		return to.holder.Evaluate(ctx, req)
	})
}

// Search implements [gateway.Hub], as do the next.
func (l *link) Search(ctx context.Context, req *waypostv1.SearchRequest) (*waypostv1.SearchResponse, error) {
	defer l.from.w.ring()
	return call(ctx, l, "hub", "search", req, func(ctx context.Context, to *life, req *waypostv1.SearchRequest) (*waypostv1.SearchResponse, error) {
		return to.hub.Search(ctx, req)
	})
}

// Publish publishes.
func (l *link) Publish(ctx context.Context, req *waypostv1.PublishRequest) (*waypostv1.PublishResponse, error) {
	return call(ctx, l, "hub", "publish", req, func(ctx context.Context, to *life, req *waypostv1.PublishRequest) (*waypostv1.PublishResponse, error) {
		return to.hub.Publish(ctx, req)
	})
}

// Maintain does one thing with the caller's own pointers.
func (l *link) Maintain(ctx context.Context, req *waypostv1.MaintainRequest) (*waypostv1.MaintainResponse, error) {
	defer l.from.w.ring()
	return call(ctx, l, "hub", "maintain", req, func(ctx context.Context, to *life, req *waypostv1.MaintainRequest) (*waypostv1.MaintainResponse, error) {
		return to.hub.Maintain(ctx, req)
	})
}

// Send implements [gateway.Mailbox], as do the next. What is sent is looked at on
// its way, and some of it comes again later.
func (l *link) Send(ctx context.Context, req *waypostv1.SendRequest) (*waypostv1.SendResponse, error) {
	for _, sealed := range req.Sealed {
		if !l.from.dead {
			l.from.w.watch.sent(l.from.name, sealed)
		}
	}
	return call(ctx, l, "hub", "send", req, func(ctx context.Context, to *life, req *waypostv1.SendRequest) (*waypostv1.SendResponse, error) {
		res, err := to.hub.Send(ctx, req)
		if err == nil {
			l.from.w.posted(l.from.name, req.Sealed)
		}
		return res, err
	})
}

// Receive gives the mail of one call in any order, as if it had been sent in that
// order.
func (l *link) Receive(ctx context.Context, req *waypostv1.ReceiveRequest) (*waypostv1.ReceiveResponse, error) {
	req.WaitMs = 0 // nobody waits: there is a ring when something comes
	res, err := call(ctx, l, "hub", "receive", req, func(ctx context.Context, to *life, req *waypostv1.ReceiveRequest) (*waypostv1.ReceiveResponse, error) {
		return to.hub.Receive(ctx, req)
	})
	if err != nil {
		return nil, err
	}
	if n := len(res.Mail); n > 0 {
		l.from.role.work(collect) // to acknowledge it, and for what else there is
		l.from.w.faults.shuffle(n, func(i, j int) {
			res.Mail[i].Sealed, res.Mail[j].Sealed = res.Mail[j].Sealed, res.Mail[i].Sealed
		})
		for _, m := range res.Mail {
			l.from.w.watch.received(l.from.name, m.Sealed)
		}
	}
	return res, nil
}

// PutKey announces the own encryption key.
func (l *link) PutKey(ctx context.Context, req *waypostv1.PutKeyRequest) (*waypostv1.PutKeyResponse, error) {
	defer l.from.role.work(collect)
	return call(ctx, l, "hub", "put key", req, func(ctx context.Context, to *life, req *waypostv1.PutKeyRequest) (*waypostv1.PutKeyResponse, error) {
		return to.hub.PutKey(ctx, req)
	})
}

// GetKey fetches another's.
func (l *link) GetKey(ctx context.Context, req *waypostv1.GetKeyRequest) (*waypostv1.GetKeyResponse, error) {
	return call(ctx, l, "hub", "get key", req, func(ctx context.Context, to *life, req *waypostv1.GetKeyRequest) (*waypostv1.GetKeyResponse, error) {
		return to.hub.GetKey(ctx, req)
	})
}

// posted rings at the recipients, and has some messages sent once more later on:
// a sender that heard no answer would.
func (w *world) posted(sender string, sealed [][]byte) {
	for _, raw := range sealed {
		env, err := seal.PeekEnvelope(raw)
		if err != nil {
			w.failf("%s has sent what no hub can deliver: %v", sender, err)
			continue
		}
		w.role[env.Recipient].work(collect)
		if again, later := w.faults.again(); again {
			w.in(later, "again", func() { w.repeat(sender, raw) })
		}
	}
}

// repeat sends a message again as its sender did.
func (w *world) repeat(sender string, sealed []byte) {
	target := w.role["hub"].up()
	me, ok := w.roster.Member(sender)
	if target == nil || !ok {
		return
	}
	w.trace.note("again", sender)
	if _, err := target.hub.Send(rpc.WithPeer(context.Background(), me), &waypostv1.SendRequest{Sealed: [][]byte{sealed}}); err == nil {
		w.ring()
	}
}

// ring has all gateways look into their mailboxes.
func (w *world) ring() {
	for _, s := range States {
		w.role[string(s)].work(collect)
	}
}
