package records

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
)

// PassedName is a pointer that comes from another state, as that state knew it.
type PassedName struct {
	Handle  waypost.Handle // the new one
	Alias   bool
	Version uint32         // at the hub, before it was passed
	Name    waypost.Person // without an SSN
	Epoch   uint32         // of the tokens
	Tokens  [][]byte       // of the six name slots, 32 bytes each
	// Next are the same under the next key, where that state has offered the pointer
	// under it to the hub: NextEpoch is 0 where it has not.
	NextEpoch uint32
	Next      [][]byte
	// Reached is the newest epoch under whose key the hub has said that it has the
	// pointer. Under a newer one it may have it, or only know the tokens.
	Reached uint32
}

// Newest is the newest epoch under whose key the hub knows, or may know, what the
// former state has made of the pointer.
func (n PassedName) Newest() uint32 { return max(n.Epoch, n.NextEpoch, n.Reached) }

// NameTokens returns what travels with one of this state's pointers: the name
// that it was made from, without an SSN, and the tokens of its name slots under each
// key under which the hub was offered it: tokens are kept before the hub is shown
// them, and it may have done what its answer has not said. What stands in the other
// slots would tell who has no SSN. Handle is that of this state.
func (f *File) NameTokens(tx *store.Tx, h waypost.Handle) (PassedName, error) {
	p, err := byHandle(tx, h)
	if err != nil {
		return PassedName{}, err
	}
	if p.reached == 0 {
		return PassedName{}, waypost.Errorf(waypost.NotFound, "this pointer of the record is not in the index yet")
	}
	n := PassedName{Handle: p.Handle, Alias: p.Alias, Version: p.Version, Name: p.person, Reached: p.reached}
	for _, m := range p.sets {
		if m.todo != 0 {
			continue
		}
		var tokens [][]byte
		for i := range matchkey.NameSlots {
			tokens = append(tokens, m.tokens[i][:])
		}
		if n.Epoch == 0 {
			n.Epoch, n.Tokens = m.epoch, tokens
		} else {
			n.NextEpoch, n.Next = m.epoch, tokens
		}
	}
	return n, nil
}

// hide puts something random into the SSN slots of what is to take the place of a
// pointer that was released, under the keys of which its names, which went with the
// release, do not tell, or did not yet: the new state may offer tokens of its own under those, and the
// hub would know this state's.
func (f *File) hide(tx *store.Tx, p *pointer) error {
	if p.supersedes == (waypost.Handle{}) {
		return nil
	}
	if away, err := f.away(tx, p.Record); err != nil || away == Here {
		return err
	}
	old, err := byHandle(tx, p.supersedes)
	if err != nil {
		return err
	}
	for i := range p.sets {
		if epoch := p.sets[i].epoch; old.under(epoch) == nil || old.hidden == epoch {
			p.sets[i].fill(ssnSlots)
			p.hidden = epoch
		}
	}
	return nil
}

// MoveOut notes, on the hub's word, that pointers of a record are another
// state's. Again it changes nothing.
func (f *File) MoveOut(tx *store.Tx, recordID string, to waypost.Jurisdiction, passings []waypost.Passing) error {
	for _, passing := range passings {
		p, err := byHandle(tx, passing.Old)
		if err != nil {
			return err
		}
		if p.Record != recordID {
			return waypost.Errorf(waypost.InvalidArgument, "a pointer that was passed is not of this record")
		}
		if p.State == Moved && p.MovedTo == to {
			continue
		}
		p.State, p.MovedTo, p.NewHandle = Moved, to, passing.New
		p.at(time.Time{})
		if err := f.put(tx, p); err != nil {
			return err
		}
	}
	return nil
}

// Expect prepares the pointers of a release for a record of this state, before the
// hub passes them: a question that comes at once after that finds its record. They
// are weighed by the name tokens that came with them, and in the SSN slots by the
// tokens of this state's own check, if it still has them. Again it changes nothing.
// AlreadyExists where a handle is known here by another change, or otherwise: the
// former state has drawn it, and must not hang its pointer on another record.
func (f *File) Expect(tx *store.Tx, recordID string, r waypost.Release, names []PassedName, check waypost.TicketID) error {
	return f.takeIn(tx, recordID, r, names, check, Coming)
}

// Unexpect forgets pointers that the hub has not passed and never will, as far as
// they are those of this change, and what the state's own search finds them by.
func (f *File) Unexpect(tx *store.Tx, r waypost.Release) error {
	for _, passing := range r.Passings {
		p, err := byHandle(tx, passing.New)
		if waypost.CodeOf(err) == waypost.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		if p.State != Coming || !bytes.Equal(p.receipt, passedReceipt(r.Change)) {
			continue
		}
		if err := p.find(tx, f.foundBy(p), nil); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM pointer WHERE handle = $1`, p.Handle[:]); err != nil {
			return err
		}
	}
	return nil
}

// MoveIn takes the pointers of a release for a record of this state, once the hub
// has passed them, expected or not. Again it changes nothing.
func (f *File) MoveIn(tx *store.Tx, recordID string, r waypost.Release, names []PassedName, check waypost.TicketID) error {
	return f.takeIn(tx, recordID, r, names, check, Live)
}

func (f *File) takeIn(tx *store.Tx, recordID string, r waypost.Release, names []PassedName, check waypost.TicketID, state State) error {
	own, err := f.checkTokens(tx, check)
	if err != nil && waypost.CodeOf(err) != waypost.NotFound {
		return err
	}
	digits, err := f.digitsFor(tx, recordID, names, check)
	if err != nil {
		return err
	}
	byNew := make(map[waypost.Handle]PassedName, len(names))
	for _, n := range names {
		byNew[n.Handle] = n
	}
	for _, passing := range r.Passings {
		n, ok := byNew[passing.New]
		if !ok || len(n.Tokens) != matchkey.NameSlots || n.NextEpoch != 0 && len(n.Next) != matchkey.NameSlots {
			return waypost.Errorf(waypost.InvalidArgument, "a pointer of the release comes without its name and its %d tokens", matchkey.NameSlots)
		}
		p, err := byHandle(tx, passing.New)
		switch {
		case waypost.CodeOf(err) == waypost.NotFound:
			if p, err = passedIn(recordID, r.From, n, own); err != nil {
				return err
			}
			p.receipt, p.digits = passedReceipt(r.Change), digits
		case err != nil:
			return err
		case p.Record != recordID || p.PassedBy != r.From || !bytes.Equal(p.receipt, passedReceipt(r.Change)):
			return waypost.Errorf(waypost.AlreadyExists, "a handle of the release is that of another pointer of this state")
		case p.State != Coming || state == Coming:
			continue
		}
		p.State = state
		if state == Live && !p.Alias {
			if p.Alias, err = hasMain(tx, p); err != nil {
				return err
			}
		}
		if err := f.put(tx, p); err != nil {
			return err
		}
	}
	return nil
}

// digitsFor are the digits, masked, of a record that comes from another state: those that
// it had here before, or else those of the check that has found it.
func (f *File) digitsFor(tx *store.Tx, recordID string, names []PassedName, check waypost.TicketID) (uint32, error) {
	all, err := historyOf(tx, recordID)
	if err != nil {
		return 0, err
	}
	if len(all) > 0 {
		return all[0].digits, nil
	}
	var digits string
	err = tx.Row(`SELECT digits FROM inquiry WHERE ticket = $1`, check[:]).Scan(&digits)
	if errors.Is(err, store.ErrNoRows) && len(names) > 0 {
		main := names[0]
		for _, n := range names {
			if !n.Alias {
				main = n
			}
		}
		digits, err = matchkey.StandIn(main.Name, f.decoySecret, 0), nil
	}
	return f.mask(recordID, digits), err
}

// hasMain reports whether the record of a pointer that has come has a main one
// already, of this state's own: a record has one. With two it could never leave.
func hasMain(tx *store.Tx, p pointer) (bool, error) {
	all, err := pointersOf(tx, p.Record)
	return slices.ContainsFunc(all, func(o pointer) bool {
		return o.Handle != p.Handle && !o.Alias && (o.State == Live || o.State == Wanted)
	}), err
}

// TakeOver has the state system store the record of somebody whose pointers have
// come from another state. What this state's own clerks have decided about it stays:
// that it is protected, and, where its main pointer is this state's own, the name
// that it was made from. Where none of the pointers is for the name on the card, one
// is published. It may be called again.
func (f *File) TakeOver(ctx context.Context, operator string, r waypost.Record) error {
	done, err := f.alone(ctx, r.ID)
	if err != nil {
		return err
	}
	defer done()
	have, err := f.known(ctx, r.ID)
	if err != nil {
		return err
	}
	if err := f.DB.Write(ctx, func(tx *store.Tx) error {
		all, err := historyOf(tx, r.ID)
		if err != nil {
			return err
		}
		if have != nil {
			r.Protected = have.Protected
			if main, _, err := split(all); err == nil && main.PassedBy == "" {
				r.Person = have.Person
			}
		}
		if err := f.wantName(tx, operator, r, all); err != nil {
			return err
		}
		return f.wantRecord(tx, r)
	}); err != nil {
		return err
	}
	return f.storeChange(ctx, r.ID)
}

// wantName has a record be found by the name that it comes under. The former state
// may have changed the name since the check that found it, and a check of the name
// on the card would find nothing.
func (f *File) wantName(tx *store.Tx, operator string, r waypost.Record, all []pointer) error {
	main, others, err := split(all)
	switch {
	case waypost.CodeOf(err) == waypost.NotFound: // it has gone on, or was withdrawn
		return nil
	case err != nil:
		return err
	case slices.ContainsFunc(append(others, main), func(p pointer) bool { return f.same(p.person, r.Person)&nameSlots == nameSlots }):
		return nil
	case len(others)+2 > waypost.MaxPointers:
		f.Log.Warn("a record has come with as many names as it can have, and none is the one on its card: withdraw it and issue it anew")
		return nil
	}
	before := r
	before.Person = main.person
	before.SSN5 = r.SSN5
	return f.changePointers(tx, operator, before, r, true)
}

// passedIn is the pointer that a passed one becomes here. own are the tokens of
// this state's own check, or nil.
func passedIn(recordID string, by waypost.Jurisdiction, n PassedName, own []made) (pointer, error) {
	p := pointer{
		Pointer: Pointer{Handle: n.Handle, Record: recordID, Alias: n.Alias, Version: n.Version + 1, PassedBy: by}, person: n.Name,
	}
	if n.Alias || own == nil {
		own, p.decoys = nil, ssnSlots
	}
	for _, names := range []struct {
		epoch  uint32
		tokens [][]byte
	}{{n.Epoch, n.Tokens}, {n.NextEpoch, n.Next}} {
		if names.epoch == 0 {
			continue
		}
		m := made{epoch: names.epoch, tokens: make([]waypost.Token, matchkey.Slots)}
		m.fill(ssnSlots)
		for i, t := range names.tokens {
			if len(t) != len(waypost.Token{}) {
				return p, waypost.Errorf(waypost.InvalidArgument, "a token has 32 bytes")
			}
			m.tokens[i] = waypost.Token(t)
		}
		for _, o := range own {
			if o.epoch == m.epoch {
				m.copy(o, ssnSlots)
			}
		}
		p.sets = append(p.sets, m)
	}
	p.reached, p.passed = n.Reached, n.Newest()
	return p, nil
}

// PassedIn reports whether a record has or had a pointer that another state has passed,
// and made under the key of a check that is made now: what that one's SSN slots are made
// of is not known here.
func (f *File) PassedIn(tx *store.Tx, recordID string) (bool, error) {
	all, err := historyOf(tx, recordID)
	return madeElsewhere(all, f.Roster.Settled().Epoch), err
}

// PassedUnder is that for any of some records, under the key of an epoch, as far as they
// are in the index now.
func (f *File) PassedUnder(tx *store.Tx, recordIDs []string, epoch uint32) (bool, error) {
	for _, id := range recordIDs {
		all, err := historyOf(tx, id)
		if err != nil {
			return false, err
		}
		if madeElsewhere(all, epoch) && slices.ContainsFunc(all, stands) {
			return true, nil
		}
	}
	return false, nil
}

func madeElsewhere(all []pointer, epoch uint32) bool {
	return slices.ContainsFunc(all, func(p pointer) bool { return p.alien(epoch) })
}

// KeepTokens keeps the ten index tokens of a check of this state, in slot order, under
// each key under which it was evaluated, so that a record can be published under its
// ticket.
func (f *File) KeepTokens(tx *store.Tx, check waypost.TicketID, sets []Set) error {
	if len(sets) == 0 || len(sets) > maxSets || slices.ContainsFunc(sets, func(s Set) bool { return len(s.Tokens) != matchkey.Slots }) {
		return errors.New("records: a check has ten index tokens under each key")
	}
	tokens, epochs, _ := joinSets(setsOf(sets))
	_, err := tx.Exec(`INSERT INTO check_token (ticket, tokens, epoch, next_epoch, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (ticket) DO NOTHING`,
		check[:], tokens, epochs[0], epochs[1], f.Now().Unix())
	return err
}

// checkTokens returns the tokens that are kept of a check, or NotFound.
func (f *File) checkTokens(tx *store.Tx, check waypost.TicketID) ([]made, error) {
	var stored []byte
	var epochs [maxSets]uint32
	err := tx.Row(`SELECT tokens, epoch, next_epoch FROM check_token WHERE ticket = $1`, check[:]).Scan(&stored, &epochs[0], &epochs[1])
	if errors.Is(err, store.ErrNoRows) {
		return nil, waypost.Errorf(waypost.NotFound, "the tokens of this check are kept no more")
	}
	if err != nil {
		return nil, err
	}
	return splitSets(stored, epochs, [maxSets]uint32{})
}
