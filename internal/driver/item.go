package driver

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// Type is what sort of thing an item says.
type Type string

// The types of items. An item never changes: what was wrong is cancelled by an
// item of type Negate and, if need be, reported again under another reference.
const (
	Conviction  Type = "conviction"
	Withdrawal  Type = "withdrawal"  // of the licence or a privilege: suspended, revoked, cancelled, denied, disqualified
	Clearance   Type = "clearance"   // ends a withdrawal
	Accident    Type = "accident"    // a crash on record, whoever was at fault
	Permit      Type = "permit"      // a permit to learn or to drive within limits
	Endorsement Type = "endorsement" // what the licence allows beyond its class
	Restriction Type = "restriction" // under what condition only it allows to drive
	Linkage     Type = "linkage"     // to another record, or another number of this one
	Negate      Type = "negate"      // cancels an earlier item of the same reporter
)

// Types lists them all, in the order in which they are shown.
var Types = []Type{Conviction, Withdrawal, Clearance, Accident, Permit, Endorsement, Restriction, Linkage, Negate}

// ItemID names an item for all states: it follows from the item's type, reporter
// and reference, so that the same item always has the same id.
type ItemID [16]byte

// String is 32 hex digits.
func (id ItemID) String() string { return hex.EncodeToString(id[:]) }

const itemDomain = "waypost driver item v1"

// IDOf is the first half of SHA-256 over the domain and the three names, each
// after its length.
func IDOf(t Type, reporter waypost.Jurisdiction, reference string) ItemID {
	b := cryptobyte.NewBuilder(nil)
	for _, s := range []string{itemDomain, string(t), string(reporter), reference} {
		b.AddUint32LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(s)) })
	}
	sum := sha256.Sum256(b.BytesOrPanic())
	return ItemID(sum[:16])
}

// Item is one entry of a driver's history as its reporter says it. What is not
// known or does not apply is empty or zero. Items are equal where == says so.
// Which fields a type needs, [Validate] says.
type Item struct {
	ID        ItemID
	Type      Type
	Reporter  waypost.Jurisdiction
	Reference string // the reporter's own name for it, of at most 40 bytes
	Code      string // ACD code, see Codes
	Detail    string // at most 60 bytes

	Occurred  waypost.Date // of the violation or accident
	Convicted waypost.Date
	Effective waypost.Date // from when a withdrawal, clearance, permit, endorsement or restriction holds
	Eligible  waypost.Date // from when the licence may be had back, or until when the others hold

	Speed, Limit uint32 // mph
	BAC          uint32 // thousandths of a percent of blood alcohol by weight: .083 is 83

	CommercialVehicle bool
	HazardousMaterial bool
	CommercialHolder  bool // held a commercial licence then

	Basis    string // of a withdrawal, see Bases
	Extent   string // of a withdrawal, see Extents
	Severity string // of an accident, see Severities

	Linked       ItemID               // the item that it ends, cancels or belongs to
	LinkedState  waypost.Jurisdiction // of a linkage: whose record
	LinkedNumber string               // and its card number, of at most 40 bytes
}

// The closed lists of words in an item.
var (
	Bases      = []string{"conviction", "administrative", "medical", "court", "points", "other"}
	Extents    = []string{"all", "commercial", "partial"}
	Severities = []string{"fatal", "injury", "property"}
)

// Limits on the texts of an item, in bytes, and on one encoded item: a history of
// MaxItems items fits into one sealed message.
const (
	maxReference = 40
	maxDetail    = 60
	maxNumber    = 40
	maxItem      = 512
)

// Proto is the item as it travels.
func (i Item) Proto() *waypostv1.Item {
	m := &waypostv1.Item{
		Id: i.ID[:], Type: string(i.Type), Reporter: string(i.Reporter), Reference: i.Reference, Code: i.Code, Detail: i.Detail,
		Occurred: i.Occurred.String(), Convicted: i.Convicted.String(), Effective: i.Effective.String(), Eligible: i.Eligible.String(),
		Speed: i.Speed, Limit: i.Limit, Bac: i.BAC,
		CommercialVehicle: i.CommercialVehicle, HazardousMaterial: i.HazardousMaterial, CommercialHolder: i.CommercialHolder,
		Basis: i.Basis, Extent: i.Extent, Severity: i.Severity, LinkedState: string(i.LinkedState), LinkedNumber: i.LinkedNumber,
	}
	if i.Linked != (ItemID{}) {
		m.Linked = i.Linked[:]
	}
	return m
}

// FromProto reads an item of another state. It is strict about form only: ids
// that do not follow, dates that do not exist, texts that are too long or cannot
// be shown and fields of a later version are InvalidArgument, which names the
// field and never its content. What the item says is for [Validate].
func FromProto(m *waypostv1.Item) (Item, error) {
	if m == nil || unknown(m.ProtoReflect()) || proto.Size(m) > maxItem {
		return Item{}, malformed("item")
	}
	i := Item{
		Type: Type(m.Type), Reporter: waypost.Jurisdiction(m.Reporter), Reference: m.Reference, Code: m.Code, Detail: m.Detail,
		Speed: m.Speed, Limit: m.Limit, BAC: m.Bac,
		CommercialVehicle: m.CommercialVehicle, HazardousMaterial: m.HazardousMaterial, CommercialHolder: m.CommercialHolder,
		Basis: m.Basis, Extent: m.Extent, Severity: m.Severity,
		LinkedState: waypost.Jurisdiction(m.LinkedState), LinkedNumber: m.LinkedNumber,
	}
	if err := i.readDates(m); err != nil {
		return Item{}, err
	}
	if err := i.form(); err != nil {
		return Item{}, err
	}
	i.ID = IDOf(i.Type, i.Reporter, i.Reference)
	if string(m.Id) != string(i.ID[:]) {
		return Item{}, malformed("id")
	}
	switch len(m.Linked) {
	case 0:
	case len(i.Linked):
		i.Linked = ItemID(m.Linked)
		if i.Linked == (ItemID{}) {
			return Item{}, malformed("linked")
		}
	default:
		return Item{}, malformed("linked")
	}
	return i, nil
}

func (i *Item) readDates(m *waypostv1.Item) error {
	for _, d := range []struct {
		name, text string
		to         *waypost.Date
	}{
		{"occurred", m.Occurred, &i.Occurred}, {"convicted", m.Convicted, &i.Convicted},
		{"effective", m.Effective, &i.Effective}, {"eligible", m.Eligible, &i.Eligible},
	} {
		if d.text == "" {
			continue
		}
		date, err := waypost.ParseDate(d.text)
		if err != nil || date.String() != d.text {
			return malformed(d.name)
		}
		*d.to = date
	}
	return nil
}

// form checks the texts.
func (i *Item) form() error {
	for _, t := range []struct {
		name, text string
		limit      int
	}{
		{"type", string(i.Type), 16}, {"reference", i.Reference, maxReference}, {"code", i.Code, 3}, {"detail", i.Detail, maxDetail},
		{"basis", i.Basis, 16}, {"extent", i.Extent, 16}, {"severity", i.Severity, 16}, {"linked_number", i.LinkedNumber, maxNumber},
	} {
		if len(t.text) > t.limit || !showable(t.text) {
			return malformed(t.name)
		}
	}
	for name, j := range map[string]waypost.Jurisdiction{"reporter": i.Reporter, "linked_state": i.LinkedState} {
		if parsed, err := waypost.ParseJurisdiction(string(j)); j != "" && (err != nil || parsed != j) {
			return malformed(name)
		}
	}
	return nil
}

// showable reports whether a text can be stored by every engine and shown on
// every terminal, and has nothing to trim.
func showable(text string) bool {
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return utf8.ValidString(text) && strings.TrimSpace(text) == text
}

// unknown reports whether a message has fields that this version does not know:
// they would be lost on the way.
func unknown(m protoreflect.Message) (found bool) {
	if len(m.GetUnknown()) > 0 {
		return true
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() != protoreflect.MessageKind:
		case f.IsList():
			for n := range v.List().Len() {
				found = found || unknown(v.List().Get(n).Message())
			}
		default:
			found = found || unknown(v.Message())
		}
		return !found
	})
	return found
}

func malformed(field string) *waypost.Error {
	return waypost.Errorf(waypost.InvalidArgument, "the %s of a driver history item is not well formed", field)
}
