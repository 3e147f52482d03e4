package keyholder_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/journal/journaltest"
	"github.com/waypost/waypost/internal/keyholder"
	"github.com/waypost/waypost/internal/metrics"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc/rpctest"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/toprf"
)

const holderName = "keyholder-1"

// rig is one key holder behind real TLS, with two states that ask it.
type rig struct {
	*rpctest.Exchange
	t       testing.TB
	dir     string
	db      *store.DB
	journal *journal.Journal
	metrics *metrics.Set
	stop    func()
	fault   atomic.Pointer[store.Fault]
	shares  []toprf.Share // beside its first
	fence   time.Time
	arizona waypostv1connect.KeyHolderClient
	nevada  waypostv1connect.KeyHolderClient
}

func newRig(t testing.TB, quota roster.Quota) *rig {
	t.Helper()
	r := &rig{Exchange: rpctest.New(t, quota, "AZ", "NV"), t: t, dir: t.TempDir(), metrics: metrics.New()}
	r.start()
	t.Cleanup(r.halt)
	r.arizona = waypostv1connect.NewKeyHolderClient(r.Dial("AZ", holderName))
	r.nevada = waypostv1connect.NewKeyHolderClient(r.Dial("NV", holderName))
	return r
}

// earlyInADay sets the clock to an hour after the next midnight: what is counted by the day,
// or by the hour, is counted in one.
func (r *rig) earlyInADay() {
	r.Advance(r.Now().Truncate(24 * time.Hour).Add(25 * time.Hour).Sub(r.Now()))
}

func (r *rig) deps() keyholder.Deps {
	me := r.Party(holderName)
	return keyholder.Deps{
		Roster: r.View, DB: r.db, Journal: r.journal, Shares: keyholder.Held(append(r.shares, me.Share)...), Identity: me.Identity, Cert: me.Cert,
		Now: r.Now, Fence: r.fence, Metrics: r.metrics, Log: slog.New(slog.NewTextHandler(r.t.Output(), nil)),
	}
}

// start opens the database and serves, as a new process would.
func (r *rig) start() {
	r.t.Helper()
	var err error
	r.db, err = store.Open(context.Background(), storetest.URL(r.t, r.dir+"/keyholder.db", "keyholder"), "keyholder", store.WithFault(func(point string) error {
		if f := r.fault.Load(); f != nil {
			return (*f)(point)
		}
		return nil
	}))
	must(r.t, err)
	r.journal, err = journal.Open(context.Background(), r.db, "rpctest/keyholder-1/1", journaltest.Recipient())
	must(r.t, err)
	server, err := keyholder.New(keyholder.Config{Name: holderName}, r.deps())
	must(r.t, err)
	r.stop = r.Serve(holderName, server.Run)
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

// question is a ticket with its elements.
type question struct {
	waypost.SignedTicket
	elements []byte
}

func (q question) request() *waypostv1.EvaluateRequest {
	return &waypostv1.EvaluateRequest{Ticket: q.Bytes(), Elements: q.elements}
}

// ask makes a check of Arizona's, which the changes may spoil before it is
// signed.
func (r *rig) ask(changes ...func(*waypost.Ticket)) question {
	r.t.Helper()
	return r.sign("AZ", elements(r.t, waypost.CheckElements), changes...)
}

func (r *rig) sign(signer string, elements []byte, changes ...func(*waypost.Ticket)) question {
	r.t.Helper()
	current := r.View.Current()
	t := waypost.Ticket{
		Kind: waypost.KindCheck, RosterVersion: current.Version, Epoch: current.Epoch, Environment: current.Environment, SOI: "AZ",
		Operator: [32]byte{1}, Class: waypost.Attended, Purpose: waypost.IssueRealID, IssuedAt: r.Now(),
		Elements: len(elements) / 32, Probes: waypost.HashProbes(elements),
	}
	_, _ = rand.Read(t.Nonce[:])
	_, _ = rand.Read(t.Tau[:])
	for _, change := range changes {
		change(&t)
	}
	signed, err := t.Sign(r.Party(signer).Identity)
	must(r.t, err)
	return question{signed, elements}
}

func publishing(t *waypost.Ticket) {
	t.Kind, t.Class, t.Purpose = waypost.KindPublish, waypost.Loader, waypost.MaintainPointer
}

// elements are n blinded elements of nobody.
func elements(t testing.TB, n int) []byte {
	t.Helper()
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = make([]byte, 16)
		_, _ = rand.Read(keys[i])
	}
	var seed [32]byte
	_, _ = rand.Read(seed[:])
	b, err := toprf.BlindAll(keys, seed)
	must(t, err)
	return toprf.EncodeElements(b.Elements())
}

func (r *rig) evaluate(q question) (*waypostv1.EvaluateResponse, error) {
	return r.arizona.Evaluate(context.Background(), q.request())
}

// good evaluates and checks all that a gateway would.
func (r *rig) good(q question) *waypostv1.EvaluateResponse {
	r.t.Helper()
	res, err := r.evaluate(q)
	must(r.t, err)
	r.check(q, res)
	return res
}

// check insists on a proof for this share, and a receipt for exactly this
// answer whose leaf stands in the journal.
func (r *rig) check(q question, res *waypostv1.EvaluateResponse) {
	r.t.Helper()
	blinded, err := toprf.DecodeElements(q.elements, q.Elements)
	must(r.t, err)
	if len(res.Proof) != toprf.ProofSize {
		r.t.Fatalf("a proof of %d bytes", len(res.Proof))
	}
	if _, err := r.Keys.Verify(1, blinded, toprf.Evaluation{Elements: res.Elements, Proof: [toprf.ProofSize]byte(res.Proof)}); err != nil {
		r.t.Error(err)
	}
	receipt, err := waypost.ParseReceipt(res.Receipt)
	must(r.t, err)
	key, err := r.View.HolderKey(q.RosterVersion, holderName)
	must(r.t, err)
	must(r.t, receipt.Verify(key))
	want := waypost.Receipt{
		Action: waypost.ActionEvaluate, Signer: holderName, Ticket: q.ID, Epoch: 1, Inputs: q.Probes,
		Outputs: waypost.HashOutputs(waypost.ActionEvaluate, res.Elements), Proof: sha256.Sum256(res.Proof),
		Origin: "rpctest/keyholder-1/1", Sequence: receipt.Sequence, Deadline: receipt.Deadline,
	}
	if receipt.Receipt != want {
		r.t.Errorf("receipt %+v, want %+v", receipt.Receipt, want)
	}
	leaf, err := journaltest.Opener().Read(context.Background(), r.journal, receipt.Sequence, 1)
	must(r.t, err)
	if len(leaf) != 1 || leaf[0].Kind != "evaluate" || waypost.TicketID(leaf[0].Ticket) != q.ID || leaf[0].Tau != q.Tau || leaf[0].Ordinal != 0 {
		r.t.Errorf("entry %d of the journal is not this evaluation: %+v", receipt.Sequence, leaf)
	}
}

// entries counts the evaluations in the journal.
func (r *rig) entries() int { return len(r.entriesOf("evaluate")) }

func (r *rig) entriesOf(kind string) []journal.Stored {
	r.t.Helper()
	all, err := journaltest.Opener().Read(context.Background(), r.journal, 0, 1000)
	must(r.t, err)
	return slices.DeleteFunc(all, func(s journal.Stored) bool { return s.Kind != kind })
}

// refused insists on the code and the words, and that nothing was counted.
func (r *rig) refused(name string, client waypostv1connect.KeyHolderClient, req *waypostv1.EvaluateRequest, code waypost.Code, words string) {
	r.t.Helper()
	before := r.entries()
	_, err := client.Evaluate(context.Background(), req)
	if waypost.CodeOf(err) != code || err != nil && !strings.Contains(err.Error(), words) {
		r.t.Errorf("%s: %s: %v, want %s: %q", name, waypost.CodeOf(err), err, code, words)
	}
	if n := r.entries(); n != before {
		r.t.Errorf("%s: %d entries for a refusal", name, n-before)
	}
}

func same(t testing.TB, a, b *waypostv1.EvaluateResponse) {
	t.Helper()
	if !bytes.Equal(a.Elements, b.Elements) || !bytes.Equal(a.Proof, b.Proof) || !bytes.Equal(a.Receipt, b.Receipt) {
		t.Error("the same request got another answer")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
