package toprf

import "fmt"

// BadEvaluationError names a key holder whose answer is malformed or not
// proved. Together with the signed answer it is evidence against that holder.
type BadEvaluationError struct {
	Index  int    // the holder, counted from 1
	Reason string // "wrong number of elements", "bad element" or "bad proof"
}

// Error says who and what.
func (e *BadEvaluationError) Error() string {
	return fmt.Sprintf("toprf: key holder %d: %s", e.Index, e.Reason)
}

// Verified is an answer whose proof has been checked. Only PublicKeys.Verify
// makes one, so that nothing unproved can be combined.
type Verified struct {
	index    int
	elements []Element
	keys     [32]byte // the PublicKeys it was checked under
	batch    [32]byte // the blinded elements it answers
}

// Index is the holder who answered, counted from 1.
func (v Verified) Index() int { return v.index }

// Verify checks the answer of holder index to the blinded elements against the
// holder's public share. Anything wrong with the answer is a
// *BadEvaluationError that names the holder.
func (k *PublicKeys) Verify(index int, blinded []Element, e Evaluation, opts ...Option) (Verified, error) {
	key, err := k.Share(index)
	if err != nil {
		return Verified{}, err
	}
	if len(blinded) == 0 || len(blinded) > MaxBatch {
		return Verified{}, ErrBatch
	}
	if !allValid(blinded) {
		return Verified{}, ErrElement
	}
	if len(e.Elements) != len(blinded)*ElementSize {
		return Verified{}, &BadEvaluationError{index, "wrong number of elements"}
	}
	evaluated, err := DecodeElements(e.Elements, len(blinded), opts...)
	if err != nil {
		return Verified{}, &BadEvaluationError{index, "bad element"}
	}
	if !verifiableSuite.verify(&key, blinded, evaluated, &e.Proof, opts) {
		return Verified{}, &BadEvaluationError{index, "bad proof"}
	}
	return Verified{index: index, elements: evaluated, keys: k.id, batch: batchID(blinded)}, nil
}

// Combined is the evaluation of a batch under the group key, still blinded and
// still multiplied by a small public denominator.
type Combined struct {
	points      []point
	denominator publicScalar
	batch       [32]byte
}

// Combine puts the answers of a threshold of holders together: Lagrange
// interpolation in the exponent. It uses the first threshold of them. Too few,
// two from one holder, answers to different requests or checked under other
// keys are ErrShares.
func (k *PublicKeys) Combine(answers []Verified, opts ...Option) (*Combined, error) {
	if len(answers) < k.threshold {
		return nil, ErrShares
	}
	answers = answers[:k.threshold]
	indexes := make([]int, len(answers))
	seen := make(map[int]bool, len(answers))
	for i, a := range answers {
		if a.keys != k.id || a.batch != answers[0].batch || seen[a.index] {
			return nil, ErrShares
		}
		seen[a.index], indexes[i] = true, a.index
	}
	coefficients, denominator := lagrange(indexes, 0)
	c := &Combined{points: make([]point, len(answers[0].elements)), batch: answers[0].batch}
	c.denominator.setBig(denominator)
	steps := schedule(coefficients)
	err := spread(opts, len(c.points), func(lo, hi int) error {
		terms := make([]*point, len(answers))
		for i := lo; i < hi; i++ {
			for j := range answers {
				terms[j] = &answers[j].elements[i].p
			}
			c.points[i].sumSteps(steps, terms)
			if c.points[i].isIdentity() {
				return ErrElement
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}
