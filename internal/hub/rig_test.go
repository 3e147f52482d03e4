package hub_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/journal/journaltest"
	"github.com/waypost/waypost/internal/metrics"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc/rpctest"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/shards"
	"github.com/waypost/waypost/internal/shards/shardstest"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/pgtest"
	"github.com/waypost/waypost/internal/store/storetest"
)

var states = []waypost.Jurisdiction{"AZ", "CA", "NV"}

// rig is a hub behind real TLS with three states. The key holders' receipts
// are signed here with their keys.
type rig struct {
	*rpctest.Exchange
	t       testing.TB
	url     string // of the database
	db      *store.DB
	journal *journal.Journal
	metrics *metrics.Set
	server  *hub.Server
	stop    func()
	fault   atomic.Pointer[store.Fault]
	looking atomic.Pointer[func()] // called when the hub looks at its clock
	said    heard                  // in the log
	fence   time.Time
	owned   *shards.Owned
	client  map[waypost.Jurisdiction]waypostv1connect.HubClient
	ring    map[waypost.Jurisdiction]*seal.Keyring
}

func newRig(t testing.TB) *rig { return newRigWith(t, rpctest.Ample) }

func newRigWith(t testing.TB, quota roster.Quota) *rig {
	t.Helper()
	url := storetest.URL(t, t.TempDir()+"/hub.db", "hub")
	if n, err := strconv.Atoi(os.Getenv("WAYPOST_TEST_SHARDS")); err == nil {
		var databases []string
		for range n {
			databases = append(databases, pgtest.Shared(t).URL())
		}
		shardstest.Spread(t, url, n, databases...)
	}
	return newRigOn(t, quota, url)
}

func newRigOn(t testing.TB, quota roster.Quota, url string) *rig {
	t.Helper()
	r := &rig{
		Exchange: rpctest.New(t, quota, states...), t: t, url: url, metrics: metrics.New(),
		client: make(map[waypost.Jurisdiction]waypostv1connect.HubClient), ring: make(map[waypost.Jurisdiction]*seal.Keyring),
	}
	r.start()
	t.Cleanup(r.halt)
	for _, s := range states {
		r.client[s] = waypostv1connect.NewHubClient(r.Dial(string(s), "hub"))
		ring, err := seal.NewKeyring(string(s), r.Party(string(s)).Identity, r.Now())
		must(t, err)
		r.ring[s] = ring
		r.announce(s)
	}
	return r
}

func (r *rig) announce(s waypost.Jurisdiction) {
	r.t.Helper()
	_, err := r.client[s].PutKey(context.Background(), &waypostv1.PutKeyRequest{Key: r.ring[s].Current().Encode()})
	must(r.t, err)
}

func (r *rig) deps() hub.Deps {
	me := r.Party("hub")
	return hub.Deps{
		Roster: r.View, DB: r.db, Journal: r.journal, LabelKey: [32]byte{1}, Identity: me.Identity, Cert: me.Cert,
		Now: r.watched, Fence: r.fence, Owned: r.owned, Metrics: r.metrics, Log: slog.New(slog.NewTextHandler(io.MultiWriter(r.t.Output(), &r.said), nil)),
	}
}

// heard keeps what was written to the log.
type heard struct {
	mu  sync.Mutex
	all strings.Builder
}

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all.Write(p)
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all.String()
}

func (r *rig) watched() time.Time {
	if f := r.looking.Load(); f != nil {
		(*f)()
	}
	return r.Now()
}

func (r *rig) start() {
	r.t.Helper()
	var err error
	r.db, err = store.Open(context.Background(), r.url, "hub", store.WithFault(func(point string) error {
		if f := r.fault.Load(); f != nil {
			return (*f)(point)
		}
		return nil
	}))
	must(r.t, err)
	r.journal, err = journal.Open(context.Background(), r.db, "rpctest/hub/1", journaltest.Recipient())
	must(r.t, err)
	r.server, err = hub.New(hub.Config{Name: "hub"}, r.deps())
	must(r.t, err)
	r.stop = r.Serve("hub", r.server.Run)
}

func (r *rig) halt() {
	if r.db == nil {
		return
	}
	r.stop()
	must(r.t, r.db.Close())
	r.db = nil
}

func (r *rig) restart() {
	r.t.Helper()
	r.halt()
	r.start()
}

// afterMidnight makes it an hour after midnight in UTC, so that no day and no hour ends,
// and with it no window of a quota, in the middle of a test.
func (r *rig) afterMidnight() {
	now := r.Now()
	r.Advance(now.Truncate(24 * time.Hour).Add(25 * time.Hour).Sub(now))
}

// permit is a ticket with the receipts of a quorum.
type permit struct {
	waypost.SignedTicket
	receipts [][]byte
}

func (r *rig) permit(soi waypost.Jurisdiction, kind waypost.Kind, elements int, changes ...func(*waypost.Ticket)) permit {
	r.t.Helper()
	current := r.View.Current()
	t := waypost.Ticket{
		Kind: kind, RosterVersion: current.Version, Epoch: current.Epoch, Environment: current.Environment, SOI: soi,
		Operator: [32]byte{1}, Class: waypost.Attended, Purpose: waypost.IssueRealID, IssuedAt: r.Now(), Elements: elements,
	}
	if kind != waypost.KindCheck && kind != waypost.KindChangeSOR {
		t.Class, t.Purpose = waypost.Loader, waypost.MaintainPointer
	}
	for _, b := range [][]byte{t.Nonce[:], t.Tau[:], t.Probes[:]} {
		_, _ = rand.Read(b)
	}
	for _, change := range changes {
		change(&t)
	}
	signed, err := t.Sign(r.Party(string(soi)).Identity)
	must(r.t, err)
	p := permit{SignedTicket: signed}
	for _, holder := range []string{"keyholder-1", "keyholder-3"} {
		receipt, err := waypost.Receipt{
			Action: waypost.ActionEvaluate, Signer: holder, Ticket: p.ID, Epoch: p.Epoch, Inputs: p.Probes,
			Origin: "rpctest/" + holder + "/1", Deadline: r.Now().Add(time.Minute),
		}.Sign(r.Party(holder).Identity)
		must(r.t, err)
		p.receipts = append(p.receipts, receipt.Bytes())
	}
	return p
}

func (r *rig) check(soi waypost.Jurisdiction, changes ...func(*waypost.Ticket)) permit {
	r.t.Helper()
	return r.permit(soi, waypost.KindCheck, waypost.CheckElements, changes...)
}

// token is the n-th token of a test.
func token(n int) (t waypost.Token) {
	binary.BigEndian.PutUint64(t[:], uint64(n)+1)
	return t
}

func randomToken() (t waypost.Token) {
	_, _ = rand.Read(t[:])
	return t
}

func join(tokens []waypost.Token) []byte {
	var b []byte
	for _, t := range tokens {
		b = append(b, t[:]...)
	}
	return b
}

// padded brings the tokens to n with ones that nobody has.
func padded(n int, tokens ...waypost.Token) []byte {
	for len(tokens) < n {
		tokens = append(tokens, randomToken())
	}
	return join(tokens)
}

func handle(n int) []byte { return binary.BigEndian.AppendUint64(make([]byte, 8), uint64(n)+1) }

// person is a record with these tokens and otherwise unique ones.
func person(n int, tokens ...waypost.Token) *waypostv1.PublishedRecord {
	return &waypostv1.PublishedRecord{Handle: handle(n), Tokens: padded(waypost.RecordElements, tokens...)}
}

func (r *rig) publish(owner waypost.Jurisdiction, records ...*waypostv1.PublishedRecord) {
	r.t.Helper()
	_, err := r.tryPublish(r.permit(owner, waypost.KindPublish, len(records)*waypost.RecordElements), records...)
	must(r.t, err)
}

func (r *rig) tryPublish(p permit, records ...*waypostv1.PublishedRecord) (*waypostv1.PublishResponse, error) {
	return r.client[p.SOI].Publish(context.Background(), &waypostv1.PublishRequest{Ticket: p.Bytes(), Receipts: p.receipts, Records: records})
}

func (r *rig) search(p permit, part uint32, tokens []byte) (*waypostv1.SearchResponse, error) {
	req := &waypostv1.SearchRequest{Ticket: p.Bytes(), Part: part, Tokens: tokens}
	if part == 1 {
		req.Receipts = p.receipts
	}
	return r.client[p.SOI].Search(context.Background(), req)
}

// found searches one part and checks the receipt over the answer.
func (r *rig) found(p permit, part uint32, tokens []byte) waypost.Candidates {
	r.t.Helper()
	res, err := r.search(p, part, tokens)
	must(r.t, err)
	list, err := waypost.ParseCandidates(res.Candidates)
	must(r.t, err)
	action := map[uint32]waypost.Action{1: waypost.ActionSearchFirst, 2: waypost.ActionSearchSecond}[part]
	r.receipt(res.Receipt, p, action, waypost.HashTokens(tokens), res.Candidates)
	if list.Ticket != p.ID {
		r.t.Error("the candidates are of another ticket")
	}
	return list
}

// first searches part one for the tokens.
func (r *rig) first(p permit, tokens ...waypost.Token) waypost.Candidates {
	r.t.Helper()
	return r.found(p, 1, padded(waypost.NameElements, tokens...))
}

// receipt insists that it is for exactly this and that its leaf is there.
func (r *rig) receipt(raw []byte, p permit, action waypost.Action, inputs [32]byte, returned []byte) {
	r.t.Helper()
	receipt, err := waypost.ParseReceipt(raw)
	must(r.t, err)
	hub, _ := r.View.Member("hub")
	must(r.t, receipt.Verify(hub.Identity))
	want := waypost.Receipt{
		Action: action, Signer: "hub", Ticket: p.ID, Epoch: p.Epoch, Inputs: inputs, Outputs: waypost.HashOutputs(action, returned),
		Origin: "rpctest/hub/1", Sequence: receipt.Sequence, Deadline: receipt.Deadline,
	}
	if receipt.Receipt != want {
		r.t.Errorf("receipt %+v, want %+v", receipt.Receipt, want)
	}
	leaf, err := journaltest.Opener().Read(context.Background(), r.journal, receipt.Sequence, 1)
	must(r.t, err)
	if len(leaf) != 1 || leaf[0].Kind != string(action) || waypost.TicketID(leaf[0].Ticket) != p.ID {
		r.t.Errorf("entry %d of the journal is not this %s: %+v", receipt.Sequence, action, leaf)
	}
}

// mail returns what is in a state's box after a number, without waiting.
func (r *rig) mail(s waypost.Jurisdiction, acknowledge uint64) []*waypostv1.Mail {
	r.t.Helper()
	res, err := r.client[s].Receive(context.Background(), &waypostv1.ReceiveRequest{Acknowledge: acknowledge, Max: 64})
	must(r.t, err)
	return res.Mail
}

// notices opens all notices in a state's box.
func (r *rig) notices(s waypost.Jurisdiction) []*waypostv1.Notice {
	r.t.Helper()
	var all []*waypostv1.Notice
	for after := uint64(0); ; {
		batch := r.mail(s, 0)
		if after > 0 {
			batch = r.mail(s, after)
		}
		if len(batch) == 0 {
			return all
		}
		for _, m := range batch {
			after = m.Sequence
			opened, err := seal.Open(m.Sealed, r.ring[s], r.View.SenderKey, r.Now())
			must(r.t, err)
			if opened.Type != waypost.MessageNotice {
				continue
			}
			n := &waypostv1.Notice{}
			must(r.t, proto.Unmarshal(opened.Body, n))
			if opened.Sender != "hub" || opened.Ticket == [32]byte{} {
				r.t.Errorf("a notice of %s about ticket %x", opened.Sender, opened.Ticket)
			}
			all = append(all, n)
		}
	}
}

// kinds counts the journal by kind.
func (r *rig) kinds() map[string]int {
	r.t.Helper()
	counts := make(map[string]int)
	for from := uint64(0); ; {
		page, err := journaltest.Opener().Read(context.Background(), r.journal, from, 1000)
		must(r.t, err)
		if len(page) == 0 {
			return counts
		}
		for _, e := range page {
			counts[e.Kind]++
			from = e.Seq + 1
		}
	}
}

// count runs a query for one number.
func (r *rig) count(query string, args ...any) (n int) {
	r.t.Helper()
	must(r.t, r.db.Read(context.Background(), func(tx *store.Tx) error { return tx.Row(query, args...).Scan(&n) }))
	return n
}

func refused(t testing.TB, name string, err error, code waypost.Code, words string) {
	t.Helper()
	if waypost.CodeOf(err) != code || err != nil && !strings.Contains(err.Error(), words) {
		t.Errorf("%s: %s: %v, want %s: %q", name, waypost.CodeOf(err), err, code, words)
	}
}

func referencesOf(c waypost.Candidates) map[waypost.Reference]waypost.Jurisdiction {
	all := make(map[waypost.Reference]waypost.Jurisdiction)
	for _, one := range c.List {
		all[one.Reference] = one.Owner
	}
	return all
}

func sameBytes(t testing.TB, name string, a, b []byte) {
	t.Helper()
	if !bytes.Equal(a, b) {
		t.Errorf("%s differs: %x and %x", name, a, b)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
