package waypost

// Answer is what the clerk learns from one check.
type Answer struct {
	Ticket     TicketID          `json:"-"`
	TicketHex  string            `json:"ticket"`
	Candidates []CandidateAnswer `json:"candidates"`
	Own        []OwnRecord       `json:"own_records,omitempty"` // the asking state's own records of the person
	Coverage   Coverage          `json:"coverage"`
	Complete   bool              `json:"complete"` // nothing is outstanding
	TooMany    bool              `json:"too_many,omitempty"`
	Owed       bool              `json:"owed,omitempty"` // not searched in full yet: never a silent "no other card"
}

// CandidateAnswer is one state's answer about one record.
type CandidateAnswer struct {
	State     Jurisdiction `json:"state"`
	Reference Reference    `json:"reference"` // names the record in what follows the check
	Disclosure
	Refused string `json:"refused,omitempty"` // why the state declined to answer, in words
}

// OwnRecord is a record of the asking state itself, which the index leaves to
// the state's own search.
type OwnRecord struct {
	ID      string  `json:"id"`
	Outcome Outcome `json:"outcome"`
}

// Coverage says how far the answer reaches. It is always shown.
type Coverage struct {
	Searched   []Jurisdiction `json:"searched"`
	Unanswered []Jurisdiction `json:"unanswered,omitempty"`
	Loading    []Jurisdiction `json:"loading,omitempty"`
	NotMembers []Jurisdiction `json:"not_members,omitempty"`
	// NamesOnly: searched by name and date, not by the SSN. So it is where this
	// state has the person's record from another state, for people with and without
	// an SSN.
	NamesOnly bool `json:"names_only,omitempty"`
	// IndexInPart: a part of the index did not answer. The check is owed.
	IndexInPart bool `json:"index_in_part,omitempty"`
}

// Best returns the strongest outcome among the candidates: match before
// possible before pending before no_match.
func (a Answer) Best() Outcome {
	best := NoMatch
	rank := map[Outcome]int{NoMatch: 0, Pending: 1, Possible: 2, Match: 3}
	for _, c := range a.Candidates {
		if rank[c.Outcome] > rank[best] {
			best = c.Outcome
		}
	}
	return best
}
