package journal

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/waypost/waypost/translog"
)

const day = 24 * time.Hour

// dataKeys makes a data key for each UTC day and forgets the one before.
type dataKeys struct {
	mu         sync.Mutex
	recipients []age.Recipient
	current    translog.DataKey
	wrapped    []byte // nil before the first key
	day        int64  // of the key, counted from 1970-01-01
}

// ParseRecipients reads post-quantum age recipients ("age1pq1..."), as they
// stand in a role's config and in the roster. Others are refused: what is
// sealed today is kept for years.
func ParseRecipients(texts ...string) ([]age.Recipient, error) {
	recipients := make([]age.Recipient, len(texts))
	for i, text := range texts {
		r, err := age.ParseHybridRecipient(text)
		if err != nil {
			return nil, fmt.Errorf("%.80q cannot be a reader of the ledger: it needs a recipient that age-keygen -pq made", text)
		}
		recipients[i] = r
	}
	return recipients, nil
}

// SetRecipients says who can read what is written from now on, in place of
// those before.
func (j *Journal) SetRecipients(recipients ...age.Recipient) error {
	if len(recipients) == 0 {
		return errors.New("journal: nobody could ever read this ledger: name a recipient to whom its entries are opened")
	}
	// One that cannot be wrapped for is found now, and not by the first entry.
	wrapped, err := wrap(translog.NewDataKey(), recipients)
	if err != nil {
		return err
	}
	if len(wrapped) > maxWrapped {
		return fmt.Errorf("journal: a key wrapped for %d readers has %d bytes, and readers take at most %d: name fewer", len(recipients), len(wrapped), maxWrapped)
	}
	k := &j.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	k.recipients, k.current, k.wrapped = recipients, translog.DataKey{}, nil
	return nil
}

// at returns the data key for an entry made at the given time, and the same
// wrapped. Entries may come a little out of order, so the key of the day
// before is not taken up again.
func (k *dataKeys) at(at time.Time) (translog.DataKey, []byte, error) {
	today := at.Unix() / int64(day/time.Second)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.wrapped == nil || today > k.day || today < k.day-1 {
		fresh := translog.NewDataKey()
		wrapped, err := wrap(fresh, k.recipients)
		if err != nil {
			return fresh, nil, err
		}
		k.current, k.wrapped, k.day = fresh, wrapped, today
	}
	return k.current, k.wrapped, nil
}

// holds returns the data key of that id, if it is the current one.
func (k *dataKeys) holds(id translog.KeyID) (translog.DataKey, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current, k.wrapped != nil && k.current.ID == id
}

func wrap(key translog.DataKey, recipients []age.Recipient) ([]byte, error) {
	var b bytes.Buffer
	w, err := age.Encrypt(&b, recipients...)
	if err != nil {
		return nil, fmt.Errorf("journal: a data key cannot be wrapped for its readers: %w", err)
	}
	_, err = w.Write(key.Secret[:])
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("journal: a data key cannot be wrapped for its readers: %w", err)
	}
	return b.Bytes(), nil
}
