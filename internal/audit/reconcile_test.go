package audit

import (
	"crypto/ed25519"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

func signWith(key ed25519.PrivateKey, b []byte) []byte { return ed25519.Sign(key, b) }

const aMonth = 30 * 24 * 3600

// TestHonest: whatever goes wrong in an honest exchange, and wherever its
// ledgers are cut, nothing is found: neither by one audit, nor by audits that
// each read what is new since the last.
func TestHonest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		x := newExchange(t, "", genQuota)
		s := newSim(x, rapid.Uint64().Draw(rt, "seed"))
		for _, m := range x.members {
			x.skew[m] = rapid.Int64Range(-12, 12).Draw(rt, "skew")
		}
		checks := rapid.IntRange(1, 40).Draw(rt, "checks")
		for range checks {
			s.in(s.rng.Int64N(1200), s.newCheck)
		}
		for range checks / 10 {
			s.in(s.rng.Int64N(1200), s.load)
		}
		file := filepath.Join(t.TempDir(), "state")
		cuts := rapid.SliceOfN(rapid.Int64Range(1, 400), 1, 6).Draw(rt, "cuts")
		for _, c := range append(cuts, 4000, 3*24*3600, 8*24*3600, aMonth, 3*aMonth) {
			until := s.now + c
			s.cut(until)
			for _, o := range []Options{x.options(until), x.options(until)} {
				if c > aMonth {
					o.Now = o.Now.Add(1)
				}
				expect(rt, o, nil, "")
			}
			o := x.options(until)
			o.State = file
			rep := expect(rt, o, nil, "")
			if c >= 3*aMonth && rep.Open != 0 {
				rt.Fatalf("%d tickets are open after a month", rep.Open)
			}
		}
	})
}

// cut plays until the time and publishes each log as far as it has got.
func (s *sim) cut(until int64) {
	s.run(until)
	s.daily(until)
	for _, name := range s.members {
		l := s.logs[name]
		if l.cosigned != 0 && !s.calm && s.rng.IntN(5) == 0 && until-l.cosigned < 500 {
			continue // slow
		}
		cosigned := until - s.rng.Int64N(5)
		delay := s.rng.Int64N(60)
		if s.calm {
			cosigned, delay = until, 0
		}
		l.publish(cosigned-delay, cosigned, s.witnesses...)
	}
}

type fataler interface{ Fatalf(string, ...any) }

// expect reconciles; all findings must be of the kinds and against the culprit,
// and there must be one if kinds are given.
func expect(t fataler, o Options, kinds []string, culprit string) *Report {
	rep, err := Reconcile(ctx, o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	found := false
	for _, f := range rep.Findings {
		if f.Member != culprit {
			t.Fatalf("%s is accused, not %s: %+v\nall: %+v", f.Member, culprit, f, rep.Findings)
		}
		found = found || len(kinds) > 0 && f.Kind == kinds[0]
	}
	if len(kinds) > 0 && !found {
		t.Fatalf("%s by %s was not found: %+v", kinds[0], culprit, rep.Findings)
	}
	return rep
}

// planted are the cheats of tickets, and what must be found.
var planted = map[string]string{
	"evaluation_without_owner": EvaluationWithoutOwner,
	"forged_evaluation":        EvaluationWithoutOwner,
	"dropped_evaluation":       ReceiptMissed,
	"too_few":                  SearchWithoutQuorum,
	"other_evaluation":         SearchWithoutQuorum,
	"unlogged_search":          UnloggedSearch,
	"undelivered":              UnloggedSearch,
	"false_place":              UnloggedSearch,
	"invented_answer":          UnloggedSearch,
	"hidden_candidate":         NeverAsked,
	"false_outcome":            UnloggedDisclosure,
	"unlogged_decline":         UnloggedDisclosure,
	"unlogged_disclosure":      UnloggedDisclosure,
	"never_asked":              NeverAsked,
	"misuse":                   Misuse,
	"unfinished":               Unfinished,
	"over_published":           PublicationMismatch,
	"under_reported":           PublicationMismatch,
}

// TestCheats: one cheat among honest checks is found and names who cheated, by
// one audit of everything and by one that had read the beginning before.
func TestCheats(t *testing.T) {
	for cheat, kind := range planted {
		t.Run(cheat, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				x := newExchange(t, "", genQuota)
				s := newSim(x, rapid.Uint64().Draw(rt, "seed"))
				for range 15 {
					s.in(s.rng.Int64N(300), s.newCheck)
				}
				s.in(5, s.load)
				s.in(200, s.load)
				s.cut(s.now + 100)
				file := filepath.Join(t.TempDir(), "state")
				o := x.options(s.now)
				o.State = file
				expect(rt, o, nil, "")
				s.cheat = cheat
				for i := range 30 {
					s.in(100+int64(i), s.newCheck)
				}
				for range 10 {
					s.in(s.rng.Int64N(300), s.load)
				}
				s.cut(s.now + 3*aMonth)
				if s.culprit == "" {
					return // no occasion
				}
				s.cut(s.now + 1000)
				expect(rt, x.options(s.now), []string{kind}, s.culprit)
				o = x.options(s.now)
				o.State = file
				expect(rt, o, []string{kind}, s.culprit)
				if rep := expect(rt, o, nil, s.culprit); len(rep.Findings) != 0 {
					rt.Fatalf("found again: %+v", rep.Findings)
				}
			})
		})
	}
}
