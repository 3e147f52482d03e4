package journal

import (
	"bytes"
	"context"
	"errors"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/translog"
)

// maxDeclared is among how many leaves of a successor those stand with which it begins.
const maxDeclared = 32

// ReadSuccession reads from a published log what it says about the log of the same member
// that has the given number, and verifies that it stands in the log: at what index, under
// the checkpoint, which the caller has verified. role is that of the member. fs.ErrNotExist
// is wrapped where the log says nothing.
//
// policy is that of the closed log: the tree that is said to have been seen of it must have
// been signed and cosigned.
func ReadSuccession(ctx context.Context, r translog.Reader, cp translog.Checkpoint, role string, policy translog.Policy) (s Succession, index int64, err error) {
	path, err := successorPath(policy.Origin)
	if err != nil {
		return s, 0, err
	}
	opened, err := r.ReadEndpoint(ctx, path)
	if err != nil {
		return s, 0, err
	}
	e, err := translog.ParseEntry(opened)
	if err != nil {
		return s, 0, err
	}
	if s, err = ParseSuccession(e); err != nil {
		return s, 0, err
	}
	bad := func(words string) error {
		return waypost.Errorf(waypost.InvalidArgument, "%s says that it succeeds %s, and %s", cp.Origin, policy.Origin, words)
	}
	if s.Predecessor != policy.Origin {
		return s, 0, bad("means another log")
	}
	if err := s.confirmed(policy); err != nil {
		return s, 0, bad(err.Error())
	}
	want := e.Leaf(role, cp.Origin)
	for index := range min(maxDeclared, cp.N) {
		leaf, _, err := translog.Leaf(ctx, r, cp, index)
		if err != nil {
			return s, 0, err
		}
		if bytes.Equal(leaf, want) {
			return s, index, nil
		}
	}
	return s, 0, bad("none of its first entries is that")
}

// confirmed checks that the tree which is said to have been seen was signed and cosigned.
func (s Succession) confirmed(policy translog.Policy) error {
	if s.Seen.N == 0 && len(s.Checkpoint) == 0 {
		return nil
	}
	c, err := policy.Verify(s.Checkpoint)
	if err == nil && c.Tree != (tlog.Tree{N: s.Seen.N, Hash: s.Seen.Hash}) {
		err = errors.New("its checkpoint is of another tree")
	}
	return err
}

// successorPath is where a successor publishes what it says of a log.
func successorPath(origin string) (string, error) {
	log, err := checkOrigin(origin)
	if err != nil {
		return "", err
	}
	return "successor/" + strconv.FormatInt(log, 10), nil
}
