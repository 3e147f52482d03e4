package witness

import (
	"regexp"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// instanceShape bounds how many logs, and so rows here, one member can open.
var instanceShape = regexp.MustCompile(`^[1-9][0-9]{0,2}$`)

// RosterLogs are the logs of the members of an exchange: "<domain>/<member>/<n>"
// with n from 1 to 999, signed by the member's log key under that name. Who is
// removed is refused from that moment.
//
// A roster that has run out still names them, where nothing else is admitted
// any more: receipts given before promise leaves that have yet to be published,
// and a witness that stopped would make liars of those who gave them.
func RosterLogs(view *roster.View, domain string) func(origin string) (note.Verifier, bool) {
	return func(origin string) (note.Verifier, bool) {
		place, ok := strings.CutPrefix(origin, domain+"/")
		name, instance, both := strings.Cut(place, "/")
		if !ok || !both || !instanceShape.MatchString(instance) {
			return nil, false
		}
		member, ok := view.Member(name)
		if !ok {
			return nil, false
		}
		verifier, err := translog.LogVerifier(origin, member.LogKey)
		return verifier, err == nil
	}
}
