package install

import (
	"crypto/ed25519"
	"log/slog"

	"filippo.io/age"

	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/publisher"
	"github.com/waypost/waypost/translog"
)

// What a backup and its restoration need of a folder.

// Databases returns the URLs of the role's database and, of a gateway, of its own people;
// else people is empty. Paths are absolute to the folder.
func (f *Folder) Databases() (main, people string) {
	if f.Config.People != "" {
		people = f.database(f.Config.People)
	}
	return f.database(f.Config.Database), people
}

// LogFolder is the folder of the published logs.
func (f *Folder) LogFolder() string { return f.logs() }

// LogKey reads the key that signs the checkpoints of the role's logs.
func (f *Folder) LogKey() (ed25519.PrivateKey, error) { return f.ed25519Key("log.key") }

// LogOf is the name of the role's log of another number.
func (f *Folder) LogOf(instance int64) string { return f.Config.logOf(instance) }

// LogPolicy is what a checkpoint of one of the role's logs needs by the roster in force.
func (f *Folder) LogPolicy(origin string) (translog.Policy, error) {
	current := f.Roster.Current()
	me, _ := current.Member(f.Config.Name)
	return follow.Policy(current, me, origin)
}

// Witnesses returns the witnesses that may cosign the role's logs.
func (f *Folder) Witnesses(log *slog.Logger) []publisher.Witness { return f.witnesses(log)() }

// Readers are those to whom the role's ledger is opened.
func (f *Folder) Readers() ([]age.Recipient, error) { return f.readers() }

// Configure changes config.json durably.
func (f *Folder) Configure(change func(c *Config)) error {
	change(&f.Config)
	return writeJSON(f.path("config.json"), f.Config)
}
