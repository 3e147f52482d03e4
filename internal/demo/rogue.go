package demo

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

// rogue is a member state whose gateway was replaced by a program that does
// not keep the rules. It has everything the state has: certificate, identity
// key and mailbox.
type rogue struct {
	folder  *install.Folder
	state   waypost.Jurisdiction
	now     func() time.Time
	holders map[string]waypostv1connect.KeyHolderClient
	hub     waypostv1connect.HubClient
	keyring *seal.Keyring
}

func newRogue(ctx context.Context, folder *install.Folder, now func() time.Time) (*rogue, error) {
	keyring, err := install.Keyring(ctx, folder)
	if err != nil {
		return nil, err
	}
	r := &rogue{folder: folder, state: waypost.Jurisdiction(folder.Config.Name), now: now, keyring: keyring, holders: make(map[string]waypostv1connect.KeyHolderClient)}
	for _, h := range folder.Roster.Current().Holders() {
		r.holders[h.Name] = waypostv1connect.NewKeyHolderClient(rpc.Dial(folder.Cert, folder.Roster, h))
	}
	r.hub = waypostv1connect.NewHubClient(rpc.Dial(folder.Cert, folder.Roster, folder.Roster.Current().Hub()))
	return r, nil
}

// look is a ticket with what it was made from.
type look struct {
	ticket   waypost.SignedTicket
	blinding *toprf.Blinding
	elements []byte
	order    []int
}

// ticket makes an honest ticket for one person, which change may then spoil
// before it is signed.
func (r *rogue) ticket(p waypost.Person, key ed25519.PrivateKey, change func(*waypost.Ticket)) (look, error) {
	query := matchkey.NewQuery(p, make([]byte, 32))
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails (Go 1.24)
	l := look{order: toprf.ShuffleFromSeed(seed, waypost.NameElements)}
	keys := make([][]byte, 0, waypost.CheckElements)
	for _, k := range l.order {
		keys = append(keys, query.Keys[k])
	}
	var err error
	if l.blinding, err = toprf.BlindAll(append(keys, query.Keys[waypost.NameElements:]...), seed); err != nil {
		return l, err
	}
	l.elements = toprf.EncodeElements(l.blinding.Elements())
	current := r.folder.Roster.Current()
	t := waypost.Ticket{
		Kind: waypost.KindCheck, RosterVersion: current.Version, Epoch: current.Epoch, Environment: current.Environment, SOI: r.state,
		Class: waypost.Attended, Purpose: waypost.IssueRealID, IssuedAt: r.now(), Elements: waypost.CheckElements,
		Probes: waypost.HashProbes(l.elements),
	}
	for _, b := range [][]byte{t.Nonce[:], t.Tau[:], t.Case[:], t.Operator[:]} {
		_, _ = rand.Read(b)
	}
	change(&t)
	l.ticket, err = t.Sign(key)
	return l, err
}

func (r *rogue) evaluate(ctx context.Context, holder string, ticket, elements []byte) (*waypostv1.EvaluateResponse, error) {
	return r.holders[holder].Evaluate(ctx, &waypostv1.EvaluateRequest{Ticket: ticket, Elements: elements})
}

// candidates takes a look through a quorum of key holders to the hub's first
// part, all by the rules, and returns the chain, the tags and the candidates.
func (r *rogue) candidates(ctx context.Context, l look) (receipts [][]byte, tags []byte, found waypost.Candidates, err error) {
	current := r.folder.Roster.Current()
	keys, err := current.Keys()
	if err != nil {
		return nil, nil, found, err
	}
	var answers []toprf.Verified
	for _, h := range current.Holders()[:current.Threshold] {
		res, err := r.evaluate(ctx, h.Name, l.ticket.Bytes(), l.elements)
		if err != nil {
			return nil, nil, found, err
		}
		e := toprf.Evaluation{Elements: res.Elements}
		copy(e.Proof[:], res.Proof)
		v, err := keys.Verify(h.Index, l.blinding.Elements(), e)
		if err != nil {
			return nil, nil, found, err
		}
		answers, receipts = append(answers, v), append(receipts, res.Receipt)
	}
	combined, err := keys.Combine(answers)
	if err != nil {
		return nil, nil, found, err
	}
	outputs, err := l.blinding.Finalize(combined)
	if err != nil {
		return nil, nil, found, err
	}
	var tokens []byte
	for _, o := range outputs {
		t := waypost.NewToken(l.ticket.Epoch, o)
		tag := waypost.NewTag(t, l.ticket.ID)
		tokens, tags = append(tokens, t[:]...), append(tags, tag[:]...)
	}
	res, err := r.hub.Search(ctx, &waypostv1.SearchRequest{Ticket: l.ticket.Bytes(), Receipts: receipts, Part: 1, Tokens: tokens[:waypost.NameElements*32]})
	if err != nil {
		return nil, nil, found, err
	}
	found, err = waypost.ParseCandidates(res.Candidates)
	return receipts, tags, found, err
}

// say seals a message to another state and returns that state's answer to this
// ticket.
func (r *rogue) say(ctx context.Context, to waypost.Jurisdiction, id waypost.TicketID, messageType string, body, answer proto.Message, answerType string) error {
	raw, err := proto.Marshal(body)
	if err != nil {
		return err
	}
	res, err := r.hub.GetKey(ctx, &waypostv1.GetKeyRequest{Member: string(to)})
	if err != nil {
		return err
	}
	member, _ := r.folder.Roster.Member(string(to))
	key, err := seal.DecodePublicKey(res.Key, string(to), member.Identity, r.now())
	if err != nil {
		return err
	}
	m := seal.Message{Sender: string(r.state), Recipient: string(to), Type: messageType, Ticket: id,
		RosterVersion: r.folder.Roster.Current().Version, Expiry: r.now().Add(waypost.MessageLife), Body: raw}
	_, _ = rand.Read(m.ID[:])
	sealed, err := seal.Seal(m, r.folder.Identity, key)
	if err != nil {
		return err
	}
	if _, err := r.hub.Send(ctx, &waypostv1.SendRequest{Sealed: [][]byte{sealed}}); err != nil {
		return err
	}
	return r.hear(ctx, id, answerType, answer)
}

// hear reads the mailbox until the answer is there.
func (r *rogue) hear(ctx context.Context, id waypost.TicketID, answerType string, answer proto.Message) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	for done := uint64(0); ; {
		res, err := r.hub.Receive(ctx, &waypostv1.ReceiveRequest{Acknowledge: done, Max: 10, WaitMs: 5000})
		if err != nil {
			return err
		}
		for _, mail := range res.Mail {
			done = mail.Sequence
			m, err := seal.Open(mail.Sealed, r.keyring, r.folder.Roster.SenderKey, r.now())
			if err == nil && m.Ticket == id && m.Type == answerType {
				return proto.Unmarshal(m.Body, answer)
			}
		}
	}
}
