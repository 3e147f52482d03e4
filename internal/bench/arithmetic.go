package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/bench/holder"
	"github.com/waypost/waypost/toprf"
)

// GroupReport is the group arithmetic on one core. Maps are by batch size, or
// by step.
type GroupReport struct {
	Holder    map[string]float64 `json:"holder_elements_per_second"`
	Circl     map[string]float64 `json:"circl_elements_per_second"`
	Libsodium map[string]float64 `json:"libsodium_elements_per_second,omitempty"` // where it was built in
	Steps     map[string]float64 `json:"group_us"`                                // median of one step of a check
	PerCheck  float64            `json:"arithmetic_ms_per_check"`                 // all parties together
}

var batches = []int{32, 1000}

// measureGroup runs on one core, garbage collection included.
func measureGroup(ctx context.Context, c Config) (*GroupReport, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	r := &GroupReport{Holder: map[string]float64{}, Circl: map[string]float64{}, Libsodium: map[string]float64{}}
	budget := max(c.Duration/10, 50*time.Millisecond) // for each contender
	for i, n := range batches {
		c.Progress("group arithmetic", i, len(batches)+1)
		rates, err := holder.Compare(n, budget)
		if err != nil {
			return nil, err
		}
		size := strconv.Itoa(n)
		r.Holder[size], r.Circl[size] = rates.Toprf, rates.Circl
		if rates.Libsodium > 0 {
			r.Libsodium[size] = rates.Libsodium
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	c.Progress("group arithmetic", len(batches), len(batches)+1)
	a, err := newArithmetic()
	if err != nil {
		return nil, err
	}
	r.Steps, r.PerCheck, err = a.medians(budget)
	c.Progress("group arithmetic", len(batches)+1, len(batches)+1)
	return r, err
}

// The exchange that is measured: any three of five key holders make a token.
const (
	threshold = 3
	holders   = 5
)

// arithmetic is what all parties compute in the group for one check with one
// true candidate: the asking gateway, a quorum of key holders, and the state
// of record, which recomputes the name probes from the applicant.
type arithmetic struct {
	keys   *toprf.PublicKeys
	shares []toprf.Share
	inputs [][]byte

	seed        [32]byte
	blinding    *toprf.Blinding
	wire        []byte
	evaluations [threshold]toprf.Evaluation
	answers     [threshold]toprf.Verified
	combined    *toprf.Combined
}

func newArithmetic() (*arithmetic, error) {
	a := &arithmetic{inputs: make([][]byte, waypost.CheckElements)}
	for i := range a.inputs {
		a.inputs[i] = make([]byte, 32) // as a match key
		_, _ = rand.Read(a.inputs[i])  // never fails (Go 1.24)
	}
	var err error
	a.keys, a.shares, err = toprf.Generate(threshold, holders)
	return a, err
}

// step is a part of the arithmetic, done by so many parties for each check.
type step struct {
	name  string
	times int
	work  func(a *arithmetic, party int) error
}

var steps = []step{
	{"blind_32", 1, (*arithmetic).blind},
	{"evaluate_32", threshold, (*arithmetic).evaluate},
	{"verify_32", threshold, (*arithmetic).verify},
	{"combine_32", 1, (*arithmetic).combine},
	{"finalize_32", 1, (*arithmetic).finalize},
	{"recompute_20", 1, (*arithmetic).recompute},
}

func (a *arithmetic) blind(int) (err error) {
	_, _ = rand.Read(a.seed[:]) // never fails (Go 1.24)
	a.blinding, err = toprf.BlindAll(a.inputs, a.seed)
	if err == nil {
		a.wire = toprf.EncodeElements(a.blinding.Elements())
	}
	return err
}

func (a *arithmetic) evaluate(party int) error {
	blinded, err := toprf.DecodeElements(a.wire, waypost.CheckElements)
	if err != nil {
		return err
	}
	a.evaluations[party], err = a.shares[party].Evaluate(blinded, a.seed[:])
	return err
}

func (a *arithmetic) verify(party int) (err error) {
	a.answers[party], err = a.keys.Verify(party+1, a.blinding.Elements(), a.evaluations[party])
	return err
}

func (a *arithmetic) combine(int) (err error) {
	a.combined, err = a.keys.Combine(a.answers[:])
	return err
}

func (a *arithmetic) finalize(int) error {
	_, err := a.blinding.Finalize(a.combined)
	return err
}

func (a *arithmetic) recompute(int) error {
	for i, input := range a.inputs[:waypost.NameElements] {
		if _, err := toprf.Blind(input, a.blinding.Scalar(i)); err != nil {
			return err
		}
	}
	return nil
}

// once does the arithmetic of one check and tells how long each step took.
func (a *arithmetic) once(took func(step string, d time.Duration)) error {
	for _, s := range steps {
		for party := range s.times {
			start := time.Now()
			if err := s.work(a, party); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			took(s.name, time.Since(start))
		}
	}
	return nil
}

// medians returns the median of each step in microseconds, and what they sum
// up to for a check in milliseconds. A median forgets the moments in which
// something else had the core.
func (a *arithmetic) medians(budget time.Duration) (map[string]float64, float64, error) {
	all := make(map[string][]time.Duration)
	for start := time.Now(); len(all) == 0 || time.Since(start) < budget; {
		if err := a.once(func(s string, d time.Duration) { all[s] = append(all[s], d) }); err != nil {
			return nil, 0, err
		}
	}
	us, sum := make(map[string]float64, len(steps)), 0.0
	for _, s := range steps {
		slices.Sort(all[s.name])
		us[s.name] = float64(quantile(all[s.name], 0.5).Nanoseconds()) / 1e3
		sum += us[s.name] * float64(s.times)
	}
	return us, sum / 1e3, nil
}

// arithmeticAlone returns for how many checks a second all cores of this
// machine can do the group arithmetic when there is nothing else to do, and
// the processor time that one takes meanwhile: 0 where the system does not
// tell.
func arithmeticAlone(budget time.Duration) (perSecond float64, each time.Duration, err error) {
	n := runtime.NumCPU()
	all := make([]*arithmetic, n)
	for core := range n {
		if all[core], err = newArithmetic(); err != nil {
			return 0, 0, err
		}
	}
	done, errs := make([]int, n), make([]error, n)
	before, _ := ProcessorTime(os.Getpid())
	start := time.Now()
	var working sync.WaitGroup
	for core, a := range all {
		working.Go(func() {
			for errs[core] == nil && time.Since(start) < budget {
				errs[core] = a.once(func(string, time.Duration) {})
				done[core]++
			}
		})
	}
	working.Wait()
	spent := time.Since(start)
	after, _ := ProcessorTime(os.Getpid())
	total := 0
	for core := range n {
		total += done[core]
	}
	return float64(total) / spent.Seconds(), (after - before) / time.Duration(total), errors.Join(errs...)
}
