package driver

import (
	"errors"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/store"
)

// MaxItems is how many items one record can have: as many as fit into one sealed
// message, and far more than any driver has.
const MaxItems = 500

// What of a history is shown at a glance, newest first.
const (
	ShownConvictions = 50
	ShownWithdrawals = 25
)

// Book is the histories of a state's records, in the gateway's own database.
type Book struct{}

// Arrival is an item and how it came here.
type Arrival struct {
	Item
	From      waypost.Jurisdiction // that passed it on: the reporter, a former state of record, or this state
	At        time.Time            // when it came to the first state of record
	Statement []byte               // the report as its reporter signed it, or nil
}

// Entry is an item in a history.
type Entry struct {
	Arrival
	Disputed  waypost.Jurisdiction // has the same item with other content, or ""
	NegatedBy ItemID               // the item that has cancelled it, or zero
	EndedBy   ItemID               // the clearance that has ended the withdrawal, or zero
}

// Add adds items to the history of a record and returns how many were new. An item
// that is there already changes nothing; AlreadyExists where it is there with other
// content, QuotaExceeded where the record would have more than MaxItems: nothing
// is added then.
func (Book) Add(tx *store.Tx, record string, items ...Arrival) (added int, err error) {
	for _, a := range items {
		have, err := itemOf(tx, record, a.ID)
		switch {
		case err == nil && have == a.Item:
			continue
		case err == nil:
			return 0, waypost.Errorf(waypost.AlreadyExists, "the record has an item of this reference with other content")
		case waypost.CodeOf(err) != waypost.NotFound:
			return 0, err
		}
		if err := insert(tx, record, a); err != nil {
			return 0, err
		}
		added++
	}
	return added, nil
}

func itemOf(tx *store.Tx, record string, id ItemID) (Item, error) {
	var raw []byte
	err := tx.Row(`SELECT item FROM driver_item WHERE record = $1 AND id = $2`, record, id).Scan(&raw)
	if errors.Is(err, store.ErrNoRows) {
		return Item{}, waypost.Errorf(waypost.NotFound, "the record has no such item")
	}
	if err != nil {
		return Item{}, err
	}
	return decodeItem(raw)
}

func insert(tx *store.Tx, record string, a Arrival) error {
	var last, n int
	if err := tx.Row(`SELECT coalesce(max(number), 0), count(*) FROM driver_item WHERE record = $1`, record).Scan(&last, &n); err != nil {
		return err
	}
	if n >= MaxItems {
		return waypost.Errorf(waypost.QuotaExceeded, "the record has %d items, and can have no more: what is past its time must be purged", n)
	}
	raw, err := encodeItem(a.Item)
	if err != nil {
		return err
	}
	if a.Statement == nil {
		a.Statement = []byte{}
	}
	_, err = tx.Exec(`INSERT INTO driver_item (record, id, number, type, item, passed_by, arrived, statement, disputed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '')`, record, a.ID, last+1, a.Type, raw, a.From, a.At.Unix(), a.Statement)
	return err
}

// Of returns the history of a record in the order of arrival; what is cancelled or
// ended is marked. It is empty for a record without items.
func (Book) Of(tx *store.Tx, record string) ([]Entry, error) {
	var entries []Entry
	err := tx.Query(`SELECT item, passed_by, arrived, statement, disputed FROM driver_item WHERE record = $1 ORDER BY number`,
		[]any{record}, func(scan func(...any) error) error {
			var e Entry
			var raw []byte
			var at int64
			if err := scan(&raw, &e.From, &at, &e.Statement, &e.Disputed); err != nil {
				return err
			}
			var err error
			e.Item, err = decodeItem(raw)
			e.At = time.Unix(at, 0).UTC()
			entries = append(entries, e)
			return err
		})
	mark(entries)
	return entries, err
}

// mark finds what is cancelled and what is ended. It goes by what is there, not by
// the order in which it came: reports overtake each other. Only the reporter of an
// item can cancel it, and what is cancelled has no effect itself.
func mark(entries []Entry) {
	at := make(map[ItemID]int, len(entries))
	for i, e := range entries {
		at[e.ID] = i
	}
	effect := func(t Type, set func(e *Entry, by ItemID)) {
		for _, e := range entries {
			if target, ok := at[e.Linked]; ok && e.Type == t && e.NegatedBy == (ItemID{}) && entries[target].Reporter == e.Reporter {
				set(&entries[target], e.ID)
			}
		}
	}
	effect(Negate, func(e *Entry, by ItemID) {
		if e.Type != Negate { // a negate cannot be taken back: the item is reported again
			e.NegatedBy = by
		}
	})
	effect(Clearance, func(e *Entry, by ItemID) {
		if e.Type == Withdrawal {
			e.EndedBy = by
		}
	})
}

// Export is the whole history of a record for its next state of record: a History
// message of at most 240 KiB, the same bytes for the same history.
func (b Book) Export(tx *store.Tx, record string) ([]byte, error) {
	entries, err := b.Of(tx, record)
	if err != nil {
		return nil, err
	}
	h := &waypostv1.History{}
	for _, e := range entries {
		h.Entries = append(h.Entries, &waypostv1.HistoryEntry{
			Item: e.Proto(), From: string(e.From), Arrived: e.At.Unix(), Disputed: string(e.Disputed),
		})
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(h)
}

// Import takes a history from the state that exported it into that of a record,
// whole or not at all, and may be repeated. Who reported an item and when it first
// arrived stays; it was passed on by that state. An item that is here already with
// other content stays as it is here, and is marked as disputed. InvalidArgument
// where the history is not well formed.
func (Book) Import(tx *store.Tx, record string, from waypost.Jurisdiction, raw []byte) error {
	entries, err := ParseHistory(raw)
	if err != nil {
		return err
	}
	for _, e := range entries {
		have, err := itemOf(tx, record, e.ID)
		switch {
		case err == nil && have == e.Item:
		case err == nil:
			if _, err := tx.Exec(`UPDATE driver_item SET disputed = $1 WHERE record = $2 AND id = $3`, from, record, e.ID); err != nil {
				return err
			}
		case waypost.CodeOf(err) == waypost.NotFound:
			e.From, e.Statement = from, nil
			if err := insert(tx, record, e.Arrival); err != nil {
				return err
			}
		default:
			return err
		}
	}
	return nil
}

// maxHistory bounds an encoded history, in bytes.
const maxHistory = 240 << 10

// ParseHistory reads what [Book.Export] wrote, strictly: InvalidArgument where an
// entry is not well formed or stands twice, or there are more than MaxItems.
func ParseHistory(raw []byte) ([]Entry, error) {
	bad := waypost.Errorf(waypost.InvalidArgument, "the driver history is not well formed")
	var h waypostv1.History
	if len(raw) > maxHistory || proto.Unmarshal(raw, &h) != nil || unknown(h.ProtoReflect()) || len(h.Entries) > MaxItems {
		return nil, bad
	}
	entries := make([]Entry, 0, len(h.Entries))
	seen := make(map[ItemID]bool, len(h.Entries))
	for _, m := range h.Entries {
		item, err := FromProto(m.Item)
		if err != nil {
			return nil, err
		}
		from, err := waypost.ParseJurisdiction(m.From)
		if err != nil || string(from) != m.From || seen[item.ID] || m.Arrived < 0 || m.Arrived > lastSecond {
			return nil, bad
		}
		disputed, err := waypost.ParseJurisdiction(m.Disputed)
		if m.Disputed != "" && (err != nil || string(disputed) != m.Disputed) {
			return nil, bad
		}
		if !slices.Contains(Types, item.Type) || item.Reporter == "" || item.Reference == "" {
			return nil, bad
		}
		seen[item.ID] = true
		entries = append(entries, Entry{
			Arrival:  Arrival{Item: item, From: from, At: time.Unix(m.Arrived, 0).UTC()},
			Disputed: waypost.Jurisdiction(m.Disputed),
		})
	}
	mark(entries)
	return entries, nil
}

// lastSecond is the end of the year 9999, in Unix time.
const lastSecond = 253402300799

func encodeItem(i Item) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(i.Proto())
}

func decodeItem(raw []byte) (Item, error) {
	var m waypostv1.Item
	if err := proto.Unmarshal(raw, &m); err != nil {
		return Item{}, malformed("item")
	}
	return FromProto(&m)
}
