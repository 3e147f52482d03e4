package ceremony

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/journal/journaltest"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/toprf"
)

// rig is some key holders under a roster that begins without a key.
type rig struct {
	t      *testing.T
	view   *roster.View
	signer note.Signer
	now    time.Time
	party  map[string]*party
	stolen string // by a rogue
	// refuses are the operators who accept no plan.
	refuses map[string]bool
}

// party is one key holder: what outlives its process, and its process.
type party struct {
	rig      *rig
	name     string
	dir      string
	identity ed25519.PrivateKey
	fault    store.Fault
	db       *store.DB
	journal  *journal.Journal
	vault    *Vault
	restored time.Time
	*Holder
}

func newRig(t *testing.T, holders int) *rig {
	t.Helper()
	r := &rig{t: t, now: time.Now().Truncate(time.Second), party: make(map[string]*party)}
	secret, public, err := note.GenerateKey(rand.Reader, "test/governance")
	must(t, err)
	r.signer, err = note.NewSigner(secret)
	must(t, err)
	first := &roster.Roster{Version: 1, Environment: waypost.Test, NotBefore: r.now.UTC(), NotAfter: r.now.Add(roster.MaxValidity).UTC(), Profile: 1,
		Purposes: []waypost.Purpose{waypost.IssueRealID}, Governance: roster.Governance{Threshold: 1, Keys: []string{public}}}
	first.Members = append(first.Members, r.member("hub", roster.Hub))
	for i := range holders {
		first.Members = append(first.Members, r.member(fmt.Sprintf("keyholder-%d", i+1), roster.KeyHolder))
	}
	signed, err := first.Sign(r.signer)
	must(t, err)
	r.view, err = roster.NewView(first.Governance, func() time.Time { return r.now }, signed)
	must(t, err)
	for _, p := range r.party {
		p.start()
	}
	t.Cleanup(func() {
		for _, p := range r.party {
			must(t, p.db.Close())
		}
	})
	return r
}

// member makes a member; a key holder gets a folder too.
func (r *rig) member(name string, role roster.Role) roster.Member {
	m := roster.Member{Name: name, Role: role, URL: "https://" + name + ".test:443", Protocol: roster.Protocol{Min: 1, Max: 1}}
	_, _ = rand.Read(m.CertKey[:])
	identity, secret, err := ed25519.GenerateKey(rand.Reader)
	must(r.t, err)
	m.Identity = identity
	m.LogKey, _, err = ed25519.GenerateKey(rand.Reader)
	must(r.t, err)
	if role == roster.KeyHolder {
		r.party[name] = &party{rig: r, name: name, dir: r.t.TempDir(), identity: secret}
	}
	return m
}

// start is a new process of a key holder.
func (p *party) start() {
	p.rig.t.Helper()
	must(p.rig.t, p.tryStart())
}

func (p *party) tryStart() (err error) {
	t := p.rig.t
	p.db, err = store.Open(context.Background(), storetest.URL(t, filepath.Join(p.dir, "keyholder.db"), "keyholder"), "keyholder", store.WithFault(func(point string) error {
		if p.fault == nil {
			return nil
		}
		return p.fault(point)
	}))
	if err != nil {
		return err
	}
	if p.journal, err = journal.Open(t.Context(), p.db, "test/"+p.name+"/1", journaltest.Recipient()); err != nil {
		return err
	}
	if p.vault, err = OpenVault(filepath.Join(p.dir, "share"), filepath.Join(p.dir, "identities")); err != nil {
		return err
	}
	p.Holder, err = NewHolder(context.WithoutCancel(t.Context()), Deps{Name: p.name, Roster: p.rig.view, DB: p.db, Journal: p.journal, Vault: p.vault, Identity: p.identity, Restored: p.restored,
		Accepted: func(ID) bool { return !p.rig.refuses[p.name] },
		Now:      func() time.Time { return p.rig.now }, Log: slog.New(slog.DiscardHandler)})
	return err
}

// crash ends the process and starts another one.
func (p *party) crash() {
	p.rig.t.Helper()
	_ = p.db.Close()
	p.start()
}

// link is how the coordinator reaches a key holder; cheats get between.
type link struct {
	to    *party
	start func(*waypostv1.StartCeremonyRequest) error
	in    func(*waypostv1.AdvanceCeremonyRequest) error // what it is told
	out   func(*waypostv1.CeremonyState) error          // what it says
}

// as is the context of a call by a key holder.
func (r *rig) as(ctx context.Context, name string) context.Context {
	m, _ := r.view.Latest().Member(name)
	return rpc.WithPeer(ctx, m)
}

func (l *link) said(s *waypostv1.CeremonyState, err error) (*waypostv1.CeremonyState, error) {
	if err != nil {
		l.to.rig.t.Logf("%s: %v", l.to.name, err)
		return nil, rpc.AsSeen(err)
	}
	if l.out != nil {
		err = l.out(s)
	}
	return s, err
}

func (l *link) StartCeremony(ctx context.Context, req *waypostv1.StartCeremonyRequest) (*waypostv1.CeremonyState, error) {
	if l.start != nil {
		if err := l.start(req); err != nil {
			return nil, err
		}
	}
	return l.said(l.to.StartCeremony(l.to.rig.as(ctx, "keyholder-1"), req))
}

func (l *link) AdvanceCeremony(ctx context.Context, req *waypostv1.AdvanceCeremonyRequest) (*waypostv1.CeremonyState, error) {
	if l.in != nil {
		req = &waypostv1.AdvanceCeremonyRequest{Ceremony: req.Ceremony, Round: req.Round, Messages: slices.Clone(req.Messages)}
		if err := l.in(req); err != nil {
			return nil, err
		}
	}
	return l.said(l.to.AdvanceCeremony(l.to.rig.as(ctx, "keyholder-1"), req))
}

func (l *link) GetCeremony(ctx context.Context, req *waypostv1.GetCeremonyRequest) (*waypostv1.CeremonyState, error) {
	s, err := l.to.GetCeremony(l.to.rig.as(ctx, "keyholder-1"), req)
	return s, rpc.AsSeen(err)
}

func (l *link) AbortCeremony(ctx context.Context, req *waypostv1.AbortCeremonyRequest) (*waypostv1.CeremonyState, error) {
	s, err := l.to.AbortCeremony(l.to.rig.as(ctx, "keyholder-1"), req)
	return s, rpc.AsSeen(err)
}

// links reach everybody; change may put something between.
func (r *rig) links(change func(map[string]*link)) Clients {
	all := make(map[string]*link)
	for name, p := range r.party {
		all[name] = &link{to: p}
	}
	if change != nil {
		change(all)
	}
	clients := make(Clients)
	for name, l := range all {
		clients[name] = waypostv1connect.CeremonyClient(l)
	}
	return clients
}

func (r *rig) plan(kind toprf.Kind, threshold int, holders, dealers []string) Plan {
	r.t.Helper()
	latest := r.view.Latest()
	epoch := latest.Epoch
	if kind == toprf.Keygen {
		epoch++
	}
	p, err := NewPlan(kind, latest, epoch, threshold, holders, dealers, r.now, time.Hour)
	must(r.t, err)
	return r.approve(p)
}

// approve has governance sign a reshare.
func (r *rig) approve(p Plan) Plan {
	r.t.Helper()
	if p.Kind != toprf.Reshare {
		return p
	}
	p, err := p.Approve(r.signer)
	must(r.t, err)
	return p
}

// request is what opens the ceremony of a plan.
func request(p Plan) *waypostv1.StartCeremonyRequest {
	return &waypostv1.StartCeremonyRequest{Plan: p.Bytes(), Approval: p.Approval}
}

func (r *rig) lead(p Plan, change func(map[string]*link)) (*Transcript, error) {
	ctx, stop := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer stop()
	return Run(ctx, p, r.view.Version(p.Roster), r.links(change), func(Round, string, string) {})
}

// hold holds a ceremony in which all goes well, and signs the roster that names its
// shares.
func (r *rig) hold(kind toprf.Kind, threshold int, holders, dealers []string) *Result {
	r.t.Helper()
	transcript, err := r.lead(r.plan(kind, threshold, holders, dealers), nil)
	must(r.t, err)
	return r.govern(transcript)
}

func (r *rig) govern(transcript *Transcript) *Result {
	r.t.Helper()
	result, err := transcript.Verify(r.view.Latest())
	must(r.t, err)
	r.sign(func(draft *roster.Roster) error {
		return draft.SetShares(result.Plan.Epoch, result.Plan.Holders, result.Keys, result.Transcript)
	})
	return result
}

// sign has the governance sign a successor an hour later.
func (r *rig) sign(change func(*roster.Roster) error, others ...note.Signer) {
	r.t.Helper()
	r.now = r.now.Add(time.Hour)
	draft, err := r.view.Latest().Successor(r.now, r.now.Add(roster.MaxValidity))
	must(r.t, err)
	must(r.t, change(draft))
	signed, err := draft.Sign(append(others, r.signer)...)
	must(r.t, err)
	must(r.t, r.view.Update(signed))
}

// evaluates checks that any threshold of the shares that the newest roster names give
// one output, and returns it.
func (r *rig) evaluates() string {
	r.t.Helper()
	latest := r.view.Latest()
	keys, err := latest.Keys()
	must(r.t, err)
	blinding, err := toprf.BlindAll([][]byte{[]byte("one")}, [32]byte{1})
	must(r.t, err)
	var outputs []string
	holders := latest.Holders()
	for from := range holders {
		var answers []toprf.Verified
		for i := range latest.Threshold {
			m := holders[(from+i)%len(holders)]
			share, ok := r.party[m.Name].vault.Share(m.PublicShare)
			if !ok {
				r.t.Fatalf("%s has no share", m.Name)
			}
			e, err := share.Evaluate(blinding.Elements(), make([]byte, toprf.HedgeSize))
			must(r.t, err)
			v, err := keys.Verify(m.Index, blinding.Elements(), e)
			must(r.t, err)
			answers = append(answers, v)
		}
		combined, err := keys.Combine(answers)
		must(r.t, err)
		final, err := blinding.Finalize(combined)
		must(r.t, err)
		outputs = append(outputs, string(final[0]))
	}
	if len(slices.Compact(outputs)) != 1 {
		r.t.Fatal("the holders do not agree on the output")
	}
	return outputs[0]
}

// entries are the steps that a holder's ledger tells of a ceremony.
func (p *party) entries(id ID) (steps []map[string]string) {
	p.rig.t.Helper()
	all, err := journaltest.Opener().Read(p.rig.t.Context(), p.journal, 0, 1000)
	must(p.rig.t, err)
	for _, e := range all {
		body, err := journal.ParseBody(e.Body)
		must(p.rig.t, err)
		if e.Kind == "ceremony" && body["ceremony"] == fmt.Sprintf("%x", id[:]) {
			steps = append(steps, body)
		}
	}
	return steps
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func blamed(err error) string {
	if fault, ok := errors.AsType[*Fault](err); ok {
		return fault.Culprit
	}
	return ""
}
