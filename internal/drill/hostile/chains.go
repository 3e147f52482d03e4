package hostile

import (
	"bytes"
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/drill/rogue"
	"github.com/waypost/waypost/toprf"
)

// chain is a ticket that an enrolled state has signed, with receipts that key holders have
// given for it, and another of the same kind to take pieces from.
type chain struct {
	look, other *rogue.Look
	// resign has a field of the look's ticket changed and signs it again.
	resign func(change func(t *waypost.Ticket)) []byte
	// receipt is the look's first one with a field changed, signed by its own key holder,
	// who helps.
	receipt func(change func(r *waypost.Receipt)) []byte
	handle  []byte // of the record that it publishes
}

// bend is one thing that is changed in a request whose signatures are all good, and how
// it must end. Without a code it must be answered.
type bend struct {
	name  string
	code  waypost.Code
	words string
}

// bentSearch changes a search.
type bentSearch struct {
	bend
	do func(c *chain, req *waypostv1.SearchRequest)
}

// bentPublish changes a publication.
type bentPublish struct {
	bend
	do func(c *chain, req *waypostv1.PublishRequest)
}

// bentTickets change one field each. What belongs to the first ticket's receipts does not
// belong to this one; some are refused before that is looked at.
func bentTickets() (all []bentSearch) {
	const others = "belongs to another ticket"
	for _, f := range []struct {
		name   string
		code   waypost.Code
		words  string
		change func(t *waypost.Ticket)
	}{
		{"a nonce", waypost.PermissionDenied, others, func(t *waypost.Ticket) { t.Nonce[3] ^= 1 }},
		{"an audit secret", waypost.PermissionDenied, others, func(t *waypost.Ticket) { t.Tau[31] ^= 1 }},
		{"an operator", waypost.PermissionDenied, others, func(t *waypost.Ticket) { t.Operator[0] ^= 1 }},
		{"a case", waypost.PermissionDenied, others, func(t *waypost.Ticket) { t.Case[0] ^= 1 }},
		{"a cited ticket", waypost.PermissionDenied, others, func(t *waypost.Ticket) { t.Cites[0] ^= 1 }},
		{"probes", waypost.PermissionDenied, others, func(t *waypost.Ticket) { t.Probes[0] ^= 1 }},
		{"a key epoch", waypost.PermissionDenied, others, func(t *waypost.Ticket) { t.Epoch++ }},
		{"a purpose", waypost.PermissionDenied, others, func(t *waypost.Ticket) { t.Purpose = waypost.IssueLicence }},
		{"a purpose that there is not", waypost.PermissionDenied, "does not allow", func(t *waypost.Ticket) { t.Purpose = "curiosity" }},
		{"a class of operators", waypost.PermissionDenied, "cannot ask for", func(t *waypost.Ticket) { t.Class = waypost.Loader }},
		{"33 elements", waypost.InvalidArgument, "cannot carry 33 elements", func(t *waypost.Ticket) { t.Elements = 33 }},
		{"no elements", waypost.InvalidArgument, "cannot carry 0 elements", func(t *waypost.Ticket) { t.Elements = 0 }},
		{"another kind", waypost.PermissionDenied, "", func(t *waypost.Ticket) { t.Kind = waypost.KindPublish }},
		{"a kind that there is not", waypost.PermissionDenied, "", func(t *waypost.Ticket) { t.Kind = "wish" }},
		{"another state", waypost.PermissionDenied, "", func(t *waypost.Ticket) { t.SOI = asking }},
		{"an old time", waypost.Expired, "", func(t *waypost.Ticket) { t.IssuedAt = t.IssuedAt.Add(-24 * time.Hour) }},
	} {
		all = append(all, bentSearch{bend{"a ticket with another value for " + f.name, f.code, f.words}, func(c *chain, req *waypostv1.SearchRequest) { req.Ticket = c.resign(f.change) }})
	}
	return all
}

// bentReceipts are chains of receipts that are no chain.
func bentReceipts() (all []bentSearch) {
	for _, f := range []struct {
		bend
		change func(c *chain, receipts [][]byte) [][]byte
	}{
		{bend{"without receipts", waypost.PermissionDenied, "from 0 key holders"}, func(*chain, [][]byte) [][]byte { return nil }},
		{bend{"with a receipt too few", waypost.PermissionDenied, "are needed"}, func(_ *chain, r [][]byte) [][]byte { return r[1:] }},
		{bend{"with one receipt twice", waypost.PermissionDenied, "two receipts"}, func(_ *chain, r [][]byte) [][]byte { return append(r[1:], r[1]) }},
		{bend{"with one receipt too often", waypost.PermissionDenied, "two receipts"}, func(_ *chain, r [][]byte) [][]byte { return append(r, r[0]) }},
		{bend{"with a receipt of another ticket", waypost.PermissionDenied, "belongs to another ticket"}, func(c *chain, r [][]byte) [][]byte { return append(r[1:], c.other.Receipts[0]) }},
		{bend{"with all receipts of another ticket", waypost.PermissionDenied, "belongs to another ticket"}, func(c *chain, _ [][]byte) [][]byte { return c.other.Receipts }},
		{bend{"with 33 receipts", waypost.InvalidArgument, "more than"}, func(_ *chain, r [][]byte) [][]byte { return slices.Repeat(r[:1], 33) }},
		{bend{"with an empty receipt", waypost.InvalidArgument, "not well formed"}, func(_ *chain, r [][]byte) [][]byte { return append(r[1:], nil) }},
		{bend{"with a receipt cut short", waypost.InvalidArgument, "not well formed"}, func(_ *chain, r [][]byte) [][]byte { return append(r[1:], r[0][:len(r[0])-65]) }},
		{bend{"with a signature altered", waypost.PermissionDenied, "not signed by"}, func(_ *chain, r [][]byte) [][]byte {
			altered := bytes.Clone(r[0])
			altered[len(altered)-1] ^= 1
			return append(r[1:], altered)
		}},
	} {
		all = append(all, bentSearch{f.bend, func(c *chain, req *waypostv1.SearchRequest) { req.Receipts = f.change(c, req.Receipts) }})
	}
	for _, f := range []struct {
		bend
		change func(r *waypost.Receipt)
	}{
		{bend{"action", waypost.PermissionDenied, "belongs to another ticket"}, func(r *waypost.Receipt) { r.Action = waypost.ActionPublish }},
		{bend{"ticket", waypost.PermissionDenied, "belongs to another ticket"}, func(r *waypost.Receipt) { r.Ticket[0] ^= 1 }},
		{bend{"key epoch", waypost.PermissionDenied, "belongs to another ticket"}, func(r *waypost.Receipt) { r.Epoch++ }},
		{bend{"inputs", waypost.PermissionDenied, "belongs to another ticket"}, func(r *waypost.Receipt) { r.Inputs[0] ^= 1 }},
		{bend{"signer", waypost.PermissionDenied, "not signed by"}, func(r *waypost.Receipt) { r.Signer = "keyholder-5" }},
		{bend{"signer who is no key holder", waypost.PermissionDenied, ""}, func(r *waypost.Receipt) { r.Signer = "hub" }},
		{bend{"ledger", waypost.PermissionDenied, "log of somebody else"}, func(r *waypost.Receipt) { r.Origin = "waypost.test/hub/1" }},
		{bend{"place", waypost.PermissionDenied, "a leaf that no log has"}, func(r *waypost.Receipt) { r.Sequence = 1 << 48 }},
	} {
		b := f.bend
		b.name = "with a receipt that a key holder signs over another " + b.name
		all = append(all, bentSearch{b, func(c *chain, req *waypostv1.SearchRequest) {
			req.Receipts = append(req.Receipts[1:], c.receipt(f.change))
		}})
	}
	return all
}

// bentTokens are those that no search has.
func bentTokens() (all []bentSearch) {
	for _, f := range []struct {
		name   string
		change func(t []byte) []byte
	}{
		{"19 tokens", func(t []byte) []byte { return t[size:] }}, {"21 tokens", func(t []byte) []byte { return append(t, t[:size]...) }},
		{"half a token", func(t []byte) []byte { return t[16:] }}, {"no tokens", func([]byte) []byte { return nil }},
	} {
		all = append(all, bentSearch{bend{"over " + f.name, waypost.InvalidArgument, ""}, func(_ *chain, req *waypostv1.SearchRequest) { req.Tokens = f.change(req.Tokens) }})
	}
	second := func(c *chain, req *waypostv1.SearchRequest) {
		req.Part, req.Tokens = 2, tokens(c.look.Tokens[waypost.NameElements:])
	}
	return append(all,
		bentSearch{bend{"of part nought", waypost.InvalidArgument, "parts 1 and 2"}, func(_ *chain, req *waypostv1.SearchRequest) { req.Part = 0 }},
		bentSearch{bend{"of a part beyond", waypost.InvalidArgument, "parts 1 and 2"}, func(_ *chain, req *waypostv1.SearchRequest) { req.Part = 1<<32 - 1 }},
		bentSearch{bend{"of part two before part one", waypost.InvalidArgument, "part one of the search comes first"}, second},
		// The same chain is good: in another order too, and twice.
		bentSearch{bend{name: "by the rules, receipts in another order"}, func(_ *chain, req *waypostv1.SearchRequest) { slices.Reverse(req.Receipts) }},
		bentSearch{bend{name: "by the rules, once more"}, func(*chain, *waypostv1.SearchRequest) {}},
		bentSearch{bend{"over other tokens than before", waypost.Misuse, "other tokens"}, func(c *chain, req *waypostv1.SearchRequest) {
			req.Tokens = tokens(c.other.Tokens[:waypost.NameElements])
		}},
		bentSearch{bend{"over the tokens in another order", waypost.Misuse, "other tokens"}, func(_ *chain, req *waypostv1.SearchRequest) {
			req.Tokens = append(bytes.Clone(req.Tokens[size:]), req.Tokens[:size]...)
		}},
		bentSearch{bend{name: "of part two by the rules"}, second},
	)
}

// bentRecords are publications under the same chain, after its search.
func bentRecords() []bentPublish {
	one := func(change func(r *waypostv1.PublishedRecord)) func(*chain, *waypostv1.PublishRequest) {
		return func(_ *chain, req *waypostv1.PublishRequest) { change(req.Records[0]) }
	}
	refused := func(name string) bend { return bend{"a publication of " + name, waypost.InvalidArgument, ""} }
	return []bentPublish{
		{refused("nothing"), func(_ *chain, req *waypostv1.PublishRequest) { req.Records = nil }},
		{refused("two records"), func(_ *chain, req *waypostv1.PublishRequest) { req.Records = append(req.Records, req.Records[0]) }},
		{refused("an empty record"), func(_ *chain, req *waypostv1.PublishRequest) { req.Records[0] = new(waypostv1.PublishedRecord) }},
		{refused("nine tokens"), one(func(r *waypostv1.PublishedRecord) { r.Tokens = r.Tokens[size:] })},
		{refused("eleven tokens"), one(func(r *waypostv1.PublishedRecord) { r.Tokens = append(r.Tokens, r.Tokens[:size]...) })},
		{refused("half a token"), one(func(r *waypostv1.PublishedRecord) { r.Tokens = r.Tokens[16:] })},
		{refused("a handle of 15 bytes"), one(func(r *waypostv1.PublishedRecord) { r.Handle = r.Handle[1:] })},
		{refused("a handle of 17 bytes"), one(func(r *waypostv1.PublishedRecord) { r.Handle = append(r.Handle, 0) })},
		{refused("itself in its own place"), one(func(r *waypostv1.PublishedRecord) { r.Supersedes = r.Handle })},
		{bend{"a publication without receipts", waypost.PermissionDenied, "from 0 key holders"}, func(_ *chain, req *waypostv1.PublishRequest) { req.Receipts = nil }},
		{bend{name: "a publication by the rules"}, func(*chain, *waypostv1.PublishRequest) {}},
		{bend{"a publication of another record under the same ticket", waypost.Misuse, "other records"}, one(func(r *waypostv1.PublishedRecord) { r.Handle[0] ^= 1 })},
	}
}

// tokens are their bytes one after the other.
func tokens(list []waypost.Token) (raw []byte) {
	for _, t := range list {
		raw = append(raw, t[:]...)
	}
	return raw
}

// forge makes a chain over keys of nobody. Two key holders help with its receipts' forms.
func (p *play) forge(ctx context.Context) (*chain, error) {
	c := &chain{handle: make([]byte, 16)}
	_, _ = rand.Read(c.handle) // never fails (Go 1.24)
	key := p.rogue.Folder.Identity
	for _, l := range []**rogue.Look{&c.look, &c.other} {
		keys := make([][]byte, waypost.CheckElements)
		for i := range keys {
			keys[i] = make([]byte, toprf.ElementSize)
			_, _ = rand.Read(keys[i])
		}
		var err error
		if *l, err = p.rogue.Look(keys, key, func(*waypost.Ticket) {}); err != nil {
			return nil, err
		}
		if err := (bend{}).reached(ctx, func() error { return p.rogue.Evaluated(ctx, *l) }); err != nil {
			return nil, err
		}
	}
	first, err := waypost.ParseReceipt(c.look.Receipts[0])
	if err != nil {
		return nil, err
	}
	helper := p.Role(first.Signer).Folder.Identity
	c.resign = func(change func(t *waypost.Ticket)) []byte {
		t := c.look.Ticket.Ticket
		change(&t)
		signed, err := t.Sign(key)
		if err != nil {
			return nil
		}
		return signed.Bytes()
	}
	c.receipt = func(change func(r *waypost.Receipt)) []byte {
		r := first.Receipt
		change(&r)
		signed, err := r.Sign(helper)
		if err != nil {
			return nil
		}
		return signed.Bytes()
	}
	return c, nil
}

// bendChains sends each, and before and after them what is by the rules.
func (p *play) bendChains(ctx context.Context, r *result) {
	searches := slices.Concat(bentTickets(), bentReceipts(), bentTokens())
	rounds := p.stage.Size.Pick(1, 10, 300)
	for round := 0; round < rounds && ctx.Err() == nil; round++ {
		c, err := p.forge(ctx)
		if err != nil {
			r.wrongf("no chain by the rules: %v", err)
			return
		}
		for _, b := range searches {
			req := &waypostv1.SearchRequest{Ticket: c.look.Ticket.Bytes(), Receipts: slices.Clone(c.look.Receipts), Part: 1, Tokens: tokens(c.look.Tokens[:waypost.NameElements])}
			b.do(c, req)
			err := b.reached(ctx, func() error {
				_, err := p.rogue.Hub().Search(ctx, req)
				return err
			})
			b.judge(ctx, r, "a search "+b.name, err)
		}
		for _, b := range bentRecords() {
			req := &waypostv1.PublishRequest{Ticket: c.look.Ticket.Bytes(), Receipts: slices.Clone(c.look.Receipts),
				Records: []*waypostv1.PublishedRecord{{Handle: bytes.Clone(c.handle), Tokens: tokens(c.look.Tokens[:waypost.RecordElements])}}}
			b.do(c, req)
			err := b.reached(ctx, func() error {
				_, err := p.rogue.Hub().Publish(ctx, req)
				return err
			})
			b.judge(ctx, r, b.name, err)
		}
		p.letters(ctx, r, c, round)
	}
}

// reached makes a request, and again where nobody was reached in time: on a machine that is
// under attack that is no refusal.
func (b bend) reached(ctx context.Context, request func() error) error {
	for end := time.Now().Add(lastPatience); ; {
		err := request()
		if waypost.CodeOf(err) != waypost.Unavailable || b.code == waypost.Unavailable || ctx.Err() != nil || time.Now().After(end) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// judge holds how a request ended against how it must.
func (b bend) judge(ctx context.Context, r *result, name string, err error) {
	code := waypost.CodeOf(err)
	switch {
	case ctx.Err() != nil:
		return
	case err == nil && b.code == "":
		r.count("answered, as by the rules")
	case err == nil:
		r.count("ANSWERED")
		r.wrongf("%s is answered", name)
	default:
		r.count("refused: " + string(code))
		if code != b.code || !strings.Contains(err.Error(), b.words) {
			r.wrongf("%s ends with %v, not with %q", name, err, b.code)
		}
	}
}

// letters are sealed and signed as they should be, over what the receiving gateways do not
// expect: bodies of the fuzzer, and good ones with one field altered. What a gateway does
// with them shows in its log, and in whether it goes on.
func (p *play) letters(ctx context.Context, r *result, c *chain, round int) {
	for n, l := range p.lettersOf(c, uint64(round)) {
		to := []waypost.Jurisdiction{holding, asking, besieged}[n%3]
		err := (bend{}).reached(ctx, func() error {
			return p.rogue.Post(ctx, to, c.look.Ticket.ID, l.messageType, l.body[:min(len(l.body), 60<<10)])
		})
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.wrongf("a letter of type %s is not taken: %v", l.messageType, err)
		default:
			r.count("letters of which no gateway fell over")
		}
	}
}

// letter is a message before it is sealed.
type letter struct {
	messageType string
	body        []byte
}

func (p *play) lettersOf(c *chain, round uint64) (all []letter) {
	draw := mathrand.New(mathrand.NewPCG(p.stage.Seed, 1000+round))
	reference := random(draw, 16)
	first := func(tags int, receipts [][]byte) proto.Message {
		return &waypostv1.FirstLeg{Ticket: c.look.Ticket.Bytes(), Receipts: receipts, Reference: reference, Tags: random(draw, tags)}
	}
	second := func(order, blinds []byte) proto.Message {
		return &waypostv1.SecondLeg{Reference: reference, Elements: c.look.Elements, Order: order, Blinds: blinds,
			Applicant: &waypostv1.Applicant{Family: texts[draw.IntN(len(texts))], Given: "A", Born: texts[draw.IntN(len(texts))]}}
	}
	messages := map[string][]proto.Message{
		waypost.MessageNotice:       {new(waypostv1.Notice)},
		waypost.MessageFirstLeg:     {first(32*16, c.look.Receipts), first(32*16, nil), first(31*16, c.look.Receipts), first(0, c.other.Receipts)},
		waypost.MessageFirstAnswer:  {&waypostv1.FirstAnswer{Reference: reference, Continue: true}},
		waypost.MessageSecondLeg:    {second(bytes.Repeat([]byte{255}, 20), make([]byte, 640)), second(make([]byte, 20), random(draw, 640)), second(nil, nil)},
		waypost.MessageSecondAnswer: {&waypostv1.SecondAnswer{Reference: reference, Outcome: "match", Status: "valid"}},
		waypost.MessageRequest:      {&waypostv1.Request{Ticket: c.look.Ticket.Bytes(), Receipts: c.look.Receipts, Salt: random(draw, 32), Request: random(draw, 64)}},
		waypost.MessageReply:        {new(waypostv1.ReplyLetter)},
		waypost.MessageMoved:        {new(waypostv1.Moved)},
	}
	for _, kind := range sorted(messages) {
		for _, m := range messages[kind] {
			raw, err := proto.Marshal(m)
			if err == nil {
				all = append(all, letter{kind, raw}, letter{kind, damage(draw, bytes.Clone(raw))})
			}
			all = append(all, letter{kind, body(draw, m.ProtoReflect().Descriptor())})
		}
	}
	return append(all, letter{"wish", random(draw, 64)})
}
