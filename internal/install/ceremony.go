package install

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/ceremony"
	"github.com/waypost/waypost/internal/durable"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
)

// Where a key holder's shares lie in its folder, and what opens them.
const (
	shareFolder    = "share"
	identityFolder = "identities"

	acceptedFolder = "accepted" // the plans by which it may deal its share
)

// vault opens a key holder's shares.
func (f *Folder) vault() (*ceremony.Vault, error) { return ceremony.OpenVault(f.ShareFolders()) }

// ShareFolders are where a key holder's shares lie, and the identities that open them.
func (f *Folder) ShareFolders() (shares, identities string) {
	identities = f.Config.ShareIdentities
	if identities == "" {
		identities = identityFolder
	}
	if !filepath.IsAbs(identities) {
		identities = f.path(identities)
	}
	return f.path(shareFolder), identities
}

// apart insists that in production the shares and what opens them are not in one folder
// by default: one backup has both then, and what is destroyed later is in it still.
func (f *Folder) apart() error {
	if f.Config.ShareIdentities != "" || f.Roster.Latest().Environment != waypost.Prod {
		return nil
	}
	return waypost.Errorf(waypost.InvalidArgument, "%s does not say where the identities lie that open the shares: set share_identities to a folder on another disk or a token, which is not backed up with this one; or, where there is none, to %q, and leave that folder out of every backup",
		f.path("config.json"), identityFolder)
}

// openVault opens a key holder's shares, and insists on the one that the roster names,
// unless the config says that it is lost.
func (r *Role) openVault() (err error) {
	f := r.Folder
	if f.Config.Role != roster.KeyHolder {
		return nil
	}
	if err := f.apart(); err != nil {
		return err
	}
	if r.vault, err = f.vault(); err != nil {
		return err
	}
	closed := r.vault.Closed()
	for _, why := range closed {
		r.log.Warn("a share cannot be used", "cause", why)
	}
	latest := f.Roster.Latest()
	me, _ := latest.Member(f.Config.Name)
	if _, ok := r.vault.Share(me.PublicShare); ok || me.Index == 0 || f.Config.WithoutShare {
		return nil
	}
	why := "if it is lost, set without_share in " + f.path("config.json") + " and have the key holders reshare"
	if len(closed) > 0 {
		why = closed[0]
	}
	return waypost.Errorf(waypost.NotFound, "%s does not have the share that the roster commits to for key epoch %d: %s", f.Config.Name, latest.Epoch, why)
}

// Coordinator opens the folder of a key holder, whose process may run, for leading a
// ceremony from there: with its certificate, and without its share.
func Coordinator(dir string, now func() time.Time) (*roster.View, ceremony.Clients, error) {
	f, err := OpenFolder(dir, now)
	if err != nil {
		return nil, nil, err
	}
	clients := make(ceremony.Clients)
	for _, h := range f.Roster.Current().KeyHolders() {
		clients[h.Name] = waypostv1connect.NewCeremonyClient(rpc.Dial(f.Cert, f.Roster, h))
	}
	return f.Roster, clients, nil
}

// Accept has the key holder whose folder it is deal its share by this plan, when a
// ceremony begins that follows it to the bit. Whoever gets a share has it for ever:
// governance has signed that it is wanted, and the operator has read what.
func Accept(dir string, p ceremony.Plan, now func() time.Time) error {
	f, err := acceptable(dir, p, now)
	if err != nil {
		return err
	}
	return durable.WriteFile(f.acceptedPath(p.ID()), p.Bytes())
}

// Acceptable is the error that [Accept] would return, before the operator has decided.
func Acceptable(dir string, p ceremony.Plan, now func() time.Time) error {
	_, err := acceptable(dir, p, now)
	return err
}

func acceptable(dir string, p ceremony.Plan, now func() time.Time) (*Folder, error) {
	f, err := OpenFolder(dir, now)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(p.Dealers, f.Config.Name) {
		return nil, waypost.Errorf(waypost.InvalidArgument, "%s deals nothing by this plan", f.Config.Name)
	}
	if !now().Before(p.Ends) {
		return nil, waypost.Errorf(waypost.Expired, "the time of this plan is over")
	}
	return f, p.Approved(f.Roster)
}

// accepted reports whether the operator has accepted a plan.
func (f *Folder) accepted(id ceremony.ID) bool {
	raw, err := os.ReadFile(f.acceptedPath(id))
	if err != nil {
		return false
	}
	p, err := ceremony.ParsePlan(raw)
	return err == nil && p.ID() == id
}

func (f *Folder) acceptedPath(id ceremony.ID) string {
	return f.path(filepath.Join(acceptedFolder, hex.EncodeToString(id[:])))
}
