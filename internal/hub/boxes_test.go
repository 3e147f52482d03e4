package hub

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// Whatever this process has heard of a box, in whatever order, and whatever
// another process has put into it: what a member is given begins with the first
// message that it is not done with, and leaves none out. Once all is told, there
// is nothing that it does not get.
func TestBoxes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const me = "CA"
		b := newBoxes()
		b.of[me] = &box{rung: make(chan struct{}), look: true, through: 7, solid: 7}
		last, done := uint64(7), uint64(7)
		var untold []uint64 // committed here
		foreign := false    // another process has committed, and nobody here knows
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		content := make([]byte, rapid.SampledFrom([]int{1, maxBytes / 3}).Draw(t, "size"))
		receive := func() []*waypostv1.Mail {
			list, known, after := b.waiting(me, limit)
			if known {
				return list
			}
			for n := after + 1; n <= last && len(list) < limit; n++ {
				list = append(list, &waypostv1.Mail{Sequence: n, Sealed: content})
			}
			b.found(me, list, last, after+uint64(len(list)) == last)
			return list
		}
		t.Repeat(map[string]func(*rapid.T){
			"commit": func(*rapid.T) {
				last++
				untold = append(untold, last)
			},
			"tell": func(t *rapid.T) {
				if len(untold) == 0 {
					t.Skip("nothing to tell")
				}
				i := rapid.IntRange(0, len(untold)-1).Draw(t, "which")
				rung := b.listen(me)
				b.put(mail{recipient: me, sequence: untold[i], sealed: content})
				untold = slices.Delete(untold, i, i+1)
				select {
				case <-rung:
				default:
					t.Fatal("who waits was not woken")
				}
			},
			"commit elsewhere": func(*rapid.T) { last, foreign = last+1, true },
			"ring":             func(*rapid.T) { b.ring(me); foreign = false },
			"receive": func(t *rapid.T) {
				list := receive()
				for i, m := range list {
					if m.Sequence != done+1+uint64(i) {
						t.Fatalf("message %d comes where %d was due", m.Sequence, done+1+uint64(i))
					}
				}
				if len(list) == 0 && done < last && len(untold) == 0 && !foreign {
					t.Fatalf("nothing comes while %d to %d lie there", done+1, last)
				}
				if len(list) > 0 && rapid.Bool().Draw(t, "acknowledged") {
					done = list[rapid.IntRange(0, len(list)-1).Draw(t, "through")].Sequence
					if !b.given(me, done) {
						t.Fatalf("a message was given out that has no number: %d", done)
					}
					b.acknowledge(me, done)
				}
			},
			"": func(t *rapid.T) {
				if one := b.of[me]; len(one.recent) > maxReceive || one.size > maxBytes {
					t.Fatalf("%d messages of %d bytes lie in memory", len(one.recent), one.size)
				}
			},
		})
	})
}
