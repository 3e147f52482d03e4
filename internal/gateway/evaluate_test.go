package gateway_test

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/install"
)

func altered(change func(*waypostv1.EvaluateResponse)) conduct {
	return func(_ context.Context, honest func() (*waypostv1.EvaluateResponse, error)) (*waypostv1.EvaluateResponse, error) {
		res, err := honest()
		if err == nil {
			change(res)
		}
		return res, err
	}
}

// TestBadHolders: an answer that is not proved, or whose receipt is not for it,
// is worth nothing; its maker is named and others are asked. Any two may do so.
func TestBadHolders(t *testing.T) {
	for name, change := range map[string]func(*waypostv1.EvaluateResponse){
		"a proof with a bit changed": func(r *waypostv1.EvaluateResponse) { r.Proof[7] ^= 1 },
		"no proof":                   func(r *waypostv1.EvaluateResponse) { r.Proof = nil },
		"a long proof":               func(r *waypostv1.EvaluateResponse) { r.Proof = append(r.Proof, 0) },
		"two elements exchanged": func(r *waypostv1.EvaluateResponse) {
			r.Elements = append(r.Elements[32:64:64], append(r.Elements[:32:32], r.Elements[64:]...)...)
		},
		"an element missing":           func(r *waypostv1.EvaluateResponse) { r.Elements = r.Elements[32:] },
		"a receipt with a bit changed": func(r *waypostv1.EvaluateResponse) { r.Receipt[50] ^= 1 },
		"no receipt":                   func(r *waypostv1.EvaluateResponse) { r.Receipt = nil },
		"a receipt that falls due next year": func(r *waypostv1.EvaluateResponse) {
			r.Receipt = signedAgain(r.Receipt, func(x *waypost.Receipt) { x.Deadline = x.Deadline.AddDate(1, 0, 0) })
		},
		"a receipt for a log that nobody reads": func(r *waypostv1.EvaluateResponse) {
			r.Receipt = signedAgain(r.Receipt, func(x *waypost.Receipt) { x.Origin += "000" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(logged.String())
			with(t, altered(change), "keyholder-2", "keyholder-3")
			// Who is asked first is chance: sooner or later one of the two is.
			eventually(t, "one of them is named in the log", func() bool {
				if a := check(t, "AZ", someone()); a.Owed || !a.Complete {
					t.Errorf("answer %+v, want a complete one", a)
				}
				lines := logged.String()[before:]
				return strings.Contains(lines, `"holder":"keyholder-2"`) || strings.Contains(lines, `"holder":"keyholder-3"`)
			})
		})
	}
}

// signedAgain is a receipt with a change, by the key of its signer.
func signedAgain(receipt []byte, change func(*waypost.Receipt)) []byte {
	r, err := waypost.ParseReceipt(receipt)
	if err != nil {
		panic(err)
	}
	f, err := install.OpenFolder(filepath.Join(exchangeDir, r.Signer), time.Now)
	if err != nil {
		panic(err)
	}
	change(&r.Receipt)
	signed, err := r.Receipt.Sign(f.Identity)
	if err != nil {
		panic(err)
	}
	return signed.Bytes()
}

// TestRefusals: one holder's no is not everybody's, and everybody's no is told
// to the clerk.
func TestRefusals(t *testing.T) {
	refuse := func(context.Context, func() (*waypostv1.EvaluateResponse, error)) (*waypostv1.EvaluateResponse, error) {
		return nil, waypost.Errorf(waypost.QuotaExceeded, "AZ has used its quota")
	}
	with(t, refuse, "keyholder-1", "keyholder-2")
	if a := check(t, "AZ", someone()); a.Owed {
		t.Error("two refusals of five make a check owed")
	}
	with(t, refuse, "keyholder-1", "keyholder-2", "keyholder-3")
	if _, err := exchange.Gateway("AZ").Check(t.Context(), gateway.Applicant{Person: someone()}, clerk); waypost.CodeOf(err) != waypost.QuotaExceeded {
		t.Errorf("three refusals of five: %v, want the refusal", err)
	}
	if n, err := exchange.Gateway("AZ").Count(t.Context(), `SELECT count(*) FROM inquiry WHERE due IS NOT NULL AND state <> 1`); n != 0 || err != nil {
		t.Errorf("%d checks are owed after a refusal (%v)", n, err)
	}
}

// TestSilentHolders: who does not answer at all costs a moment, and not the
// check, though the budget for hedging is used up.
func TestSilentHolders(t *testing.T) {
	silent := func(ctx context.Context, _ func() (*waypostv1.EvaluateResponse, error)) (*waypostv1.EvaluateResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	with(t, silent, "keyholder-2", "keyholder-5")
	var checking sync.WaitGroup
	for range 15 {
		checking.Go(func() {
			if a := check(t, "AZ", someone()); a.Owed {
				t.Error("two silent holders of five make a check owed")
			}
		})
	}
	checking.Wait()
	trouble.mu.Lock()
	defer trouble.mu.Unlock()
	if n := trouble.asked; n < 3*15 || n > 5*15 {
		t.Errorf("%d holders were asked for 15 checks", n)
	}
}

// TestHedgeBudget: ten in hand, and one earned by ten checks.
func TestHedgeBudget(t *testing.T) {
	b := gateway.NewHedgeBudget()
	spent := func() (n int) {
		for b.Spend() {
			n++
		}
		return n
	}
	if n := spent(); n != 10 {
		t.Errorf("%d hedges in hand, want 10", n)
	}
	for range 31 {
		b.Earn()
	}
	if n := spent(); n != 3 {
		t.Errorf("%d hedges for 31 checks, want 3", n)
	}
	for range 1000 {
		b.Earn()
	}
	if n := spent(); n != 10 {
		t.Errorf("%d hedges were saved up, want 10", n)
	}
}
