package spec_test

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
	"github.com/waypost/waypost/translog"
)

var start = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// key derives an Ed25519 key from what it is for, so that vectors are stable.
func key(label string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("waypost spec vectors " + label))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(label string) ed25519.PublicKey {
	return ed25519.PublicKey(key(label)[ed25519.SeedSize:])
}

var officers = []string{"gov.example/a", "gov.example/b", "gov.example/c"}

func vkey(t testing.TB, name string) string {
	t.Helper()
	v, err := note.NewEd25519VerifierKey(name, public(name))
	must(t, err)
	return v
}

// witnessKeys are named by who answers for them.
func witnessKey(who string) string {
	return translog.WitnessKey(witnessName(who), public(who+" witness"))
}

func witnessName(who string) string {
	if strings.HasPrefix(who, "keyholder-") {
		return roster.WitnessName(who)
	}
	return who
}

// line is a signature of a signed note.
func line(vkey string, signature []byte) string {
	name, rest, _ := strings.Cut(vkey, "+")
	var id uint32
	_, _ = fmt.Sscanf(rest[:8], "%08x", &id)
	raw := append(binary.BigEndian.AppendUint32(nil, id), signature...)
	return fmt.Sprintf("— %s %s\n", name, base64.StdEncoding.EncodeToString(raw))
}

// signText signs any text as governance, well formed or not.
func signText(t testing.TB, text string, names ...string) []byte {
	t.Helper()
	signed := text + "\n"
	for _, name := range names {
		signed += line(vkey(t, name), ed25519.Sign(key(name), []byte(text)))
	}
	return []byte(signed)
}

// oprfKeys lie on the line 1000003 + 77777 x.
func oprfKeys(t testing.TB, n int) (group []byte, shares [][]byte) {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	at := func(x int64) []byte {
		b := new(big.Int).Mod(big.NewInt(1_000_003+77_777*x), order).FillBytes(make([]byte, 32))
		slices.Reverse(b)
		scalar, err := toprf.DecodeScalar(b)
		must(t, err)
		share, err := toprf.NewShare(1, scalar)
		must(t, err)
		return share.Public().Bytes()
	}
	for i := range n {
		shares = append(shares, at(int64(i+1)))
	}
	return at(0), shares
}

// exchange is a hub, three key holders with witnesses, two states and a witness
// outside.
func exchange(t testing.TB) *roster.Roster {
	t.Helper()
	group, shares := oprfKeys(t, 3)
	r := &roster.Roster{
		Version: 1, Environment: waypost.Test, NotBefore: start, NotAfter: start.Add(roster.MaxValidity), Profile: 1, Epoch: 1,
		Threshold: 2, GroupKey: group, Purposes: []waypost.Purpose{waypost.IssueRealID, waypost.MaintainPointer},
		Witnesses:     []roster.Witness{{Key: witnessKey("outside.example"), URL: "https://outside.example/submit"}},
		WitnessPolicy: roster.WitnessPolicy{Holders: 2, Outside: 1},
		Governance:    roster.Governance{Threshold: 2},
	}
	for _, name := range officers {
		r.Governance.Keys = append(r.Governance.Keys, vkey(t, name))
	}
	r.Members = append(r.Members, member("hub", roster.Hub))
	for i, share := range shares {
		m := member(fmt.Sprintf("keyholder-%d", i+1), roster.KeyHolder)
		m.Index, m.PublicShare, m.WitnessKey = i+1, share, public(m.Name+" witness")
		r.Members = append(r.Members, m)
	}
	r.Members = append(r.Members, member("AZ", roster.Gateway), member("CA", roster.Gateway))
	return r
}

func member(name string, role roster.Role) roster.Member {
	m := roster.Member{
		Name: name, Role: role, Operator: "Operator of " + name, CertKey: sha256.Sum256([]byte("certificate of " + name)),
		Identity: public(name + " identity"), LogKey: public(name + " log"), Protocol: roster.Protocol{Min: 1, Max: 1},
	}
	if role != roster.Gateway {
		m.URL, m.Public = "https://"+name+".example:7443", "https://"+name+".example:7444"
		return m
	}
	m.Jurisdiction, m.Participation = waypost.Jurisdiction(name), roster.Full
	m.Capabilities = []roster.Capability{roster.Search, roster.Answer, roster.Publish}
	m.Quota = roster.Quota{TicketsPerDay: 1000, TicketsPerOperatorHour: 60, Operators: 40, PublishElementsPerDay: 5000}
	return m
}

// successor is the next version, a day later.
func successor(t testing.TB, r *roster.Roster, change func(*roster.Roster)) *roster.Roster {
	t.Helper()
	n := *r
	hash, err := r.Hash()
	must(t, err)
	n.Version, n.Previous, n.Members = r.Version+1, hash, slices.Clone(r.Members)
	n.NotBefore = r.NotBefore.Add(24 * time.Hour)
	n.NotAfter = n.NotBefore.Add(roster.MaxValidity)
	change(&n)
	return &n
}

// textOf is what is signed of a valid roster.
func textOf(t testing.TB, r *roster.Roster) string {
	t.Helper()
	signer, err := note.NewSigner(privateKey(t, officers[0]))
	must(t, err)
	signed, err := r.Sign(signer)
	must(t, err)
	return string(signed[:bytes.LastIndex(signed, []byte("\n\n— "))+1])
}

func privateKey(t testing.TB, name string) string {
	t.Helper()
	hash := vkey(t, name)[len(name)+1:][:8]
	return "PRIVATE+KEY+" + name + "+" + hash + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, key(name).Seed()...))
}

// ledger is a log in memory, for checkpoints and proofs.
type ledger struct {
	t        testing.TB
	member   string
	instance string // "" for the first
	leaves   [][]byte
	stored   []tlog.Hash
}

func (l *ledger) origin() string {
	return "vectors.example/" + l.member + "/" + cmp.Or(l.instance, "1")
}

func (l *ledger) add(leaf []byte) {
	hashes, err := tlog.StoredHashes(int64(len(l.leaves)), leaf, l)
	must(l.t, err)
	l.leaves, l.stored = append(l.leaves, leaf), append(l.stored, hashes...)
}

// grow adds leaves that mean nothing: SHA-512 of a word and their number.
func (l *ledger) grow(n int, word string) *ledger {
	for range n {
		a := sha256.Sum256(fmt.Appendf(nil, "%s %d a", word, len(l.leaves)))
		b := sha256.Sum256(fmt.Appendf(nil, "%s %d b", word, len(l.leaves)))
		l.add(append(a[:], b[:]...))
	}
	return l
}

// ReadHashes makes the ledger a tlog.HashReader.
func (l *ledger) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		hashes[i] = l.stored[x]
	}
	return hashes, nil
}

func (l *ledger) root(size int) tlog.Hash {
	root, err := tlog.TreeHash(int64(size), l)
	must(l.t, err)
	return root
}

// checkpoint is signed at that size, and cosigned at the time by those named.
func (l *ledger) checkpoint(size int, at time.Time, by ...string) string {
	text := torchwood.Checkpoint{Origin: l.origin(), Tree: tlog.Tree{N: int64(size), Hash: l.root(size)}}.String()
	log, err := note.NewEd25519VerifierKey(l.origin(), public(l.member+" log"))
	must(l.t, err)
	signed := text + "\n" + line(log, ed25519.Sign(key(l.member+" log"), []byte(text)))
	for _, who := range by {
		message := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at.Unix(), text)
		raw := binary.BigEndian.AppendUint64(nil, uint64(at.Unix()))
		signed += line(witnessKey(who), append(raw, ed25519.Sign(key(who+" witness"), message)...))
	}
	return signed
}
