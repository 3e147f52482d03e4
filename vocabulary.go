package waypost

import "slices"

// Purpose says why a state asks. The list is closed: there is no law
// enforcement or immigration purpose (18 USC 2721 names the permitted uses;
// this list is narrower).
type Purpose string

const (
	IssueLicence         Purpose = "issue_licence"
	IssuePermit          Purpose = "issue_permit"
	IssueID              Purpose = "issue_id"
	IssueRealID          Purpose = "issue_real_id" // 6 CFR 37.29
	Renew                Purpose = "renew"
	DuplicateResolution  Purpose = "duplicate_resolution"
	PostConviction       Purpose = "post_conviction"
	AcceptAsID           Purpose = "accept_as_identification"
	ChangeSOR            Purpose = "change_state_of_record"
	ResolvePossibleMatch Purpose = "resolve_possible_match"
	DriverHistory        Purpose = "driver_history"
	MaintainPointer      Purpose = "maintain_pointer"
)

var issuePurposes = []Purpose{IssueLicence, IssuePermit, IssueID, IssueRealID, Renew}

// Kind is the kind of transaction that a ticket allows.
type Kind string

const (
	KindCheck   Kind = "check"   // search, then ask the candidates; 32 elements
	KindPublish Kind = "publish" // up to 100 records of 10 elements; never a search
	KindChange  Kind = "change"  // the same, in the place of pointers that are there
	// KindRepublish is the same of pointers that stay as they are, under the next key.
	KindRepublish Kind = "republish"
)

// Errands: what one state asks another about one record. They carry no elements;
// the ticket commits to the one request instead, see [CommitRequest].
const (
	KindVerifyCard Kind = "verify_card"            // a card presented as identification: match or not
	KindStatus     Kind = "status"                 // how the record stands, in one word
	KindHistory    Kind = "history"                // the driver history
	KindPortrait   Kind = "portrait"               // one portrait, or a decline that looks the same
	KindChangeSOR  Kind = "change_state_of_record" // to the state of record, and then to the hub
	KindIssued     Kind = "notice_of_issuance"     // the former state is told
	KindTerminate  Kind = "request_to_terminate"   // acknowledged, refused, done
	KindReport     Kind = "report"                 // an item of driver history, to the state of record
	KindCase       Kind = "case"                   // notes and the outcome of a shared duplicate case
)

// Upkeep: what an owner has the hub do with its own pointers. No elements either.
const (
	KindWithdraw Kind = "withdraw" // pointers by handle
	KindActivate Kind = "activate" // a dark generation becomes visible, or is rolled back
	KindCompare  Kind = "compare"  // digests of its pointers against the owner's own
	KindLeave    Kind = "leave"    // all pointers, for good
)

// kindRule says which purposes and operators a kind allows and how many elements
// it takes.
type kindRule struct {
	purposes []Purpose
	classes  []OperatorClass
	elements func(n int) bool
}

// Elements per transaction (design, sections 3 and 5).
const (
	CheckElements   = 32  // probes of one check, always exactly this many
	NameElements    = 20  // of those, part one: from name and date
	SSNElements     = 12  // and part two: from the SSN, or what stands in for it
	RecordElements  = 10  // index keys of one record
	MaxPublishBatch = 100 // records under one publish ticket
)

var kindRules = map[Kind]kindRule{
	KindCheck: {
		purposes: append(slices.Clip(issuePurposes), DuplicateResolution, PostConviction),
		classes:  []OperatorClass{Attended, Unattended},
		elements: func(n int) bool { return n == CheckElements },
	},
	KindPublish: {purposes: []Purpose{MaintainPointer}, classes: []OperatorClass{Loader}, elements: batches},
	KindChange:  {purposes: []Purpose{MaintainPointer}, classes: []OperatorClass{Loader}, elements: batches},

	KindRepublish: {purposes: []Purpose{MaintainPointer}, classes: []OperatorClass{Loader}, elements: batches},

	KindVerifyCard: errand(AcceptAsID),
	KindStatus:     errand(issuePurposes...),
	KindHistory:    errand(ChangeSOR, IssueLicence),
	KindPortrait:   errand(ResolvePossibleMatch, DuplicateResolution),
	KindChangeSOR:  errand(issuePurposes...),
	KindIssued:     errand(issuePurposes...),
	KindTerminate:  errand(append(slices.Clip(issuePurposes), DuplicateResolution)...),
	KindReport:     errand(DriverHistory),
	KindCase:       errand(DuplicateResolution),

	KindWithdraw: upkeep,
	KindActivate: upkeep,
	KindCompare:  upkeep,
	KindLeave:    upkeep,
}

// batches are up to 100 records of 10 elements.
func batches(n int) bool {
	return n > 0 && n%RecordElements == 0 && n/RecordElements <= MaxPublishBatch
}

func errand(purposes ...Purpose) kindRule {
	return kindRule{purposes: purposes, classes: []OperatorClass{Attended, Unattended}, elements: none}
}

var upkeep = kindRule{purposes: []Purpose{MaintainPointer}, classes: []OperatorClass{Loader}, elements: none}

func none(n int) bool { return n == 0 }

// Publishes reports whether the kind writes records into the index, ten elements
// for each.
func (k Kind) Publishes() bool { return k == KindPublish || k == KindChange || k == KindRepublish }

// Allows reports whether the purpose is one that the kind of transaction may
// be asked for.
func (k Kind) Allows(p Purpose) bool { return slices.Contains(kindRules[k].purposes, p) }

func (k Kind) admits(c OperatorClass) bool { return slices.Contains(kindRules[k].classes, c) }

// Errand reports whether the kind is a question to one state that carries no
// elements, but commits to its request.
func (k Kind) Errand() bool { return k.bare() && kindRules[k].classes[0] != Loader }

// Upkeep reports whether the kind is something that an owner has the hub do with
// its own pointers, without elements.
func (k Kind) Upkeep() bool { return k.bare() && kindRules[k].classes[0] == Loader }

func (k Kind) bare() bool { return k.Takes(0) }

// Takes reports whether n is a number of elements that the kind may carry.
func (k Kind) Takes(n int) bool {
	r, ok := kindRules[k]
	return ok && r.elements(n)
}

// Environment keeps rehearsal and production apart: nothing signed for one is
// valid in the other.
type Environment string

const (
	Test Environment = "test"
	Prod Environment = "prod"
)

// OperatorClass says whether a person sits at the counter.
type OperatorClass string

const (
	Attended   OperatorClass = "attended"
	Unattended OperatorClass = "unattended" // mail and web renewals; a quota of its own
	Loader     OperatorClass = "publish"    // bulk publishing
)

// Outcome is the class of one candidate's comparison at its state of record.
type Outcome string

const (
	NoMatch  Outcome = "no_match"
	Possible Outcome = "possible" // a person must look
	Match    Outcome = "match"
	Pending  Outcome = "pending" // the state of record has not answered yet
)

// Status is the standing of a record at its state of record, in one word.
type Status string

const (
	Valid        Status = "valid"
	ExpiredCard  Status = "expired"
	Surrendered  Status = "surrendered"
	Suspended    Status = "suspended"
	Revoked      Status = "revoked"
	Disqualified Status = "disqualified"
	Closed       Status = "closed"
)

// CardKind is what sort of card the record is for. The card's class, and
// whether it is a REAL ID, never travel.
type CardKind string

const (
	Licence    CardKind = "licence"
	Permit     CardKind = "permit"
	IDCard     CardKind = "id"
	Commercial CardKind = "commercial"
	// Unlicensed is a driver who holds no card anywhere and has a history all the
	// same: the state that recorded it keeps it until a state licenses the driver.
	Unlicensed CardKind = "unlicensed"
)

// Disclosure is the minimum that a state of record tells about one candidate.
// Fields that the disclosure table does not allow are empty.
type Disclosure struct {
	Outcome             Outcome  `json:"outcome"`
	Status              Status   `json:"status,omitempty"`
	CardKind            CardKind `json:"card_kind,omitempty"`
	TerminationRequired bool     `json:"termination_required,omitempty"`
}
