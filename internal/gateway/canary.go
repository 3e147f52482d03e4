package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
)

// States hold synthetic people of each other and look for them by ordinary
// checks: a hub that hides a pointer does not know which checks these are. A
// look copies operator, class and purpose from a real check, and is made only
// while real ones are.
const (
	canaryEvery = 6 * time.Hour    // between two looks for one canary, on average
	canaryAgain = 20 * time.Minute // between a look that failed and the next, on average
	canaryBusy  = 10 * time.Minute // how long after a real check others may follow
	canaryPoll  = 10 * time.Second // between two looks at how a check ended
	canaryLike  = 64               // how many real checks are looked at, of which one is copied
	// canaryMisses in a row are needed to say that one is not found.
	canaryMisses = 2
	// canaryCase is the case reference, which only the state's auditor sees.
	canaryCase = "canary"
)

// errEnough ends a query of which no more rows are wanted.
var errEnough = errors.New("gateway: enough")

// like returns who asks and why for one more check, ok only while there are real ones
// at any process of this gateway.
func (s *Server) like(ctx context.Context) (why Counter, ok bool, err error) {
	var some []Counter
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		some = nil
		// Without a limit: a campaign's searches may be more than any.
		err := tx.Query(`SELECT operator, signed FROM inquiry WHERE created >= $1 AND case_reference <> $2 ORDER BY created DESC`,
			[]any{s.Now().Add(-canaryBusy).Unix(), canaryCase}, func(scan func(dest ...any) error) error {
				var operator string
				var signed []byte
				if err := scan(&operator, &signed); err != nil {
					return err
				}
				t, err := waypost.ParseTicket(signed)
				if err == nil && !tagsOnly(t) {
					some = append(some, Counter{Operator: operator, Class: t.Class, Purpose: t.Purpose, Case: canaryCase})
				}
				if err == nil && len(some) == canaryLike {
					err = errEnough
				}
				return err
			})
		if errors.Is(err, errEnough) {
			return nil
		}
		return err
	})
	if err != nil || len(some) == 0 {
		return Counter{}, false, err
	}
	return some[int(fraction()*float64(len(some)))], true, nil
}

// fraction draws from [0, 1).
func fraction() float64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return float64(binary.BigEndian.Uint64(b[:])>>11) / (1 << 53)
}

// after draws a time that is mean away on average, as between independent
// events.
func after(now time.Time, mean time.Duration) int64 {
	return now.Add(time.Duration(-math.Log(1-fraction()) * float64(mean))).Unix()
}

// canary is a row of that table.
type canary struct {
	id        []byte
	owner     waypost.Jurisdiction
	applicant []byte
	ticket    waypost.TicketID
	misses    int
}

// keepCanaries looks for the canaries of other states.
func (s *Server) keepCanaries(ctx context.Context) {
	for pause(ctx, houseEvery) {
		if err := s.tendCanary(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("a canary could not be looked for; it will be tried again", "cause", err)
		}
	}
}

// tendCanary does what is due for one canary.
func (s *Server) tendCanary(ctx context.Context) error {
	c, err := s.dueCanary(ctx)
	if errors.Is(err, store.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if c.ticket.IsZero() {
		return s.lookFor(ctx, c)
	}
	return s.judgeCanary(ctx, c)
}

func (s *Server) dueCanary(ctx context.Context) (c canary, err error) {
	var ticket []byte
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT id, owner, applicant, ticket, misses FROM canary WHERE due <= $1 ORDER BY due LIMIT 1`, s.Now().Unix()).
			Scan(&c.id, &c.owner, &c.applicant, &ticket, &c.misses)
	})
	copy(c.ticket[:], ticket)
	return c, err
}

// lookFor makes an ordinary check for a canary.
func (s *Server) lookFor(ctx context.Context, c canary) error {
	why, ok, err := s.like(ctx)
	if err != nil {
		return err
	}
	if !ok {
		return s.putCanary(ctx, c, after(s.Now(), canaryAgain))
	}
	var req waypostv1.AddCanaryRequest
	if err := proto.Unmarshal(c.applicant, &req); err != nil {
		return err
	}
	who, err := fromProto(req.Applicant)
	if err != nil {
		return err
	}
	who.SSN5 = req.Ssn5
	answer, err := s.Check(ctx, who, why)
	if err != nil {
		return errors.Join(err, s.putCanary(ctx, c, after(s.Now(), canaryAgain)))
	}
	c.ticket = answer.Ticket
	return s.putCanary(ctx, c, s.Now().Unix())
}

// judgeCanary sees how the check for a canary ended. Only where the owner's
// records were searched and none of them was a candidate was a pointer hidden.
func (s *Server) judgeCanary(ctx context.Context, c canary) error {
	a, err := s.Answer(ctx, c.ticket)
	if err != nil && waypost.CodeOf(err) != waypost.NotFound {
		return err
	}
	asked := func(is func(waypost.CandidateAnswer) bool) bool {
		return slices.ContainsFunc(a.Candidates, func(k waypost.CandidateAnswer) bool { return k.State == c.owner && is(k) })
	}
	found := asked(func(k waypost.CandidateAnswer) bool {
		return k.Outcome == waypost.Match || k.Outcome == waypost.Possible
	})
	switch {
	case err == nil && found:
		c.misses = 0
		return s.sayCanary(ctx, c, a.Ticket, "yes")
	case err == nil && (a.Owed || !a.Complete):
		return s.putCanary(ctx, c, s.Now().Add(canaryPoll).Unix())
	}
	c.ticket = waypost.TicketID{}
	anyAsked := asked(func(waypost.CandidateAnswer) bool { return true })
	if err != nil || anyAsked || a.TooMany || !slices.Contains(a.Coverage.Searched, c.owner) {
		if anyAsked {
			s.Log.Warn("the owner of a canary was asked about it and does not know it", "owner", c.owner, "ticket", a.Ticket)
		}
		return s.putCanary(ctx, c, after(s.Now(), canaryAgain))
	}
	if c.misses++; c.misses < canaryMisses {
		return s.putCanary(ctx, c, after(s.Now(), canaryAgain))
	}
	s.Log.Error("a canary is not found: the hub hides a pointer, or its owner has withdrawn it", "owner", c.owner, "ticket", a.Ticket)
	return s.sayCanary(ctx, c, a.Ticket, "no")
}

// sayCanary writes the entry about a check that was for a canary.
func (s *Server) sayCanary(ctx context.Context, c canary, check waypost.TicketID, found string) error {
	body, err := journal.Body(journal.Field{Name: "owner", Value: string(c.owner)}, journal.Field{Name: "found", Value: found},
		journal.Field{Name: "check", Value: hex.EncodeToString(check[:])})
	if err != nil {
		return err
	}
	due := after(s.Now(), canaryEvery)
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		if _, err := s.Journal.Append(tx, journal.Entry{Kind: "canary", At: s.Now(), Body: body}); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE canary SET ticket = $1, misses = $2, due = $3 WHERE id = $4`, []byte{}, c.misses, due, c.id)
		return err
	})
}

func (s *Server) putCanary(ctx context.Context, c canary, due int64) error {
	ticket := c.ticket[:]
	if c.ticket.IsZero() {
		ticket = []byte{}
	}
	return s.DB.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE canary SET ticket = $1, misses = $2, due = $3 WHERE id = $4`, ticket, c.misses, due, c.id)
		return err
	})
}

// otherState reads the name of another member state.
func (s *Server) otherState(name string) (waypost.Jurisdiction, error) {
	state, err := waypost.ParseJurisdiction(name)
	if err != nil {
		return "", err
	}
	if m, ok := s.Roster.Member(string(state)); !ok || m.Role != roster.Gateway || state == s.config.State {
		return "", waypost.Errorf(waypost.InvalidArgument, "canaries are between this state and another one in the roster, not %s", state)
	}
	return state, nil
}

// PlantCanary publishes a synthetic person like any record. The ticket carries
// the operator who loaded last, so that it is like the others.
func (d counterDoor) PlantCanary(ctx context.Context, req *waypostv1.PlantCanaryRequest) (*waypostv1.PlantCanaryResponse, error) {
	s := d.server
	state, err := s.otherState(req.LookedForBy)
	if err != nil {
		return nil, err
	}
	if req.Record == nil {
		return nil, waypost.Errorf(waypost.InvalidArgument, "a canary needs a record")
	}
	record, err := records.FromProto(req.Record)
	if err != nil {
		return nil, err
	}
	// Marked before it is published: a synthetic person is never taken for a real
	// one.
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		var taken int
		if err := tx.Row(`SELECT count(*) FROM pointer WHERE record = $1 AND NOT EXISTS (SELECT 1 FROM planted WHERE id = $1)`, record.ID).Scan(&taken); err != nil {
			return err
		}
		if taken > 0 {
			return waypost.Errorf(waypost.AlreadyExists, "there is a real record with this id")
		}
		_, err := tx.Exec(`INSERT INTO planted (id, state, at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`, record.ID, state, s.Now().Unix())
		return err
	})
	if err != nil {
		return nil, err
	}
	operator := rpc.Operator(ctx)
	if last, ok := s.loader.Load().(string); ok {
		operator = last
	}
	_, rejected, err := s.file.Load(ctx, operator, 0, []waypost.Record{record})
	if err == nil && len(rejected) > 0 {
		err = waypost.Errorf(waypost.InvalidArgument, "the canary was not loaded: %s", rejected[0].Reason)
	}
	if err != nil {
		return nil, err
	}
	return &waypostv1.PlantCanaryResponse{}, nil
}

// AddCanary keeps a synthetic person of another state, to be looked for.
func (d counterDoor) AddCanary(ctx context.Context, req *waypostv1.AddCanaryRequest) (*waypostv1.AddCanaryResponse, error) {
	s := d.server
	owner, err := s.otherState(req.Owner)
	if err != nil {
		return nil, err
	}
	who, err := fromProto(req.Applicant)
	if err != nil {
		return nil, err
	}
	who.SSN5 = req.Ssn5
	if err := who.validate(); err != nil {
		return nil, err
	}
	applicant, err := proto.MarshalOptions{Deterministic: true}.Marshal(&waypostv1.AddCanaryRequest{Applicant: toProto(who), Ssn5: who.SSN5})
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(append([]byte(owner), applicant...))
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO canary (id, owner, applicant, ticket, misses, due) VALUES ($1, $2, $3, $4, 0, $5) ON CONFLICT (id) DO NOTHING`,
			id[:], owner, applicant, []byte{}, after(s.Now(), canaryEvery))
		return err
	})
	if err != nil {
		return nil, err
	}
	return &waypostv1.AddCanaryResponse{}, nil
}
