package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
	"github.com/waypost/waypost/translog"
)

// genExchange is an exchange of which there are only the ledgers.
type genExchange struct {
	t         testing.TB
	start     int64
	roster    *roster.Roster
	signed    []byte
	auditor   *age.X25519Identity
	logs      map[string]*genLog
	members   []string // in order: hub, key holders, states
	witnesses []*genWitness
	skew      map[string]int64 // of a member's clock, in seconds
	counts    map[string]map[string]map[string]int64
	copies    map[string]*objects // the hub's, of gateways' logs
}

var (
	genStates  = []waypost.Jurisdiction{"AZ", "CA", "NV", "NY"}
	genHolders = 5
	genQuota   = roster.Quota{TicketsPerDay: 100_000_000, UnattendedPerDay: 100_000_000, TicketsPerOperatorHour: 10_000_000, Operators: 1_000_000, PublishElementsPerDay: 100_000_000}
)

var genKeys = make(map[string]ed25519.PrivateKey)

func genKey(label string) ed25519.PrivateKey {
	key, ok := genKeys[label]
	if !ok {
		seed := sha256.Sum256([]byte("audit test " + label))
		key = ed25519.NewKeyFromSeed(seed[:])
		genKeys[label] = key
	}
	return key
}

func genPublic(label string) ed25519.PublicKey { return genKey(label).Public().(ed25519.PublicKey) }

var genAuditor = func() *age.X25519Identity {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		panic(err)
	}
	return id
}()

// newExchange makes an exchange whose logs lie in memory, or in role folders
// under dir. The roster can be changed before it is signed.
func newExchange(t testing.TB, dir string, quota roster.Quota, before ...func(*roster.Roster)) *genExchange {
	x := &genExchange{t: t, start: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC).Unix(), auditor: genAuditor, logs: make(map[string]*genLog),
		skew: make(map[string]int64), counts: make(map[string]map[string]map[string]int64)}
	signer, vkey := governanceSigner(t, "waypost.test/governance", genKey("governance"))
	group, shares := genShares(t, genHolders)
	outside := newWitness(t, "", "waypost.test/witness-1", genKey("outside"))
	x.witnesses = []*genWitness{outside}
	r := &roster.Roster{
		Version: 1, Environment: waypost.Test, NotBefore: time.Unix(x.start, 0).UTC(), NotAfter: time.Unix(x.start, 0).UTC().Add(roster.MaxValidity),
		Profile: 1, Epoch: 1, Threshold: 3, GroupKey: group, Purposes: []waypost.Purpose{waypost.IssueLicence, waypost.MaintainPointer},
		Witnesses: []roster.Witness{{Key: outside.vkey, URL: "https://127.0.0.1:2"}}, WitnessPolicy: roster.WitnessPolicy{Holders: 3, Outside: 1},
		Auditors: []string{x.auditor.Recipient().String()}, Governance: roster.Governance{Threshold: 1, Keys: []string{vkey}},
	}
	add := func(m roster.Member) {
		m.CertKey = sha256.Sum256([]byte("cert " + m.Name))
		m.Identity, m.LogKey, m.Protocol = genPublic(m.Name+" identity"), genPublic(m.Name+" log"), roster.Protocol{Min: 1, Max: 1}
		r.Members = append(r.Members, m)
		l := &genLog{t: t, member: m.Name, role: string(m.Role), origin: "waypost.test/" + m.Name + "/1"}
		key := genKey(m.Name + " log")
		v, err := translog.LogVerifier(l.origin, m.LogKey)
		must(t, err)
		l.signer = noteSigner{v, func(msg []byte) []byte { return ed25519.Sign(key, msg) }}
		if dir != "" {
			l.dir = filepath.Join(install.FolderOf(dir, m.Name), "log", m.Name, "1")
			must(t, os.MkdirAll(l.dir, 0o755))
		}
		l.reset(x.auditor.Recipient())
		x.logs[m.Name], x.members = l, append(x.members, m.Name)
	}
	add(roster.Member{Name: "hub", Role: roster.Hub, URL: "https://127.0.0.1:1000", Public: "https://127.0.0.1:1001"})
	for i, share := range shares {
		name := fmt.Sprintf("keyholder-%d", i+1)
		w := newWitness(t, name, roster.WitnessName(name), genKey(name+" witness"))
		x.witnesses = append(x.witnesses, w)
		add(roster.Member{Name: name, Role: roster.KeyHolder, URL: fmt.Sprintf("https://127.0.0.1:%d", 2000+i), Public: fmt.Sprintf("https://127.0.0.1:%d", 3000+i),
			Index: i + 1, PublicShare: share, WitnessKey: genPublic(name + " witness")})
	}
	for _, j := range genStates {
		add(roster.Member{Name: string(j), Role: roster.Gateway, Jurisdiction: j, Participation: roster.Full, Quota: quota,
			Capabilities: []roster.Capability{roster.Search, roster.Answer, roster.Publish}})
	}
	for _, change := range before {
		change(r)
	}
	var err error
	x.signed, err = r.Sign(signer)
	must(t, err)
	list, err := ReadRosters(r.Governance, x.signed)
	must(t, err)
	x.roster = list[0]
	hash, err := x.roster.Hash()
	must(t, err)
	for _, name := range x.members {
		x.note(x.start, name, "started", map[string]string{"version": "test"})
		x.note(x.start, name, "roster", map[string]string{"version": "1", "hash": hex.EncodeToString(hash[:]), "changes": "the first"})
	}
	if dir != "" {
		x.folder(dir, r.Governance)
	}
	return x
}

// folder writes what lies beside the logs.
func (x *genExchange) folder(dir string, g roster.Governance) {
	hub := install.FolderOf(dir, "hub")
	raw, err := json.Marshal(g)
	must(x.t, err)
	for _, d := range []string{filepath.Join(hub, "roster"), filepath.Join(dir, "governance")} {
		must(x.t, os.MkdirAll(d, 0o700))
	}
	must(x.t, os.WriteFile(filepath.Join(hub, "governance.json"), raw, 0o600))
	must(x.t, os.WriteFile(filepath.Join(hub, "roster", "000001"), x.signed, 0o600))
	must(x.t, os.WriteFile(filepath.Join(dir, "governance", "auditor.key"), []byte(x.auditor.String()+"\n"), 0o600))
}

// genShares are a group key and public shares on a line.
func genShares(t testing.TB, n int) (group []byte, shares [][]byte) {
	at := func(x int64) []byte {
		b := new(big.Int).SetInt64(1_000_003 + 77_777*x).FillBytes(make([]byte, 32))
		slices.Reverse(b)
		scalar, err := toprf.DecodeScalar(b)
		must(t, err)
		share, err := toprf.NewShare(1, scalar)
		must(t, err)
		public := share.Public()
		return public.Bytes()
	}
	for i := 1; i <= n; i++ {
		shares = append(shares, at(int64(i)))
	}
	return at(0), shares
}

// options to reconcile what is published at the time now.
func (x *genExchange) options(now int64) Options {
	o := Options{Rosters: []*roster.Roster{x.roster}, Identities: []age.Identity{x.auditor}, Now: time.Unix(now, 0)}
	o.Evidence = func(file []byte) (member, place string, err error) {
		member, place, ok := strings.Cut(string(file), " ")
		if !ok {
			return "", "", errors.New("it proves nothing")
		}
		return member, place, nil
	}
	for _, name := range x.members {
		s := Source{Member: name, Instance: "1", Reader: &x.logs[name].objects}
		if c := x.copies[name]; c != nil {
			s.Copies = append(s.Copies, c)
		}
		o.Sources = append(o.Sources, s)
	}
	return o
}

// genTicket is a ticket on its way.
type genTicket struct {
	waypost.SignedTicket
	ordinals map[[2]string]uint64 // by member and kind
}

// put commits an entry to a member's ledger at the time now.
func (x *genExchange) put(now int64, member, kind string, t *genTicket, fields map[string]string) int64 {
	return x.putAt(now, now+x.skew[member], member, kind, t, fields)
}

func (x *genExchange) putAt(now, at int64, member, kind string, t *genTicket, fields map[string]string) int64 {
	l := x.logs[member]
	body, err := translog.FormatBody(fields)
	must(x.t, err)
	e := translog.Entry{Kind: kind, At: time.Unix(at, 0).UTC(), Body: body, Salt: sha256.Sum256(fmt.Appendf(nil, "%s %d", member, l.size))}
	if t != nil {
		e.Ticket, e.Tau, e.Ordinal = t.ID, t.Tau, t.ordinals[[2]string{member, kind}]
		t.ordinals[[2]string{member, kind}]++
	} else {
		e.Tau = sha256.Sum256(fmt.Appendf(nil, "tau %s %d", member, l.size))
	}
	x.count(member, e)
	return l.append(now, e)
}

// count keeps the counters of a day for its daily entry.
func (x *genExchange) count(member string, e translog.Entry) {
	day := e.At.Format(time.DateOnly)
	if x.counts[member] == nil {
		x.counts[member] = make(map[string]map[string]int64)
	}
	if x.counts[member][day] == nil {
		x.counts[member][day] = make(map[string]int64)
	}
	x.counts[member][day][e.Kind]++
}

// daily writes the counters of the days that are over.
func (x *genExchange) daily(now int64) {
	today := time.Unix(now-300, 0).UTC().Format(time.DateOnly)
	for _, member := range x.members {
		for _, day := range sortedKeys(x.counts[member]) {
			if day >= today {
				continue
			}
			fields := map[string]string{"day": day}
			for kind, n := range x.counts[member][day] {
				fields[kind] = fmt.Sprint(n)
			}
			delete(x.counts[member], day)
			x.note(now, member, "daily", fields)
		}
	}
}

// note commits an entry without a ticket.
func (x *genExchange) note(now int64, member, kind string, fields map[string]string) int64 {
	return x.put(now, member, kind, nil, fields)
}

// ticketFields are those of an entry about a ticket, and more.
func ticketFields(t *genTicket, more ...string) map[string]string {
	m := make(map[string]string, 16)
	for _, f := range journal.TicketFields(t.Ticket) {
		m[f.Name] = f.Value
	}
	for i := 0; i+1 < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return m
}

// publishAll cuts all logs at once.
func (x *genExchange) publishAll(now int64) {
	for _, name := range x.members {
		x.logs[name].publish(now, now, x.witnesses...)
	}
}
