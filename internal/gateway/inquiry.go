package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
	"github.com/waypost/waypost/toprf"
)

// The states of an inquiry.
const (
	inquiryOpen      = iota // a crash here leaves it abandoned
	inquiryAsked            // candidates are known and asked
	inquiryComplete         // every candidate has answered
	inquiryOwed             // no quorum of key holders: to be made again
	inquiryAbandoned        // cut off by a crash
)

// inquiry is a check on its way.
type inquiry struct {
	ticket   waypost.SignedTicket
	who      Applicant
	query    matchkey.Query
	order    []int // order[position] is the key that stands there
	seed     [32]byte
	blinding *toprf.Blinding
	receipts [][]byte
	tokens   []waypost.Token // by position
}

// open blinds the applicant's probes, signs the ticket and commits both with
// the ledger entry "ask". From here on the look stands in the ledger.
func (s *Server) open(ctx context.Context, who Applicant, why Counter) (*inquiry, error) {
	if err := who.Validate(); err != nil {
		return nil, err
	}
	if !waypost.KindCheck.Allows(why.Purpose) {
		return nil, waypost.Errorf(waypost.InvalidArgument, "the purpose %q does not allow a check", why.Purpose)
	}
	if why.Case == "" || len(why.Case) > 200 || why.Operator == "" || len(why.Operator) > 200 {
		return nil, waypost.Errorf(waypost.InvalidArgument, "a check needs a case reference and an operator, of at most 200 characters each")
	}
	q := &inquiry{who: who, query: matchkey.NewQuery(who.Person, s.decoySecret)}
	var salt [32]byte
	randomise(q.seed[:], salt[:])
	q.order = probeOrder(q.seed)
	var err error
	if q.blinding, err = toprf.BlindAll(inOrder(q.query.Keys[:], q.order), q.seed); err != nil {
		return nil, err
	}
	elements := toprf.EncodeElements(q.blinding.Elements())
	q.ticket, err = s.ticket(waypost.KindCheck, why, waypost.CommitCase(salt, why.Case), elements)
	if err != nil {
		return nil, err
	}
	applicant, err := proto.Marshal(&waypostv1.CheckRequest{Applicant: toProto(who), Ssn5: who.SSN5})
	if err != nil {
		return nil, err
	}
	return q, s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := s.log(tx, q.ticket, "ask"); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO inquiry (ticket, signed, receipts, elements, tags, seed, applicant, case_reference,
			case_salt, operator, state, too_many, own, created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, $5, $12)`,
			q.ticket.ID[:], q.ticket.Bytes(), []byte{}, elements, []byte{}, q.seed[:], applicant, why.Case,
			salt[:], why.Operator, inquiryOpen, s.Now().Unix())
		return err
	})
}

// ticket signs a permission for these elements under the current roster.
func (s *Server) ticket(kind waypost.Kind, why Counter, caseCommitment [32]byte, elements []byte) (waypost.SignedTicket, error) {
	current := s.Roster.Current()
	t := waypost.Ticket{
		Kind: kind, RosterVersion: current.Version, Epoch: current.Epoch, Environment: current.Environment,
		SOI: s.config.State, Operator: s.operatorTag(why.Operator), Class: why.Class, Purpose: why.Purpose,
		Case: caseCommitment, Cites: why.Cites, IssuedAt: s.Now(), Elements: len(elements) / toprf.ElementSize,
		Probes: waypost.HashProbes(elements),
	}
	randomise(t.Nonce[:], t.Tau[:])
	return t.Sign(s.Identity)
}

// operatorTag lets key holders and hub count per operator without knowing who.
func (s *Server) operatorTag(operator string) [32]byte {
	m := hmac.New(sha256.New, s.operatorKey)
	m.Write([]byte(operator))
	return [32]byte(m.Sum(nil))
}

// probeOrder derives from the seed where each key stands: the first part is
// shuffled among its own positions, and so is the second.
func probeOrder(seed [32]byte) []int {
	order := toprf.ShuffleFromSeed(seed, waypost.NameElements)
	for _, i := range toprf.ShuffleFromSeed(seed, waypost.SSNElements) {
		order = append(order, waypost.NameElements+i)
	}
	return order
}

func inOrder(keys [][]byte, order []int) [][]byte {
	out := make([][]byte, len(order))
	for position, key := range order {
		out[position] = keys[key]
	}
	return out
}

// evaluated keeps what later legs need: the receipts, and a tag for each token
// instead of the token.
func (s *Server) evaluated(ctx context.Context, q *inquiry, tokens []waypost.Token, receipts []waypost.SignedReceipt) error {
	q.tokens = tokens
	for _, r := range receipts {
		q.receipts = append(q.receipts, r.Bytes())
	}
	stored, err := proto.Marshal(&waypostv1.FirstLeg{Receipts: q.receipts})
	if err != nil {
		return err
	}
	own, err := s.searchOwn(ctx, q)
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE inquiry SET receipts = $1, tags = $2, own = $3 WHERE ticket = $4`,
			stored, tagsOf(tokens, q.ticket.ID), own, q.ticket.ID[:])
		return err
	})
}

func tagsOf(tokens []waypost.Token, id waypost.TicketID) []byte {
	tags := make([]byte, 0, len(tokens)*tagSize)
	for _, t := range tokens {
		tag := waypost.NewTag(t, id)
		tags = append(tags, tag[:]...)
	}
	return tags
}

const tagSize = len(waypost.Tag{})

// owe keeps a check that found no quorum. It is never a silent "no other card".
func (s *Server) owe(ctx context.Context, q *inquiry, cause error) (waypost.Answer, error) {
	s.Log.Warn("no quorum of key holders; the check is owed", "ticket", q.ticket.ID, "cause", cause)
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := s.log(tx, q.ticket, "owed"); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE inquiry SET state = $1 WHERE ticket = $2`, inquiryOwed, q.ticket.ID[:])
		return err
	})
	if err != nil {
		return waypost.Answer{}, err
	}
	return s.Answer(ctx, q.ticket.ID)
}

// log appends an entry about a ticket, of this state's or of another's, to the
// journal.
func (s *Server) log(tx *store.Tx, t waypost.SignedTicket, kind string, more ...journal.Field) error {
	body, err := journal.Body(append(journal.TicketFields(t.Ticket), more...)...)
	if err != nil {
		return err
	}
	_, err = s.Journal.Append(tx, journal.Entry{Kind: kind, Ticket: t.ID, Tau: t.Tau, At: s.Now(), Body: body})
	return err
}

// randomise fills each with fresh random bytes.
func randomise(each ...[]byte) {
	for _, b := range each {
		_, _ = rand.Read(b) // never fails (Go 1.24)
	}
}

// toProto leaves the SSN out: it has no place in an Applicant message.
func toProto(a Applicant) *waypostv1.Applicant {
	return &waypostv1.Applicant{
		Family: a.Family, Given: a.Given, Middle: a.Middle, Suffix: a.Suffix,
		Born: a.Born.String(), Sex: string(a.Sex), CardNumber: a.CardNumber,
	}
}

func fromProto(p *waypostv1.Applicant) (Applicant, error) {
	born, err := waypost.ParseDate(p.GetBorn())
	if err != nil {
		return Applicant{}, err
	}
	sex, err := waypost.ParseSex(p.GetSex())
	if err != nil {
		return Applicant{}, err
	}
	a := Applicant{CardNumber: p.GetCardNumber(), Person: waypost.Person{
		Family: p.GetFamily(), Given: p.GetGiven(), Middle: p.GetMiddle(), Suffix: p.GetSuffix(), Born: born, Sex: sex,
	}}
	if len(a.CardNumber) > 40 {
		return Applicant{}, waypost.Errorf(waypost.InvalidArgument, "the card number is longer than 40 characters")
	}
	return a, a.Validate()
}

// inverse of a permutation.
func inverse(order []int) []int {
	at := slices.Clone(order)
	for position, key := range order {
		at[key] = position
	}
	return at
}
