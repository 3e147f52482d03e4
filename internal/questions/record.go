package questions

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// tell answers a question about the record that a check has found.
func (q *Questions) tell(ctx context.Context, kind waypost.Kind, asked errand.Question) (answer, error) {
	told, pointer, err := q.cited(ctx, asked)
	if err != nil {
		return answer{}, err
	}
	a := answer{Response: errand.Response{Word: declined, Final: true, Handle: told.Handle[:], Policy: q.Policy.Version()}, record: told.Record}
	switch {
	case !goes(kind, told.Outcome):
		return answer{}, waypost.Errorf(waypost.PermissionDenied, "%s was not told of a record for which this may be asked", asked.From)
	case pointer.State == records.Moved && kind != waypost.KindPortrait:
		a.Word = moved // whereto is found by another check
		return a, nil
	case pointer.State != records.Live || !q.Policy.Allows(kind, asked.Ticket.Purpose, asked.From, told.Outcome):
		return a, nil
	}
	record, err := q.File.Record(ctx, told.Record)
	if waypost.CodeOf(err) == waypost.NotFound {
		return a, nil // deleted meanwhile
	}
	if err != nil {
		return a, err
	}
	a.protected = record.Protected
	switch kind {
	case waypost.KindStatus:
		a.Word = string(record.Status)
	case waypost.KindHistory:
		a.Word = history
		a.Body, err = q.export(ctx, told.Record)
	case waypost.KindPortrait:
		a.Word = portrait
		if a.Body, err = q.File.System().Portrait(ctx, told.Record); waypost.CodeOf(err) == waypost.NotFound {
			a.Word, a.Body, err = declined, nil, nil
		}
	}
	return a, err
}

// goes reports whether a question of this kind can follow what the check came to.
func goes(kind waypost.Kind, o waypost.Outcome) bool {
	return o == waypost.Match || o == waypost.Possible && kind == waypost.KindPortrait
}

// cited returns what this state has told the asking one in the check that the
// question cites. A check of another state is as unknown as one that never was.
func (q *Questions) cited(ctx context.Context, asked errand.Question) (told records.Answered, pointer records.Pointer, err error) {
	var body waypostv1.FoundRecord
	if proto.Unmarshal(asked.Body, &body) != nil || len(body.Reference) != len(waypost.Reference{}) {
		return told, pointer, waypost.Errorf(waypost.InvalidArgument, "the question does not name the candidate of a check")
	}
	err = q.DB.Read(ctx, func(tx *store.Tx) (err error) {
		if told, err = q.File.Answered(tx, asked.Ticket.Cites, body.Reference); err != nil {
			return err
		}
		pointer, err = q.File.ByHandle(tx, told.Handle)
		return err
	})
	unknown := waypost.Errorf(waypost.PermissionDenied, "%s has told %s of no record in that check, or too long ago: check again", q.State, asked.From)
	if waypost.CodeOf(err) == waypost.NotFound || err == nil && told.Asking != asked.From {
		return told, pointer, unknown
	}
	return told, pointer, err
}

func (q *Questions) export(ctx context.Context, record string) (raw []byte, err error) {
	err = q.DB.Read(ctx, func(tx *store.Tx) (err error) {
		raw, err = q.Book.Export(tx, record)
		return err
	})
	return raw, err
}
