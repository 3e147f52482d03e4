package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
	"github.com/waypost/waypost/toprf"
)

// The states of an inquiry.
const (
	inquiryOpen     = iota // being made; a crash here leaves it to housekeeping
	inquiryAsked           // searched in full, and every candidate asked
	inquiryComplete        // every candidate has answered
	inquiryOwed            // could not be made: to be made again
	inquiryRefused         // the exchange refused it: not made, and not owed
)

// inquiry is a check on its way.
type inquiry struct {
	ticket      waypost.SignedTicket
	who         Applicant
	digits      string   // that stand in for an SSN, whether there is one or not
	maybe       []string // this state's records that may be the applicant's, by name, date and card
	seed        [32]byte
	blinding    *toprf.Blinding
	receipts    []waypost.SignedReceipt // of the key holders
	sets        []records.Set           // tokens by position, under each key
	tokens      []waypost.Token         // of them, those of the ticket's epoch
	hubReceipts [][]byte                // of the parts searched
	repays      bool                    // an owed check is made again by this one
	tries       int                     // how often it has been owed before
	namesOnly   bool                    // searched without the second part
	unreached   int                     // tokens that the hub could not look up
}

// cutOffAfter is far longer than Check takes: what is open then was cut off.
const cutOffAfter = time.Minute

// open blinds the applicant's probes, signs the ticket and commits both with
// the ledger entry "ask". From here on the look stands in the ledger.
func (s *Server) open(ctx context.Context, who Applicant, why Counter) (*inquiry, error) {
	if err := errors.Join(who.validate(), why.validate()); err != nil {
		return nil, err
	}
	q := &inquiry{who: who}
	var salt [32]byte
	randomise(q.seed[:], salt[:])
	err := s.standIn(ctx, q, why)
	if err != nil {
		return nil, err
	}
	query := matchkey.NewQuery(q.standing(), s.decoySecret)
	if q.blinding, err = toprf.BlindAll(inOrder(query.Keys[:], probeOrder(q.seed)), q.seed); err != nil {
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
		if err := s.replace(tx, why.Cites, q); err != nil {
			return err
		}
		if err := s.log(tx, q.ticket, "ask"); err != nil {
			return err
		}
		now, none := s.Now(), []byte{}
		_, err := tx.Exec(`INSERT INTO inquiry (ticket, signed, receipts, hub_receipts, elements, tags, seed, applicant, digits,
			case_reference, case_salt, operator, state, too_many, own, coverage, tries, due, created)
			VALUES ($1, $2, $3, $3, $4, $3, $5, $6, $7, $8, $9, $10, $11, 0, $3, $3, $12, $13, $14)`,
			q.ticket.ID[:], q.ticket.Bytes(), none, elements, q.seed[:], applicant, q.digits, why.Case, salt[:], why.Operator,
			inquiryOpen, q.tries, now.Add(patiently(cutOffAfter)).Unix(), now.Unix())
		if err != nil {
			return err
		}
		return why.begun(tx, q.ticket.ID)
	})
}

func (c Counter) validate() error {
	if !waypost.KindCheck.Allows(c.Purpose) {
		return waypost.Errorf(waypost.InvalidArgument, "the purpose given does not allow a check")
	}
	if c.Class != waypost.Attended && c.Class != waypost.Unattended {
		return waypost.Errorf(waypost.InvalidArgument, "a check is attended or unattended")
	}
	for _, text := range []string{c.Case, c.Operator} {
		if text == "" || len(text) > 200 || !printable(text) {
			return waypost.Errorf(waypost.InvalidArgument, "a check needs a case reference and an operator, each of at most 200 printable bytes")
		}
	}
	return nil
}

// replace puts the new check in the place of the one that it cites. A debt goes
// over to it.
func (s *Server) replace(tx *store.Tx, cited waypost.TicketID, q *inquiry) error {
	if cited.IsZero() {
		return nil
	}
	var state, tries int
	err := tx.Row(`SELECT state, tries FROM inquiry WHERE ticket = $1 AND successor IS NULL`, cited[:]).Scan(&state, &tries)
	if errors.Is(err, store.ErrNoRows) {
		return waypost.Errorf(waypost.NotFound, "the check cited was not made here, or another has taken its place already")
	}
	if err != nil {
		return err
	}
	if q.repays = state == inquiryOwed; q.repays {
		q.tries = tries + 1
	}
	_, err = tx.Exec(`UPDATE inquiry SET successor = $1, due = CASE WHEN state = $2 THEN due END WHERE ticket = $3`,
		q.ticket.ID[:], inquiryOpen, cited[:])
	return err
}

// ticket signs a permission for these elements.
func (s *Server) ticket(kind waypost.Kind, why Counter, caseCommitment [32]byte, elements []byte) (waypost.SignedTicket, error) {
	return s.sign(kind, why, caseCommitment, len(elements)/toprf.ElementSize, waypost.HashProbes(elements))
}

// sign signs a permission under the roster that everybody knows. What it is for is in probes.
func (s *Server) sign(kind waypost.Kind, why Counter, caseCommitment [32]byte, elements int, probes [32]byte) (waypost.SignedTicket, error) {
	current := s.Roster.Settled()
	t := waypost.Ticket{
		Kind: kind, RosterVersion: current.Version, Epoch: current.KeysFor(kind)[0].Epoch, Environment: current.Environment,
		SOI: s.config.State, Operator: s.operatorTag(why.Operator), Class: why.Class, Purpose: why.Purpose,
		Case: caseCommitment, Cites: why.Cites, IssuedAt: s.Now(), Elements: elements, Probes: probes,
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

// probeOrder derives from the seed which key stands at each position: the first
// part is shuffled among its own positions, and so is the second.
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

func tagsOf(tokens []waypost.Token, id waypost.TicketID) []byte {
	tags := make([]byte, 0, len(tokens)*tagSize)
	for _, t := range tokens {
		tag := waypost.NewTag(t, id)
		tags = append(tags, tag[:]...)
	}
	return tags
}

const tagSize = len(waypost.Tag{})

// searched commits that the search is over: what was found here, how far it
// reached, and the receipts that prove it. If nothing is outstanding it is
// complete at once.
func (s *Server) searched(ctx context.Context, q *inquiry) error {
	own, err := s.searchOwn(ctx, q)
	if err != nil {
		return err
	}
	ownJSON, err := json.Marshal(own)
	if err != nil {
		return err
	}
	reach := s.coverage()
	reach.NamesOnly = q.namesOnly
	coverage, err := json.Marshal(reach)
	if err != nil {
		return err
	}
	receipts, err := proto.Marshal(&waypostv1.FirstLeg{Receipts: receiptBytes(q.receipts)})
	if err != nil {
		return err
	}
	hubReceipts, err := proto.Marshal(&waypostv1.FirstLeg{Receipts: q.hubReceipts})
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE inquiry SET state = $1, due = $2, own = $3, coverage = $4, receipts = $5, hub_receipts = $6
			WHERE ticket = $7 AND state = $8`,
			inquiryAsked, s.Now().Add(answerLife).Unix(), ownJSON, coverage, receipts, hubReceipts, q.ticket.ID[:], inquiryOpen)
		if err != nil || n == 0 {
			return err
		}
		if err := errors.Join(s.keepReceipts(tx, q), s.file.KeepTokens(tx, q.ticket.ID, s.indexTokens(q))); err != nil {
			return err
		}
		return s.complete(tx, q.ticket.ID)
	})
}

// keepReceipts keeps what key holders and hub have promised, until it is seen.
func (s *Server) keepReceipts(tx *store.Tx, q *inquiry) error {
	all := append(receiptBytes(q.receipts), q.hubReceipts...)
	if len(all) == 0 {
		return nil
	}
	return s.Journal.KeepReceipts(tx, q.ticket, all)
}

// answerLife is how long a candidate's answer may take: a question and its
// answer each wait in a mailbox, then nobody can answer any more.
const answerLife = 2*waypost.MessageLife + time.Hour

// complete writes the ledger entry "outcome" once a check is searched in full
// and nothing is outstanding.
func (s *Server) complete(tx *store.Tx, id waypost.TicketID) error {
	asked, err := askedIn(tx, id)
	if err != nil || !allAnswered(asked) {
		return err
	}
	return s.conclude(tx, id, asked)
}

// conclude writes the entry "outcome" of a check as it stands.
func (s *Server) conclude(tx *store.Tx, id waypost.TicketID, asked []ask) error {
	var signed, receipts, hubReceipts []byte
	err := tx.Row(`SELECT signed, receipts, hub_receipts FROM inquiry WHERE ticket = $1 AND state = $2`, id[:], inquiryAsked).
		Scan(&signed, &receipts, &hubReceipts)
	if errors.Is(err, store.ErrNoRows) {
		return nil // still being searched, or complete already
	}
	if err != nil {
		return err
	}
	ticket, err := waypost.ParseTicket(signed)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE inquiry SET state = $1, due = NULL WHERE ticket = $2`, inquiryComplete, id[:]); err != nil {
		return err
	}
	fields, err := outcomeFields(asked, receipts, hubReceipts)
	if err != nil {
		return err
	}
	return s.log(tx, ticket, "outcome", fields...)
}

// outcomeFields say how a check ended, and what shows it: the places of the
// receipts that it rests on, and each answer as its state signed it.
func outcomeFields(asked []ask, receipts, hubReceipts []byte) ([]journal.Field, error) {
	fields := []journal.Field{
		{Name: "outcome", Value: string(waypost.Answer{Candidates: answersOf(asked)}.Best())},
		{Name: "answers", Value: strconv.Itoa(len(asked))},
	}
	for _, f := range []struct {
		name   string
		stored []byte
	}{{"evaluations", receipts}, {"searches", hubReceipts}} {
		places, err := placesOf(f.stored)
		if err != nil {
			return nil, err
		}
		fields = append(fields, journal.Field{Name: f.name, Value: places})
	}
	for i, a := range asked {
		fields = append(fields, journal.Field{Name: "answer_" + strconv.Itoa(i),
			Value: strings.TrimSpace(string(a.State) + " " + string(a.Outcome) + " " + base64.StdEncoding.EncodeToString(a.statement))})
	}
	return fields, nil
}

// placesOf reads stored receipts.
func placesOf(stored []byte) (string, error) {
	var list waypostv1.FirstLeg
	if err := proto.Unmarshal(stored, &list); err != nil {
		return "", err
	}
	signed := make([]waypost.SignedReceipt, len(list.Receipts))
	for i, raw := range list.Receipts {
		var err error
		if signed[i], err = waypost.ParseReceipt(raw); err != nil {
			return "", err
		}
	}
	return waypost.Places(signed...), nil
}

// giveUp ends a check that could not be made. Where others could not be reached
// it is owed, and never a silent "no other card". A refusal is returned to the
// clerk, unless an earlier answer has promised the check.
func (s *Server) giveUp(ctx context.Context, q *inquiry, cause error) (waypost.Answer, error) {
	s.watch.end(q.ticket.ID) // from here on the database is asked whether it goes on
	state, kind := inquiryRefused, "refused"
	var due *int64
	switch {
	case tagsOnly(q.ticket): // never owed
		kind = "abandoned"
	case q.repays || ctx.Err() == nil && unreachable(cause):
		next := s.Now().Add(owedFor(q.tries)).Unix()
		state, kind, due = inquiryOwed, "owed", &next
		s.Log.Warn("a check is owed", "ticket", q.ticket.ID, "cause", cause)
	case ctx.Err() != nil: // the clerk has gone
		kind = "abandoned"
	}
	ctx = context.WithoutCancel(ctx)
	coverage, err := json.Marshal(waypost.Coverage{IndexInPart: errors.Is(cause, errInPart)})
	if err != nil {
		return waypost.Answer{}, err
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE inquiry SET state = $1, due = CASE WHEN successor IS NULL THEN CAST($2 AS BIGINT) END, coverage = $3 WHERE ticket = $4 AND state = $5`,
			state, due, coverage, q.ticket.ID[:], inquiryOpen)
		if err != nil || n == 0 {
			return err
		}
		if err := s.keepReceipts(tx, q); err != nil {
			return err
		}
		return s.log(tx, q.ticket, kind, journal.Field{Name: "code", Value: string(waypost.CodeOf(cause))})
	})
	if err != nil || state == inquiryRefused {
		return waypost.Answer{}, errors.Join(cause, err)
	}
	return s.Answer(ctx, q.ticket.ID)
}

// owedFor is how long an owed check waits before it is made again: half a
// minute, doubled each time up to an hour.
func owedFor(tries int) time.Duration { return min(time.Hour, 30*time.Second<<min(tries, 10)) }

// unreachable reports whether another party gave no answer at all.
func unreachable(err error) bool {
	return waypost.CodeOf(err) == waypost.Unavailable || errors.Is(err, context.DeadlineExceeded)
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
