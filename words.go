package waypost

import (
	"fmt"
	"strings"
)

// Words says the answer as a clerk reads it: what each state said, and always
// how far the search reached.
func (a Answer) Words() string {
	var b strings.Builder
	if a.Owed {
		missing := "Too few key holders, or not the hub, can be reached"
		if a.Coverage.IndexInPart {
			missing = "A part of the hub's index cannot be reached"
		}
		fmt.Fprintf(&b, "CHECK OWED. %s, so not everything could be searched. This is\n", missing)
		fmt.Fprintln(&b, "not a \"no\": issue interim paper; the card is released when the check has been made. It is tried again by itself.")
	}
	a.outcomes(&b)
	for _, own := range a.Own {
		fmt.Fprintf(&b, "This state itself: record %s (%s).\n", own.ID, own.Outcome)
	}
	fmt.Fprintln(&b, a.Coverage.Words())
	if !a.Complete && !a.Owed {
		fmt.Fprintf(&b, "The check completes by itself. Ask again with ticket %s\n", a.TicketHex)
	}
	return b.String()
}

func (a Answer) outcomes(b *strings.Builder) {
	if a.TooMany {
		fmt.Fprintln(b, "TOO MANY possible records: the 20 likeliest were asked. A supervisor should look.")
	}
	other := true
	for _, c := range a.Candidates {
		if line := c.words(); line != "" {
			fmt.Fprintln(b, line)
		}
		other = other && c.Outcome == NoMatch
	}
	if other && !a.Owed && !a.TooMany { // those not asked may hold one
		fmt.Fprintln(b, "NO OTHER CARD found.")
	}
}

func (c CandidateAnswer) words() string {
	switch {
	case c.Refused != "":
		return fmt.Sprintf("%s declined to answer: %s.", c.State, c.Refused)
	case c.Outcome == Pending:
		return fmt.Sprintf("%s has not answered yet.", c.State)
	case c.Outcome == Possible:
		return fmt.Sprintf("POSSIBLE: %s has a record that may be this person. Somebody must look before a card is issued.", c.State)
	case c.Outcome == Match:
		line := fmt.Sprintf("MATCH: this person holds a card of %s", c.State)
		if c.CardKind != "" {
			line += fmt.Sprintf(" (%s, %s)", c.CardKind, c.Status)
		}
		if c.TerminationRequired {
			line += "; it must be ended before a card is issued here"
		}
		return line + "."
	}
	return ""
}

// Words says in one sentence or two how far a search reached.
func (c Coverage) Words() string {
	var parts []string
	searched := fmt.Sprintf("Searched: %s", count(len(c.Searched), "state"))
	if c.IndexInPart {
		searched = "Searched: only the part of the index that can be reached; any state may have a record in the rest"
	}
	if c.NamesOnly {
		searched += ", by name and date of birth: this state has the record from another one"
	}
	parts = append(parts, searched+".")
	if len(c.Unanswered) > 0 {
		parts = append(parts, list(c.Unanswered)+" not answered yet.")
	}
	if len(c.Loading) > 0 {
		parts = append(parts, list(c.Loading)+" still loading.")
	}
	if n := len(c.NotMembers); n > 6 {
		parts = append(parts, fmt.Sprintf("%d jurisdictions do not take part.", n))
	} else if n > 0 {
		parts = append(parts, list(c.NotMembers)+" not taking part.")
	}
	return strings.Join(parts, " ")
}

func list(states []Jurisdiction) string {
	names := make([]string, len(states))
	for i, j := range states {
		names[i] = string(j)
	}
	return strings.Join(names, ", ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
