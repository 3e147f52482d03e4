package gateway

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
)

const handleSize = 16

// Rejected is a record that cannot be published, by its index, and why.
type Rejected struct {
	Index  int
	Reason string // never repeats what stands in the record
}

// Load stores up to 100 records in the state system and publishes a pointer for
// each that has none yet. It can be repeated after a crash at any point: what is
// published stays as it is in the index, and what changed besides name, date of
// birth and SSN is stored. published counts the new pointers.
func (s *Server) Load(ctx context.Context, operator string, records []waypost.Record) (published int, rejected []Rejected, err error) {
	if len(records) > waypost.MaxPublishBatch {
		return 0, nil, waypost.Errorf(waypost.InvalidArgument, "at most %d records can be loaded at once", waypost.MaxPublishBatch)
	}
	good, rejected := sift(records)
	good, busy := s.loading.enter(good)
	defer s.loading.leave(good)
	known, err := s.knownPointers(ctx, good)
	if err != nil {
		return 0, nil, err
	}
	batch, stale, err := s.unpublished(ctx, good, known)
	if err != nil {
		return 0, nil, err
	}
	rejected = append(append(rejected, busy...), stale...)
	if err := s.People.Put(ctx, accepted(good, stale)); err != nil {
		return 0, nil, err
	}
	if len(batch) > 0 {
		if err := s.publish(ctx, operator, batch); err != nil {
			return 0, rejected, err
		}
	}
	return len(batch), rejected, nil
}

// loadable is a record that passed, and its place in the batch.
type loadable struct {
	index  int
	record waypost.Record
}

// sift separates what can be published from what cannot.
func sift(records []waypost.Record) (good []loadable, rejected []Rejected) {
	seen := make(map[string]bool, len(records))
	for i, r := range records {
		reason := defect(r)
		if reason == "" && seen[r.ID] {
			reason = "another record of the batch has the same id"
		}
		if reason != "" {
			rejected = append(rejected, Rejected{i, reason})
			continue
		}
		seen[r.ID] = true
		good = append(good, loadable{i, r})
	}
	return good, rejected
}

// defect says why a record cannot be loaded, or nothing.
func defect(r waypost.Record) string {
	if err := r.Validate(); err != nil {
		return err.Error()
	}
	if err := (Applicant{Person: r.Person, CardNumber: r.CardNumber}).validate(); err != nil {
		return err.Error()
	}
	switch {
	case r.ID == "" || len(r.ID) > 64 || !printable(r.ID):
		return "the record needs an id of at most 64 printable characters"
	case !slices.Contains(cardKinds, r.Kind):
		return "the kind of card is licence, permit, id or commercial"
	case !slices.Contains(statuses, r.Status):
		return "the status is valid, expired, surrendered, suspended, revoked, disqualified or closed"
	}
	return ""
}

var (
	cardKinds = []waypost.CardKind{waypost.Licence, waypost.Permit, waypost.IDCard, waypost.Commercial}
	statuses  = []waypost.Status{waypost.Valid, waypost.ExpiredCard, waypost.Surrendered, waypost.Suspended, waypost.Revoked,
		waypost.Disqualified, waypost.Closed}
)

// accepted are the records that are not among the rejected ones.
func accepted(good []loadable, rejected []Rejected) []waypost.Record {
	var records []waypost.Record
	for _, l := range good {
		if !slices.ContainsFunc(rejected, func(r Rejected) bool { return r.Index == l.index }) {
			records = append(records, l.record)
		}
	}
	return records
}

// inFlight keeps two batches from publishing the same record at the same time.
type inFlight struct {
	mu  sync.Mutex
	ids map[string]bool
}

func newInFlight() *inFlight { return &inFlight{ids: make(map[string]bool)} }

func (f *inFlight) enter(all []loadable) (entered []loadable, busy []Rejected) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range all {
		if f.ids[l.record.ID] {
			busy = append(busy, Rejected{l.index, "a record with the same id is being loaded at this moment"})
			continue
		}
		f.ids[l.record.ID] = true
		entered = append(entered, l)
	}
	return entered, busy
}

func (f *inFlight) leave(entered []loadable) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range entered {
		delete(f.ids, l.record.ID)
	}
}

// pointer is a record on its way into the index.
type pointer struct {
	handle []byte
	record waypost.Record
	tokens []waypost.Token // in slot order
}

// knownPointer is what an earlier load has done for a record.
type knownPointer struct {
	handle    []byte
	published bool
}

func (s *Server) knownPointers(ctx context.Context, records []loadable) (map[string]knownPointer, error) {
	var known map[string]knownPointer
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		known = make(map[string]knownPointer)
		for _, l := range records {
			var k knownPointer
			err := tx.Row(`SELECT handle, published FROM record WHERE id = $1`, l.record.ID).Scan(&k.handle, &k.published)
			if errors.Is(err, store.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			known[l.record.ID] = k
		}
		return nil
	})
	return known, err
}

// unpublished gives each record its handle, the old one if an earlier load
// stopped halfway, and leaves out what is in the index. A record whose keys
// have changed since is stale: its pointer would find somebody else.
func (s *Server) unpublished(ctx context.Context, records []loadable, known map[string]knownPointer) (batch []pointer, stale []Rejected, err error) {
	for _, l := range records {
		k, before := known[l.record.ID]
		if before {
			same, err := s.sameKeys(ctx, l.record)
			if err != nil {
				return nil, nil, err
			}
			if !same {
				stale = append(stale, Rejected{l.index,
					"the record is in the index under another name, date of birth or SSN: it stays as it was, and needs a correction of its pointer"})
				continue
			}
		} else {
			k.handle = make([]byte, handleSize)
			randomise(k.handle)
		}
		if !k.published {
			batch = append(batch, pointer{handle: k.handle, record: l.record})
		}
	}
	return batch, stale, nil
}

// sameKeys reports whether the record as it is stored has the same index keys.
func (s *Server) sameKeys(ctx context.Context, r waypost.Record) (bool, error) {
	stored, err := s.People.Record(ctx, r.ID)
	if waypost.CodeOf(err) == waypost.NotFound {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	old, now := matchkey.Index(stored.Person, s.decoySecret), matchkey.Index(r.Person, s.decoySecret)
	for i := range old {
		if !bytes.Equal(old[i].Key, now[i].Key) {
			return false, nil
		}
	}
	return true, nil
}
