package duplicate

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
)

// world is two states: AZ, which asks, and CA, which has the records.
type world struct {
	t interface { // a testing.TB or a rapid.T
		Helper()
		Fatal(args ...any)
		Fatalf(format string, args ...any)
	}
	now    time.Time
	az, ca *side
}

// side is one state.
type side struct {
	*Cases
	w        *world
	state    waypost.Jurisdiction
	begun    int64 // errands
	config   Config
	deps     Deps
	handler  errand.Handler
	fault    func(point string) error
	people   map[string]waypost.Record
	passedIn map[string]bool // records that have come from another state
	portrait map[string][]byte
	asked    map[waypost.Reference]records.Asked
	answered map[waypost.Reference]records.Answered
	inquired []records.Inquiry
}

func newWorld(t testing.TB, config Config) *world {
	w := &world{t: t, now: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)}
	w.az, w.ca = w.newSide(t, "AZ", config), w.newSide(t, "CA", config)
	return w
}

func (w *world) newSide(t testing.TB, state waypost.Jurisdiction, config Config) *side {
	s := &side{w: w, state: state, config: config, people: make(map[string]waypost.Record), portrait: make(map[string][]byte),
		asked: make(map[waypost.Reference]records.Asked), answered: make(map[waypost.Reference]records.Answered)}
	db, err := store.Open(context.Background(), storetest.URL(t, t.TempDir()+"/gateway.db", "gateway"), "gateway", store.ForSimulation(),
		store.WithFault(func(point string) error {
			if s.fault == nil {
				return nil
			}
			return s.fault(point)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	s.deps = Deps{State: state, DB: db, File: s, Errands: s, Secret: [32]byte{1, state[0]}, Now: func() time.Time { return w.now },
		Log: slog.New(slog.DiscardHandler)}
	s.restart()
	return s
}

// restart is what a crash leaves: the database.
func (s *side) restart() {
	s.w.t.Helper()
	var err error
	if s.Cases, err = New(s.config, s.deps); err != nil {
		s.w.t.Fatal(err)
	}
}

// door is the counter door with a clerk at it.
func (s *side) door() (Door, context.Context) { return s.doorFor("clerk") }

func (s *side) doorFor(operator string) (Door, context.Context) {
	ctx := rpc.WithOperator(context.Background(), operator)
	if operator == "unit" {
		ctx = rpc.WithUnit(ctx)
	}
	return Door{s.Cases}, ctx
}

func (s *side) other() *side {
	if s == s.w.az {
		return s.w.ca
	}
	return s.w.az
}

// The state's own records.

func (s *side) System() records.System { return s }

func (s *side) Record(_ context.Context, id string) (waypost.Record, error) {
	r, ok := s.people[id]
	if !ok {
		return r, waypost.Errorf(waypost.NotFound, "no such record")
	}
	return r, nil
}

func (s *side) Portrait(_ context.Context, id string) ([]byte, error) {
	if p, ok := s.portrait[id]; ok {
		return p, nil
	}
	return nil, waypost.Errorf(waypost.NotFound, "no portrait")
}

func (*side) ByCard(context.Context, string) (string, error)                     { panic("not asked") }
func (*side) Put(context.Context, []waypost.Record) error                        { panic("not asked") }
func (*side) SetStatus(context.Context, string, waypost.Status, time.Time) error { panic("not asked") }

func (s *side) Asked(_ *store.Tx, _ waypost.TicketID, reference waypost.Reference) (records.Asked, error) {
	a, ok := s.asked[reference]
	if !ok {
		return a, waypost.Errorf(waypost.NotFound, "not asked")
	}
	return a, nil
}

func (s *side) PassedIn(_ *store.Tx, record string) (bool, error) { return s.passedIn[record], nil }

func (s *side) Continued(_ *store.Tx, _ waypost.TicketID, reference []byte) (records.Answered, error) {
	a, ok := s.answered[waypost.Reference(reference)]
	if !ok {
		return a, waypost.Errorf(waypost.NotFound, "not answered")
	}
	return a, nil
}

func (s *side) Inquiries(_ *store.Tx, since time.Time) (list []records.Inquiry, err error) {
	for _, i := range s.inquired {
		if !i.At.Before(since) {
			list = append(list, i)
		}
	}
	return list, nil
}

func (s *side) Findable(_ *store.Tx, after string, n int) (ids []string, err error) {
	for id := range s.people {
		if id > after {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids[:min(n, len(ids))], nil
}

func (s *side) CountFindable(*store.Tx) (int64, error) { return int64(len(s.people)), nil }

// Errands: what is begun lies in the outbox until a reply was taken, so that it is
// committed with whatever begins it, and delivered in any order.

func (s *side) Handle(_ waypost.Kind, h errand.Handler) { s.handler = h }

func (s *side) Begin(tx *store.Tx, e errand.Errand) error {
	if !e.Kind.Allows(e.Purpose) || e.Operator == "" || e.Case == "" || e.To == s.state || e.To == "" {
		return errors.New("an errand that the engine would refuse")
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	s.begun++
	_, err = tx.Exec(`INSERT INTO outbox (id, sealed, at) VALUES ($1, $2, $3)`, e.ID[:], raw, s.begun)
	return err
}

// waiting are the errands that have no reply yet, in an order that is the same
// for the same test.
func (s *side) waiting() (list []errand.Errand) {
	s.read(func(tx *store.Tx) error {
		list = nil
		return tx.Query(`SELECT sealed FROM outbox ORDER BY at`, nil, func(scan func(dest ...any) error) error {
			var raw []byte
			var e errand.Errand
			err := errors.Join(scan(&raw), json.Unmarshal(raw, &e))
			list = append(list, e)
			return err
		})
	})
	return list
}

func (s *side) read(fn func(tx *store.Tx) error) {
	s.w.t.Helper()
	if err := s.DB.Read(context.Background(), fn); err != nil {
		s.w.t.Fatal(err)
	}
}

// ask brings an errand to the other state, which answers it once, however often
// it comes. A fault on the way leaves it for another time.
func (s *side) ask(e errand.Errand) (errand.Reply, error) {
	ctx, to := context.Background(), s.other()
	r, known := to.repliedTo(e.ID)
	if known {
		return r, nil
	}
	res, err := to.handler.Answer(ctx, errand.Question{ID: e.ID, From: s.state, Ticket: citing(e.Cites), Body: e.Body, At: s.w.now})
	if code := waypost.CodeOf(err); code == waypost.Internal || code == waypost.Unavailable {
		return r, err
	} else if err != nil {
		res = errand.Response{Word: errand.Refused, Final: true}
		r.Refused = err.Error()
	}
	if len(res.Handle) != 0 && len(res.Handle) != len(waypost.Handle{}) || res.Handle != nil && len(res.Handle) == 0 {
		s.w.t.Fatalf("a handle of %d bytes, which the engine would refuse", len(res.Handle))
	}
	r.Number, r.Word, r.Final = 1, res.Word, res.Final
	if r.Word != errand.Refused && !slices.Contains(to.handler.Words, r.Word) {
		s.w.t.Fatalf("the word %q is not of the kind's", r.Word)
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return r, err
	}
	err = to.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`INSERT INTO held (id, sealed, due) VALUES ($1, $2, 0) ON CONFLICT (id) DO NOTHING`, e.ID[:], raw)
		if err != nil || n == 0 || res.Commit == nil {
			return err
		}
		return res.Commit(tx)
	})
	return r, err
}

func (s *side) repliedTo(id errand.ID) (r errand.Reply, known bool) {
	s.read(func(tx *store.Tx) error {
		var raw []byte
		err := tx.Row(`SELECT sealed FROM held WHERE id = $1`, id[:]).Scan(&raw)
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		known = true
		return errors.Join(err, json.Unmarshal(raw, &r))
	})
	return r, known
}

// hear takes a reply, once.
func (s *side) hear(e errand.Errand, r errand.Reply) error {
	return s.DB.Write(context.Background(), func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM outbox WHERE id = $1`, e.ID[:])
		if err != nil || n == 0 {
			return err
		}
		return s.handler.Take(tx, e, r)
	})
}

// quiet delivers everything until nothing is under way.
func (w *world) quiet() {
	w.t.Helper()
	for range 1000 {
		moved := false
		for _, s := range []*side{w.az, w.ca} {
			for _, e := range s.waiting() {
				moved = true
				r, err := s.ask(e)
				if err == nil {
					err = s.hear(e, r)
				}
				if err != nil {
					w.t.Fatal(err)
				}
			}
		}
		if !moved {
			return
		}
	}
	w.t.Fatal("the two states never stop talking")
}

var (
	smith = waypost.Person{Family: "Smith", Given: "James", Middle: "Q", Born: waypost.Date{Year: 1980, Month: 1, Day: 2}, Sex: "M"}
	jones = waypost.Person{Family: "Jones", Given: "Ann", Born: waypost.Date{Year: 1971, Month: 5, Day: 6}, Sex: "F"}
)

// found has AZ ask about a person, and CA find its record.
func (w *world) found(who waypost.Person, record string, told waypost.Outcome) (waypost.TicketID, waypost.Reference) {
	var check waypost.TicketID
	id := newID()
	reference := waypost.Reference(id)
	copy(check[:], id[:])
	check[31] = 1
	applicant := &waypostv1.Applicant{Family: who.Family, Given: who.Given, Middle: who.Middle, Born: who.Born.String(), Sex: string(who.Sex)}
	w.az.asked[reference] = records.Asked{Owner: "CA", Outcome: told, Disclosure: waypost.Disclosure{Outcome: told}, Purpose: waypost.IssueLicence,
		Operator: "clerk", Case: "A-1", Applicant: applicant}
	handle := waypost.Handle(newID())
	a := records.Answered{Asking: "AZ", Handle: handle, Record: record, Outcome: told, Applicant: applicant}
	if told == waypost.Pending {
		a.Outcome, a.Applicant = "", nil
	}
	w.ca.answered[reference] = a
	return check, reference
}

// opened has AZ open a case about a possible match, which CA hears of.
func (w *world) opened(who waypost.Person, record string) string {
	w.t.Helper()
	check, reference := w.found(who, record, waypost.Possible)
	az, ctx := w.az.door()
	c, err := az.Open(ctx, &waypostv1.OpenCaseRequest{Check: hexOf(check[:]), Reference: hexOf(reference[:]), Text: "who is this?"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.quiet()
	return c.Id
}

// cases shows a case on both sides.
func (w *world) both(id string) (az, ca *waypostv1.DuplicateCase) {
	w.t.Helper()
	for _, s := range []*side{w.az, w.ca} {
		d, ctx := s.doorFor("unit")
		c, err := d.Show(ctx, &waypostv1.ShowCaseRequest{Id: id})
		if err != nil {
			w.t.Fatal(s.state, err)
		}
		if az == nil {
			az = c
		} else {
			ca = c
		}
	}
	return az, ca
}

func (w *world) decide(s *side, id string, o Outcome, text string) {
	w.t.Helper()
	d, ctx := s.door()
	if _, err := d.Decide(ctx, &waypostv1.DecideCaseRequest{Id: id, Outcome: string(o), Text: text}); err != nil {
		w.t.Fatal(err)
	}
}

// cleared is what CA's comparison would hear.
func (w *world) cleared(from waypost.Jurisdiction, who waypost.Person, card, record string) (yes bool) {
	w.t.Helper()
	w.ca.read(func(tx *store.Tx) (err error) {
		yes, err = w.ca.Cleared(tx, from, who, card, w.ca.people[record])
		return err
	})
	return yes
}

// citing is a ticket that cites a check.
func citing(check waypost.TicketID) waypost.SignedTicket {
	return waypost.SignedTicket{Ticket: waypost.Ticket{Cites: check}}
}
