package install

import (
	"bytes"
	"fmt"
	"path/filepath"

	"filippo.io/age"

	"github.com/waypost/waypost/internal/durable"
	"github.com/waypost/waypost/internal/journal"
)

const (
	openerKey  = "opener.key"
	auditorKey = "auditor.key" // in the folder of governance
)

// identity makes an age identity file, as age-keygen -pq does, and returns the
// recipient.
func identity(path string) (recipient string, err error) {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return "", err
	}
	recipient = id.Recipient().String()
	return recipient, durable.WriteFile(path, []byte("# public key: "+recipient+"\n"+id.String()+"\n"))
}

// readers are those to whom the role's ledger is opened: its own openers and
// the auditors of the roster.
func (f *Folder) readers() ([]age.Recipient, error) {
	own, err := journal.ParseRecipients(f.Config.Openers...)
	if err != nil {
		return nil, fmt.Errorf("%s: openers: %w", f.path("config.json"), err)
	}
	auditors, err := journal.ParseRecipients(f.Roster.Current().Auditors...)
	if err != nil {
		return nil, fmt.Errorf("%s: the roster's auditors: %w", f.Dir, err)
	}
	return append(own, auditors...), nil
}

// Opener opens the ledger of the role in the folder with the opener.key that
// Create left there. A role itself never does.
func Opener(dir string) (*journal.Opener, error) { return openerFrom(filepath.Join(dir, openerKey)) }

// Auditor opens all ledgers of the exchange under dir with the key of the
// auditor whom Create named in the roster.
func Auditor(dir string) (*journal.Opener, error) {
	return openerFrom(filepath.Join(dir, mark, auditorKey))
}

func openerFrom(path string) (*journal.Opener, error) {
	raw, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	identities, err := age.ParseIdentities(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("%s holds no age identity", path) // not the cause: it might quote the key
	}
	return journal.NewOpener(identities...), nil
}
