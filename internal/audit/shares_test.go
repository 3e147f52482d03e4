package audit

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/roster"
)

// TestUnsignedShare: a key holder that takes up a roster has signed the ceremony in
// which its share was made, and says so in its ledger before.
func TestUnsignedShare(t *testing.T) {
	made := roster.Digest{7}
	for name, c := range map[string]struct {
		note func(s *sim)
		want []string
	}{
		"signed": {func(s *sim) {
			s.note(s.now, "keyholder-4", "ceremony", map[string]string{"step": "signed", "transcript": hex.EncodeToString(made[:])})
		}, nil},
		"opened only": {func(s *sim) {
			s.note(s.now, "keyholder-4", "ceremony", map[string]string{"step": "opened"})
		}, []string{UnsignedShare}},
		"another": {func(s *sim) {
			s.note(s.now, "keyholder-4", "ceremony", map[string]string{"step": "signed", "transcript": "00"})
		}, []string{UnsignedShare}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(newExchange(t, "", genQuota), 7)
			s.calm = true
			first := s.options(s.now).Rosters[0]
			next, err := first.Successor(time.Unix(s.now, 0), first.NotAfter)
			must(t, err)
			next.Ceremony = made
			hash, err := next.Hash()
			must(t, err)
			c.note(s)
			for _, name := range s.members {
				if strings.HasPrefix(name, "keyholder-") && name != "keyholder-4" {
					s.note(s.now, name, "ceremony", map[string]string{"step": "signed", "transcript": hex.EncodeToString(made[:])})
				}
				s.note(s.now, name, "roster", map[string]string{"version": "2", "hash": hex.EncodeToString(hash[:]), "changes": ""})
			}
			s.run(s.now + 100)
			s.cut(s.now + 400)
			culprit := ""
			if c.want != nil {
				culprit = "keyholder-4"
			}
			o := s.options(s.now)
			o.Rosters = append(o.Rosters, next)
			expect(t, o, c.want, culprit)
		})
	}
}
