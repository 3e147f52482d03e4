// Package journaltest gives tests a journal whose entries they can read,
// whichever process wrote them.
package journaltest

import (
	"sync"

	"filippo.io/age"

	"github.com/waypost/waypost/internal/journal"
)

var identity = sync.OnceValue(func() *age.HybridIdentity {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		panic(err) // only without randomness
	}
	return id
})

// Recipient is who can read the journals of this test process: what
// [journal.Open] needs.
func Recipient() age.Recipient { return identity().Recipient() }

// Identity is the other half of Recipient.
func Identity() age.Identity { return identity() }

// Opener reads them.
var Opener = sync.OnceValue(func() *journal.Opener { return journal.NewOpener(identity()) })
