package toprf

import "math/big"

// lagrange returns integers c_j and a positive integer d, in lowest terms,
// such that f(x) * d = sum of c_j * f(indexes[j]) for every polynomial f of
// degree below len(indexes). The indexes are distinct.
//
// The textbook coefficients are the fractions c_j / d modulo the group order,
// 252-bit numbers. The integers themselves are tiny (3, -3, 1 over 1 for
// holders 1, 2, 3), so combining with them takes a few additions; the factor
// 1/d is folded into the scalar that removes the blind, for nothing.
func lagrange(indexes []int, x int) (c []*big.Int, d *big.Int) {
	fractions := make([]*big.Rat, len(indexes))
	d = big.NewInt(1)
	for j, xj := range indexes {
		f := big.NewRat(1, 1)
		for m, xm := range indexes {
			if m != j {
				f.Mul(f, big.NewRat(int64(x-xm), int64(xj-xm)))
			}
		}
		fractions[j] = f
		gcd := new(big.Int).GCD(nil, nil, d, f.Denom())
		d.Mul(d, new(big.Int).Div(f.Denom(), gcd))
	}
	c = make([]*big.Int, len(indexes))
	for j, f := range fractions {
		c[j] = new(big.Int).Div(new(big.Int).Mul(f.Num(), d), f.Denom())
	}
	return c, d
}

func oneBig(v *big.Int) []*big.Int { return []*big.Int{v} }

// step adds or subtracts one of the points being combined.
type step struct {
	index    int
	negative bool
}

// schedule plans sum of c_j * Q_j: for each binary digit, highest first, double
// and then take these steps. The digits are those of the non-adjacent form,
// signed and sparse: digit i of c is bit i+1 of 3c less bit i+1 of c.
func schedule(c []*big.Int) [][]step {
	digits := 0
	triple := make([]*big.Int, len(c))
	magnitude := make([]*big.Int, len(c))
	for j := range c {
		magnitude[j] = new(big.Int).Abs(c[j])
		triple[j] = new(big.Int).Mul(magnitude[j], big.NewInt(3))
		digits = max(digits, triple[j].BitLen()-1)
	}
	steps := make([][]step, digits)
	for i := range digits {
		for j := range c {
			digit := int(triple[j].Bit(i+1)) - int(magnitude[j].Bit(i+1))
			if digit != 0 {
				s := step{index: j, negative: (digit < 0) != (c[j].Sign() < 0)}
				steps[digits-1-i] = append(steps[digits-1-i], s)
			}
		}
	}
	return steps
}
