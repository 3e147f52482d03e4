// Package rogue is a member state whose gateway was replaced by a program that
// does not keep the rules: the adversary of several drills, and of what the
// demonstration shows to be refused. It has everything that the state has: its
// certificate, its identity key and its mailbox.
package rogue

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/matchkey"
	"github.com/waypost/waypost/toprf"
)

// Gateway is the program in the place of a state's gateway, which must be stopped
// meanwhile: both would read one mailbox. It may be used by one goroutine.
type Gateway struct {
	Folder *install.Folder
	State  waypost.Jurisdiction
	// Friends are key holders that evaluate for it off the record, by their names.
	Friends map[string]Friend
	// Heard is the size of the last answer of another state, sealed, in bytes.
	Heard int

	now      func() time.Time
	holders  map[string]waypostv1connect.KeyHolderClient
	hub      waypostv1connect.HubClient
	keyring  *seal.Keyring
	directed map[waypost.Jurisdiction]*seal.PublicKey // of the other states, as far as they were needed
	read     uint64                                   // the last letter that was read
}

// Friend answers as a key holder does, or as it should.
type Friend func(ctx context.Context, ticket, elements []byte) (*waypostv1.EvaluateResponse, error)

// New takes the place of the gateway of a folder.
func New(ctx context.Context, folder *install.Folder, now func() time.Time) (*Gateway, error) {
	keyring, err := install.Keyring(ctx, folder)
	if err != nil {
		return nil, err
	}
	g := &Gateway{Folder: folder, State: waypost.Jurisdiction(folder.Config.Name), now: now, keyring: keyring,
		holders: make(map[string]waypostv1connect.KeyHolderClient), directed: make(map[waypost.Jurisdiction]*seal.PublicKey)}
	for _, h := range folder.Roster.Current().Holders() {
		g.holders[h.Name] = waypostv1connect.NewKeyHolderClient(rpc.Dial(folder.Cert, folder.Roster, h))
	}
	g.hub = waypostv1connect.NewHubClient(rpc.Dial(folder.Cert, folder.Roster, folder.Roster.Current().Hub()))
	return g, nil
}

// Look is a ticket with what it was made from, and what came of it.
type Look struct {
	Ticket   waypost.SignedTicket
	Elements []byte // the blinded probes
	Order    []int  // which of the name keys stands at each of the first positions
	Blinding *toprf.Blinding

	Receipts [][]byte // of the key holders, from Tokens on
	Tokens   []waypost.Token
}

// Keys are the match keys by which an honest gateway looks a person up: 20 from name
// and date, then 12 from the SSN or in its place, under a secret of this program's
// own.
func Keys(p waypost.Person) [][]byte {
	query := matchkey.NewQuery(p, make([]byte, 32))
	return query.Keys[:]
}

// Look makes a ticket for any 32 keys, which change may spoil before it is signed with
// the key.
func (g *Gateway) Look(keys [][]byte, key ed25519.PrivateKey, change func(*waypost.Ticket)) (*Look, error) {
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails (Go 1.24)
	l := &Look{Order: toprf.ShuffleFromSeed(seed, waypost.NameElements)}
	ordered := make([][]byte, 0, waypost.CheckElements)
	for _, k := range l.Order {
		ordered = append(ordered, keys[k])
	}
	var err error
	if l.Blinding, err = toprf.BlindAll(append(ordered, keys[waypost.NameElements:]...), seed); err != nil {
		return nil, err
	}
	l.Elements = toprf.EncodeElements(l.Blinding.Elements())
	current := g.Folder.Roster.Current()
	t := waypost.Ticket{
		Kind: waypost.KindCheck, RosterVersion: current.Version, Epoch: current.Epoch, Environment: current.Environment, SOI: g.State,
		Class: waypost.Attended, Purpose: waypost.IssueRealID, IssuedAt: g.now(), Elements: waypost.CheckElements,
		Probes: waypost.HashProbes(l.Elements),
	}
	for _, b := range [][]byte{t.Nonce[:], t.Tau[:], t.Case[:], t.Operator[:]} {
		_, _ = rand.Read(b)
	}
	change(&t)
	l.Ticket, err = t.Sign(key)
	return l, err
}

// Evaluate shows a ticket with elements, which may be others than its own, to one key
// holder.
func (g *Gateway) Evaluate(ctx context.Context, holder string, ticket, elements []byte) (*waypostv1.EvaluateResponse, error) {
	if friend := g.Friends[holder]; friend != nil {
		return friend(ctx, ticket, elements)
	}
	return g.holders[holder].Evaluate(ctx, &waypostv1.EvaluateRequest{Ticket: ticket, Elements: elements})
}

// Evaluated takes a look to a quorum of the key holders, in the order given until
// enough have answered, or of all without any, and fills in receipts and tokens. If
// there is no quorum it returns the first refusal.
func (g *Gateway) Evaluated(ctx context.Context, l *Look, holders ...string) error {
	current := g.Folder.Roster.Current()
	keys, err := current.Keys()
	if err != nil {
		return err
	}
	if len(holders) == 0 {
		for _, h := range current.Holders() {
			holders = append(holders, h.Name)
		}
	}
	var answers []toprf.Verified
	var refused error
	l.Receipts, l.Tokens = nil, nil
	for _, name := range holders {
		res, err := g.Evaluate(ctx, name, l.Ticket.Bytes(), l.Elements)
		if err != nil {
			if refused == nil {
				refused = err
			}
			continue
		}
		h, _ := current.Member(name)
		e := toprf.Evaluation{Elements: res.Elements}
		copy(e.Proof[:], res.Proof)
		v, err := keys.Verify(h.Index, l.Blinding.Elements(), e)
		if err != nil {
			return err
		}
		if answers, l.Receipts = append(answers, v), append(l.Receipts, res.Receipt); len(answers) == current.Threshold {
			break
		}
	}
	if len(answers) < current.Threshold {
		return refused
	}
	combined, err := keys.Combine(answers)
	if err != nil {
		return err
	}
	outputs, err := l.Blinding.Finalize(combined)
	for _, o := range outputs {
		l.Tokens = append(l.Tokens, waypost.NewToken(l.Ticket.Epoch, o))
	}
	return err
}

// Hub is the state's own connection to the hub.
func (g *Gateway) Hub() waypostv1connect.HubClient { return g.hub }

// Search takes an evaluated look to the hub, part 1 or 2.
func (g *Gateway) Search(ctx context.Context, l *Look, part uint32) (waypost.Candidates, error) {
	req := &waypostv1.SearchRequest{Ticket: l.Ticket.Bytes(), Part: part}
	tokens := l.Tokens[waypost.NameElements:]
	if part == 1 {
		req.Receipts, tokens = l.Receipts, l.Tokens[:waypost.NameElements]
	}
	for _, t := range tokens {
		req.Tokens = append(req.Tokens, t[:]...)
	}
	res, err := g.hub.Search(ctx, req)
	if err != nil {
		return waypost.Candidates{}, err
	}
	return waypost.ParseCandidates(res.Candidates)
}

// FirstLeg asks the owner of a candidate as the protocol has it.
func (g *Gateway) FirstLeg(ctx context.Context, l *Look, c waypost.Candidate) (*waypostv1.FirstAnswer, error) {
	leg := &waypostv1.FirstLeg{Ticket: l.Ticket.Bytes(), Receipts: l.Receipts, Reference: c.Reference[:]}
	for _, t := range l.Tokens {
		tag := waypost.NewTag(t, l.Ticket.ID)
		leg.Tags = append(leg.Tags, tag[:]...)
	}
	answer := new(waypostv1.FirstAnswer)
	return answer, g.ask(ctx, c.Owner, l.Ticket.ID, waypost.MessageFirstLeg, leg, waypost.MessageFirstAnswer, answer)
}

// SecondLeg names an applicant to the owner of a candidate, with the look's own
// probes, whoever they were made for.
func (g *Gateway) SecondLeg(ctx context.Context, l *Look, c waypost.Candidate, who *waypostv1.Applicant) (*waypostv1.SecondAnswer, error) {
	leg := &waypostv1.SecondLeg{Reference: c.Reference[:], Elements: l.Elements, Applicant: who}
	for position, key := range l.Order {
		leg.Order = append(leg.Order, byte(key))
		blind := l.Blinding.Scalar(position)
		leg.Blinds = append(leg.Blinds, blind.Bytes()...)
	}
	answer := new(waypostv1.SecondAnswer)
	return answer, g.ask(ctx, c.Owner, l.Ticket.ID, waypost.MessageSecondLeg, leg, waypost.MessageSecondAnswer, answer)
}

// ask seals a message to another state and returns that state's answer to this
// ticket.
func (g *Gateway) ask(ctx context.Context, to waypost.Jurisdiction, id waypost.TicketID, messageType string, body proto.Message, answerType string, answer proto.Message) error {
	raw, err := proto.Marshal(body)
	if err != nil {
		return err
	}
	if err := g.Post(ctx, to, id, messageType, raw); err != nil {
		return err
	}
	return g.hear(ctx, id, answerType, answer)
}

// Post seals any bytes as a message of a type to another state, and sends it.
func (g *Gateway) Post(ctx context.Context, to waypost.Jurisdiction, id waypost.TicketID, messageType string, body []byte) error {
	key, err := g.keyOf(ctx, to)
	if err != nil {
		return err
	}
	m := seal.Message{Sender: string(g.State), Recipient: string(to), Type: messageType, Ticket: id,
		RosterVersion: g.Folder.Roster.Current().Version, Expiry: g.now().Add(waypost.MessageLife), Body: body}
	_, _ = rand.Read(m.ID[:])
	sealed, err := seal.Seal(m, g.Folder.Identity, key)
	if err != nil {
		return err
	}
	_, err = g.hub.Send(ctx, &waypostv1.SendRequest{Sealed: [][]byte{sealed}})
	return err
}

func (g *Gateway) keyOf(ctx context.Context, state waypost.Jurisdiction) (*seal.PublicKey, error) {
	if key := g.directed[state]; key != nil {
		return key, nil
	}
	res, err := g.hub.GetKey(ctx, &waypostv1.GetKeyRequest{Member: string(state)})
	if err != nil {
		return nil, err
	}
	member, _ := g.Folder.Roster.Member(string(state))
	key, err := seal.DecodePublicKey(res.Key, string(state), member.Identity, g.now())
	if err == nil {
		g.directed[state] = key
	}
	return key, err
}

// hear reads the mailbox until the answer is there.
func (g *Gateway) hear(ctx context.Context, id waypost.TicketID, answerType string, answer proto.Message) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		res, err := g.hub.Receive(ctx, &waypostv1.ReceiveRequest{Acknowledge: g.read, Max: 10, WaitMs: 5000})
		if err != nil {
			return err
		}
		for _, mail := range res.Mail {
			g.read = mail.Sequence
			m, err := seal.Open(mail.Sealed, g.keyring, g.Folder.Roster.SenderKey, g.now())
			if err == nil && m.Ticket == id && m.Type == answerType {
				g.Heard = len(mail.Sealed)
				return proto.Unmarshal(m.Body, answer)
			}
		}
	}
}
