package install

import (
	"path/filepath"
	"time"

	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/ceremony"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
)

// Where a key holder's shares lie in its folder, and what opens them.
const (
	shareFolder    = "share"
	identityFolder = "identities"
)

// vault opens a key holder's shares.
func (f *Folder) vault() (*ceremony.Vault, error) {
	identities := f.Config.ShareIdentities
	if identities == "" {
		identities = identityFolder
	}
	if !filepath.IsAbs(identities) {
		identities = f.path(identities)
	}
	return ceremony.OpenVault(f.path(shareFolder), identities)
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
