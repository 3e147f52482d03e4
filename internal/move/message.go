package move

import (
	"bytes"
	"slices"
	"time"
	"unicode"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/driver"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/matchkey"
)

// released is what the former state sends with its release.
type released struct {
	release waypost.SignedRelease
	history []byte
	names   []records.PassedName // in the order of the release
}

func (r released) encode() ([]byte, error) {
	out := &waypostv1.ChangeReply{Release: r.release.Bytes(), History: r.history}
	for _, n := range r.names {
		p := &waypostv1.NameOfPointer{
			Handle: n.Handle[:], Alias: n.Alias, Version: n.Version,
			Name: &waypostv1.Applicant{Family: n.Name.Family, Given: n.Name.Given, Middle: n.Name.Middle, Suffix: n.Name.Suffix,
				Born: n.Name.Born.String(), Sex: string(n.Name.Sex)},
		}
		p.Epoch, p.Tokens = n.Epoch, bytes.Join(n.Tokens, nil)
		p.NextEpoch, p.NextTokens, p.Reached = n.NextEpoch, bytes.Join(n.Next, nil), n.Reached
		out.Names = append(out.Names, p)
	}
	return proto.Marshal(out)
}

// parseReleased reads it strictly. Whether the release is the one that was asked
// for, and signed, is for the caller to judge.
func parseReleased(body []byte) (released, error) {
	bad := waypost.Errorf(waypost.InvalidArgument, "what came with the release is not well formed")
	var in waypostv1.ChangeReply
	if proto.Unmarshal(body, &in) != nil || len(in.ProtoReflect().GetUnknown()) > 0 {
		return released{}, bad
	}
	release, err := waypost.ParseRelease(in.Release)
	if err != nil {
		return released{}, err
	}
	if _, err := driver.ParseHistory(in.History); err != nil {
		return released{}, err
	}
	if len(in.Names) != len(release.Passings) {
		return released{}, bad
	}
	out := released{release: release, history: in.History}
	main := 0
	for i, n := range in.Names {
		name, err := parseName(n)
		if err != nil {
			return released{}, err
		}
		if name.Handle != release.Passings[i].New {
			return released{}, bad
		}
		if !name.Alias {
			main++
		}
		out.names = append(out.names, name)
	}
	if main != 1 {
		return released{}, bad
	}
	return out, nil
}

func parseName(in *waypostv1.NameOfPointer) (records.PassedName, error) {
	bad := waypost.Errorf(waypost.InvalidArgument, "the name of a pointer is not well formed")
	const size = len(waypost.Token{})
	a := in.GetName()
	const all = matchkey.NameSlots * size
	if len(in.Handle) != len(waypost.Handle{}) || len(in.Tokens) != all || in.Version == 0 || a == nil || in.Epoch == 0 ||
		!(in.NextEpoch == 0 && len(in.NextTokens) == 0 || in.NextEpoch > in.Epoch && len(in.NextTokens) == all) ||
		in.Reached == 0 || in.Reached > max(in.Epoch, in.NextEpoch) ||
		a.CardNumber != "" || a.CardState != "" || len(in.ProtoReflect().GetUnknown())+len(a.ProtoReflect().GetUnknown()) > 0 {
		return records.PassedName{}, bad
	}
	born, err := waypost.ParseDate(a.Born)
	if err != nil || born.String() != a.Born {
		return records.PassedName{}, bad
	}
	sex, err := waypost.ParseSex(a.Sex)
	if err != nil || string(sex) != a.Sex {
		return records.PassedName{}, bad
	}
	person := waypost.Person{Family: a.Family, Given: a.Given, Middle: a.Middle, Suffix: a.Suffix, Born: born, Sex: sex}
	if err := person.Validate(); err != nil {
		return records.PassedName{}, err
	}
	return records.PassedName{
		Handle: waypost.Handle(in.Handle), Alias: in.Alias, Version: in.Version, Name: person,
		Epoch: in.Epoch, Tokens: slices.Collect(slices.Chunk(in.Tokens, size)), NextEpoch: in.NextEpoch, Next: slices.Collect(slices.Chunk(in.NextTokens, size)),
		Reached: in.Reached,
	}, nil
}

// parseChange reads the request for a release: the reference.
func parseChange(body []byte) ([]byte, error) {
	var in waypostv1.ChangeRequest
	if proto.Unmarshal(body, &in) != nil || len(in.ProtoReflect().GetUnknown()) > 0 || len(in.Reference) != len(waypost.Reference{}) {
		return nil, waypost.Errorf(waypost.InvalidArgument, "the request for a change of state of record is not well formed")
	}
	return in.Reference, nil
}

// parseAnnouncement reads a notice of issuance.
func parseAnnouncement(body []byte) (*waypostv1.IssuanceNotice, error) {
	in := &waypostv1.IssuanceNotice{}
	bad := waypost.Errorf(waypost.InvalidArgument, "the notice of issuance is not well formed")
	if proto.Unmarshal(body, in) != nil || len(in.ProtoReflect().GetUnknown()) > 0 || len(in.Reference) != len(waypost.Reference{}) {
		return nil, bad
	}
	if _, err := time.Parse(time.DateOnly, in.Issued); err != nil {
		return nil, bad
	}
	return in, nil
}

// parseTermination reads a request to terminate.
func parseTermination(body []byte) (*waypostv1.TerminationRequest, error) {
	in := &waypostv1.TerminationRequest{}
	if proto.Unmarshal(body, in) != nil || len(in.ProtoReflect().GetUnknown()) > 0 || len(in.Reference) != len(waypost.Reference{}) {
		return nil, waypost.Errorf(waypost.InvalidArgument, "the request to terminate is not well formed")
	}
	return in, nil
}

// The reasons for which a state does not end a card, a closed list.
const (
	reasonObjection  = "objection"   // the resident objects, and rightly
	reasonDispute    = "dispute"     // whose record it is, is in dispute
	reasonCourtOrder = "court_order" // a court forbids it
	reasonLaw        = "law"         // the law of the state does
)

var reasons = map[string]string{
	"":               "",
	reasonObjection:  "the resident objects",
	reasonDispute:    "it is in dispute whose record it is",
	reasonCourtOrder: "a court forbids it",
	reasonLaw:        "its law forbids it",
}

// parseReason reads the reply to one: empty, or a reason of the list.
func parseReason(body []byte) (string, error) {
	var in waypostv1.TerminationReply
	if proto.Unmarshal(body, &in) == nil && len(in.ProtoReflect().GetUnknown()) == 0 {
		if _, known := reasons[in.Reason]; known {
			return in.Reason, nil
		}
	}
	return "", waypost.Errorf(waypost.InvalidArgument, "the reply to a request to terminate is not well formed")
}

// clean makes words of another state fit to be shown: printable, and not long.
func clean(words string) string {
	const limit = 200
	out := make([]rune, 0, limit)
	for _, r := range words {
		if !unicode.IsPrint(r) {
			r = ' '
		}
		if out = append(out, r); len(out) == limit {
			break
		}
	}
	return string(out)
}
