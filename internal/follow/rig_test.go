package follow

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/journal/journaltest"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc/rpctest"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/translog"
)

// rig is the gateway of Arizona among a hub and three key holders, whose logs
// are made here: folders of real tiles with real signatures.
type rig struct {
	*rpctest.Exchange
	t          testing.TB
	dir        string
	clock      time.Time
	governance roster.Governance
	signer     note.Signer
	roster     *roster.Roster
	signed     [][]byte
	view       *roster.View
	keys       map[string]ed25519.PrivateKey // "hub log", "keyholder-1 witness", "outside"
	logs       map[string]*testLog           // by member
	db         *store.DB
	journal    *journal.Journal
	follower   *Follower
}

const me = "AZ"

// members makes the keys of an exchange once: they stay the same in all tests.
func members(t testing.TB) *rpctest.Exchange {
	made.Do(func() { exchange = rpctest.New(t, rpctest.Ample, me, "CA") })
	return exchange
}

var (
	made     sync.Once
	exchange *rpctest.Exchange
)

func newRig(t testing.TB, changes ...func(*rig, *roster.Roster)) *rig {
	r := &rig{
		Exchange: members(t), t: t, dir: t.TempDir(), keys: make(map[string]ed25519.PrivateKey),
		logs: make(map[string]*testLog),
	}
	r.clock = r.Exchange.Now().UTC().Truncate(time.Second).Add(time.Minute)
	secret, public, err := note.GenerateKey(rand.Reader, "follow/governance")
	must(t, err)
	r.signer, err = note.NewSigner(secret)
	must(t, err)
	first := *r.Exchange.View.Current()
	first.Members = append([]roster.Member(nil), first.Members...)
	first.Governance = roster.Governance{Threshold: 1, Keys: []string{public}}
	first.Witnesses = []roster.Witness{{Key: translog.WitnessKey("outside.test/witness", r.key("outside")), URL: "https://outside.test/"}}
	first.WitnessPolicy = roster.WitnessPolicy{Holders: 2, Outside: 1}
	for i := range first.Members {
		m := &first.Members[i]
		m.LogKey = r.key(m.Name + " log")
		if m.Role == roster.KeyHolder {
			m.WitnessKey = r.key(m.Name + " witness")
		}
	}
	for _, change := range changes {
		change(r, &first)
	}
	r.governance, r.roster = first.Governance, &first
	r.sign()
	r.view, err = roster.NewView(r.governance, r.now, r.signed...)
	must(t, err)
	for _, name := range []string{"hub", "keyholder-1", "keyholder-2", "keyholder-3"} {
		r.logs[name] = r.newLog(name, "1")
	}
	r.open()
	t.Cleanup(r.close)
	return r
}

func (r *rig) now() time.Time { return r.clock }

func (r *rig) sign() {
	signed, err := r.roster.Sign(r.signer)
	must(r.t, err)
	r.signed = append(r.signed, signed)
}

// update signs and installs the next roster.
func (r *rig) update(change func(*roster.Roster)) {
	next := *r.roster
	hash, err := next.Hash()
	must(r.t, err)
	next.Version, next.Previous = next.Version+1, hash
	next.NotBefore = r.clock
	next.NotAfter = r.clock.Add(roster.MaxValidity)
	next.Members = append([]roster.Member(nil), next.Members...)
	change(&next)
	r.roster = &next
	r.sign()
	must(r.t, r.view.Update(r.signed[len(r.signed)-1]))
}

func (r *rig) key(name string) ed25519.PublicKey {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(r.t, err)
	r.keys[name] = private
	return public
}

func (r *rig) open() {
	var err error
	r.db, err = store.Open(context.Background(), storetest.URL(r.t, filepath.Join(r.dir, "gateway.db"), "gateway"), "gateway")
	must(r.t, err)
	r.journal, err = journal.Open(context.Background(), r.db, "follow.test/AZ/1", journaltest.Recipient())
	must(r.t, err)
	r.follow()
}

func (r *rig) follow() {
	var err error
	r.follower, err = New(context.Background(), Config{Member: me, Origin: "follow.test/AZ/1"}, r.deps())
	must(r.t, err)
}

func (r *rig) deps() Deps {
	return Deps{
		Roster: r.view, DB: r.db, Journal: r.journal, Publish: Folder(filepath.Join(r.dir, "own")),
		Open: func(member, instance string) (translog.Reader, error) {
			return translog.Dir(filepath.Join(r.dir, "log", member, instance))
		},
		Governance: r.governance, Rosters: func() ([][]byte, error) { return r.signed, nil },
		Now: r.now, Log: slog.New(slog.NewTextHandler(r.t.Output(), nil)),
	}
}

func (r *rig) close() { must(r.t, r.db.Close()) }

// restart is what a crash leaves: the database.
func (r *rig) restart() {
	r.close()
	r.open()
}

func (r *rig) round() {
	r.t.Helper()
	must(r.t, r.follower.Round(context.Background()))
}

// publishAll has every log cosigned now.
func (r *rig) publishAll() {
	for _, l := range r.logs {
		l.publish(r.clock)
	}
}

// entries returns the own ledger's entries of a kind, as fields.
func (r *rig) entries(kind string) (found []map[string]string) {
	r.t.Helper()
	page, err := journaltest.Opener().Read(context.Background(), r.journal, 0, 1000)
	must(r.t, err)
	for _, s := range page {
		if s.Kind == kind {
			fields, err := journal.ParseBody(s.Body)
			must(r.t, err)
			found = append(found, fields)
		}
	}
	return found
}

// evidence returns what lies in the own log's folder.
func (r *rig) evidence() (found []*Evidence) {
	r.t.Helper()
	names, err := filepath.Glob(filepath.Join(r.dir, "own", "evidence", "*.json"))
	must(r.t, err)
	for _, name := range names {
		content, err := os.ReadFile(name)
		must(r.t, err)
		e, err := Parse(content)
		must(r.t, err)
		if filepath.Base(name) != filepath.Base(e.Path()) {
			r.t.Errorf("%s lies under the name %s", e.Path(), name)
		}
		found = append(found, e)
	}
	return found
}

// testLog is a log on disk.
type testLog struct {
	rig    *rig
	member string
	origin string
	dir    string
	leaves [][]byte
	stored []tlog.Hash
	key    ed25519.PrivateKey
	by     []string // whose witnesses cosign
}

func (r *rig) newLog(member, instance string) *testLog {
	l := &testLog{
		rig: r, member: member, origin: "follow.test/" + member + "/" + instance, key: r.keys[member+" log"],
		dir: filepath.Join(r.dir, "log", member, instance),
	}
	for _, name := range []string{"keyholder-1 witness", "keyholder-2 witness", "keyholder-3 witness", "outside"} {
		if name != member+" witness" {
			l.by = append(l.by, name)
		}
	}
	must(r.t, os.MkdirAll(l.dir, 0o755))
	return l
}

// copyOf is a log with the same key, leaves and place, to be continued
// otherwise.
func (l *testLog) copyOf(n int) *testLog {
	other := *l
	other.leaves, other.stored = nil, nil
	for _, leaf := range l.leaves[:n] {
		other.add(leaf)
	}
	return &other
}

func (l *testLog) add(leaf []byte) int {
	hashes, err := tlog.StoredHashes(int64(len(l.leaves)), leaf, l)
	must(l.rig.t, err)
	l.leaves, l.stored = append(l.leaves, leaf), append(l.stored, hashes...)
	return len(l.leaves) - 1
}

// grow adds n leaves that mean nothing.
func (l *testLog) grow(n int) *testLog {
	for range n {
		leaf := make([]byte, translog.LeafSize)
		_, _ = rand.Read(leaf) // never fails
		l.add(leaf)
	}
	return l
}

func (l *testLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = l.stored[index]
	}
	return hashes, nil
}

// publish writes the tiles and a checkpoint cosigned at the time.
func (l *testLog) publish(at time.Time) {
	l.rig.t.Helper()
	size := int64(len(l.leaves))
	for _, t := range tlog.NewTiles(torchwood.TileHeight, 0, size) {
		data, err := tlog.ReadTileData(t, l)
		must(l.rig.t, err)
		l.write(torchwood.TilePath(t), data)
		if t.L == 0 {
			var bundle []byte
			for _, leaf := range l.leaves[t.N*torchwood.TileWidth:][:t.W] {
				bundle = append(binary.BigEndian.AppendUint16(bundle, uint16(len(leaf))), leaf...)
			}
			t.L = -1
			l.write(torchwood.TilePath(t), bundle)
		}
	}
	l.write("checkpoint", l.checkpoint(at))
}

func (l *testLog) write(path string, content []byte) {
	name := filepath.Join(l.dir, filepath.FromSlash(path))
	must(l.rig.t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(l.rig.t, os.WriteFile(name, content, 0o644))
}

// checkpoint is signed by the log and cosigned at the time.
func (l *testLog) checkpoint(at time.Time) []byte {
	root, err := tlog.TreeHash(int64(len(l.leaves)), l)
	must(l.rig.t, err)
	text := torchwood.Checkpoint{Origin: l.origin, Tree: tlog.Tree{N: int64(len(l.leaves)), Hash: root}}.String()
	signed := text + "\n" + signature(l.rig.t, l.origin, 1, l.key, ed25519.Sign(l.key, []byte(text)))
	for _, name := range l.by {
		key := l.rig.keys[name]
		who := "outside.test/witness"
		if name != "outside" {
			who = roster.WitnessName(name[:len("keyholder-1")])
		}
		cosigned := binary.BigEndian.AppendUint64(nil, uint64(at.Unix()))
		cosigned = append(cosigned, ed25519.Sign(key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at.Unix(), text))...)
		signed += signature(l.rig.t, who, 4, key, cosigned)
	}
	return []byte(signed)
}

// signature is a line of a signed note.
func signature(t testing.TB, name string, algorithm byte, key ed25519.PrivateKey, sig []byte) string {
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		t.Fatal("not an Ed25519 key")
	}
	var hash uint32
	if algorithm == 1 {
		v, err := translog.LogVerifier(name, public)
		must(t, err)
		hash = v.KeyHash()
	} else {
		v, err := translog.WitnessVerifier(translog.WitnessKey(name, public))
		must(t, err)
		hash = v.KeyHash()
	}
	return fmt.Sprintf("— %s %s\n", name, base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, hash), sig...)))
}

// ask signs a ticket of Arizona.
func (r *rig) ask() waypost.SignedTicket {
	t := waypost.Ticket{
		Kind: waypost.KindCheck, RosterVersion: r.roster.Version, Epoch: 1, Environment: waypost.Test, SOI: me,
		Operator: [32]byte{1}, Class: waypost.Attended, Purpose: waypost.IssueRealID, IssuedAt: r.clock, Elements: 32,
	}
	for _, b := range [][]byte{t.Nonce[:], t.Tau[:], t.Probes[:]} {
		_, _ = rand.Read(b) // never fails
	}
	signed, err := t.Sign(r.Party(me).Identity)
	must(r.t, err)
	return signed
}

// promise signs a receipt of the log's member for leaf seq, due in a minute.
func (l *testLog) promise(t waypost.SignedTicket, seq int) []byte {
	action, _ := map[string]waypost.Action{"hub": waypost.ActionSearchFirst}[l.member]
	if action == "" {
		action = waypost.ActionEvaluate
	}
	receipt, err := waypost.Receipt{
		Action: action, Signer: l.member, Ticket: t.ID, Epoch: 1, Inputs: t.Probes, Origin: l.origin,
		Sequence: uint64(seq), Deadline: l.rig.clock.Add(journal.MergeDelay),
	}.Sign(l.rig.Party(l.member).Identity)
	must(l.rig.t, err)
	return receipt.Bytes()
}

// evaluate does what a receipt promises, and signs it.
func (l *testLog) evaluate(t waypost.SignedTicket) []byte {
	role, kind := "keyholder", "evaluate"
	if l.member == "hub" {
		role, kind = "hub", "search_first"
	}
	e := translog.Entry{Kind: kind, At: l.rig.clock, Ticket: t.ID, Tau: t.Tau, Body: []byte("{}")}
	_, _ = rand.Read(e.Salt[:]) // never fails
	return l.promise(t, l.add(e.Leaf(role, l.origin)))
}

// keep stores receipts as the role does.
func (r *rig) keep(t waypost.SignedTicket, receipts ...[]byte) {
	must(r.t, r.db.Write(context.Background(), func(tx *store.Tx) error { return r.journal.KeepReceipts(tx, t, receipts) }))
}

// kept counts the receipts that are still waiting for their leaves.
func (r *rig) kept() (n int) {
	must(r.t, r.db.Read(context.Background(), func(tx *store.Tx) error {
		return tx.Row("SELECT (SELECT count(*) FROM receipt) + (SELECT count(*) FROM follow_receipt)").Scan(&n)
	}))
	return n
}

func must(t interface {
	Helper()
	Fatal(args ...any)
}, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// proof is of one leaf in the tree as it is.
func (l *testLog) proof(t testing.TB, index int64) [][]byte {
	proof, err := tlog.ProveRecord(int64(len(l.leaves)), index, l)
	must(t, err)
	return setProof(proof)
}

// witness makes another outside witness, which cosigns nothing.
func (r *rig) witness(name string) roster.Witness {
	return roster.Witness{Key: translog.WitnessKey(name+".test/witness", r.key(name)), URL: "https://" + name + ".test/"}
}

// tryOpen opens the follower over a database that may fail.
func (r *rig) tryOpen(db *store.DB) (*Follower, error) {
	j, err := journal.Open(context.Background(), db, "follow.test/AZ/1", journaltest.Recipient())
	if err != nil {
		return nil, err
	}
	d := r.deps()
	d.DB, d.Journal = db, j
	return New(context.Background(), Config{Member: me, Origin: "follow.test/AZ/1"}, d)
}

func noteKey() (string, note.Signer, error) {
	secret, public, err := note.GenerateKey(rand.Reader, "somebody")
	if err != nil {
		return "", nil, err
	}
	s, err := note.NewSigner(secret)
	return public, s, err
}
