package records

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
)

// Digits that stand in for an SSN are a property of a record, as an SSN is: drawn with
// its first pointer, or by the check that its card is issued on, and the same from then
// on whatever becomes of name, date or state. Every record has them, with or without an
// SSN: nothing in the table tells.

// mask hides digits in the row of a pointer. A record has the same in all rows, and
// nothing else is ever under the mask of its id.
func (f *File) mask(recordID, digits string) uint32 {
	n, _ := strconv.ParseUint(digits, 10, 32) // five digits of package matchkey
	return uint32(n) ^ f.maskOf(recordID)
}

func (f *File) maskOf(recordID string) uint32 {
	m := hmac.New(sha256.New, derive(f.Secret, "digits"))
	m.Write([]byte(recordID))
	return binary.BigEndian.Uint32(m.Sum(nil))
}

// digitsOf is the inverse of mask.
func (f *File) digitsOf(p pointer) string {
	return fmt.Sprintf("%05d", (p.digits^f.maskOf(p.Record))%100_000)
}

// standing is a person with the digits of a record's pointer where there is no SSN.
func (f *File) standing(who waypost.Person, p pointer) waypost.Person {
	digits := f.digitsOf(p) // for everybody: the time tells nothing
	if matchkey.SSN5(who.SSN5) == "" {
		who.SSN5 = digits
	}
	return who
}

// names is what the state's own search finds a pointer of that name by, whatever key
// the index is under.
func (f *File) names(name waypost.Person) (found [][ownTokenSize]byte) {
	name.SSN5 = ""
	slots := matchkey.Index(name, f.decoySecret)
	for _, slot := range slots[:matchkey.NameSlots] {
		found = append(found, f.nameToken(slot.Key))
	}
	return found
}

func (f *File) nameToken(key []byte) [ownTokenSize]byte {
	m := hmac.New(sha256.New, f.nameSecret)
	m.Write(key)
	return [ownTokenSize]byte(m.Sum(nil))
}

// Named returns the records that this state has, or had in the index, whose names
// agree with any of the 20 name keys of a check, or whose card has that number, unless
// it is empty; by id. It goes by nothing that has to do with an SSN.
func (f *File) Named(ctx context.Context, who waypost.Person, card string) (known []Found, err error) {
	var args []any
	for _, key := range matchkey.NameKeys(who) {
		token := f.nameToken(key)
		args = append(args, token[:])
	}
	byCard := ""
	if card != "" {
		if byCard, err = f.Deps.System.ByCard(ctx, card); err != nil && waypost.CodeOf(err) != waypost.NotFound {
			return nil, err
		}
	}
	var hits [][]pointer
	err = f.DB.Read(ctx, func(tx *store.Tx) error {
		ids, err := idsOf(tx, namedQuery, args)
		if err != nil {
			return err
		}
		if byCard != "" && !slices.Contains(ids, byCard) {
			ids = append(ids, byCard)
			slices.Sort(ids)
		}
		hits = nil
		for _, id := range ids {
			all, err := historyOf(tx, id)
			if err != nil {
				return err
			}
			if len(all) > 0 {
				hits = append(hits, all)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, all := range hits {
		found := Found{Digits: f.digitsOf(all[0]), Past: !slices.ContainsFunc(all, stands)}
		found.Record, err = f.Record(ctx, all[0].Record)
		switch {
		case waypost.CodeOf(err) == waypost.NotFound: // the state system has it no more
			found.Record.ID = all[0].Record
		case err != nil:
			return nil, err
		default:
			found.Names = append(found.Names, found.Record.Person)
			found.Names[0].SSN5 = ""
		}
		for _, p := range all {
			if !slices.Contains(found.Names, p.person) {
				found.Names = append(found.Names, p.person)
			}
		}
		known = append(known, found)
	}
	return known, nil
}

// stands reports whether the state's own search finds a pointer as one of its people.
func stands(p pointer) bool { return p.State != Moved && p.State != Withdrawn && p.State != Coming }

var namedQuery = `SELECT DISTINCT p.record FROM pointer_token t JOIN pointer p ON p.handle = t.handle
		WHERE t.token IN (` + places(1, matchkey.NameProbes) + ") ORDER BY p.record"

// Digits returns what stands in for an SSN where an applicant has none: what stands in
// for the one of this state's own records that is the applicant's, as is says of those
// that Named returns. With an SSN a check meets that record's own pointer also where the
// name is another by now, or is misspelt at the counter; so it does without. Where there
// is no such record the check that this one corrects or repeats decides, as the SSN would
// be the same; and else a draw. All of that is done for everybody.
func (f *File) Digits(ctx context.Context, who waypost.Person, card string, cites waypost.TicketID, is func(Found) (waypost.Outcome, error)) (string, error) {
	known, err := f.Named(ctx, who, card)
	if err != nil {
		return "", err
	}
	digits, best := "", waypost.NoMatch
	for _, found := range known {
		outcome, err := is(found)
		if err != nil {
			return "", err
		}
		if outcome == waypost.Match && best != waypost.Match || outcome == waypost.Possible && best == waypost.NoMatch {
			digits, best = found.Digits, outcome
		}
	}
	if best != waypost.NoMatch {
		return digits, nil
	}
	err = f.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT digits FROM inquiry WHERE ticket = $1`, cites[:]).Scan(&digits)
	})
	if errors.Is(err, store.ErrNoRows) {
		digits, err = f.draw(who, known), nil
	}
	return digits, err
}

// draw draws digits for somebody of whom this state has no record: the first that
// none of these others has. Two people who agree on all that digits are drawn from have
// different ones, as their SSNs would be.
func (f *File) draw(who waypost.Person, others []Found) string {
	for draw := 0; ; draw++ {
		digits := matchkey.StandIn(who, f.decoySecret, draw)
		if !slices.ContainsFunc(others, func(o Found) bool { return o.Digits == digits }) {
			return digits
		}
	}
}

// drawLoaded draws digits for the records of a load that are new here, which have the
// first draw: another where a record of that name has it. Two that are loaded at the
// same moment in two batches may come to the same.
func (f *File) drawLoaded(ctx context.Context, wanted []pointer) error {
	var fresh []*pointer
	var args [][]any
	for i := range wanted {
		if p := &wanted[i]; p.fresh != nil {
			token := f.names(p.person)[matchkey.H]
			fresh, args = append(fresh, p), append(args, []any{token[:]})
		}
	}
	taken := make(map[string]map[string]bool) // by name token
	err := f.DB.Read(ctx, func(tx *store.Tx) error {
		clear(taken)
		return tx.Many(`SELECT p.record, p.digits FROM pointer_token t JOIN pointer p ON p.handle = t.handle WHERE t.token = $1`, args,
			func(i int, scan func(dest ...any) error) error {
				var p pointer
				err := scan(&p.Record, &p.digits)
				note(taken, args[i], f.digitsOf(p))
				return err
			})
	})
	if err != nil {
		return err
	}
	for i, p := range fresh {
		digits := f.digitsOf(*p)
		for draw := 1; taken[string(args[i][0].([]byte))][digits]; draw++ {
			digits = matchkey.StandIn(p.person, f.decoySecret, draw)
		}
		note(taken, args[i], digits)
		p.digits = f.mask(p.Record, digits)
	}
	return nil
}

func note(taken map[string]map[string]bool, of []any, digits string) {
	name := string(of[0].([]byte))
	if taken[name] == nil {
		taken[name] = make(map[string]bool)
	}
	taken[name][digits] = true
}
