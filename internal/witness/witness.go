// Package witness cosigns the checkpoints of logs: the server and the client of
// C2SP tlog-witness, with cosignatures of type cosignature/v1 (C2SP
// tlog-cosignature).
//
// # What a cosignature says
//
// That at its time the tree of the checkpoint was the largest which this
// witness had seen of that log, and that it continues every earlier one. The
// witness holds no entry and learns none: it keeps the last tree of each log
// and checks the next one against it.
//
//	POST add-checkpoint   old size, proof, checkpoint
//	  400 malformed   404 not a log of the roster   403 not signed by it
//	  409 the old size, or the tree of that size, is not the one kept here
//	  422 the proof does not lead from the old tree to the new one
//	  200 the tree is kept, then cosigned
//
// # What it rests on
//
// The check of the old tree and the change to the new one are one transaction,
// which is durable before the cosignature leaves: neither two requests at once
// nor a crash make two cosignatures that contradict each other. All of that
// hangs on the database. A witness that lost it must get a new key, because
// under the old one it would cosign any tree as the first; and two processes
// never share a key.
package witness

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// Config names the witness.
type Config struct {
	// Name is that of its key in cosignatures; a roster names the witness of a
	// key holder by roster.WitnessName.
	Name string
}

// Deps is what a witness works with.
type Deps struct {
	Key ed25519.PrivateKey // signs nothing but cosignatures
	DB  *store.DB          // of role "witness" or "keyholder"
	// Logs returns the key of a log that is witnessed, by the log's origin. It is
	// asked again for each request. See [RosterLogs].
	Logs func(origin string) (note.Verifier, bool)
	Now  func() time.Time
	Log  *slog.Logger
}

// Server is one witness.
type Server struct {
	Deps

	signer *signer
	pace   pace
	slots  chan struct{} // one for each request that is being handled
}

// New checks the name and the key.
func New(config Config, deps Deps) (*Server, error) {
	signer, err := newSigner(config.Name, deps.Key)
	if err != nil {
		return nil, err
	}
	return &Server{Deps: deps, signer: signer, pace: newPace(), slots: make(chan struct{}, maxRequests)}, nil
}

// VerifierKey returns "name+hash+keydata" of type cosignature/v1, by which rosters
// and policies name this witness.
func (s *Server) VerifierKey() string { return s.signer.verifier }

// The reasons for which a checkpoint is not cosigned.
var (
	errMalformed = errors.New("the request is not one of tlog-witness v1")
	errOldSize   = errors.New("the old size is greater than the size of the checkpoint")
	errUnknown   = errors.New("no log of that origin is witnessed here")
	errUnsigned  = errors.New("the checkpoint is not signed by a key that its log has now")
	errProof     = errors.New("the consistency proof does not verify")
	errPace      = errors.New("the logs of this member grow too often: try again in a second")
)

// add is add-checkpoint: it returns the cosignature of the checkpoint in body,
// one line of a signed note.
func (s *Server) add(ctx context.Context, body []byte) ([]byte, error) {
	req, err := parseRequest(body)
	if err != nil {
		return nil, err
	}
	c, err := s.verify(ctx, req)
	if err != nil {
		return nil, err
	}
	at, err := s.advance(ctx, c, req)
	if err != nil {
		return nil, err
	}
	return s.signer.cosign(c.text, at), nil
}

// checkpoint is one that its log has signed.
type checkpoint struct {
	origin string
	tlog.Tree
	text string // what is cosigned: the lines before the signatures
	note []byte // with the log's signature and no other
}

// verify checks the log's signature. A log that was witnessed before and is no
// longer is told apart from one that never was.
func (s *Server) verify(ctx context.Context, req request) (checkpoint, error) {
	key, ok := s.Logs(req.origin)
	if !ok {
		known, err := s.last(ctx, req.origin)
		if err != nil {
			return checkpoint{}, err
		}
		if known.found {
			return checkpoint{}, errUnsigned
		}
		return checkpoint{}, errUnknown
	}
	n, err := note.Open(req.note, note.VerifierList(key))
	if _, wrong := errors.AsType[*note.InvalidSignatureError](err); wrong {
		return checkpoint{}, errUnsigned
	}
	if _, none := errors.AsType[*note.UnverifiedNoteError](err); none {
		return checkpoint{}, errUnsigned
	}
	if err != nil {
		return checkpoint{}, errMalformed
	}
	c, err := torchwood.ParseCheckpoint(n.Text)
	if err != nil || c.String() != n.Text || c.Origin != req.origin || c.N > maxSize {
		return checkpoint{}, errMalformed
	}
	if req.old > c.N {
		return checkpoint{}, errOldSize
	}
	signed, err := note.Sign(&note.Note{Text: n.Text, Sigs: n.Sigs})
	if err != nil {
		return checkpoint{}, err
	}
	return checkpoint{origin: c.Origin, Tree: c.Tree, text: n.Text, note: signed}, nil
}

// advance makes the tree of c the last one of its log and returns the time of
// its cosignature in Unix seconds. What will be refused is refused beside the
// writer, which has other work; what counts is the judgement in the transaction.
func (s *Server) advance(ctx context.Context, c checkpoint, req request) (at int64, err error) {
	now := s.Now().Unix()
	known, err := s.last(ctx, c.origin)
	if err != nil {
		return 0, err
	}
	if err := known.admits(req.old, c.Tree, req.proof); err != nil {
		return 0, s.contradicted(ctx, known, c, err)
	}
	if known.found && known.N == c.N && known.cosigned >= now {
		return known.cosigned, nil // a repeat, which changes nothing
	}
	if c.N > known.N && !s.pace.allow(c.origin, now) {
		return 0, errPace
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		known, err := load(tx, c.origin)
		if err != nil {
			return err
		}
		if err := known.admits(req.old, c.Tree, req.proof); err != nil {
			return err
		}
		at = max(now, known.cosigned)
		return save(tx, c, at)
	})
	return at, err
}

// contradicted keeps c where it proves that its log has signed two trees of one
// size, once for each log, and returns the refusal.
func (s *Server) contradicted(ctx context.Context, known last, c checkpoint, refusal error) error {
	if !known.found || known.N != c.N || known.Hash == c.Hash || known.forked {
		return refusal
	}
	first := false
	err := s.DB.Write(ctx, func(tx *store.Tx) (err error) {
		first, err = keepFork(tx, c)
		return err
	})
	switch {
	case err != nil:
		s.Log.Error("the proof of a fork could not be kept", "origin", c.origin, "size", c.N, "cause", err)
	case first:
		s.Log.Error("a log has signed two trees of one size: both checkpoints are kept", "origin", c.origin, "size", c.N)
	}
	return refusal
}

// Seen is what a witness keeps of one log.
type Seen struct {
	Origin     string
	Checkpoint []byte    // cosigned last, with the log's signature
	Cosigned   time.Time // when
	// Fork is two checkpoints of one size with different trees, both with the
	// log's signature; empty where the log never showed such a pair here.
	Fork [][]byte
}

// Seen lists what the witness keeps, by origin.
func (s *Server) Seen(ctx context.Context) ([]Seen, error) {
	var all []Seen
	err := s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		all, err = seen(tx)
		return err
	})
	return all, err
}

func (s *Server) last(ctx context.Context, origin string) (known last, err error) {
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		known, err = load(tx, origin)
		return err
	})
	return known, err
}

// invalid is a fault of whoever sets the witness up.
func invalid(format string, args ...any) error {
	return waypost.Errorf(waypost.InvalidArgument, "witness: "+format, args...)
}
