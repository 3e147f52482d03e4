package move

import (
	"context"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/store"
)

// How far a request to another state to end a card has come.
type terminationState int

const (
	requested terminationState = iota
	acknowledged
	finished         // the card has ended
	declined         // the other state does not end it, for a reason
	refused          // it did not take the request, words say why
	kept             // the resident keeps the other card: none is issued here
	requestCancelled // before the other state had said anything
)

var terminationWords = [...]string{"asked", "acknowledged", "done", "declined", "refused", "kept", "cancelled"}

func (s terminationState) String() string { return terminationWords[s] }

func (s terminationState) over() bool { return s >= finished }

// termination is a row of that table.
type termination struct {
	id             [16]byte // of the errand
	check          waypost.TicketID
	reference      waypost.Reference
	owner          waypost.Jurisdiction
	record         string
	surrendered    bool
	told, language string
	operator       string
	state          terminationState
	reason, words  string
	due            *int64
	begun, changed int64
}

const terminationColumns = `id, ticket, reference, owner, record, surrendered, told, language, operator, state, reason, words, due, begun, changed`

func terminations(tx *store.Tx, where string, args ...any) (all []termination, err error) {
	err = tx.Query(`SELECT `+terminationColumns+` FROM termination `+where, args, func(scan func(dest ...any) error) error {
		var t termination
		err := scan(&t.id, &t.check, &t.reference, &t.owner, &t.record, &t.surrendered, &t.told, &t.language, &t.operator, &t.state,
			&t.reason, &t.words, &t.due, &t.begun, &t.changed)
		all = append(all, t)
		return err
	})
	return all, err
}

func (m *Moves) putTermination(tx *store.Tx, t termination) error {
	var due *int64
	if !t.state.over() {
		at := m.Now().Add(askEvery).Unix()
		due = &at
	}
	_, err := tx.Exec(`INSERT INTO termination (`+terminationColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, reason = excluded.reason, words = excluded.words, due = excluded.due, changed = excluded.changed`,
		t.id[:], t.check[:], t.reference[:], string(t.owner), t.record, t.surrendered, t.told, t.language, t.operator, int(t.state),
		t.reason, t.words, due, t.begun, m.Now().Unix())
	return err
}

// Choice is which card a resident keeps, and what they were told before.
type Choice struct {
	Check          waypost.TicketID
	Reference      waypost.Reference
	Record         string // this state's own record, where there is one
	KeepOld        bool
	Surrendered    bool // signed here: the other state need not wait for an objection
	Told, Language string
	Operator       string
}

func checkConsent(told, language string) error {
	switch {
	case told == "" || len(told) > 4000 || !utf8.ValidString(told):
		return waypost.Errorf(waypost.InvalidArgument, "what the resident was told before choosing is kept: a text of up to 4000 bytes")
	case len(language) < 2 || len(language) > 16 || clean(language) != language:
		return waypost.Errorf(waypost.InvalidArgument, "say in which language the resident was told, like en or es")
	}
	return nil
}

// Terminate asks the state of a record that a check has found to end its card, or
// notes that the resident keeps it and gets none here.
func (m *Moves) Terminate(ctx context.Context, c Choice) (id [16]byte, err error) {
	if err := checkConsent(c.Told, c.Language); err != nil {
		return id, err
	}
	if len(c.Record) > 64 || clean(c.Record) != c.Record || c.KeepOld && c.Surrendered {
		return id, waypost.Errorf(waypost.InvalidArgument, "who keeps the card of the other state does not surrender it; a record is named by at most 64 characters")
	}
	body, err := proto.Marshal(&waypostv1.TerminationRequest{Reference: c.Reference[:], Surrendered: c.Surrendered})
	if err != nil {
		return id, err
	}
	id = newID()
	return id, m.DB.Write(ctx, func(tx *store.Tx) error {
		found, err := m.File.Asked(tx, c.Check, c.Reference)
		if err != nil {
			return err
		}
		same, err := m.foundSame(tx, found.Outcome, c.Check, c.Reference[:])
		if err != nil {
			return err
		}
		if !same || !waypost.KindTerminate.Allows(found.Purpose) {
			return waypost.Errorf(waypost.PermissionDenied, "only a card that a check for an issue purpose found to be this person's can be ended")
		}
		before, err := terminations(tx, `WHERE ticket = $1 AND reference = $2 AND state IN ($3, $4)`,
			c.Check[:], c.Reference[:], int(requested), int(acknowledged))
		if err != nil {
			return err
		}
		if len(before) > 0 {
			return waypost.Errorf(waypost.AlreadyExists, "%s was asked to end this card already", found.Owner)
		}
		t := termination{
			id: id, check: c.Check, reference: c.Reference, owner: found.Owner, record: c.Record, surrendered: c.Surrendered,
			told: c.Told, language: c.Language, operator: c.Operator, begun: m.Now().Unix(),
		}
		if c.KeepOld {
			t.state = kept
			return m.putTermination(tx, t)
		}
		if err := m.Errands.Begin(tx, errand.Errand{
			ID: id, Kind: waypost.KindTerminate, Purpose: found.Purpose, To: found.Owner, Cites: c.Check,
			Operator: c.Operator, Class: waypost.Attended, Case: found.Case, Body: body,
		}); err != nil {
			return err
		}
		return m.putTermination(tx, t)
	})
}

// takeTermination commits what the other state has said.
func (m *Moves) takeTermination(tx *store.Tx, mine errand.Errand, r errand.Reply) error {
	all, err := terminations(tx, `WHERE id = $1`, mine.ID[:])
	if err != nil || len(all) == 0 || all[0].state.over() {
		return err
	}
	t := all[0]
	switch r.Word {
	case wordAcknowledged:
		t.state = acknowledged
	case wordDone:
		t.state = finished
	case wordKept:
		t.state = kept
	case wordDeclined:
		t.state = declined
		if t.reason, err = parseReason(r.Body); err != nil {
			t.reason = ""
		}
	case errand.Unanswered:
		words := string(t.owner) + " has not answered in all that time"
		if t.state == acknowledged {
			words = string(t.owner) + " has told the resident, and has not said in all that time what came of it: call its exchange desk"
		}
		t.state, t.words = refused, words
	default:
		t.state, t.words = refused, string(t.owner)+" refuses: "+clean(r.Refused)
	}
	return m.putTermination(tx, t)
}

// review sees whether the errand is alive: the key holders may refuse it.
func (m *Moves) review(ctx context.Context, id [16]byte) error {
	p, err := m.Errands.Get(ctx, id)
	words := ""
	switch {
	case waypost.CodeOf(err) == waypost.NotFound:
		words = "the request is kept no more"
	case err != nil:
		return err
	case p.State == errand.Cancelled:
		words = "the request was not allowed: " + clean(p.Reason)
	}
	return m.DB.Write(ctx, func(tx *store.Tx) error {
		all, err := terminations(tx, `WHERE id = $1`, id[:])
		if err != nil || len(all) == 0 || all[0].state.over() {
			return err
		}
		if words != "" {
			all[0].state, all[0].words = refused, words
		}
		return m.putTermination(tx, all[0])
	})
}

// sentence says how a request stands.
func (t termination) sentence() string {
	switch t.state {
	case requested:
		return string(t.owner) + " has not answered yet"
	case acknowledged:
		return string(t.owner) + " has told the resident and waits for an objection; issue no card before it says that its own has ended"
	case finished:
		return string(t.owner) + " has ended its card"
	case declined:
		if why := reasons[t.reason]; why != "" {
			return string(t.owner) + " does not end its card: " + why
		}
		return string(t.owner) + " does not end its card"
	case kept:
		return "the resident keeps the card of " + string(t.owner) + ": none is issued here"
	case requestCancelled:
		return "cancelled"
	}
	return t.words
}

// CancelTermination takes a request back that the other state has not answered. It
// may have it all the same: whoever issues nothing here tells it so.
func (m *Moves) CancelTermination(ctx context.Context, id [16]byte) error {
	return m.DB.Write(ctx, func(tx *store.Tx) error {
		all, err := terminations(tx, `WHERE id = $1`, id[:])
		switch {
		case err != nil:
			return err
		case len(all) == 0:
			return waypost.Errorf(waypost.NotFound, "there is no such request to end a card")
		case all[0].state != requested:
			return waypost.Errorf(waypost.InvalidArgument, "%s has answered the request: only the resident can stop it now, there", all[0].owner)
		}
		if err := m.Errands.Cancel(tx, id); err != nil {
			return err
		}
		all[0].state = requestCancelled
		return m.putTermination(tx, all[0])
	})
}
