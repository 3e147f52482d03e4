package roster

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost"
)

// Limits that no real roster comes near: 56 jurisdictions, a hub, a handful
// of key holders.
const (
	maxMembers    = 128
	maxHolders    = 32
	maxGovernance = 32
	maxPurposes   = 64
	maxQuota      = 1_000_000_000
)

var (
	nameShape = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,31}$`)
	wordShape = regexp.MustCompile(`^[a-z][a-z_]{0,39}$`)
	vkeyShape = regexp.MustCompile(`^[^\s+]{1,200}\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{4,200}$`)
)

// Validate checks everything that can be checked without signatures, clock or
// predecessor: sizes, shapes, names and keys that must be unique, one hub,
// share indices 1 to n, and that the public shares combine to the group key.
// The first fault found is returned as an InvalidArgument error in words.
func (r *Roster) Validate() error {
	for _, check := range []func() error{r.checkHead, r.checkMembers, r.checkHolders, r.checkBeside, r.checkWitnesses,
		r.checkTimes, r.checkGrants, r.checkAnnounced, r.Governance.check, r.checkUnique} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Roster) checkHead() error {
	switch {
	case r.Version == 0:
		return invalid("versions count from 1")
	case (r.Version == 1) != (r.Previous == Digest{}):
		return invalid("version 1, and no other, has no previous roster")
	case r.RevokedBefore > r.Version:
		return invalid("revoked_before lies above its own version")
	case r.Environment != waypost.Test && r.Environment != waypost.Prod:
		return invalid("the environment is test or prod")
	case !wholeSecond(r.NotBefore) || !wholeSecond(r.NotAfter):
		return invalid("times are in UTC and whole seconds")
	case !r.NotBefore.Before(r.NotAfter) || r.NotAfter.Sub(r.NotBefore) > MaxValidity:
		return invalid("it is valid for more than nothing and at most seven days")
	case r.Profile < 1 || r.Profile > 255:
		return invalid("the match-key profile is 1 to 255")
	case (r.Epoch == 0) != (r.GroupKey == nil):
		return invalid("epochs count from 1, and without a group key there is none")
	case r.Epoch == 0 && (r.Threshold != 0 || r.Ceremony != Digest{} || r.Beside != nil):
		return invalid("without a key there is no threshold, no ceremony that made it, and no key beside it")
	case r.GroupKey != nil && len(r.GroupKey) != 32:
		return invalid("the group key is 32 bytes")
	case len(r.Purposes) == 0 || len(r.Purposes) > maxPurposes || repeats(r.Purposes):
		return invalid("it names 1 to %d purposes, each once", maxPurposes)
	}
	return checkPurposes(r.Purposes)
}

func checkPurposes(list []waypost.Purpose) error {
	for _, p := range list {
		if !wordShape.MatchString(string(p)) {
			return invalid("a purpose is a word in lower case")
		}
	}
	return nil
}

func (r *Roster) checkMembers() error {
	if len(r.Members) > maxMembers {
		return invalid("more than %d members", maxMembers)
	}
	hubs := 0
	for _, m := range r.Members {
		if !nameShape.MatchString(m.Name) {
			return invalid("a member's name is up to 32 letters, digits and hyphens and begins with a letter")
		}
		if err := m.check(); err != nil {
			return invalid("member %s: %v", m.Name, err)
		}
		if m.Role == Hub {
			hubs++
		}
	}
	if hubs != 1 {
		return invalid("there is exactly one hub, not %d", hubs)
	}
	return nil
}

// fault is a reason in words, completed by the caller.
type fault string

func (f fault) Error() string { return string(f) }

func (m Member) check() error {
	switch {
	case len(m.Operator) > 200 || strings.ContainsFunc(m.Operator, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return fault("the operator's name is one line of at most 200 bytes")
	case m.CertKey == Digest{}:
		return fault("the certificate key is missing")
	case !soundKey(m.Identity):
		return fault("the identity key is not a sound Ed25519 key")
	case !soundKey(m.LogKey):
		return fault("the log key is not a sound Ed25519 key")
	case m.Protocol.Min < 1 || m.Protocol.Min > m.Protocol.Max || m.Protocol.Max > 255:
		return fault("the protocol range is 1 <= min <= max <= 255")
	}
	switch m.Role {
	case Gateway:
		return m.checkGateway()
	case Hub, KeyHolder:
		return m.checkServer()
	}
	return fault("the role is gateway, hub or keyholder")
}

func (m Member) checkGateway() error {
	j, err := waypost.ParseJurisdiction(string(m.Jurisdiction))
	switch {
	case err != nil || j != m.Jurisdiction || m.Name != string(j):
		return fault("a gateway is named after its jurisdiction, two capital letters")
	case m.URL != "" || m.Public != "" || m.Also != nil:
		return fault("a gateway dials out and has no URL")
	case m.Removed:
		return fault("a gateway is removed by leaving it out")
	case m.WitnessKey != nil:
		return fault("only key holders have a witness key")
	case m.Index != 0 || m.PublicShare != nil:
		return fault("only key holders have a share")
	case m.Participation != Full && m.Participation != Loading && m.Participation != InquiryOnly:
		return fault("participation is full, loading or inquiry_only")
	case repeats(m.Capabilities):
		return fault("a capability is named twice")
	case m.Participation == InquiryOnly && m.Can(Publish):
		return fault("inquiry_only and the capability publish exclude each other")
	}
	for _, c := range m.Capabilities {
		if !slices.Contains([]Capability{Search, Answer, Publish, History, RealID}, c) {
			return fault("unknown capability")
		}
	}
	for _, n := range m.Quota.fields() {
		if *n.limit < 0 || *n.limit > maxQuota {
			return fault("a quota is negative or absurd")
		}
	}
	return m.checkRise()
}

// checkRise insists that a rise raises, so that a reader of the roster is not
// misled. What the member will be must be valid as well.
func (m Member) checkRise() error {
	rise := m.Rise
	if rise.From.IsZero() {
		if rise.Quota != (Quota{}) || len(rise.Capabilities) > 0 {
			return fault("a rise has a time from which it counts")
		}
		return nil
	}
	then := m.at(rise.From)
	raised := len(rise.Capabilities) > 0
	before, after := spelledOut(m.Quota, then.Quota)
	fields, later := before.fields(), after.fields()
	for i := range fields {
		if *later[i].limit < *fields[i].limit {
			return fault("a rise lowers a quota: what is taken away is taken at once")
		}
		raised = raised || *later[i].limit > *fields[i].limit
	}
	if !raised {
		return fault("a rise raises nothing")
	}
	return then.checkGateway()
}

func (m Member) checkServer() error {
	if m.Jurisdiction != "" || m.Participation != "" || len(m.Capabilities) > 0 || m.Quota != (Quota{}) ||
		!m.Rise.From.IsZero() || m.Rise.Quota != (Quota{}) || len(m.Rise.Capabilities) > 0 {
		return fault("jurisdiction, participation, capabilities, quota and rise are for gateways")
	}
	if m.Role == Hub && (m.Index != 0 || m.PublicShare != nil) {
		return fault("only key holders have a share")
	}
	if m.Role == Hub && m.WitnessKey != nil {
		return fault("only key holders have a witness key")
	}
	if m.WitnessKey != nil && !soundKey(m.WitnessKey) {
		return fault("the witness key is not a sound Ed25519 key")
	}
	if m.PublicShare != nil && len(m.PublicShare) != 32 {
		return fault("a public share is 32 bytes")
	}
	if (m.Index == 0) != (m.PublicShare == nil) {
		return fault("a key holder has a share index and a public share, or neither")
	}
	if !bareURL(m.URL) {
		return fault("its URL is https://host:port and nothing more")
	}
	if m.Public != "" && (!bareURL(m.Public) || m.Public == m.URL) {
		return fault("its public URL is https://host:port and nothing more, and not its other one")
	}
	if m.Also != nil && m.Role != Hub || len(m.Also) > maxAlso {
		return fault("only a hub has further addresses, and at most 15")
	}
	for _, d := range m.Also {
		if m.Public == "" || !bareURL(d.URL) || !bareURL(d.Public) {
			return fault("each further address is a URL and a public URL, https://host:port and nothing more")
		}
	}
	return nil
}

// bareURL reports whether s is https://host:port.
func bareURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxURL && u.Scheme == "https" && u.Hostname() != "" && u.Port() != "" && s == "https://"+u.Host
}

// checkUnique refuses one name, address or key in two places. All keys that
// sign share one set, those of witnesses and governance included: a key has one
// purpose and one owner.
func (r *Roster) checkUnique() error {
	seen := make(map[string]bool)
	take := func(set, value string) bool {
		taken := seen[set+value]
		seen[set+value] = value != ""
		return taken
	}
	for _, m := range r.Members {
		for _, x := range []struct{ what, set, value string }{
			{"name", "name", strings.ToLower(m.Name)},
			{"URL", "url", m.URL},
			{"public URL", "url", m.Public},
			{"certificate key", "cert", string(m.CertKey[:])},
			{"identity key", "key", string(m.Identity)},
			{"log key", "key", string(m.LogKey)},
			{"witness key", "key", string(m.WitnessKey)},
		} {
			if take(x.set, x.value) {
				return invalid("member %s: its %s is used twice", m.Name, x.what)
			}
		}
		for _, d := range m.Also {
			if take("url", d.URL) || take("url", d.Public) {
				return invalid("member %s: one of its further addresses is used twice", m.Name)
			}
		}
	}
	for _, w := range r.Witnesses {
		if take("key", string(w.publicKey())) || take("witness", w.name()) {
			return invalid("the name or key of an outside witness is used twice")
		}
	}
	for _, key := range r.Governance.Keys {
		if take("key", string(Witness{Key: key}.publicKey())) {
			return invalid("a governance key is used for something else")
		}
	}
	return nil
}

func (r *Roster) checkHolders() error {
	holders := r.Holders()
	if len(holders) > maxHolders {
		return invalid("there are at most %d shares", maxHolders)
	}
	if r.Epoch == 0 {
		if len(holders) > 0 || len(r.KeyHolders()) == 0 {
			return invalid("without a key there are key holders, and none has a share")
		}
		return nil
	}
	if len(holders) == 0 {
		return invalid("there are 1 to %d key holders with a share", maxHolders)
	}
	for i, h := range holders {
		if h.Index != i+1 {
			return invalid("the key holders' share indices are 1 to %d, each once", len(holders))
		}
	}
	if r.Threshold < 1 || r.Threshold > len(holders) {
		return invalid("the threshold is 1 to the number of key holders, %d", len(holders))
	}
	if !slices.ContainsFunc(holders, func(h Member) bool { return h.inForce(r.NotBefore) }) {
		return invalid("no key holder is in force when it begins")
	}
	_, err := r.Keys()
	return err
}

func (g Governance) check() error {
	_, err := g.verifiers()
	return err
}

// verifiers parses the governance keys, which must be distinct in name and in
// key, so that m signatures are those of m parties.
func (g Governance) verifiers() ([]note.Verifier, error) {
	if len(g.Keys) == 0 || len(g.Keys) > maxGovernance || g.Threshold < 1 || g.Threshold > len(g.Keys) {
		return nil, invalid("governance is 1 to %d keys and a threshold from 1 to their number", maxGovernance)
	}
	var verifiers []note.Verifier
	seen := make(map[string]bool)
	for _, key := range g.Keys {
		v, err := note.NewVerifier(key)
		if err != nil || !vkeyShape.MatchString(key) {
			return nil, invalid("a governance key is an Ed25519 verifier key name+hash+keydata")
		}
		keydata := key[len(v.Name())+len("+00000000+"):]
		raw, err := base64.StdEncoding.DecodeString(keydata) // one byte of algorithm, then the key
		if err != nil || !soundKey(raw[1:]) {
			return nil, invalid("the governance key of %q is not sound", v.Name())
		}
		if seen["name "+v.Name()] || seen["key "+keydata] {
			return nil, invalid("two governance keys share a name or a key")
		}
		seen["name "+v.Name()], seen["key "+keydata] = true, true
		verifiers = append(verifiers, v)
	}
	return verifiers, nil
}

// smallOrder lists the encodings of y (sign bit cleared) of the Ed25519
// points whose order divides 8, and the two that are not canonical. Under
// such a key a signature can be made that fits many messages, so that its
// owner could later deny any of them (RFC 8032, section 8.9; Chalkias et al.,
// "Taming the many EdDSAs", eprint 2020/1244).
var smallOrder = [][]byte{
	append([]byte{0x00}, make([]byte, 31)...),
	append([]byte{0x01}, make([]byte, 31)...),
	{0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
	{0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
	nearP(0xec), nearP(0xed), nearP(0xee),
}

// nearP encodes p + low - 0xed for p = 2^255 - 19.
func nearP(low byte) []byte {
	b := bytes.Repeat([]byte{0xff}, 32)
	b[0], b[31] = low, 0x7f
	return b
}

func soundKey(key ed25519.PublicKey) bool {
	if len(key) != ed25519.PublicKeySize {
		return false
	}
	y := bytes.Clone(key)
	y[31] &= 0x7f
	for _, bad := range smallOrder {
		if bytes.Equal(y, bad) {
			return false
		}
	}
	return true
}

func wholeSecond(t time.Time) bool {
	return t.Location() == time.UTC && t.Nanosecond() == 0 && t.Year() >= 2000 && t.Year() < 10000
}

func repeats[T ~string](list []T) bool {
	sorted := slices.Sorted(slices.Values(list))
	return len(slices.Compact(sorted)) != len(list)
}
