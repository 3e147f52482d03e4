package duplicate

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/waypost/waypost"
)

// ID names a case, a note or a person towards another state: 16 bytes.
type ID [16]byte

// String is all of it in hex.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

func newID() (id ID) {
	_, _ = rand.Read(id[:]) // never fails (Go 1.24)
	return id
}

// Outcome is what a state finds of a case.
type Outcome string

const (
	Same      Outcome = "same"      // one person
	Different Outcome = "different" // two
	Fraud     Outcome = "fraud"     // one person who says to be two, or the reverse: for investigators
	Undecided Outcome = "undecided" // it cannot be told
	Left      Outcome = "left"      // to the other state
)

// definite outcomes are those that two states can agree on.
func (o Outcome) definite() bool {
	return o == Same || o == Different || o == Fraud || o == Undecided
}

func (o Outcome) known() bool { return o.definite() || o == Left }

// State says how far a case has come.
type State int

const (
	open    State = iota
	decided       // both states agree; something is to be done still
	closed
)

var stateNames = []string{"open", "decided", "closed"}

// String is the word for it.
func (s State) String() string { return stateNames[s] }

// Origins of a case.
const (
	fromCheck      = "check"
	fromCorrection = "correction" // a match that a clerk found to be wrong
	fromCampaign   = "campaign"
	fromRecords    = "records" // two records of one state
)

const (
	maxText  = 2000 // bytes of a note
	maxNotes = 200  // of one state in one case
)

// note is what one state has said in a case.
type note struct {
	author   waypost.Jurisdiction
	id       ID
	operator string // of this state's own
	class    waypost.OperatorClass
	written  int64
	text     string
	outcome  Outcome // empty: only a note
	number   uint32  // with an outcome: of a state's outcomes the highest holds
	issued   string  // with same
	closes   bool
	delivery string // this state's own: what came of sending it
}

// standing is what follows from all notes of a case.
type standing struct {
	state        State
	outcome      Outcome // decided
	ours, theirs Outcome
	keep         string // state whose card is proposed to be kept; empty: somebody has to say
	why          string // it is escalated
	fraud        bool
}

// parties are the states of a case as one of them sees it. Where both records are
// one state's, other is empty.
type parties struct {
	self, other, asker waypost.Jurisdiction
	origin             string
}

// judge is how a case stands. It depends on the set of notes, not on their order,
// so that two states that have the same notes agree.
func judge(notes []note, p parties) standing {
	ours, theirs := last(notes, p.self), last(notes, p.other)
	s := standing{ours: ours.outcome, theirs: theirs.outcome, fraud: ours.outcome == Fraud || theirs.outcome == Fraud}
	switch {
	case p.other == "" && ours.outcome.definite():
		s.outcome = ours.outcome
	case p.other == "":
	case ours.outcome.definite() && (theirs.outcome == ours.outcome || theirs.outcome == Left):
		s.outcome = ours.outcome
	case theirs.outcome.definite() && ours.outcome == Left:
		s.outcome = theirs.outcome
	case ours.outcome == Left && theirs.outcome == Left:
		s.why = "each state has left it to the other"
	case ours.outcome.definite() && theirs.outcome.definite():
		s.why = "the two states do not agree"
	}
	if s.outcome == "" {
		return s
	}
	s.state = decided
	done := slices.ContainsFunc(notes, func(n note) bool { return n.closes && n.outcome == s.outcome })
	if done || s.outcome == Different || s.outcome == Undecided {
		s.state = closed
	}
	if s.outcome == Same {
		s.keep = keeps(ours, theirs, p)
	}
	return s
}

// last is the outcome of a state that holds, or the zero note.
func last(notes []note, author waypost.Jurisdiction) (holds note) {
	for _, n := range notes {
		if n.author == author && author != "" && n.outcome != "" && !n.closes &&
			(n.number > holds.number || n.number == holds.number && bytes.Compare(n.id[:], holds.id[:]) > 0) {
			holds = n
		}
	}
	return holds
}

// keeps proposes whose card is kept: the newest. A check is made when a card is
// issued, so that its state has the newest unless it says otherwise.
func keeps(ours, theirs note, p parties) string {
	asker, owner := ours, theirs
	other := p.other
	if p.asker != p.self {
		asker, owner, other = theirs, ours, p.self
	}
	switch {
	case p.other == "":
		return ""
	case asker.issued == "" && p.origin != fromCampaign:
		return string(p.asker)
	case asker.issued == "" || owner.issued == "" || asker.issued == owner.issued:
		return ""
	case asker.issued > owner.issued:
		return string(p.asker)
	}
	return string(other)
}

// clean makes a text fit to be stored and shown anywhere: printable, in lines,
// without space around it.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return ' '
		}
		return r
	}, text)
	return strings.TrimSpace(text)
}

// check refuses a note that has no place in any case.
func (n note) check() error {
	issued, err := time.Parse(time.DateOnly, n.issued)
	switch {
	case len(n.text) > maxText:
		return waypost.Errorf(waypost.InvalidArgument, "a note has at most %d bytes", maxText)
	case clean(n.text) != n.text:
		return waypost.Errorf(waypost.InvalidArgument, "a note holds something else than printable lines")
	case n.class != waypost.Attended && n.class != waypost.Unattended:
		return waypost.Errorf(waypost.InvalidArgument, "a note is written by an operator of a known class")
	case n.outcome != "" && !n.outcome.known():
		return waypost.Errorf(waypost.InvalidArgument, "an outcome is same, different, fraud, undecided or left")
	case (n.outcome == "") != (n.number == 0):
		return waypost.Errorf(waypost.InvalidArgument, "outcomes are numbered from 1")
	case n.outcome == Left && n.text == "":
		return waypost.Errorf(waypost.InvalidArgument, "who leaves a case to the other state says why")
	case n.outcome == "" && n.text == "":
		return waypost.Errorf(waypost.InvalidArgument, "a note without an outcome has a text")
	case n.issued != "" && (n.outcome != Same || err != nil || issued.Format(time.DateOnly) != n.issued):
		return waypost.Errorf(waypost.InvalidArgument, "with the outcome same goes the date of issue, YYYY-MM-DD, or nothing")
	case n.closes && !n.outcome.definite():
		return waypost.Errorf(waypost.InvalidArgument, "only a case with an outcome is closed")
	case n.written <= 0 || n.written > 1<<40:
		return waypost.Errorf(waypost.InvalidArgument, "a note says when it was written")
	case n.id == ID{}:
		return waypost.Errorf(waypost.InvalidArgument, "a note has an id")
	}
	return nil
}
