package notice

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
)

// convicts verifies a file of evidence as a stranger would, from the governance keys
// alone, and says against whom it is, and about which ticket if it is about one.
func (w *Watch) convicts(name string) (member, ticket string, claim follow.Claim, err error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return "", "", "", err
	}
	e, err := follow.Parse(raw)
	if err != nil {
		return "", "", "", err
	}
	var trusted roster.Governance
	known, err := os.ReadFile(filepath.Join(install.FolderOf(w.x.Dir, "hub"), "governance.json"))
	if err == nil {
		err = json.Unmarshal(known, &trusted)
	}
	if err != nil {
		return "", "", "", err
	}
	if member, err = e.Verify(trusted); err != nil || len(e.Ticket) == 0 {
		return member, "", e.Claim, err
	}
	t, err := waypost.ParseTicket(e.Ticket)
	return member, hex.EncodeToString(t.ID[:]), e.Claim, err
}
