package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"filippo.io/age"

	"github.com/waypost/waypost/translog"
)

const (
	maxWrapped = 64 << 10 // bytes of a wrapped data key
	maxOpened  = 1 << 14  // data keys that an opener remembers
)

// ErrNotEntitled is returned for an entry whose data key was not wrapped for
// any identity of the opener.
var ErrNotEntitled = errors.New("the entry is not opened to this identity")

// Keys returns the data key of that id as age wrapped it: [Journal.WrappedKey],
// or what a published log holds at [translog.KeyID.Path].
type Keys func(ctx context.Context, id translog.KeyID) (wrapped []byte, err error)

// An Opener opens sealed entries to somebody entitled: an operator or an
// auditor with their age identities. It remembers the data keys it has
// unwrapped and is safe for concurrent use.
type Opener struct {
	identities []age.Identity
	mu         sync.Mutex
	known      map[keyName]unwrapped
}

// keyName is a data key by its log: what one member calls a key cannot stand in
// the way of another's.
type keyName struct {
	origin string
	id     translog.KeyID
}

type unwrapped struct {
	key translog.DataKey
	err error
}

// NewOpener returns an opener for age identities.
func NewOpener(identities ...age.Identity) *Opener {
	return &Opener{identities: identities, known: make(map[keyName]unwrapped)}
}

// Open opens the blob that stands beside leaf at the given index of a log. It
// returns [translog.ErrErased] for an erased one, an error that wraps
// [ErrNotEntitled] where the identities do not suffice, one that wraps
// [translog.ErrSealed] where the log is at fault, and otherwise that of keys.
func (o *Opener) Open(ctx context.Context, keys Keys, role, origin string, index int64, leaf, blob []byte) (translog.Entry, error) {
	id, err := translog.SealedKey(blob)
	if err != nil {
		return translog.Entry{}, err
	}
	k, err := o.key(ctx, keys, keyName{origin, id})
	if err != nil {
		return translog.Entry{}, err
	}
	return translog.OpenSealed(k, role, origin, index, leaf, blob)
}

// Read is [Journal.Read] with all entries opened that the identities open.
func (o *Opener) Read(ctx context.Context, j *Journal, from uint64, limit int) ([]Stored, error) {
	return j.read(ctx, from, limit, func(r Row) (translog.DataKey, bool, error) {
		k, err := o.key(ctx, j.WrappedKey, keyName{j.origin, r.Key})
		if errors.Is(err, ErrNotEntitled) {
			return k, false, nil
		}
		return k, err == nil, err
	})
}

func (o *Opener) key(ctx context.Context, keys Keys, name keyName) (translog.DataKey, error) {
	o.mu.Lock()
	u, ok := o.known[name]
	o.mu.Unlock()
	if ok {
		return u.key, u.err
	}
	wrapped, err := keys(ctx, name.id)
	if err != nil {
		return translog.DataKey{}, err // perhaps there at the next attempt
	}
	u.key, u.err = o.unwrap(name.id, wrapped)
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.known) >= maxOpened {
		clear(o.known) // nobody honest has as many; the memory stays bounded
	}
	o.known[name] = u
	return u.key, u.err
}

func (o *Opener) unwrap(id translog.KeyID, wrapped []byte) (translog.DataKey, error) {
	k := translog.DataKey{ID: id}
	if len(wrapped) > maxWrapped {
		return k, fmt.Errorf("%w: its data key %s has %d bytes", translog.ErrSealed, id, len(wrapped))
	}
	r, err := age.Decrypt(bytes.NewReader(wrapped), o.identities...)
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return k, fmt.Errorf("%w: data key %s", ErrNotEntitled, id)
	}
	if err != nil {
		return k, fmt.Errorf("%w: its data key %s cannot be unwrapped", translog.ErrSealed, id)
	}
	secret, err := io.ReadAll(io.LimitReader(r, int64(len(k.Secret))+1))
	if err != nil || len(secret) != len(k.Secret) {
		return k, fmt.Errorf("%w: its data key %s is not 32 bytes", translog.ErrSealed, id)
	}
	copy(k.Secret[:], secret)
	return k, nil
}
