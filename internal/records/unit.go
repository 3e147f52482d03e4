package records

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost"
)

// Waiting is a question about a protected person that waits for the special unit.
type Waiting struct {
	ID      string // unique within its kind, without a colon
	Kind    waypost.Kind
	Asking  waypost.Jurisdiction
	Purpose waypost.Purpose
	Since   time.Time
	Record  string
}

// Unit is what a room offers to the special unit for the questions that it holds
// back. To who asks, one that waits looks slow, and one that is declined like any
// that finds nobody.
type Unit interface {
	// Waiting lists what waits.
	Waiting(ctx context.Context) ([]Waiting, error)
	// Answer releases a question, which is then answered as any other, or declines
	// it. NotFound where it does not wait any more.
	Answer(ctx context.Context, id string, release bool) error
}

// Withhold has a room's questions listed for the special unit, under a name. It is
// called before anything else is done with the file.
func (f *File) Withhold(room string, u Unit) { f.units[room] = u }

// Withheld lists the questions of all rooms that wait, oldest first.
func (f *File) Withheld(ctx context.Context) (all []Waiting, err error) {
	for room, u := range f.units {
		waiting, err := u.Waiting(ctx)
		if err != nil {
			return nil, err
		}
		for _, w := range waiting {
			w.ID = room + ":" + w.ID
			all = append(all, w)
		}
	}
	slices.SortFunc(all, func(a, b Waiting) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

// AnswerWithheld releases or declines one of those that Withheld lists.
func (f *File) AnswerWithheld(ctx context.Context, id string, release bool) error {
	room, rest, _ := strings.Cut(id, ":")
	u, ok := f.units[room]
	if !ok {
		return waypost.Errorf(waypost.NotFound, "no such question waits: list those that do")
	}
	return u.Answer(ctx, rest, release)
}
