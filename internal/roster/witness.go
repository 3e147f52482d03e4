package roster

import (
	"encoding/base64"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"filippo.io/torchwood"

	"github.com/waypost/waypost"
)

// WitnessName is the name of the key with which the witness inside a key
// holder cosigns checkpoints; the key itself is [Member.WitnessKey].
func WitnessName(member string) string { return "waypost/" + member + "/witness" }

// NeedsWitnesses says in words why nobody could rely on a ledger published
// under this roster: it has no witness policy. Nil where it has one. A roster
// without witnesses is valid all the same, for those who publish nothing.
func (r *Roster) NeedsWitnesses() error {
	if r.WitnessPolicy == (WitnessPolicy{}) {
		return waypost.Errorf(waypost.InvalidArgument, "roster version %d names no witnesses: a ledger cannot be published under it; governance must sign one that does", r.Version)
	}
	return nil
}

const (
	maxWitnesses = 32
	maxAuditors  = 16
	maxURL       = 300 // bytes
)

// checkWitnesses checks witnesses, policy and auditors. The policy and the
// outside witnesses come together: a policy of nothing would be met by nobody's
// cosignature. A log of a key holder counts the cosignatures of the others, so
// that one more key holder with a witness is needed than the policy says.
func (r *Roster) checkWitnesses() error {
	if len(r.Witnesses) > maxWitnesses {
		return invalid("it names at most %d witnesses", maxWitnesses)
	}
	for _, w := range r.Witnesses {
		if err := w.check(); err != nil {
			return err
		}
	}
	if err := checkAuditors(r.Auditors); err != nil {
		return err
	}
	p := r.WitnessPolicy
	if p == (WitnessPolicy{}) && len(r.Witnesses) == 0 {
		return nil
	}
	inside := 0
	for _, h := range r.withRole(KeyHolder) {
		if h.WitnessKey != nil {
			inside++
		}
	}
	switch {
	case p.Outside < 1 || p.Outside > len(r.Witnesses):
		return invalid("the witness policy asks for 1 to %d outside witnesses, as many as are named", len(r.Witnesses))
	case p.Holders < 0 || p.Holders > max(0, inside-1):
		return invalid("the witness policy asks for 0 to %d key holders: one less than have a witness key, since none counts for its own log", max(0, inside-1))
	}
	return nil
}

func (w Witness) check() error {
	if v, err := torchwood.NewCosignatureVerifier(w.Key); err != nil || v.String() != w.Key || !vkeyShape.MatchString(w.Key) || !soundKey(w.publicKey()) {
		return invalid("a witness is a verifier key name+hash+keydata of type cosignature/v1")
	}
	u, err := url.Parse(w.URL)
	if err != nil || len(w.URL) > maxURL || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.String() != w.URL ||
		u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return invalid("the URL of a witness is https, without user, query and fragment; http on loopback only")
	}
	return nil
}

// name is that of the witness's key.
func (w Witness) name() string {
	name, _, _ := strings.Cut(w.Key, "+")
	return name
}

// publicKey is the Ed25519 key of the witness, nil if there is none: what
// follows the second plus, less the byte of the type.
func (w Witness) publicKey() []byte {
	parts := strings.SplitN(w.Key, "+", 3)
	raw, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(raw) == 0 {
		return nil
	}
	return raw[1:]
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// recipientShape is that of an age recipient, X25519 or post-quantum hybrid.
// What wraps keys to it parses it in full.
var recipientShape = regexp.MustCompile(`^age1(pq1)?[02-9ac-hj-np-z]+$`)

func checkAuditors(recipients []string) error {
	if len(recipients) > maxAuditors || repeats(recipients) {
		return invalid("it names at most %d auditors, each once", maxAuditors)
	}
	for _, a := range recipients {
		if len(a) < 60 || len(a) > 2500 || !recipientShape.MatchString(a) {
			return invalid("an auditor is an age recipient, age1... or age1pq1...")
		}
	}
	return nil
}
