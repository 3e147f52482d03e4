package follow

import (
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// Names of the groups of witnesses, for the words of errors.
const (
	holderGroup  = "key holders"
	outsideGroup = "outside witnesses"
)

// Policy returns whose signatures make a checkpoint of the log good under the
// roster: the log key of member m, whose log origin must be, and the
// cosignatures that the roster's WitnessPolicy asks for.
//
// The witness inside m does not count for the log of m. It lies with the
// log in one hand, and a party that vouches for itself vouches for nothing.
func Policy(r *roster.Roster, m roster.Member, origin string) (translog.Policy, error) {
	if _, _, err := splitOrigin(origin, m.Name); err != nil {
		return translog.Policy{}, err
	}
	if err := r.NeedsWitnesses(); err != nil {
		return translog.Policy{}, err
	}
	log, err := translog.LogVerifier(origin, m.LogKey)
	if err != nil {
		return translog.Policy{}, waypost.Errorf(waypost.InvalidArgument, "the log key of %s cannot be used", m.Name).WithCause(err)
	}
	p := translog.Policy{Origin: origin, Log: log}
	holders, outside, err := witnesses(r, m.Name)
	if err != nil {
		return translog.Policy{}, err
	}
	if need := r.WitnessPolicy.Holders; need > 0 {
		p.Groups = append(p.Groups, translog.Group{Name: holderGroup, Need: need, Witnesses: holders})
	}
	if need := r.WitnessPolicy.Outside; need > 0 {
		p.Groups = append(p.Groups, translog.Group{Name: outsideGroup, Need: need, Witnesses: outside})
	}
	return p, nil
}

// witnesses returns the witnesses inside the key holders other than except,
// and those outside.
func witnesses(r *roster.Roster, except string) (holders, outside []note.Verifier, err error) {
	add := func(list *[]note.Verifier, vkey string) error {
		v, err := translog.WitnessVerifier(vkey)
		if err != nil {
			return waypost.Errorf(waypost.InvalidArgument, "a witness of roster version %d has a key that cannot be used", r.Version).WithCause(err)
		}
		*list = append(*list, v)
		return nil
	}
	for _, h := range r.KeyHolders() {
		if h.Name == except || len(h.WitnessKey) == 0 {
			continue
		}
		if err := add(&holders, translog.WitnessKey(roster.WitnessName(h.Name), h.WitnessKey)); err != nil {
			return nil, nil, err
		}
	}
	for _, w := range r.Witnesses {
		if err := add(&outside, w.Key); err != nil {
			return nil, nil, err
		}
	}
	return holders, outside, nil
}

// decisive reports whether any two sets of witnesses that satisfy the policy
// have one in common. Then no honest set can have cosigned what the other
// contradicts: a checkpoint that was left behind cannot become fresh again.
func decisive(p translog.Policy) bool {
	for _, g := range p.Groups {
		if 2*g.Need > len(g.Witnesses) {
			return true
		}
	}
	return false
}

// Prefix returns where the log of a member is read, with a slash at the end,
// and the member whose door that is: a gateway opens none, and its log lies at
// the hub.
func Prefix(r *roster.Roster, member, instance string) (url string, at roster.Member, err error) {
	m, ok := r.Member(member)
	if !ok {
		return "", m, waypost.Errorf(waypost.NotFound, "%s is not in roster version %d", member, r.Version)
	}
	if at = m; m.Role == roster.Gateway {
		at = r.Hub()
	}
	if at.Public == "" {
		return "", at, waypost.Errorf(waypost.Unavailable, "roster version %d does not say where the ledger of %s is published", r.Version, member)
	}
	if !isInstance(instance) {
		return "", at, waypost.Errorf(waypost.InvalidArgument, "the instances of a log are 1 to 999")
	}
	return strings.TrimSuffix(at.Public, "/") + "/log/" + member + "/" + instance + "/", at, nil
}

// splitOrigin takes "<domain>/<member>/<instance>" apart; the log must be the
// member's own.
func splitOrigin(origin, member string) (domain, instance string, err error) {
	parts := strings.Split(origin, "/")
	if n := len(parts); n >= 3 && len(origin) <= 255 && parts[n-2] == member && isInstance(parts[n-1]) {
		return strings.Join(parts[:n-2], "/"), parts[n-1], nil
	}
	return "", "", waypost.Errorf(waypost.InvalidArgument, "%q is not the name of a log of %s", origin, member)
}

// isInstance: 1 to 999.
func isInstance(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 1 && n <= 999 && strconv.Itoa(n) == s
}
