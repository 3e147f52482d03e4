package records

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
)

// Changed is what became of a change.
type Changed struct {
	Index     bool // it was one for the index
	Published bool // and the index has it; otherwise it is on its way
}

// Change stores a record that is there already as it is now. Where name, date of
// birth or SSN are others, a new pointer takes the place of the old one; with
// keepFormer, the name as it was is kept as a former name. What is wanted is
// committed first, the state system and the index follow, again after a crash.
func (f *File) Change(ctx context.Context, operator string, after waypost.Record, keepFormer bool) (Changed, error) {
	if reason := defect(after); reason != "" {
		return Changed{}, waypost.Errorf(waypost.InvalidArgument, "%s", reason)
	}
	done, err := f.alone(ctx, after.ID)
	if err != nil {
		return Changed{}, err
	}
	defer done()
	before, err := f.wantedRecord(ctx, after.ID)
	if err != nil {
		return Changed{}, err
	}
	if after.Since.IsZero() && after.Status == before.Status {
		after.Since = before.Since
	}
	index := !f.sameKeys(before.Person, after.Person)
	err = f.DB.Write(ctx, func(tx *store.Tx) error {
		if index {
			if err := f.changePointers(tx, operator, before, after, keepFormer); err != nil {
				return err
			}
		}
		return f.wantRecord(tx, after)
	})
	if err != nil {
		return Changed{}, err
	}
	if err := f.storeChange(ctx, after.ID); err != nil {
		return Changed{Index: index}, err
	}
	if !index {
		return Changed{Published: true}, nil
	}
	return Changed{Index: true, Published: f.publishRecord(ctx, after.ID)}, nil
}

// changePointers wants the pointers of a record changed.
func (f *File) changePointers(tx *store.Tx, operator string, before, after waypost.Record, keepFormer bool) error {
	history, err := historyOf(tx, after.ID)
	if err != nil {
		return err
	}
	main, others, err := split(history)
	if err != nil {
		return err
	}
	sameSSN := matchkey.SSN5(before.SSN5) == matchkey.SSN5(after.SSN5)
	var wanted []pointer
	switch {
	case main.State == Wanted && main.ready():
		return waypost.Errorf(waypost.Unavailable, "the record is on its way into the index: change it once it is there")
	case sameSSN && main.alien(f.Roster.Current().Oldest()):
		main.Alias = true
		if err := f.put(tx, main); err != nil {
			return err
		}
		wanted = append(wanted, f.beside(main, after, others, operator))
	default:
		p := f.main(after.ID, after.Person, era(history, sameSSN), history, operator)
		f.avoid(&p, others)
		if p.supersedes = main.Handle; main.State == Wanted { // nobody has seen it yet
			p.Handle, p.supersedes = main.Handle, main.supersedes
		} else if keepFormer {
			wanted = append(wanted, f.alias(after.ID, main.person, append(others, p), operator))
		}
		wanted = append(wanted, p)
	}
	if len(others)+1+len(wanted) > waypost.MaxPointers {
		return waypost.Errorf(waypost.InvalidArgument, "a record has at most %d names: withdraw it and issue it anew", waypost.MaxPointers)
	}
	return f.wantAll(tx, main.Generation, wanted)
}

// historyOf returns all pointers that a record has or had.
func historyOf(tx *store.Tx, recordID string) ([]pointer, error) {
	return selectPointers(tx, ofRecord, recordID)
}

const ofRecord = `WHERE p.record = $1 ORDER BY p.changed, p.handle`

// wantAll commits pointers that are to be published beside or in the place of one
// of that generation.
func (f *File) wantAll(tx *store.Tx, generation uint32, wanted []pointer) error {
	generation, err := f.stillDark(tx, generation)
	if err != nil {
		return err
	}
	for _, p := range wanted {
		p.Generation = generation
		p.at(f.Now())
		if err := f.put(tx, p); err != nil {
			return err
		}
	}
	return nil
}

// stillDark is the generation if it is dark, and otherwise 0: what comes after its
// activation is visible at once.
func (f *File) stillDark(tx *store.Tx, generation uint32) (uint32, error) {
	if generation == 0 {
		return 0, nil
	}
	var state int
	err := tx.Row(`SELECT state FROM generation WHERE number = $1`, generation).Scan(&state)
	if errors.Is(err, store.ErrNoRows) || err == nil && state != dark {
		return 0, nil
	}
	return generation, err
}

// split finds the main pointer that stands or is wanted, and those beside it that
// stay. Where one is wanted in the place of another, that is the main one.
func split(all []pointer) (main pointer, others []pointer, err error) {
	found := false
	for _, p := range all {
		switch {
		case p.State != Live && p.State != Wanted:
		case p.Alias:
			others = append(others, p)
		case !found || p.State == Wanted:
			main, found = p, true
		}
	}
	if !found {
		err = waypost.Errorf(waypost.NotFound, "the record is not in the index: it was withdrawn, or another state's is the record by now")
	}
	return main, others, err
}

// wantRecord notes how a record is to stand in the state system.
func (f *File) wantRecord(tx *store.Tx, r waypost.Record) error {
	wanted, err := proto.MarshalOptions{Deterministic: true}.Marshal(ToProto(r))
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO record_change (record, wanted, at) VALUES ($1, $2, $3)
		ON CONFLICT (record) DO UPDATE SET wanted = excluded.wanted, at = excluded.at`, r.ID, wanted, f.Now().Unix())
	return err
}

// wantedRecord is a record as it is, or is to be.
func (f *File) wantedRecord(ctx context.Context, id string) (waypost.Record, error) {
	wanted, _, err := f.change(ctx, id)
	if errors.Is(err, store.ErrNoRows) {
		return f.Record(ctx, id)
	}
	return wanted, err
}

func (f *File) change(ctx context.Context, id string) (r waypost.Record, stored []byte, err error) {
	err = f.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT wanted FROM record_change WHERE record = $1`, id).Scan(&stored)
	})
	if err != nil {
		return r, nil, err
	}
	var wanted waypostv1.Record
	if err := proto.Unmarshal(stored, &wanted); err != nil {
		return r, nil, err
	}
	r, err = FromProto(&wanted)
	return r, stored, err
}

// storeChange has the state system store a record as it is wanted.
func (f *File) storeChange(ctx context.Context, id string) error {
	r, stored, err := f.change(ctx, id)
	if errors.Is(err, store.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.Deps.System.Put(ctx, []waypost.Record{r}); err != nil {
		return err
	}
	return f.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM record_change WHERE record = $1 AND wanted = $2`, id, stored)
		return err
	})
}

// storeChanges does so for what a crash has left.
func (f *File) storeChanges(ctx context.Context) error {
	var ids []string
	err := f.DB.Read(ctx, func(tx *store.Tx) error {
		ids = nil
		return tx.Query(`SELECT record FROM record_change ORDER BY at, record LIMIT 100`, nil, func(scan func(dest ...any) error) error {
			ids = append(ids, "")
			return scan(&ids[len(ids)-1])
		})
	})
	for _, id := range ids {
		done, busy := f.alone(ctx, id)
		if busy != nil {
			continue
		}
		err = errors.Join(err, f.storeChange(ctx, id))
		done()
	}
	return err
}

// Withdraw takes a record out of the index, with all its names; the state system
// keeps it. It returns how many pointers that are.
func (f *File) Withdraw(ctx context.Context, operator, id string) (pointers int, err error) {
	done, err := f.alone(ctx, id)
	if err != nil {
		return 0, err
	}
	defer done()
	err = f.DB.Write(ctx, func(tx *store.Tx) error {
		all, err := pointersOf(tx, id)
		if err != nil {
			return err
		}
		pointers = 0
		for _, p := range all {
			if p.State == Moved || p.State == Coming {
				continue
			}
			pointers++
			p.State, p.operator = Ending, operator
			p.at(f.Now())
			if err := f.put(tx, p); err != nil {
				return err
			}
		}
		if pointers == 0 {
			return waypost.Errorf(waypost.NotFound, "the record is not in the index: it was withdrawn before, or another state's is the record by now")
		}
		return nil
	})
	return pointers, err
}

// SetStatus changes how a record stands, since when. The index does not say.
func (f *File) SetStatus(ctx context.Context, id string, status waypost.Status, since time.Time) error {
	if !slices.Contains(Statuses, status) {
		return waypost.Errorf(waypost.InvalidArgument, "the status is valid, expired, surrendered, suspended, revoked, disqualified or closed")
	}
	if since.After(f.Now()) {
		return waypost.Errorf(waypost.InvalidArgument, "a status holds since a day that is not in the future")
	}
	done, err := f.alone(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	if err := f.storeChange(ctx, id); err != nil { // what is wanted would undo it
		return err
	}
	return f.Deps.System.SetStatus(ctx, id, status, since)
}

// SetProtected leaves questions about a record to the special unit, or no more.
func (f *File) SetProtected(ctx context.Context, id string, protected bool) error {
	done, err := f.alone(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	r, err := f.wantedRecord(ctx, id)
	if err != nil {
		return err
	}
	r.Protected = protected
	if err := f.DB.Write(ctx, func(tx *store.Tx) error { return f.wantRecord(tx, r) }); err != nil {
		return err
	}
	return f.storeChange(ctx, id)
}
