package records_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/records"
)

func rand16() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])[:16]
}

// lives is how many are played: more with WAYPOST_TEST_LIVES.
var lives = func() uint64 {
	n, err := strconv.ParseUint(os.Getenv("WAYPOST_TEST_LIVES"), 10, 32)
	if err != nil {
		return 4
	}
	return n
}()

// a life is what happens to one record: the names it has, one after another, and
// which of them are kept.
type step struct {
	person waypost.Person
	keep   bool
}

// TestAlike: what the hub is shown of a life, it is shown in the same shape
// whether the person has an SSN or not: the same publications of the same kinds,
// of which as many tokens repeat from as many earlier pointers. And no token is
// ever live twice for one person.
func TestAlike(t *testing.T) {
	for seed := range lives {
		life := makeLife(mrand.New(mrand.NewPCG(seed, 1)))
		with, without := newRig(t), newRig(t)
		a := with.live(life, "48213")
		b := without.live(life, "")
		if a != b {
			t.Errorf("life %d: with an SSN the hub sees\n%s\nand without\n%s", seed, a, b)
		}
	}
}

// makeLife draws names that share parts.
func makeLife(r *mrand.Rand) (life []step) {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	for range 2 + r.IntN(5) {
		life = append(life, step{waypost.Person{
			Family: pick("Kowalczyk", "Ferrante", "Kowalski"), Given: pick("Ludmila", "Lidia", "Ludmilla"), Middle: pick("", "Ann", "A"), Sex: "F",
			Born: waypost.Date{Year: 1961, Month: 4 + r.IntN(2), Day: 17 + r.IntN(2)},
		}, r.IntN(2) == 0})
	}
	return life
}

// live plays a life and tells what the hub saw of it.
func (r *rig) live(life []step, ssn5 string) (saw string) {
	r.t.Helper()
	first := life[0].person
	first.SSN5 = ssn5
	r.load(0, licence("CA-1", first))
	for _, s := range life[1:] {
		who := s.person
		who.SSN5 = ssn5
		if _, err := r.file.Change(r.t.Context(), "clerk", licence("CA-1", who), s.keep); err != nil {
			r.t.Fatal(err)
		}
		seen := make(map[waypost.Token]bool)
		for _, p := range r.hub.pointers {
			if !p.live {
				continue
			}
			for token := range p.tokens {
				if seen[token] {
					r.t.Error("a token is live twice for one person")
				}
				seen[token] = true
			}
		}
	}
	return r.hub.transcript()
}

// transcript is all that the hub can make of what it was shown.
func (h *hub) transcript() (text string) {
	place := make(map[waypost.Handle]int)
	for i, s := range h.shown {
		place[s.handle] = i
		text += fmt.Sprintf("%d: %s", i, s.kind)
		if s.supersedes != (waypost.Handle{}) {
			text += fmt.Sprintf(" in the place of %d", place[s.supersedes])
		}
		for j, earlier := range h.shown[:i] {
			n := 0
			for token := range s.tokens {
				if earlier.tokens[token] {
					n++
				}
			}
			if n > 0 {
				text += fmt.Sprintf(", %d tokens of %d", n, j)
			}
		}
		text += "\n"
	}
	return text
}

// TestAlikeIssued: the same for what is issued with former names, and after a
// pointer came from another state.
func TestAlikeIssued(t *testing.T) {
	var saw []string
	for _, ssn5 := range []string{"48213", ""} {
		r := newRig(t)
		who := waypost.Person{Family: "Ferrante", Given: "Ludmila", Sex: "F", Born: waypost.Date{Year: 1961, Month: 4, Day: 17}, SSN5: ssn5}
		former := who
		former.Family = "Kowalczyk"
		check := r.checked(who)
		published, err := r.file.Issue(context.Background(), "clerk", records.Issuing{Ticket: check, Record: licence("CA-1", who), Former: []waypost.Person{former}})
		if err != nil || !published {
			t.Fatal(published, err)
		}
		who.Family, who.Born.Year = "Abernathy", 1950
		r.takeIn("CA-2", who, ssn5)
		who.Family = "Moretti"
		if _, err := r.file.Change(t.Context(), "clerk", licence("CA-2", who), false); err != nil {
			t.Fatal(err)
		}
		who.Given = "Lidia"
		if _, err := r.file.Change(t.Context(), "clerk", licence("CA-2", who), true); err != nil {
			t.Fatal(err)
		}
		saw = append(saw, r.hub.transcript())
	}
	if saw[0] != saw[1] {
		t.Errorf("with an SSN the hub sees\n%s\nand without\n%s", saw[0], saw[1])
	}
}
