package records

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
)

// Found is a record of this state that a question agrees with.
type Found struct {
	Record waypost.Record
	Names  []waypost.Person // its own first, then those of its pointers, without an SSN
	Agreed uint32           // a bit for each slot in which any of its pointers agrees
	Digits string           // of Named only: what stands in for an SSN, if there is none
	Past   bool             // of Named only: it is not in the index now
	slots  []matchkey.Slot
}

// Continue is the first-leg rule.
func (f Found) Continue() bool { return matchkey.Continue(f.slots) }

// Kinds lists the kinds that agree.
func Kinds(agreed uint32) (kinds []matchkey.Kind) {
	for i := range matchkey.Slots {
		if agreed&(1<<i) != 0 {
			kinds = append(kinds, matchkey.Kind(i))
		}
	}
	return kinds
}

// Weigh finds in which slots the record of that pointer agrees with the tags of a
// question, whose ticket is of that epoch: in any of its pointers. NotFound where there
// is no such record here. Unavailable where none of them is under the key of the epoch,
// as this state knows them: nobody is told that it is somebody else, because nothing
// was compared, until the comparison with the hub has mended that.
func (f *File) Weigh(ctx context.Context, h waypost.Handle, question waypost.TicketID, epoch uint32, tags []byte) (Found, error) {
	var all []pointer
	err := f.DB.Read(ctx, func(tx *store.Tx) error {
		p, err := byHandle(tx, h)
		if err != nil {
			return err
		}
		all, err = pointersOf(tx, p.Record)
		return err
	})
	if err != nil {
		return Found{}, err
	}
	if len(all) == 0 {
		return Found{}, waypost.Errorf(waypost.NotFound, "this record was withdrawn from the index")
	}
	if len(tags) > 0 && !slices.ContainsFunc(all, func(p pointer) bool { return p.under(epoch) != nil }) {
		f.Log.Warn("a question is under a key under which this state has not published the record; the next comparison mends it", "epoch", epoch)
		return Found{}, waypost.Errorf(waypost.Unavailable, "the record is not published under the key of this question as its state knows it: it is answered once owner and hub have compared")
	}
	const size = len(waypost.Tag{})
	asked := make(map[waypost.Tag]bool, len(tags)/size)
	for i := 0; i+size <= len(tags); i += size {
		asked[waypost.Tag(tags[i:i+size])] = true
	}
	return f.agreement(ctx, epoch, all, func(t waypost.Token) bool { return asked[waypost.NewTag(t, question)] })
}

// Find returns the record of that pointer, with which nothing agrees yet, or
// NotFound.
func (f *File) Find(ctx context.Context, h waypost.Handle) (Found, error) {
	return f.Weigh(ctx, h, waypost.TicketID{}, 0, nil)
}

// agreement collects what agrees in all pointers of one record. A decoy says
// nothing about the SSN, whoever holds it by now.
func (f *File) agreement(ctx context.Context, epoch uint32, all []pointer, agrees func(waypost.Token) bool) (found Found, err error) {
	if found.Record, err = f.Record(ctx, all[0].Record); err != nil {
		return found, err
	}
	found.Names = append(found.Names, found.Record.Person)
	found.Names[0].SSN5 = ""
	for _, p := range all {
		if !slices.Contains(found.Names, p.person) {
			found.Names = append(found.Names, p.person)
		}
		m := p.under(epoch)
		if m == nil {
			continue
		}
		who := p.person
		who.SSN5 = found.Record.SSN5
		who = f.standing(who, p)
		for i, slot := range matchkey.Index(who, f.decoySecret) {
			if (p.decoys|m.todo)&(1<<i) == 0 && !slot.Decoy && agrees(m.tokens[i]) {
				found.Agreed |= 1 << i
				found.slots = append(found.slots, slot)
			}
		}
	}
	// Of two names the rarer one decides.
	slices.SortStableFunc(found.slots, func(a, b matchkey.Slot) int { return cmp.Compare(a.Expected, b.Expected) })
	return found, nil
}

// Own returns the state's own records that agree with any of the 20 names of a check,
// or of its 12 tokens of part two, by id: the hub leaves them out. tokens are all 32 of
// it, of that epoch. SSN slots count as agreeing only where both have an SSN: what
// stands in for one may have been taken from this very record, because the names are
// alike, and would be the same evidence twice. To other states the slots count whoever
// it is: there such an agreement is chance, and they could tell.
func (f *File) Own(ctx context.Context, epoch uint32, who waypost.Person, tokens []waypost.Token) (own []Found, err error) {
	if len(tokens) != waypost.CheckElements {
		return nil, errors.New("records: a check has 32 tokens")
	}
	searched := make(map[waypost.Token]bool, len(tokens))
	args := []any{int(Moved), int(Withdrawn), int(Coming)}
	for _, key := range matchkey.NameKeys(who) {
		token := f.nameToken(key)
		args = append(args, token[:])
	}
	for i, t := range tokens {
		searched[t] = true
		if i >= waypost.NameElements {
			args = append(args, t[:ownTokenSize])
		}
	}
	var hits [][]pointer
	err = f.DB.Read(ctx, func(tx *store.Tx) error {
		hits = nil
		ids, err := idsOf(tx, ownQuery, args)
		if err != nil {
			return err
		}
		for _, id := range ids {
			all, err := pointersOf(tx, id)
			if err != nil {
				return err
			}
			hits = append(hits, all)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, all := range hits {
		found, err := f.agreement(ctx, epoch, all, func(t waypost.Token) bool { return searched[t] })
		if waypost.CodeOf(err) == waypost.NotFound {
			continue // deleted in the state system, not yet withdrawn from the index
		}
		if err != nil {
			return nil, err
		}
		if matchkey.SSN5(who.SSN5) == "" || matchkey.SSN5(found.Record.SSN5) == "" {
			found.Agreed &= nameSlots
		}
		own = append(own, found)
	}
	return own, nil
}

// ownQuery takes three states, and the names and tokens of one check.
var ownQuery = `SELECT DISTINCT p.record FROM pointer_token t JOIN pointer p ON p.handle = t.handle
		WHERE p.state NOT IN ($1, $2, $3) AND t.token IN (` + places(4, waypost.CheckElements) + ") ORDER BY p.record"

// places are n parameters, from one on.
func places(from, n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = "$" + strconv.Itoa(from+i)
	}
	return strings.Join(all, ", ")
}

func idsOf(tx *store.Tx, query string, args []any) (ids []string, err error) {
	err = tx.Query(query, args, func(scan func(dest ...any) error) error {
		ids = append(ids, "")
		return scan(&ids[len(ids)-1])
	})
	return ids, err
}
