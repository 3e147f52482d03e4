package gateway

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
	"github.com/waypost/waypost/toprf"
)

// Unhurried has all gateways give key holders and hub a minute to answer: nobody waits for
// that where they do, or are down.
func Unhurried() { evaluateWait, searchWait = time.Minute, time.Minute }

// Patience has checks wait so many times as long for other states.
func Patience(times int64) { patience.Store(times - 1) }

// Rogue is a check in the hands of a test, which takes each step by itself and
// says what an honest gateway would not.
type Rogue struct {
	Server *Server
	q      *inquiry
}

// Begin commits a ticket.
func (s *Server) Begin(ctx context.Context, who Applicant, why Counter) (*Rogue, error) {
	q, err := s.open(ctx, who, why)
	return &Rogue{s, q}, err
}

// ID is the ticket's.
func (r *Rogue) ID() waypost.TicketID { return r.q.ticket.ID }

// Evaluate gets the tokens.
func (r *Rogue) Evaluate(ctx context.Context) (err error) {
	err = r.Server.makeTokens(ctx, r.q)
	return err
}

// Search searches part one and asks nobody.
func (r *Rogue) Search(ctx context.Context) (waypost.Candidates, error) {
	tokens := records.JoinTokens(r.q.tokens[:waypost.NameElements])
	res, err := r.Server.Hub.Search(ctx, &waypostv1.SearchRequest{
		Ticket: r.q.ticket.Bytes(), Receipts: receiptBytes(r.q.receipts), Part: 1, Tokens: tokens})
	if err != nil {
		return waypost.Candidates{}, err
	}
	return r.Server.checkCandidates(r.q.ticket, waypost.ActionSearchFirst, tokens, res)
}

// SearchAndAsk is part one as an honest gateway does it.
func (r *Rogue) SearchAndAsk(ctx context.Context) error { return r.Server.search(ctx, r.q, firstPart) }

// FirstLeg is an honest first leg.
func (r *Rogue) FirstLeg(ref waypost.Reference) *waypostv1.FirstLeg {
	return &waypostv1.FirstLeg{Ticket: r.q.ticket.Bytes(), Receipts: receiptBytes(r.q.receipts), Reference: ref[:],
		Tags: tagsOf(r.q.tokens, r.q.ticket.ID)}
}

// AskRow is how far the question to the only candidate has come.
type AskRow struct {
	waypost.CandidateAnswer
	Named bool // the applicant has been named to the owner
}

// Ask returns the row of the only candidate.
func (r *Rogue) Ask(t *testing.T) AskRow {
	a := r.only(t)
	return AskRow{a.CandidateAnswer, a.state >= askContinues}
}

// Reference names the only candidate.
func (r *Rogue) Reference(t *testing.T) []byte {
	a := r.only(t)
	return a.reference[:]
}

func (r *Rogue) only(t *testing.T) ask {
	t.Helper()
	kept, err := r.Server.inquiryOf(t.Context(), r.q.ticket.ID)
	if err != nil || len(kept.asked) != 1 {
		t.Fatalf("%d candidates (%v), want 1", len(kept.asked), err)
	}
	return kept.asked[0]
}

// SecondLeg is a second leg whose ticket is the rogue's and whose applicant is
// somebody; it opens the blinds of the rogue's own ticket.
func (r *Rogue) SecondLeg(ref waypost.Reference, named Applicant) *waypostv1.SecondLeg {
	leg := &waypostv1.SecondLeg{Reference: ref[:], Applicant: toProto(named), Elements: toprf.EncodeElements(r.q.blinding.Elements())}
	for position, key := range probeOrder(r.q.seed)[:waypost.NameElements] {
		blind := toprf.BlindFromSeed(r.q.seed, position)
		leg.Order, leg.Blinds = append(leg.Order, byte(key)), append(leg.Blinds, blind.Bytes()...)
	}
	return leg
}

// Seal seals anything to anybody.
func (s *Server) Seal(ctx context.Context, to, messageType string, ticket waypost.TicketID, body proto.Message) ([]byte, error) {
	raw, err := proto.Marshal(body)
	if err != nil {
		return nil, err
	}
	l, err := s.seal(ctx, to, messageType, ticket, raw)
	return l.sealed, err
}

// Say seals and sends anything to anybody, and returns the sealed bytes.
func (s *Server) Say(ctx context.Context, to, messageType string, ticket waypost.TicketID, body proto.Message) ([]byte, error) {
	sealed, err := s.Seal(ctx, to, messageType, ticket, body)
	if err != nil {
		return nil, err
	}
	_, err = s.Mailbox.Send(ctx, &waypostv1.SendRequest{Sealed: [][]byte{sealed}})
	return sealed, err
}

// Handle handles sealed messages as if they had come through the mailbox.
func (s *Server) Handle(ctx context.Context, sealed ...[]byte) []bool {
	return s.handleAll(ctx, sealed)
}

// Purge deletes what is too old now.
func (s *Server) Purge(ctx context.Context) error { return s.purge(ctx, s.Now()) }

// Count runs a query that returns one number.
func (s *Server) Count(ctx context.Context, query string, args ...any) (n int, err error) {
	err = s.DB.Read(ctx, func(tx *store.Tx) error { return tx.Row(query, args...).Scan(&n) })
	return n, err
}

// Waiting is how many checks are waited for.
func (s *Server) Waiting() int {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	return len(s.watch.checks)
}

// CutOff makes every check that is open due for housekeeping.
func (s *Server) CutOff(ctx context.Context) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE inquiry SET due = 0 WHERE due IS NOT NULL AND state <> 1`)
		return err
	})
}

// SecondLegBytes is what a second leg of this check carries.
func (s *Server) SecondLegBytes(ctx context.Context, id waypost.TicketID) ([]byte, error) {
	kept, err := s.inquiryOf(ctx, id)
	if err != nil {
		return nil, err
	}
	return secondLeg(kept, make([]byte, len(waypost.Reference{})))
}

// Readable and Printable are the filters on texts.
var (
	Readable     = readable
	Printable    = printable
	InVocabulary = inVocabulary
	CheckProbes  = checkProbes
)

// HedgeBudget is the budget of hedging.
type HedgeBudget struct{ b *hedgeBudget }

// NewHedgeBudget is what a gateway starts with.
func NewHedgeBudget() HedgeBudget { return HedgeBudget{newHedgeBudget()} }

// Earn is one check; Spend asks for one hedge.
func (h HedgeBudget) Earn()       { h.b.earn() }
func (h HedgeBudget) Spend() bool { return h.b.spend() }

// SealUnder seals a message that names a roster version.
func (s *Server) SealUnder(ctx context.Context, to string, version uint64) ([]byte, error) {
	m := seal.Message{Sender: s.name, Recipient: to, Type: waypost.MessageNotice, RosterVersion: version, Expiry: s.Now().Add(time.Hour)}
	randomise(m.ID[:])
	return s.sealTo(ctx, m)
}

type announcing struct {
	Mailbox
	said func()
}

func (a announcing) PutKey(context.Context, *waypostv1.PutKeyRequest) (*waypostv1.PutKeyResponse, error) {
	a.said()
	return &waypostv1.PutKeyResponse{}, nil
}

// KeepKeysOnly runs a gateway's care for its keys, with an empty keyring, until
// the returned function is called.
func KeepKeysOnly(t *testing.T, like *Server, save func() error, said func()) (stop func()) {
	ring, err := seal.NewKeyring(like.name, like.Identity, like.Now().Add(-8*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{config: like.config, Deps: like.Deps}
	s.Keyring, s.SaveKeyring, s.Mailbox = ring, func(*seal.Keyring) error { return save() }, announcing{like.Mailbox, said}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		s.keepKeys(ctx)
		close(done)
	}()
	return func() {
		cancel()
		<-done
	}
}

// HonestSecondLeg makes a ticket for a person and the leg that goes with it.
func HonestSecondLeg(p waypost.Person) (waypost.Ticket, *waypostv1.SecondLeg, error) {
	seed := [32]byte{1}
	query := matchkey.NewQuery(p, make([]byte, 32))
	blinding, err := toprf.BlindAll(inOrder(query.Keys[:], probeOrder(seed)), seed)
	if err != nil {
		return waypost.Ticket{}, nil, err
	}
	elements := toprf.EncodeElements(blinding.Elements())
	raw, err := secondLeg(kept{applicant: &waypostv1.CheckRequest{Applicant: toProto(Applicant{Person: p})}, elements: elements, seed: seed}, make([]byte, 16))
	if err != nil {
		return waypost.Ticket{}, nil, err
	}
	var leg waypostv1.SecondLeg
	return waypost.Ticket{Elements: waypost.CheckElements, Probes: waypost.HashProbes(elements)}, &leg, proto.Unmarshal(raw, &leg)
}

// SameNameKeys reports whether two persons are asked about in the same way.
func SameNameKeys(a, b waypost.Person) bool {
	x, y := matchkey.NameKeys(a), matchkey.NameKeys(b)
	for i := range x {
		if string(x[i]) != string(y[i]) {
			return false
		}
	}
	return true
}

// ApplicantFromProto reads an applicant.
var ApplicantFromProto = fromProto

// TimeOver makes it so late that nobody can answer the check any more.
func (s *Server) TimeOver(ctx context.Context, id waypost.TicketID) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE inquiry SET due = 0 WHERE ticket = $1`, id[:])
		return err
	})
}
