package publisher

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/witness"
	"github.com/waypost/waypost/translog"
)

// greet asks the witnesses what they know of this log before the process signs
// anything: database and folder may have been copied back from an older time,
// and then only the witnesses know. As many must agree as a checkpoint needs.
// Nothing is lost by waiting for them, since nothing is shown without them; and
// what is signed cannot be taken back.
func (p *Publisher) greet(ctx context.Context) error {
	if p.greeted || p.edge.size < p.signed.N || p.journal == 0 {
		return nil
	}
	var err error
	if p.signed.N == 0 {
		err = p.probe(ctx)
	} else {
		p.quiet = p.journal > p.signed.N // what they say of it is not for readers: there is more
		err = p.confirm(ctx)
		p.quiet = false
	}
	p.greeted = err == nil
	return err
}

// probe asks about a log of which nothing but the journal is here: a new one, or
// one whose folder was lost. It signs the empty tree, with which every log
// begins; a witness that knows a larger one says its size.
func (p *Publisher) probe(ctx context.Context) error {
	policy, err := p.Policy()
	if err != nil {
		return err
	}
	signed, err := p.signedNote(tlog.Tree{Hash: sha256.Sum256(nil)}, nil)
	if err != nil {
		return err
	}
	witnesses, journal := p.Witnesses(), p.journal
	answers := make(chan answer, len(witnesses))
	asking, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	for _, w := range witnesses {
		p.work.Go(func() {
			_, err := w.Cosign(asking, 0, nil, signed)
			answers <- answer{name: w.Name(), err: outruns(w.Name(), journal, err)}
		})
	}
	agreed := make(map[string]bool)
	var failed []error
	for range witnesses {
		if Suffice(policy, agreed) {
			break
		}
		a := <-answers
		if agreed[a.name] = a.err == nil; a.err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", a.name, a.err))
		}
	}
	if Suffice(policy, agreed) {
		return nil
	}
	return fmt.Errorf("publisher: nothing is signed for %s before enough witnesses have said that they know no more of it: %w", p.config.Origin, errors.Join(failed...))
}

// outruns returns nil where the answer of a witness to the empty tree says that
// it knows no more than the journal holds.
func outruns(name string, journal int64, err error) error {
	conflict, ok := errors.AsType[*witness.ConflictError](err)
	switch {
	case ok && conflict.Size > journal:
		return fmt.Errorf("%w: %s has one of %d entries, the journal holds %d: it is an older copy; bring back the newest", errOutrun, name, conflict.Size, journal)
	case ok, waypost.CodeOf(err) == waypost.InvalidArgument: // or that it takes no empty tree
		return nil
	}
	return err
}

// Suffice reports whether these witnesses are as many as the policy asks for.
func Suffice(policy translog.Policy, names map[string]bool) bool {
	for _, g := range policy.Groups {
		n := 0
		for _, w := range g.Witnesses {
			if names[w.Name()] {
				n++
			}
		}
		if n < g.Need {
			return false
		}
	}
	return true
}
