package roster

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/waypost/waypost"
)

// Intake takes up rosters that come from outside: each is verified, kept, and
// then in use.
type Intake struct {
	view      *View
	save      func(version uint64, signed []byte) error
	installed func(r *Roster, changes []Change) error
	mu        sync.Mutex
	told      uint64 // the newest version that installed was told of
}

// NewIntake returns the intake of a role. save keeps a version durably, before
// it counts; it may be called again with the same. installed is told of each
// version after it has taken effect, in order, until it returns nil: a role
// makes a ledger entry of it. It is not told of versions that the view has now;
// a role that starts compares them with its ledger.
func NewIntake(view *View, save func(version uint64, signed []byte) error, installed func(r *Roster, changes []Change) error) *Intake {
	return &Intake{view: view, save: save, installed: installed, told: view.Latest().Version}
}

// Take installs successors of the newest roster, like [View.Update].
func (in *Intake) Take(signed ...[]byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return errors.Join(in.take(signed), in.tell())
}

// late is how much of its Delay a version may have used up before it is made
// public.
const late = time.Hour

// Publish takes a roster that is made public here. Beyond what Take asks for,
// what it grants must lie Delay ahead of this moment, not only of the moment at
// which it says that it begins: otherwise a version that is dated back would
// grant at once.
func (in *Intake) Publish(signed []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	c, err := in.view.check(signed)
	if err != nil {
		return err
	}
	current, next := in.view.chain().last(), c.last()
	if next.Version > current.Version {
		now := in.view.now()
		if err := tooSoon(current.Roster, next.Roster, now, now.Add(Delay-late)); err != nil {
			return err
		}
	}
	return errors.Join(in.take([][]byte{signed}), in.tell())
}

func (in *Intake) take(signed [][]byte) error {
	c, err := in.view.check(signed...)
	if err != nil {
		return err
	}
	for _, x := range c {
		if x.Version > in.view.Latest().Version {
			if err := in.save(x.Version, x.signed); err != nil {
				return waypost.Errorf(waypost.Internal, "roster version %d cannot be kept", x.Version).WithCause(err)
			}
		}
	}
	return in.view.Update(signed...)
}

// tell makes up for what installed was not told yet.
func (in *Intake) tell() error {
	c := in.view.chain()
	for _, x := range c {
		if x.Version <= in.told {
			continue
		}
		var before *Roster
		if old := c.version(x.Version - 1); old != nil {
			before = old.Roster
		}
		if err := in.installed(x.Roster, Changes(before, x.Roster)); err != nil {
			return waypost.Errorf(waypost.Internal, "roster version %d is in force, but not recorded", x.Version).WithCause(err)
		}
		in.told = x.Version
	}
	return nil
}

// Handler is the part of a public door where rosters are had and published:
// GET /roster/latest, GET /roster/<version>, POST /roster. A roster is public
// and authenticates itself, so that whoever brings one may.
func (in *Intake) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /roster/latest", func(w http.ResponseWriter, _ *http.Request) {
		in.serve(w, in.view.Latest().Version, "no-cache")
	})
	mux.HandleFunc("GET /roster/{version}", func(w http.ResponseWriter, r *http.Request) {
		version, err := strconv.ParseUint(r.PathValue("version"), 10, 64)
		if err != nil {
			http.Error(w, "a roster has a number", http.StatusNotFound)
			return
		}
		in.serve(w, version, "max-age=31536000, immutable")
	})
	busy := make(chan struct{}, 2) // those who bring garbage do not take the machine
	mux.HandleFunc("POST /roster", func(w http.ResponseWriter, r *http.Request) {
		signed, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNote))
		if err != nil {
			http.Error(w, "the roster is too large, or did not arrive", http.StatusBadRequest)
			return
		}
		// Not before it is here: those who send slowly would keep others out.
		select {
		case busy <- struct{}{}:
			defer func() { <-busy }()
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "others are publishing: try again in a second", http.StatusServiceUnavailable)
			return
		}
		if err := in.Publish(signed); err != nil {
			http.Error(w, err.Error(), statusOf(err))
		}
	})
	return mux
}

func (in *Intake) serve(w http.ResponseWriter, version uint64, caching string) {
	signed, ok := in.view.Signed(version)
	if !ok {
		http.Error(w, "this version is not known here", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", caching)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(signed)
}

func statusOf(err error) int {
	switch waypost.CodeOf(err) {
	case waypost.InvalidArgument:
		return http.StatusBadRequest
	case waypost.PermissionDenied:
		return http.StatusForbidden
	case waypost.AlreadyExists:
		return http.StatusConflict
	case waypost.Expired:
		return http.StatusUnprocessableEntity
	}
	return http.StatusInternalServerError
}
