package ceremony

import (
	"encoding/base64"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

// Who gets shares of a key in a reshare, and how many of them are the key, is for
// governance to say before anybody deals: what is dealt cannot be taken back, whatever
// rosters say later. It says so as it says everything, by a signed note
// (https://c2sp.org/signed-note).

const (
	approvalDomain = "waypost reshare plan v1\n"
	// maxApproval bounds a signed plan, in bytes: the text takes at most 11 KiB, and 32
	// signatures take 8 KiB.
	maxApproval = 32 << 10
)

// Text is the plan as governance signs it: a line that says what it is, and the plan's
// bytes in base64.
func (p Plan) Text() string {
	return approvalDomain + base64.StdEncoding.EncodeToString(p.Bytes()) + "\n"
}

// ReadPlan reads the plan of a reshare from its Text, or from that with signatures,
// which are its Approval then and are not looked at.
func ReadPlan(raw []byte) (p Plan, err error) {
	text := string(raw)
	if cut := strings.Index(text, "\n\n"); cut >= 0 {
		text = text[:cut+1]
	}
	encoded, ok := strings.CutPrefix(text, approvalDomain)
	if !ok || len(raw) > maxApproval {
		return Plan{}, malformed("signed plan")
	}
	plan, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSuffix(encoded, "\n"))
	if err != nil {
		return Plan{}, malformed("signed plan")
	}
	if p, err = ParsePlan(plan); err != nil {
		return Plan{}, err
	}
	if p.Kind != toprf.Reshare || p.Text() != text {
		return Plan{}, malformed("signed plan")
	}
	if len(raw) > len(text) {
		p.Approval = raw
	}
	return p, nil
}

// Approve adds the signature of one officer to those that the plan has, unverified.
func (p Plan) Approve(officer note.Signer) (Plan, error) {
	n := &note.Note{Text: p.Text()}
	if len(p.Approval) > 0 {
		unverified, err := unverifiedNote(p.Approval)
		if err != nil || unverified.Text != n.Text {
			return p, malformed("signed plan")
		}
		n = unverified
	}
	var err error
	p.Approval, err = note.Sign(n, officer)
	return p, err
}

// unverifiedNote reads a signed note without a look at the signatures.
func unverifiedNote(signed []byte) (*note.Note, error) {
	_, err := note.Open(signed, note.VerifierList())
	if e, ok := err.(*note.UnverifiedNoteError); ok { //nolint:errorlint // note.Open returns it as it is
		return e.Note, nil
	}
	return nil, err
}

// Approved checks that a reshare is what governance wants: that of the roster version
// which the plan names, and that of the newest.
func (p Plan) Approved(view *roster.View) error {
	for _, r := range []*roster.Roster{view.Version(p.Roster), view.Latest()} {
		if r == nil {
			return waypost.Errorf(waypost.Unavailable, "roster version %d, under which the ceremony is planned, is not known here", p.Roster)
		}
		if err := p.approved(r.Governance); err != nil {
			return err
		}
	}
	return nil
}

// approved checks that a reshare is what the governance wants. What is no reshare gives
// nobody anything, and needs no word of it.
func (p Plan) approved(g roster.Governance) error {
	if p.Kind != toprf.Reshare {
		return nil
	}
	if len(p.Approval) > maxApproval {
		return malformed("signed plan")
	}
	text, err := "", error(nil)
	if len(p.Approval) > 0 {
		text, err = g.Open(p.Approval)
	}
	if err == nil && text != p.Text() {
		err = waypost.Errorf(waypost.PermissionDenied, "it is not signed")
	}
	if err != nil {
		return waypost.Errorf(waypost.PermissionDenied, "governance has not signed the plan %s, by %d of its keys: waypost ceremony sign PLAN --key OFFICER-KEY", short(p.ID()), g.Threshold).WithCause(err)
	}
	return nil
}
