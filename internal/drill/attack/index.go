package attack

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// maxCounter is how many records can share a token.
const maxCounter = 64

// Index is what stands in a copy of the hub's database.
type Index struct {
	Labels   map[[16]byte]int64
	Pointers map[int64]*Pointer
	// Found are the pointers that searches have found lately, by the ticket.
	Found map[waypost.TicketID][]int64
}

// Pointer is a row of the table of pointers.
type Pointer struct {
	ID                         int64
	Owner                      waypost.Jurisdiction
	Handle                     []byte
	State                      int
	Generation, Version, Epoch uint32
	Receipt                    []byte
	Changed                    int64 // Unix seconds
	Labels                     int   // how many lead to it
	labels                     [][16]byte
}

// Of are the labels that lead to a pointer.
func (x *Index) Of(pointer int64) [][16]byte {
	if p := x.Pointers[pointer]; p != nil {
		return p.labels
	}
	return nil
}

// Copy copies the files of an SQLite database one after the other into a folder, also
// while it is in use, as who has the disk does, and returns the copy's path.
func Copy(file, to string) (string, error) {
	files, err := filepath.Glob(file + "*")
	if err != nil {
		return "", err
	}
	for _, from := range files {
		if strings.HasSuffix(from, "-shm") {
			continue // an index to the log that SQLite makes anew
		}
		if err := copyFile(from, filepath.Join(to, filepath.Base(from))); err != nil {
			return "", err
		}
	}
	return filepath.Join(to, filepath.Base(file)), nil
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// ReadIndex reads a copy of the hub's database, by its URL.
func ReadIndex(ctx context.Context, database string) (_ *Index, err error) {
	db, err := store.Open(ctx, database, "hub")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	x := &Index{Labels: make(map[[16]byte]int64), Pointers: make(map[int64]*Pointer), Found: make(map[waypost.TicketID][]int64)}
	err = db.Read(ctx, func(tx *store.Tx) error {
		return errors.Join(x.readPointers(tx), x.readLabels(tx), x.readFound(tx))
	})
	return x, err
}

func (x *Index) readPointers(tx *store.Tx) error {
	return tx.Query(`SELECT id, owner, handle, state, generation, version, epoch, receipt, changed FROM pointer`, nil, func(scan func(dest ...any) error) error {
		p := new(Pointer)
		err := scan(&p.ID, &p.Owner, &p.Handle, &p.State, &p.Generation, &p.Version, &p.Epoch, &p.Receipt, &p.Changed)
		x.Pointers[p.ID] = p
		return err
	})
}

func (x *Index) readLabels(tx *store.Tx) error {
	return tx.Query(`SELECT label, pointer FROM label`, nil, func(scan func(dest ...any) error) error {
		var label [16]byte
		var pointer int64
		err := scan(&label, &pointer)
		x.Labels[label] = pointer
		if p := x.Pointers[pointer]; p != nil {
			p.Labels++
			p.labels = append(p.labels, label)
		}
		return err
	})
}

func (x *Index) readFound(tx *store.Tx) error {
	return tx.Query(`SELECT ticket, pointer FROM reference`, nil, func(scan func(dest ...any) error) error {
		var ticket waypost.TicketID
		var pointer int64
		err := scan((*[32]byte)(&ticket), &pointer)
		x.Found[ticket] = append(x.Found[ticket], pointer)
		return err
	})
}

// LabelKey reads h from the folder of a hub.
func LabelKey(folder string) (h [32]byte, err error) {
	raw, err := os.ReadFile(filepath.Join(folder, "label.key"))
	if err != nil {
		return h, err
	}
	decoded, err := hex.DecodeString(strings.TrimSpace(string(raw)))
	copy(h[:], decoded)
	return h, err
}

// Label is where the counter-th record with a token stands (docs/protocol.md).
func Label(h [32]byte, epoch uint32, t waypost.Token, counter uint8) (label [16]byte) {
	m := hmac.New(sha256.New, h[:])
	m.Write([]byte("waypost label v1\n"))
	m.Write(t[:])
	m.Write([]byte{counter})
	label[0] = byte(epoch)
	copy(label[1:], m.Sum(nil))
	return label
}

// At are the pointers of a token.
func (x *Index) At(h [32]byte, epoch uint32, t waypost.Token) (pointers []*Pointer) {
	for counter := range uint8(maxCounter) {
		id, ok := x.Labels[Label(h, epoch, t, counter)]
		if !ok {
			return pointers
		}
		if p := x.Pointers[id]; p != nil {
			pointers = append(pointers, p)
		}
	}
	return pointers
}
