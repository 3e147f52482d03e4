package follow

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// maxRosters is how many rosters evidence may bring: more than a year of
// weekly ones.
const maxRosters = 64

// rosters is a run of consecutive versions, oldest first, that a trusted
// governance leads to. Whether they are in force is not asked.
type rosters []*roster.Roster

// checkRosters verifies each signed roster against the governance of the one
// before, the first against trusted. Signatures that prove nothing are
// refused, so that no byte can be changed.
func checkRosters(signed [][]byte, trusted roster.Governance) (rosters, error) {
	if len(signed) == 0 || len(signed) > maxRosters {
		return nil, unproven("the evidence brings 1 to %d rosters", maxRosters)
	}
	var list rosters
	for _, s := range signed {
		r, err := roster.ParseExpired(s, trusted)
		if err != nil {
			return nil, err
		}
		if again, err := trimRoster(s, trusted, r.Governance); err != nil {
			return nil, err
		} else if string(again) != string(s) {
			return nil, unproven("roster version %d carries signatures that prove nothing", r.Version)
		}
		if n := len(list); n > 0 {
			hash, err := list[n-1].Hash()
			if err != nil {
				return nil, err
			}
			if r.Version != list[n-1].Version+1 || r.Previous != hash {
				return nil, unproven("roster version %d does not continue version %d", r.Version, list[n-1].Version)
			}
		}
		list, trusted = append(list, r), r.Governance
	}
	return list, nil
}

// chooseRosters returns, of all signed rosters since the beginning, those that
// evidence about a ticket under version first needs: from that one, or the next
// older one that the trusted governance signed itself, to version last, which is
// in force.
func chooseRosters(signed [][]byte, trusted roster.Governance, first, last uint64) ([][]byte, error) {
	governance, start := trusted, -1
	var parsed rosters
	for _, s := range signed {
		r, err := roster.ParseExpired(s, governance)
		if err != nil {
			return nil, err
		}
		if _, err := roster.ParseExpired(s, trusted); err == nil && r.Version <= first {
			start = len(parsed)
		}
		if r.Version > last {
			break
		}
		parsed, governance = append(parsed, r), r.Governance
	}
	if start < 0 {
		return nil, unproven("roster version %d cannot be reached from the governance that is trusted here", first)
	}
	var chosen [][]byte
	governance = trusted
	for i := start; i < len(parsed); i++ {
		trimmed, err := trimRoster(signed[i], governance, parsed[i].Governance)
		if err != nil {
			return nil, err
		}
		chosen, governance = append(chosen, trimmed), parsed[i].Governance
	}
	return chosen, nil
}

// trimRoster removes the signatures that belong to none of the governances.
func trimRoster(signed []byte, governances ...roster.Governance) ([]byte, error) {
	var known []note.Verifier
	seen := make(map[string]bool)
	for _, g := range governances {
		for _, key := range g.Keys {
			if seen[key] {
				continue
			}
			seen[key] = true
			v, err := note.NewVerifier(key)
			if err != nil {
				return nil, unproven("a governance key cannot be used").WithCause(err)
			}
			known = append(known, v)
		}
	}
	trimmed, err := trim(string(signed), known...)
	return []byte(trimmed), err
}

// trim returns the signed note with the signatures of the known keys only.
func trim(signed string, known ...note.Verifier) (string, error) {
	n, err := note.Open([]byte(signed), note.VerifierList(known...))
	if err != nil {
		return "", unproven("a signed note does not verify").WithCause(err)
	}
	var b strings.Builder
	b.WriteString(n.Text)
	b.WriteString("\n")
	for _, s := range n.Sigs {
		raw, err := base64.StdEncoding.DecodeString(s.Base64) // its last bits may have been anything
		if err != nil {
			return "", unproven("a signed note does not verify").WithCause(err)
		}
		fmt.Fprintf(&b, "— %s %s\n", s.Name, base64.StdEncoding.EncodeToString(raw))
	}
	return b.String(), nil
}

// version returns the roster of that version.
func (l rosters) version(v uint64) (*roster.Roster, error) {
	if v < l[0].Version || v > l[len(l)-1].Version {
		return nil, unproven("the evidence does not bring roster version %d", v)
	}
	return l[v-l[0].Version], nil
}

// newest returns the newest roster in which the name is a member.
func (l rosters) newest(name string) (*roster.Roster, roster.Member, error) {
	for _, r := range slices.Backward(l) {
		if m, ok := r.Member(name); ok {
			return r, m, nil
		}
	}
	return nil, roster.Member{}, unproven("%.80q is in none of the rosters", name)
}

// witnessed verifies a checkpoint of the member's log under the newest roster
// that has the member. It carries the signatures that count and no others.
func (l rosters) witnessed(member, origin, signed string) (translog.Checkpoint, translog.Policy, error) {
	r, m, err := l.newest(member)
	if err != nil {
		return translog.Checkpoint{}, translog.Policy{}, err
	}
	p, err := Policy(r, m, origin)
	if err != nil {
		return translog.Checkpoint{}, p, err
	}
	cp, err := p.Verify([]byte(signed))
	if err == nil {
		err = untrimmed(signed, verifiers(p)...)
	}
	return cp, p, err
}

// signedBy verifies a checkpoint by the log key that any of the rosters gives
// the member.
func (l rosters) signedBy(member, signed string, cosigner ...note.Verifier) (translog.Checkpoint, error) {
	origin, _, _ := strings.Cut(signed, "\n")
	if _, _, err := splitOrigin(origin, member); err != nil {
		return translog.Checkpoint{}, err
	}
	var last error = unproven("%.80q is in none of the rosters", member)
	for _, r := range l {
		m, ok := r.Member(member)
		if !ok {
			continue
		}
		log, err := translog.LogVerifier(origin, m.LogKey)
		if err != nil {
			last = err
			continue
		}
		p := translog.Policy{Origin: origin, Log: log}
		if len(cosigner) > 0 {
			p.Groups = []translog.Group{{Name: "witnesses", Need: 1, Witnesses: cosigner}}
		}
		cp, err := p.Verify([]byte(signed))
		if err == nil {
			err = untrimmed(signed, verifiers(p)...)
		}
		if err == nil {
			return cp, nil
		}
		last = err
	}
	return translog.Checkpoint{}, last
}

func untrimmed(signed string, known ...note.Verifier) error {
	again, err := trim(signed, known...)
	if err == nil && again != signed {
		err = waypost.Errorf(waypost.InvalidArgument, "a checkpoint carries signatures that prove nothing")
	}
	return err
}

func verifiers(p translog.Policy) []note.Verifier {
	known := []note.Verifier{p.Log}
	for _, g := range p.Groups {
		known = append(known, g.Witnesses...)
	}
	return known
}
